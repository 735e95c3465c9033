"""The command ``tt-capstone``: run the pipeline."""

from __future__ import annotations

import sys
import textwrap
from typing import Any

import click
import msgspec

from tt_capstone._version import __version__
from tt_capstone.pipeline import MODELS, Config, run

__all__ = ["main"]


@click.command(epilog="Example: tt-capstone --model mlp --data mnist --epochs 3")
@click.option("--model", "models", type=click.Choice(MODELS), multiple=True, help="one or several; all by default")
@click.option("--data", type=click.Choice(["auto", "digits", "mnist"]), default="auto", show_default=True)
@click.option("--text", type=click.Choice(["auto", "python", "shakespeare"]), default="auto", show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="of the readers of images; as suits the data by default")
@click.option("--steps", type=click.IntRange(1), default=400, show_default=True, help="of the writer of text")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="of images")
@click.option("--lr", type=click.FloatRange(0, min_open=True), default=1e-3, show_default=True, help="for images")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--folder", default="out", show_default=True, help="where the models and the report are written")
@click.option("--json", "as_json", is_flag=True, help="print the outcome as JSON, and nothing else")
@click.version_option(__version__)
def main(models: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Train readers of images and a writer of text, save and reload them, and write report.html."""
    config = msgspec.convert({**options, "models": models or MODELS, "progress": not as_json}, Config)
    try:
        outcome = run(config)
    except (OSError, ValueError) as error:
        click.echo(f"tt-capstone: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(msgspec.json.encode(outcome).decode())
        return
    for reader in outcome.images:
        click.echo(f"{reader.model}: {reader.test_accuracy:.2%} of the test images of {outcome.data} right")
    if outcome.text is not None:
        click.echo(
            f"gpt: {outcome.text.validation_loss:.3f} nats per unseen character of {outcome.text.text}; it writes"
        )
        click.echo("\n" + textwrap.indent(outcome.text.sample, "    ") + "\n")
    click.echo(f"report  {outcome.report_path}")


if __name__ == "__main__":
    main(prog_name="tt-capstone")
