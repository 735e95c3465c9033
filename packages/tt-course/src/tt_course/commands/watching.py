"""Watching a learner's file: doing something again whenever it changes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from tt_course.errors import CourseError
from tt_course.manifest import Module
from tt_course.workspace import Workspace

__all__ = ["watched"]

POLL_S = 0.5


def watched(workspace: Workspace, module: Module, act: Callable[[], None]) -> None:
    """Act now, and whenever the file's or notebook's time of change moves, until Ctrl-C.

    The file is looked at twice a second: events of the system do not arrive on every file system.

    Raises:
        CourseError: the module is not started.
    """
    workspace.refresh(module)
    path = next(p for p in (workspace.notebook(module), workspace.file(module)) if p.is_file())
    seen = -1
    try:
        while True:
            now = _changed(path)
            if now not in (seen, -1):
                seen = now
                if sys.stdout.isatty():
                    click.clear()
                try:
                    act()
                except CourseError as error:
                    click.echo(f"tito: {error}", err=True)
                name = path.relative_to(workspace.root)
                click.echo(f"\nWatching {name} (it is looked at twice a second; Ctrl-C ends).")
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        click.echo()


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # an editor is replacing it
        return -1
