"""The command ``tito``."""

from __future__ import annotations

import click

from tt_course._version import __version__

__all__ = ["main"]


@click.group()
@click.version_option(__version__)
def main() -> None:
    """Rebuild a framework, module by module."""


if __name__ == "__main__":
    main(prog_name="tito")
