"""What the commands' screens share: the console, and marks for states."""

from __future__ import annotations

from rich.console import Console

__all__ = ["MARKS", "console"]

MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "to do": ("·", "dim")}
"""A mark and a style for each state of an exercise."""


def console() -> Console:
    """A console that adds no colours of its own to numbers and paths."""
    return Console(highlight=False)
