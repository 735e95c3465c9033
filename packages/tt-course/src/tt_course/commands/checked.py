"""Screens: what a check found, as a terminal shows it and as JSON.

Knows what the engine found; changes nothing.
"""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tt_course.check import Check, Outcome, Verdict
from tt_course.commands.screen import MARKS, console, indented
from tt_course.manifest import Exercise
from tt_course.runner import Failure
from tt_course.values import Value

__all__ = ["check_json", "show_check", "shown_value", "traceback_text"]

LARGEST = 10  # lines of one value


def shown_value(value: Value) -> str:
    """A value as a screen shows it: arrays with their type and shape, not all of a large one."""
    if not isinstance(value, np.ndarray):
        text = repr(value) if not isinstance(value, str) else value
        return text if len(text) <= 400 else f"{text[:400]} ..."
    with np.printoptions(precision=5, suppress=True, threshold=60, edgeitems=3, linewidth=84):
        lines = str(value).splitlines()
    if len(lines) > LARGEST:
        lines = [*lines[: LARGEST - 2], " ...", lines[-1]]
    return "\n".join(lines)


def _kind(value: Value) -> str:
    if not isinstance(value, np.ndarray):
        return ""
    return f"{value.dtype} {value.shape}"


def traceback_text(failure: Failure, root: Path | None = None) -> str:
    """An error as Python shows it, with the learner's lines alone and paths from the workspace on."""
    if not failure.frames:
        return _short(failure.text, root)
    lines = ["Traceback (most recent call last):"]
    for file, line, function in failure.frames:
        lines.append(f'  File "{_short(file, root)}", line {line}, in {function}')
        source = linecache.getline(file, line).strip()
        if source:
            lines.append(f"    {source}")
    return "\n".join([*lines, _short(failure.text, root)])


def _short(text: str, root: Path | None) -> str:
    return text if root is None else text.replace(f"{root}/", "")


def _exercises(check: Check) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    for verdict in check.verdicts:
        mark, style = MARKS[verdict.state]
        exercise = verdict.exercise
        points = f"{verdict.points} of {exercise.points}" if verdict.state == "passed" else verdict.state
        waits = _waits_for(check, verdict)
        if waits:
            mark, style, points = *MARKS["to do"], f"needs {waits.label}"
        table.add_row(Text(mark, style), exercise.label, exercise.title, Text(points, style))
    return table


def _waits_for(check: Check, verdict: Verdict) -> Exercise | None:
    """The exercise that does not pass and that this one's first failing case runs through."""
    failure = verdict.first_failure
    if failure is None or verdict.state != "failed":
        return None
    earlier = check.verdicts[: check.verdicts.index(verdict)]
    return next((v.exercise for v in earlier if v.state != "passed" and v.exercise.id in failure.case.needs), None)


def _values(rows: list[tuple[str, str, Value]]) -> Table:
    """Named values below each other: what they are, their name with type and shape, and what is in them."""
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(vertical="top")
    for what, name, value in rows:
        label = Text(name, "bold")
        if _kind(value):
            label.append(f"\n{_kind(value)}", "not bold dim")
        table.add_row(Text(what, "dim"), label, Text(shown_value(value)))
    return table


def _failure(check: Check, verdict: Verdict, outcome: Outcome, root: Path | None) -> list[RenderableType]:
    exercise = verdict.exercise
    error, found = outcome.yours.error, outcome.difference
    parts: list[RenderableType] = []
    if error is not None and error.kind == "NotImplementedError":
        names = ", ".join(exercise.definitions)
        parts.append(Text.assemble(("Next to write: ", "bold"), f"{exercise.label} {exercise.title} ({names})"))
        return parts
    title = f"{exercise.label} {exercise.title}"
    parts.append(Text.assemble((title, "bold red"), f" is not right yet: case {outcome.case.name}"))
    shown = outcome.expected.shown or outcome.yours.shown
    rows: list[tuple[str, str, Value]] = [
        ("inputs" if i == 0 else "", name, value) for i, (name, value) in enumerate(list(shown.items())[:6])
    ]
    if error is not None:
        if rows:
            parts += [Text(), indented(_values(rows))]
        parts += [Text(), indented(Text(traceback_text(error, root), "red"))]
    elif found is not None:
        if found.yours is not None:
            rows.append(("yours", found.name, found.yours))
        if found.expected is not None:
            rows.append(("expected", found.name, found.expected))
        where = f"{found.name}{'' if found.what.startswith('[') else ' '}{found.what}"
        parts += [Text(), indented(_values(rows)), Text()]
        told = Table.grid(padding=(0, 2))
        told.add_row(Text("first difference", "dim"), Text(where, "red"))
        parts.append(indented(told))
    if check.message:
        parts += [Text(), indented(Text.assemble(("A common mistake: ", "bold yellow"), check.message))]
    return parts


