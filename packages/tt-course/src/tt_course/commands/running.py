"""``tito run``: a program on the learner's framework."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from tt_course.errors import CourseError

__all__ = ["run"]


@click.command(
    epilog="Example: tito run train.py --epochs 3",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("script", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(script: Path, arguments: tuple[str, ...]) -> None:
    """Run SCRIPT with the modules that you completed in place of the reference's; so do all processes it starts.

    Ends as the script ends.
    """
    from tt_course.workspace import find

    workspace = find()
    workspace.files()  # says what is wrong before the program starts
    if not script.is_file():
        raise CourseError(f"there is no file {script}")
    command = [sys.executable, str(script), *arguments]
    environment = workspace.environment()
    if os.name == "posix":
        sys.stdout.flush()
        os.execve(command[0], command, environment)
    sys.exit(subprocess.run(command, env=environment).returncode)
