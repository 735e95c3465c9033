"""``tito module``: start, check and complete modules."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from tt_course.commands import complete_module
from tt_course.errors import CourseError
from tt_course.manifest import Exercise, Module
from tt_course.workspace import Workspace, find

if TYPE_CHECKING:
    from tt_course.check import Check

__all__ = ["module"]

number = click.argument("number", required=False, metavar="[NN]", shell_complete=complete_module)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def module() -> None:
    """Start, check and complete modules. NN is a module's number or name; without it, the module at hand."""


def _print(row: dict[str, Any]) -> None:
    click.echo(json.dumps(row))


def _state(workspace: Workspace, m: Module) -> str:
    return "complete" if workspace.is_complete(m) else "started" if workspace.is_started(m) else "to do"


@module.command(name="list", epilog="Example: tito module list")
@as_json
def list_(as_json: bool) -> None:
    """List the modules, and how far you are."""
    workspace = find()
    rows = workspace.progress.modules()
    if as_json:
        entries = []
        for m in workspace.modules:
            row = rows.get(m.name)
            entry = {"module": m.name, "title": m.manifest.title, "state": _state(workspace, m)}
            total = sum(e.points for e in m.manifest.exercise)
            entries.append({**entry, "points": row.points if row else 0, "total": total})
        return _print({"modules": entries})
    from rich.table import Table
    from rich.text import Text

    from tt_course.commands.screen import console

    styles = {"complete": ("✓", "green"), "started": ("▸", "yellow"), "to do": ("·", "dim")}
    table = Table.grid(padding=(0, 2))
    for m in workspace.modules:
        state = _state(workspace, m)
        mark, style = styles[state]
        row = rows.get(m.name)
        total = sum(e.points for e in m.manifest.exercise)
        points = f"{row.points} of {total}" if row and state != "to do" else f"{total} points"
        table.add_row(
            Text(mark, style),
            m.label,
            Text(m.manifest.title, "bold" if state != "to do" else ""),
            Text(m.manifest.question, "" if state == "started" else "dim"),
            Text(points, style, justify="right"),
        )
    out = console()
    out.print(table)
    _print_next(workspace)
    return None


def _print_next(workspace: Workspace) -> None:
    from rich.text import Text

    from tt_course.commands.screen import console

    following = workspace.next_module()
    started = [m for m in workspace.modules if _state(workspace, m) == "started"]
    if started:
        command = f"tito module check {started[-1].label}"
    elif following:
        command = f"tito module start {following.label}"
    else:
        command = "tito milestone list"
    out = console()
    out.print()
    out.print(Text.assemble("Next: ", (command, "cyan")))


@module.command(short_help="Begin a module.", epilog="Example: tito module start 01 --notebook")
@number
@click.option("--notebook", is_flag=True, help="As a Jupyter notebook; its tagged cells make the module.")
@as_json
def start(number: str | None, notebook: bool, as_json: bool) -> None:
    """Begin a module: a branch, and the file whose bodies you write. Without NN, the next one."""
    workspace = find()
    following = workspace.next_module()
    if number is None and following is None:
        raise CourseError("all modules are complete", "tito milestone list")
    m = workspace.module(number) if number is not None or following is None else following
    branch = workspace.start(m, notebook=notebook)
    file = (workspace.notebook(m) if notebook else workspace.file(m)).relative_to(workspace.root)
    missing = [p for p in workspace.modules if p.number in m.manifest.prerequisites and not workspace.is_complete(p)]
    if as_json:
        return _print({"module": m.name, "file": str(file), "branch": branch, "incomplete": [p.name for p in missing]})
    from rich.table import Table
    from rich.text import Text

    from tt_course.commands.screen import console, indented

    out = console()
    out.print(Text(f"{m.label} {m.manifest.title}", "bold"))
    out.print(Text(m.manifest.question, "italic"))
    out.print()
    out.print(indented(" ".join(m.manifest.matters.split())))
    out.print()
    table = Table.grid(padding=(0, 2))
    for exercise in m.manifest.exercise:
        names = ", ".join(exercise.definitions)
        points = Text(f"{exercise.points} points", justify="right")
        table.add_row("", exercise.label, exercise.title, Text(names, "dim"), points)
    out.print(table)
    out.print()
    if missing:
        names = ", ".join(p.label for p in missing)
        out.print(Text(f"Not complete yet: {names}. The reference stands in for what you have not written.", "yellow"))
    steps = Table.grid(padding=(0, 2))
    steps.add_row("write in", Text(str(file), "cyan"))
    if workspace.settings.path == "guided":
        steps.add_row("the reference", Text(str(file.with_name("reference.py")), "cyan"))
    if m.manifest.reflection:
        steps.add_row("think about", Text(str(file.with_name("reflection.md")), "cyan"))
    steps.add_row("then", Text(f"tito module check {m.label}", "cyan"))
    steps.add_row("git branch", branch)
    out.print(steps)
    return None