def show_check(check: Check, root: Path | None = None, out: Console | None = None) -> None:
    """Print what a check found: each exercise, the first that does not pass with its first difference, what is next."""
    out = out or console()
    module = check.module
    out.print(Text.assemble((f"{module.label} {module.manifest.title}", "bold"), (f"   seed {check.seed}", "dim")))
    out.print()
    if check.error is not None:
        out.print(Text("Your file does not load:", "bold red"))
        out.print(indented(Text(traceback_text(check.error, root), "red"), above=1, below=1))
    else:
        out.print(indented(_exercises(check)))
        out.print()
    at_hand = check.at_hand
    outcome = at_hand.first_failure if at_hand else None
    if check.error is None and at_hand is not None and outcome is not None:
        out.print(Group(*_failure(check, at_hand, outcome, root)))
        out.print()
    if check.printed.strip() and not check.passed:
        lines = check.printed.rstrip().splitlines()
        out.print(Text("Your code printed:", "dim"))
        out.print(indented(Text("\n".join(lines[-12:]), "dim")))
        out.print()
    points = f"{check.points} of {check.total} points"
    steps = Table.grid(padding=(0, 2))
    if check.passed and len(check.verdicts) == len(module.manifest.exercise):
        out.print(Text.assemble(("All exercises pass", "bold green"), f": {points}."))
        steps.add_row("make it part of your framework", Text(f"tito module complete {module.label}", "cyan"))
    elif check.passed:
        out.print(Text("These exercises pass.", "bold green"))
        steps.add_row("check the whole module", Text(f"tito module check {module.label}", "cyan"))
    else:
        out.print(Text(points))
        if at_hand is not None and check.error is None:
            steps.add_row("a hint", Text(f"tito module hint {at_hand.exercise.label}", "cyan"))
        if at_hand is not None and at_hand.state == "failed" and check.error is None:
            again = f"tito module check {module.label} --seed {check.seed}"
            steps.add_row("again with these inputs", Text(again, "cyan"))
    if steps.row_count:
        out.print(steps)


def check_json(check: Check) -> dict[str, Any]:
    """What a check found, for programs."""
    return {
        "module": check.module.name,
        "seed": check.seed,
        "passed": check.passed,
        "points": check.points,
        "total": check.total,
        "error": None if check.error is None else check.error.text,
        "exercises": [
            {
                "id": v.exercise.id,
                "title": v.exercise.title,
                "state": v.state,
                "points": v.points,
                "of": v.exercise.points,
                "failure": None if v.first_failure is None or check.error else _failure_json(v.first_failure),
            }
            for v in check.verdicts
        ],
        "message": check.message,
        "printed": check.printed,
    }


def _failure_json(outcome: Outcome) -> Mapping[str, Any]:
    error, found = outcome.yours.error, outcome.difference
    shown = outcome.expected.shown or outcome.yours.shown
    return {
        "case": outcome.case.name,
        "inputs": {name: shown_value(value) for name, value in shown.items()},
        "error": None if error is None else error.text,
        "name": None if found is None or error else found.name,
        "yours": None if found is None or error else shown_value(found.yours),
        "expected": None if found is None or error else shown_value(found.expected),
        "difference": None if found is None or error else found.what,
    }
