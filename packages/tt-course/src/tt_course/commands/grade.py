"""``tito grade``: grade submissions that nobody can trust."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tt_course.commands import complete_module
from tt_course.errors import CourseError

if TYPE_CHECKING:
    from tt_course.grading.grade import Grade, Grader
    from tt_course.grading.sandbox import Sandbox

__all__ = ["grade"]

WARNING = """\
warning: {why}
warning: with --trust the submissions run unprotected, as you: each can read and change your files, use the network,
warning: find the reference, and so give itself any grade. Grade only code that you trust like this."""


@click.command(epilog="Example: tito grade 05 submissions/ --csv > grades.csv")
@click.argument("module", shell_complete=complete_module)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--seed", type=click.IntRange(min=0), help="Of the inputs; without one they are drawn, and nobody knows them."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Submissions graded at a time; as many as there are cores.")
@click.option("--json", "style", flag_value="json", help="Print one JSON object.")
@click.option("--csv", "style", flag_value="csv", help="Print a row for each learner.")
@click.option(
    "--html", "pages", type=click.Path(path_type=Path, file_okay=False), help="Write a page for each learner."
)
@click.option(
    "--gradescope",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write Gradescope's results.json, for one submission.",
)
@click.option("--memory", default=2048, show_default=True, type=click.IntRange(min=256), metavar="MIB", help="A limit.")
@click.option(
    "--case-time", default=10.0, show_default=True, type=click.FloatRange(min=0.1), metavar="S", help="A limit."
)
@click.option(
    "--time", "wall", default=120.0, show_default=True, type=click.FloatRange(min=1), metavar="S", help="A limit."
)
@click.option("--trust", is_flag=True, help="Where there is no sandbox, run the submissions unprotected.")
def grade(
    module: str,
    paths: tuple[Path, ...],
    seed: int | None,
    jobs: int | None,
    style: str | None,
    pages: Path | None,
    gradescope: Path | None,
    memory: int,
    case_time: float,
    wall: float,
    trust: bool,
) -> None:
    """Grade submissions of a module: files, or folders of files or of learners' folders.

    The cases are those of the check, their inputs new. Each submission runs in a sandbox without network, answers and
    other people's files, and within limits; what it returns is compared outside. An exercise earns its points when all
    its cases pass.
    """
    from tt_course.grading.grade import Grader
    from tt_course.grading.report import as_csv, as_gradescope, as_rows, write_pages
    from tt_course.grading.sandbox import Limits
    from tt_course.grading.submissions import find_submissions
    from tt_course.manifest import find_module

    found = find_module(module)
    submissions = find_submissions(paths, found.file_name)
    if gradescope is not None and len(submissions) != 1:
        raise CourseError(f"--gradescope writes the results of one submission, and there are {len(submissions)}")
    sandbox = _sandbox(trust)
    limits = Limits(memory_bytes=memory << 20, case_s=case_time, wall_s=wall, cpu_s=max(1, int(wall)))
    with Grader(found, sandbox, seed=seed, limits=limits) as grader:
        grader.prove()
        for warning in grader.warnings:
            click.echo(f"warning: {warning}", err=True)
        grades = []
        for done in grader.grade_all(submissions, min(jobs or _cores(), len(submissions))):
            grades.append(done)
            if sys.stderr.isatty() and len(submissions) > 1:
                click.echo(
                    f"\rgraded {len(grades)} of {len(submissions)}", nl=len(grades) == len(submissions), err=True
                )
    if pages is not None:
        write_pages(found, grades, pages)
    if gradescope is not None:
        gradescope.write_text(as_gradescope(found, grades[0]), encoding="utf-8")
    if style == "json":
        content = {
            "module": found.name,
            "seed": grader.seed,
            "sandbox": "bubblewrap" if sandbox else None,
            "warnings": grader.warnings,
            "grades": as_rows(grades),
        }
        click.echo(json.dumps(content))
    elif style == "csv":
        click.echo(as_csv(found, grades), nl=False)
    else:
        _print(grader, grades)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _sandbox(trust: bool) -> Sandbox | None:
    from tt_course.grading.sandbox import NoSandboxError, find_sandbox

    try:
        return find_sandbox()
    except NoSandboxError as error:
        if not trust:
            raise CourseError(
                f"submissions are not run: {error}",
                "With --trust they are run unprotected; only for code that you trust.",
            ) from None
        click.echo(WARNING.format(why=error), err=True)
        return None


def _missed(grade: Grade) -> Iterator[tuple[str, str]]:
    """The exercises without points, each with the reason; runs of those not written yet in one line."""
    from tt_course.grading.names import TO_DO

    for is_to_do, group in itertools.groupby(grade.exercises, lambda e: e.is_to_do):
        run = list(group)
        if is_to_do:
            labels = [e.exercise.label for e in run]
            yield labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}", TO_DO
        else:
            yield from ((f"{e.exercise.label} {e.case}".strip(), e.reason) for e in run if not e.points)


def _print(grader: Grader, grades: list[Grade]) -> None:
    """The table, and for each learner what was missed and noticed."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from tt_course.commands.screen import MARKS, console

    out = console()
    module = grader.module
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("learner", overflow="fold")
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("exercises", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for done in grades:
        style = "green" if done.points == done.total else "yellow" if done.points else "red"
        marks = [MARKS["passed" if e.points else "to do" if e.is_to_do else "failed"] for e in done.exercises]
        points = Text(f"{done.points} of {done.total}", style)
        table.add_row(
            Text(done.submission.learner), points, Text.assemble(*marks), Text(f"{done.seconds:.1f} s", "dim")
        )
    out.print(f"Module {module.label} {module.manifest.title}, seed {grader.seed}", style="bold")
    out.print(table)
    for done in grades:
        said = [("", done.problem)] if done.problem else list(_missed(done))
        if said or done.notes:
            out.print()
            out.print(Text(done.submission.learner, "bold"))
            for what, reason in said:
                out.print(
                    Padding(Text.assemble((what, "dim"), "  " if what else "", reason), (0, 0, 0, 2), expand=False)
                )
            for note in done.notes:
                out.print(Padding(Text(note, "yellow"), (0, 0, 0, 2), expand=False))
