"""``tito init``: make a workspace."""

from __future__ import annotations

import json
from pathlib import Path

import click

__all__ = ["init"]


@click.command(epilog="Example: tito init my-tinytorch --path guided")
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option(
    "--path",
    "path",
    type=click.Choice(["builder", "explorer", "guided"]),
    default="builder",
    show_default=True,
    help="builder: every body is yours; explorer: one tier; guided: the reference beside, a third of the bodies yours.",
)
@click.option("--tier", "names", multiple=True, help="Of the installed tiers, this one; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def init(folder: Path, path: str, names: tuple[str, ...], as_json: bool) -> None:
    """Make a workspace in FOLDER, which is new or empty: a Git repository with your framework's files."""
    from tt_course.manifest import load_tier, tiers
    from tt_course.workspace import PATHS, create

    chosen = [load_tier(name) for name in names] or list(tiers())
    if path == "explorer":
        chosen = chosen[:1]
    workspace = create(folder.resolve(), path, chosen)  # type: ignore[arg-type]  # click has checked it
    if as_json:
        row = {"workspace": str(workspace.root), "path": path, "tiers": [t.name for t in chosen]}
        click.echo(json.dumps(row | {"modules": [m.name for m in workspace.modules]}))
        return
    from rich.table import Table
    from rich.text import Text

    from tt_course.commands.screen import console

    out = console()
    first = workspace.modules[0]
    out.print(Text.assemble(("A workspace is made in ", "bold"), (str(workspace.root), "bold cyan")))
    out.print(Text(f"{path}: {PATHS[path]}", "dim"))  # type: ignore[index]  # likewise
    out.print()
    table = Table.grid(padding=(0, 2))
    for module in workspace.modules:
        table.add_row("", module.label, Text(module.manifest.title, "bold"), module.manifest.question)
    out.print(table)
    out.print()
    out.print("Begin:")
    if folder != Path("."):
        out.print(Text(f"  cd {folder}", "cyan"))
    out.print(Text(f"  tito module start {first.label}", "cyan"))
