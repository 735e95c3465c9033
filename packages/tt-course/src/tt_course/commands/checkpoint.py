"""``tito checkpoint``: what a framework can do."""

from __future__ import annotations

import json
import sys

import click

from tt_course.errors import CourseError
from tt_course.manifest import Checkpoint, Tier
from tt_course.workspace import Workspace, find

__all__ = ["checkpoint"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def checkpoint() -> None:
    """See what your framework can do, by small programs that run on it and on the reference."""


def _all(workspace: Workspace) -> list[tuple[Tier, Checkpoint]]:
    found = [(tier, point) for tier in workspace.tiers for point in tier.manifest.checkpoint]
    return sorted(found, key=lambda pair: pair[1].number)


@checkpoint.command(name="list", epilog="Example: tito checkpoint list")
@as_json
def list_(as_json: bool) -> None:
    """List the checkpoints, and which of them you passed."""
    from tt_course.reaching import lacking

    workspace = find()
    reached = workspace.progress.all_reached("checkpoint")
    entries = []
    for _, point in _all(workspace):
        last = reached.get(point.name)
        missing = [m.label for m in lacking(workspace, point.modules)]
        state = ("passed" if last.passed else "missed") if last else "locked" if missing else "open"
        entries.append((point, state, missing))
    if as_json:
        rows = [
            {"number": p.number, "name": p.name, "question": p.question, "state": state, "missing": missing}
            for p, state, missing in entries
        ]
        click.echo(json.dumps({"checkpoints": rows}))
        return
    from rich.table import Table
    from rich.text import Text

    from tt_course.commands.screen import console

    styles = {"passed": ("✓", "green"), "missed": ("✗", "red"), "locked": ("·", "dim"), "open": ("▸", "yellow")}
    table = Table.grid(padding=(0, 2))
    for p, state, missing in entries:
        mark, style = styles[state]
        needs = Text(f"needs {', '.join(missing)}" if missing else "", "dim")
        table.add_row(Text(mark, style), f"{p.number:2}", Text(p.name, "bold"), p.question, needs)
    console().print(table)


@checkpoint.command(short_help="Try what your framework can do.", epilog="Example: tito checkpoint run 3")
@click.argument("which", metavar="[NUMBER]", required=False)
@click.option("--seed", type=click.IntRange(0, 2**63), help="Of the inputs; without one they are new.")
@as_json
def run(which: str | None, seed: int | None, as_json: bool) -> None:
    """Run the checkpoint of that number or name; without one, all whose modules are complete.

    Ends with 1 where one does not pass.
    """
    from tt_course.check import new_seed
    from tt_course.reaching import lacking, try_checkpoint

    workspace = find()
    known = _all(workspace)
    if which is None:
        chosen = [pair for pair in known if not lacking(workspace, pair[1].modules)]
    else:
        chosen = [pair for pair in known if which in (str(pair[1].number), f"{pair[1].number:02}", pair[1].name)]
    if not chosen:
        names = ", ".join(f"{point.number} {point.name}" for _, point in known)
        raise CourseError(f"no checkpoint {which or 'that is open'}; there are: {names or 'none'}")
    rows = []
    for tier, point in chosen:
        passed, why = try_checkpoint(workspace, tier, point, new_seed() if seed is None else seed)
        rows.append({"number": point.number, "name": point.name, "passed": passed, "why": why})
        if not as_json:
            click.secho("✓ " if passed else "✗ ", fg="green" if passed else "red", nl=False)
            click.echo(f"{point.number:2} {point.name}: {point.question}")
            if why:
                click.echo(f"     {why}")
    if as_json:
        click.echo(json.dumps({"checkpoints": rows}))
    if not all(row["passed"] for row in rows):
        sys.exit(1)