def _check(workspace: Workspace, m: Module, seed: int | None, only: list[Exercise] | None) -> Check:
    from tt_course.check import check as checked

    workspace.refresh(m)
    result = checked(m, workspace.files(m), seed=seed, only=only, learners=workspace.learners())
    if only is None:
        workspace.progress.checked(result)
    return result


@module.command(short_help="Check your code against the reference.", epilog="Example: tito module check 05 --watch")
@number
@click.option(
    "--exercise", "exercises", multiple=True, metavar="5.1", help="Only this exercise; several times if given so."
)
@click.option("--seed", type=click.IntRange(0, 2**63), help="Of the inputs; without one they are new at every check.")
@click.option("--watch", is_flag=True, help="Check again whenever the file changes.")
@as_json
def check(number: str | None, exercises: tuple[str, ...], seed: int | None, watch: bool, as_json: bool) -> None:
    """Check a module: your code and the reference run on the same inputs. Ends with 1 unless all passes."""
    workspace = find()
    m = workspace.module(number)
    only = [m.exercise(wanted) for wanted in exercises] or None
    if watch:
        from tt_course.commands.watching import watched

        return watched(workspace, m, lambda: _show(_check(workspace, m, seed, only), workspace, as_json=False))
    result = _check(workspace, m, seed, only)
    _show(result, workspace, as_json)
    if not result.passed:
        sys.exit(1)
    return None


def _show(result: Check, workspace: Workspace, as_json: bool) -> None:
    from tt_course.commands.checked import check_json, show_check

    if as_json:
        _print(check_json(result))
    else:
        show_check(result, workspace.root)


@module.command(short_help="Give the next hint.", epilog="Example: tito module hint 05.3")
@click.argument("exercise", required=False)
@click.option(
    "--level", type=click.IntRange(1, 3), help="This hint, 1 a nudge, 3 nearly the answer; else the next one."
)
@as_json
def hint(exercise: str | None, level: int | None, as_json: bool) -> None:
    """Give the next hint for an exercise, such as 05.3; without one, for the first that does not pass."""
    workspace = find()
    m, e = _exercise(workspace, exercise)
    count = workspace.progress.hint(m.name, e.id, len(e.hints)) if level is None else level
    shown = min(count, len(e.hints))
    if as_json:
        return _print({"exercise": e.id, "level": shown, "of": len(e.hints), "hint": e.hints[shown - 1]})
    from rich.text import Text

    from tt_course.commands.screen import console, indented

    out = console()
    out.print(Text.assemble((f"{e.label} {e.title}", "bold"), (f"   hint {shown} of {len(e.hints)}", "dim")))
    out.print(indented(Text(e.hints[shown - 1].strip()), above=1, below=1))
    if shown < len(e.hints):
        out.print(Text.assemble("One more: ", (f"tito module hint {e.label}", "cyan")))
    return None


