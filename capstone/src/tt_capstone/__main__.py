"""The command ``tt-capstone``: run the pipeline."""

from __future__ import annotations

import sys

import click
import msgspec

from tt_capstone._version import __version__
from tt_capstone.pipeline import Config, run

__all__ = ["main"]


@click.command(epilog="Example: tt-capstone --data mnist --epochs 3")
@click.option("--data", type=click.Choice(["auto", "digits", "mnist"]), default="auto", show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=15, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--lr", type=click.FloatRange(0, min_open=True), default=1e-3, show_default=True, help="learning rate")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--folder", default="out", show_default=True, help="where the model and the report are written")
@click.option("--json", "as_json", is_flag=True, help="print the outcome as JSON, and nothing else")
@click.version_option(__version__)
def main(data: str, epochs: int, batch_size: int, lr: float, seed: int, folder: str, as_json: bool) -> None:
    """Train an MLP, evaluate it, save and reload it, and write report.html."""
    options = {"data": data, "epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed, "folder": folder}
    config = msgspec.convert({**options, "progress": not as_json}, Config)
    try:
        outcome = run(config)
    except (OSError, ValueError) as error:
        click.echo(f"tt-capstone: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(msgspec.json.encode(outcome).decode())
        return
    click.echo(f"{outcome.data}: {outcome.test_accuracy:.2%} of the test images right")
    click.echo(f"model   {outcome.model_path}\nreport  {outcome.report_path}")


if __name__ == "__main__":
    main(prog_name="tt-capstone")
