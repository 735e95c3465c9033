"""The commands of ``tito``: a table of where each stands, read only when one is called.

A further command is a row here and a ``click`` command in a module of its own.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

__all__ = ["COMMANDS", "LazyGroup", "complete_module"]

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("tt_course.commands.init:init", "Make a workspace to rebuild a framework in."),
    "module": ("tt_course.commands.module:module", "Start, check and complete modules."),
    "run": ("tt_course.commands.running:run", "Run a program on your framework."),
    "milestone": ("tt_course.commands.milestone:milestone", "Relive moments of history on your framework."),
    "checkpoint": ("tt_course.commands.checkpoint:checkpoint", "See what your framework can do."),
    "progress": ("tt_course.commands.progress:progress", "See how far you are."),
    "grade": ("tt_course.commands.grade:grade", "Grade submissions that nobody can trust."),
    "system": ("tt_course.commands.system:system", "Look at the installation, and verify a course."),
}


def complete_module(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The modules' numbers and names, for the shell's completion."""
    from tt_course.errors import CourseError
    from tt_course.manifest import tiers

    try:
        modules = [module for tier in tiers() for module in tier.modules]
    except CourseError:
        return []
    words = [word for m in modules for word in (m.label, m.name)]
    return [word for word in words if word.startswith(incomplete)]


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that ``tito --help`` is quick."""

    def __init__(self, *args: Any, table: dict[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = dict(table or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the table's order."""
        return [*self.table, *sorted(self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None where there is none."""
        if cmd_name not in self.table:
            return super().get_command(ctx, cmd_name)
        module, _, name = self.table[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table into a help text."""
        rows = [(name, short) for name, (_, short) in self.table.items()]
        rows += [(name, self.commands[name].get_short_help_str()) for name in sorted(self.commands)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