def _exercise(workspace: Workspace, wanted: str | None) -> tuple[Module, Exercise]:
    """The exercise of that label, or the first of the module at hand that did not pass when last checked."""
    if wanted is not None and "." in wanted:
        m = workspace.module(wanted.partition(".")[0])
        return m, m.exercise(wanted)
    m = workspace.module(wanted)
    rows = workspace.progress.exercises(m.name)
    for e in m.manifest.exercise:
        if e.id not in rows or rows[e.id].state != "passed":
            return m, e
    return m, m.manifest.exercise[-1]


@module.command(short_help="Begin a module anew; nothing is lost.", epilog="Example: tito module reset 05")
@click.argument("number", metavar="NN", shell_complete=complete_module)
@as_json
def reset(number: str, as_json: bool) -> None:
    """Begin a module anew. What you wrote stays in a commit and in a copy."""
    workspace = find()
    m = workspace.module(number)
    copy = workspace.reset(m).relative_to(workspace.root)
    if as_json:
        return _print({"module": m.name, "copy": str(copy)})
    click.echo(f"{m.label} {m.manifest.title} begins anew. What you wrote is kept in {copy}, and in Git.")
    return None


@module.command(short_help="Make a module part of your framework.", epilog="Example: tito module complete 05")
@number
@click.option("--seed", type=click.IntRange(0, 2**63), help="Of the inputs; without one they are new.")
@as_json
def complete(number: str | None, seed: int | None, as_json: bool) -> None:
    """Check a module once more, then make it part of your framework: committed, and merged into main."""
    workspace = find()
    m = workspace.module(number)
    result = _check(workspace, m, seed, None)
    if not result.passed:
        _show(result, workspace, as_json)
        sys.exit(1)
    workspace.complete(m)
    if as_json:
        following = workspace.next_module()
        row = {"module": m.name, "points": result.points, "total": result.total}
        return _print(row | {"next": following.name if following else None})
    from rich.text import Text

    from tt_course.commands.screen import console

    out = console()
    out.print(Text.assemble((f"{m.label} {m.manifest.title} is part of your framework", "bold green"), "."))
    out.print(f"From now on {m.manifest.course_import} is your file; it is merged into main.")
    _print_rubric(m)
    done = {module.number for module in workspace.learners()}
    open_now = [s for t in workspace.tiers for s in t.manifest.milestone if m.number in s.needs and {*s.needs} <= done]
    for stone in open_now:
        line = Text.assemble(
            "A milestone is open: ", (f"tito milestone run {stone.year}", "cyan"), f"  {stone.title or stone.name}"
        )
        out.print()
        out.print(line)
    _print_next(workspace)
    return None


def _print_rubric(m: Module) -> None:
    from rich.table import Table
    from rich.text import Text

    from tt_course.commands.screen import console, indented

    out = console()
    for reflection in m.manifest.reflection:
        out.print()
        out.print(Text(reflection.question.strip(), "italic"))
        table = Table.grid(padding=(0, 1))
        for point in reflection.rubric:
            table.add_row("-", Text(point.strip()))
        out.print(indented(table))


