"""``tito system``: look at the installation, and verify a course."""

from __future__ import annotations

import json
import time

import click

from tt_course.errors import CourseError
from tt_course.manifest import load_tier

__all__ = ["system"]


@click.group()
def system() -> None:
    """Look at the installation, and verify a course."""


@system.command(epilog="Example: tito system verify foundation --module 05")
@click.argument("tier")
@click.option("--module", "only", multiple=True, metavar="NN", help="Only this module; may be given several times.")
@click.option("--seed", type=int, help="Of the inputs; without one they are new.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(tier: str, only: tuple[str, ...], seed: int | None, as_json: bool) -> None:
    """Verify a course's data: for its authors.

    Every definition exists, the starter loads, exercises turn from failing to passing in order, the reference gets all
    points, every mistake is caught and told, every case changes with the seed. Ends with 1 where a promise is broken.
    """
    from tt_course.manifest import find_module
    from tt_course.verify import Report
    from tt_course.verify import verify as verified

    found = load_tier(tier)
    modules = [find_module(number, (found,)) for number in only] if only else found.modules
    reports = []
    for module in modules:
        started = time.perf_counter()
        try:
            report = verified(module, seed)
        except CourseError as error:
            report = Report(module, problems=[str(error), *error.hint.splitlines()])
        reports.append(report)
        if not as_json:
            _print(report, time.perf_counter() - started)
    if as_json:
        rows = [{"module": r.module.name, "problems": r.problems, "warnings": r.warnings} for r in reports]
        click.echo(json.dumps({"tier": tier, "modules": rows}))
    if any(report.problems for report in reports):
        raise SystemExit(1)


def _print(report: object, seconds: float) -> None:
    from tt_course.verify import Report

    assert isinstance(report, Report)
    counts = ""
    if not report.problems:
        m = report.module.manifest
        points = sum(e.points for e in m.exercise)
        counts = (
            f"{len(m.exercise)} exercises, {points} points, {len(m.case)} cases, {len(m.mistake)} mistakes, "
            f"{len(m.reflection)} reflections; "
        )
    click.echo(f"{report.module.name}: {'broken' if report.problems else 'good'} ({counts}{seconds:.1f} s)")
    for problem in report.problems:
        click.echo(f"  problem: {problem}")
    for warning in report.warnings:
        click.echo(f"  warning: {warning}")
