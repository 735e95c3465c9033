"""``tito milestone``: moments of history, on the learner's framework."""

from __future__ import annotations

import json
import sys

import click

from tt_course.errors import CourseError
from tt_course.manifest import Milestone
from tt_course.workspace import Workspace, find

__all__ = ["milestone"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def milestone() -> None:
    """Relive moments of history on your framework."""


def _all(workspace: Workspace) -> list[Milestone]:
    return sorted((m for tier in workspace.tiers for m in tier.manifest.milestone), key=lambda m: m.year)


@milestone.command(name="list", epilog="Example: tito milestone list")
@as_json
def list_(as_json: bool) -> None:
    """List the milestones, what they need and how they ended."""
    from tt_course.reaching import lacking

    workspace = find()
    reached = workspace.progress.all_reached("milestone")
    entries = []
    for m in _all(workspace):
        last = reached.get(m.name)
        missing = [x.label for x in lacking(workspace, m.needs)]
        state = ("passed" if last.passed else "missed") if last else "locked" if missing else "open"
        entries.append((m, state, missing, last))
    if as_json:
        rows = [
            {
                "year": m.year,
                "name": m.name,
                "state": state,
                "missing": missing,
                "thresholds": m.thresholds,
                "figures": last.figures if last else {},
            }
            for m, state, missing, last in entries
        ]
        click.echo(json.dumps({"milestones": rows}))
        return
    from rich.table import Table
    from rich.text import Text

    from tt_course.commands.screen import console

    styles = {"passed": ("✓", "green"), "missed": ("✗", "red"), "locked": ("·", "dim"), "open": ("▸", "yellow")}
    table = Table.grid(padding=(0, 2))
    for m, state, missing, last in entries:
        mark, style = styles[state]
        needs = f"needs {', '.join(missing)}" if missing else ""
        figures = ", ".join(f"{n} {last.figures.get(n, 0):.4g}" for n in m.thresholds) if last else needs
        goal = ", ".join(f"{n} >= {least:g}" for n, least in m.thresholds.items())
        table.add_row(Text(mark, style), str(m.year), Text(m.title or m.name, "bold"), Text(goal, "dim"), figures)
    console().print(table)


@milestone.command(
    short_help="Run a milestone on your framework.",
    epilog="Example: tito milestone run 1986 --epochs 2",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("which", metavar="YEAR")
@as_json
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(which: str, as_json: bool, arguments: tuple[str, ...]) -> None:
    """Run the milestone of that year, or name, on your framework; further ARGUMENTS go to its program.

    Ends with 1 where a threshold is missed.
    """
    from tt_course.reaching import reach

    workspace = find()
    known = _all(workspace)
    chosen = next((m for m in known if which in (str(m.year), m.name)), None)
    if chosen is None:
        names = ", ".join(f"{m.year} {m.name}" for m in known)
        raise CourseError(f"no milestone {which!r}; there are: {names}" if known else "no tier has a milestone")
    if not as_json:
        click.echo(f"{chosen.year}: {chosen.title or chosen.name}\n")
    ending = reach(workspace, chosen, arguments, show=lambda line: click.echo(line, err=as_json))
    if as_json:
        row = {"year": chosen.year, "name": chosen.name, "passed": ending.passed, "figures": ending.figures}
        click.echo(json.dumps(row | {"thresholds": chosen.thresholds, "origins": ending.origins}))
    else:
        from rich.text import Text

        from tt_course.commands.screen import console

        out = console()
        out.print()
        for name, least in chosen.thresholds.items():
            mark, style = ("✗", "red") if name in ending.missed else ("✓", "green")
            figure = ending.figures.get(name)
            measured = f"{figure:.4g}" if figure is not None else "not measured"
            out.print(Text.assemble((f"{mark} {name} {measured}", style), (f"   at least {least:g}", "dim")))
        names = ", ".join(name.rpartition(".")[2] for name in ending.origins) or "none: it ran on the reference"
        out.print(Text(f"{ending.seconds:.1f} s on your files: {names}", "dim"))
    if not ending.passed:
        sys.exit(1)