@module.command(short_help="Show exercises, points and files.", epilog="Example: tito module status 05")
@number
@as_json
def status(number: str | None, as_json: bool) -> None:
    """Show a module's exercises, points and hints, and where its files are."""
    workspace = find()
    m = workspace.module(number)
    row = workspace.progress.modules().get(m.name)
    rows = workspace.progress.exercises(m.name)
    state, total = _state(workspace, m), sum(e.points for e in m.manifest.exercise)
    file = (workspace.notebook(m) if workspace.notebook(m).is_file() else workspace.file(m)).relative_to(workspace.root)
    if as_json:
        entries = [
            {
                "id": e.id,
                "title": e.title,
                "points": e.points,
                "state": rows[e.id].state if e.id in rows else "to do",
                "hints": rows[e.id].hints if e.id in rows else 0,
            }
            for e in m.manifest.exercise
        ]
        entry = {"module": m.name, "state": state, "file": str(file), "points": row.points if row else 0}
        return _print(entry | {"total": total, "exercises": entries})
    from rich.table import Table
    from rich.text import Text

    from tt_course.commands.screen import MARKS, console

    out = console()
    out.print(Text.assemble((f"{m.label} {m.manifest.title}", "bold"), f"   {state}"))
    out.print()
    table = Table.grid(padding=(0, 2))
    for e in m.manifest.exercise:
        known = rows.get(e.id)
        mark, style = MARKS[known.state if known else "to do"]
        hints = f"{known.hints} hint{'s' * (known.hints > 1)}" if known and known.hints else ""
        points = Text(f"{e.points} points", justify="right")
        table.add_row("", Text(mark, style), e.label, e.title, points, Text(hints, "yellow"))
    out.print(table)
    out.print()
    facts = Table.grid(padding=(0, 2))
    facts.add_row(Text("points", "dim"), f"{row.points if row else 0} of {total}")
    if row and row.last_check:
        facts.add_row(Text("last check", "dim"), f"{row.last_check} ({row.checks} so far)")
    if state != "to do":
        facts.add_row(Text("file", "dim"), str(file))
    if row and row.started:
        facts.add_row(Text("started", "dim"), f"{row.started}, {m.tier.name} {row.version}".rstrip(", "))
        if row.version and row.version != m.tier.version:
            note = f"{m.tier.name} is {m.tier.version} now; the file is of {row.version}"
            facts.add_row(Text("version", "yellow"), note)
    if row and row.completed:
        facts.add_row(Text("completed", "dim"), row.completed)
    out.print(facts)
    if state == "complete":
        _print_rubric(m)
    return None


@module.command(short_help="Show what you wrote.", epilog="Example: tito module diff 05")
@number
@click.option("--reference", is_flag=True, help="Against the reference, once the module is complete.")
@as_json
def diff(number: str | None, reference: bool, as_json: bool) -> None:
    """Show what you wrote: the difference between the starter and your file."""
    import difflib

    from tt_course.workspace import starter_of

    workspace = find()
    m = workspace.module(number)
    workspace.refresh(m)
    if reference and not workspace.is_complete(m):
        raise CourseError(
            f"the reference of {m.label} is shown once the module is complete", f"tito module hint {m.label}"
        )
    before = m.source.read_text(encoding="utf-8") if reference else starter_of(m, workspace.settings.path)
    name = "reference" if reference else "starter"
    own = workspace.file(m)
    lines = difflib.unified_diff(
        before.splitlines(),
        own.read_text(encoding="utf-8").splitlines(),
        f"{name}/{m.file_name}",
        str(own.relative_to(workspace.root)),
        lineterm="",
    )
    text = "\n".join(lines)
    if as_json:
        return _print({"module": m.name, "diff": text})
    if not text:
        click.echo(f"Your {m.file_name} is the {name}, to the letter.")
    elif sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        from rich.syntax import Syntax

        from tt_course.commands.screen import console

        console().print(Syntax(text, "diff", background_color="default", word_wrap=True))
    else:
        click.echo(text)
    return None


@module.command(short_help="Measure your framework; leaves a plot.", epilog="Example: tito module measure 03")
@number
@as_json
def measure(number: str | None, as_json: bool) -> None:
    """Measure your framework: prints a table, and leaves a plot beside your file."""
    from tt_course.measuring import measured

    workspace = find()
    m = workspace.module(number)
    if m.manifest.measurement is None:
        raise CourseError(f"module {m.label} has nothing to measure")
    if not as_json:
        click.echo(f"{m.label} {m.manifest.title}: {m.manifest.measurement.title}\n")
    folder = workspace.folder(m) / "measure"
    figures = measured(workspace, m, folder, quiet=as_json)
    if as_json:
        return _print({"module": m.name, "folder": str(folder), "figures": figures})
    plots = sorted(p.relative_to(workspace.root) for p in folder.glob("*.png"))
    for plot in plots:
        click.echo(f"\nPlot: {plot}")
    if not plots:
        click.echo("\nNo plot: pip install matplotlib makes one.")
    return None
