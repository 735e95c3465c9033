"""The command ``tito``."""

from __future__ import annotations

import sys

import click

from tt_course._version import __version__
from tt_course.commands import COMMANDS, LazyGroup
from tt_course.errors import CourseError

__all__ = ["cli", "main"]


@click.group(cls=LazyGroup, table=COMMANDS, epilog="Start with: tito init my-tinytorch")
@click.version_option(__version__)
def cli() -> None:
    """Rebuild a framework, module by module."""


def main() -> None:
    """Run ``tito``; what goes wrong is a sentence, not a traceback."""
    try:
        cli(prog_name="tito")
    except CourseError as error:
        click.echo(f"tito: {error}", err=True)
        if error.hint:
            click.echo(error.hint, err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
