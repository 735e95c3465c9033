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


@system.command(epilog="Example: tito system doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> None:
    """See whether all that the course needs is there. Ends with 1 where something is not."""
    from tt_course.doctor import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            click.secho("✓ " if finding.is_good else "✗ ", fg="green" if finding.is_good else "red", nl=False)
            click.echo(f"{finding.name:18} {finding.found}")
            if not finding.is_good and finding.remedy:
                click.echo(f"{'':20} {finding.remedy}")
    if as_json:
        click.echo(json.dumps({"findings": [finding._asdict() for finding in findings]}))
    if not all(finding.is_good for finding in findings):
        raise SystemExit(1)


@system.command(epilog="Example: tito system info --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(as_json: bool) -> None:
    """Print versions and places, for a report of what went wrong."""
    import platform
    import sys
    from importlib.metadata import version

    from tt_course._version import __version__
    from tt_course.manifest import tiers
    from tt_course.workspace import find

    try:
        workspace = str(find().root)
    except CourseError:
        workspace = ""
    row = {
        "tito": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "numpy": version("numpy"),
        "tiers": ", ".join(f"{tier.name} {tier.version} ({tier.folder})" for tier in tiers()),
        "workspace": workspace,
    }
    if as_json:
        click.echo(json.dumps(row))
        return
    for name, value in row.items():
        click.echo(f"{name:12} {value or 'none'}")


@system.command(short_help="Print the shell's completion.", epilog='Example: eval "$(tito system completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes the shell complete tito's commands when Tab is pressed."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(context.find_root().command, {}, "tito", "_TITO_COMPLETE").source())


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
