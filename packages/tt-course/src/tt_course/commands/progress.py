"""``tito progress``: how far the learner is."""

from __future__ import annotations

import json
from pathlib import Path

import click

__all__ = ["progress"]

BAR = 20


@click.command(epilog="Example: tito progress --html progress.html")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def progress(html: Path | None, as_json: bool) -> None:
    """See how far you are: modules, checkpoints, milestones."""
    from tt_course.overview import overview, page
    from tt_course.workspace import find, write

    content = overview(find())
    if html is not None:
        write(html, page(content))
        click.echo(json.dumps({"page": str(html)}) if as_json else f"Written: {html}")
        return
    if as_json:
        click.echo(json.dumps(content))
        return
    from rich.table import Table
    from rich.text import Text

    from tt_course.commands.screen import console

    out = console()
    done = f"{content['complete']} of {len(content['modules'])} modules are yours"
    out.print(Text.assemble((done, "bold"), f", {content['points']} of {content['total']} points"))
    out.print()
    table = Table.grid(padding=(0, 2))
    for m in content["modules"]:
        filled = round(BAR * m["passed"] / m["exercises"]) if m["exercises"] else 0
        bar = Text.assemble(("━" * filled, "green"), ("─" * (BAR - filled), "dim"))
        hints = f"{m['hints']} hints" if m["hints"] > 1 else "1 hint" if m["hints"] else ""
        points = Text(f"{m['points']} of {m['total']}", justify="right")
        style = {"complete": "green", "started": "yellow"}.get(m["state"], "dim")
        table.add_row("", m["number"], m["title"], bar, points, Text(m["state"], style), Text(hints, "yellow"))
    out.print(table)
    marks = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "dim")}
    if content["checkpoints"]:
        out.print(Text("\nWhat it can do", "bold"))
        table = Table.grid(padding=(0, 2))
        for c in content["checkpoints"]:
            mark, style = marks[c["passed"]]
            table.add_row("", Text(mark, style), f"{c['number']:2}", Text(c["question"], "" if c["passed"] else "dim"))
        out.print(table)
    if content["milestones"]:
        out.print(Text("\nMilestones", "bold"))
        table = Table.grid(padding=(0, 2))
        for s in content["milestones"]:
            mark, style = marks[s["passed"]]
            figures = ", ".join(
                f"{name} {s['figures'][name]:.4g} (at least {least:g})" if name in s["figures"] else f"{name} {least:g}"
                for name, least in s["thresholds"].items()
            )
            table.add_row("", Text(mark, style), str(s["year"]), s["name"], Text(figures, "dim"))
        out.print(table)
