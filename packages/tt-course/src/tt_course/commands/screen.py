"""What the commands' screens share: the console, and marks for states."""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.padding import Padding

__all__ = ["MARKS", "console", "indented"]

MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "to do": ("·", "dim")}
"""A mark and a style for each state of an exercise."""


def console() -> Console:
    """A console that adds no colours of its own to numbers and paths."""
    return Console(highlight=False)


def indented(what: RenderableType, *, above: int = 0, below: int = 0) -> Padding:
    """Something two columns in, perhaps with empty lines around it."""
    return Padding(what, (above, 0, below, 2), expand=False)
