"""The doctor: what an installation and a workspace need, and whether it is there."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from tt_course.errors import CourseError
from tt_course.manifest import Tier, tiers
from tt_course.workspace import Workspace, find

__all__ = ["Finding", "examine"]


class Finding(NamedTuple):
    """One thing looked at: its name, what was found, whether that is good, and what to do where it is not."""

    name: str
    found: str
    is_good: bool
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Look at Python, the tools, the tiers, and the workspace around here if there is one."""
    version = platform.python_version()
    yield Finding("python", f"{version} at {sys.executable}", sys.version_info >= (3, 11), "Python 3.11 or newer")
    git = shutil.which("git")
    found = subprocess.run([git, "--version"], capture_output=True, text=True).stdout.strip() if git else "not there"
    yield Finding("git", found, git is not None, "On Debian: apt install git")
    yield _asked("numpy", _numpy)
    yield _sandbox()
    yield _asked("tiers", lambda: ", ".join(f"{t.name} {t.version}" for t in tiers()), "pip install tt-foundation")
    try:
        for tier in tiers():
            yield _asked(f"course {tier.name}", partial(_course, tier))
        workspace = find()
    except CourseError as error:
        yield Finding("workspace", str(error), True)
        return
    yield Finding("workspace", str(workspace.root), True)
    yield from _workspace(workspace)


def _sandbox() -> Finding:
    from tt_course.grading.sandbox import NoSandboxError, find_sandbox

    try:
        return Finding("sandbox", find_sandbox().bwrap, True)
    except NoSandboxError as error:
        return Finding("sandbox", f"{error} (only `tito grade` needs it)", True)


def _course(tier: Tier) -> str:
    return f"{len([module.manifest for module in tier.modules])} modules"


def _numpy() -> str:
    import numpy as np

    return np.__version__


def _asked(name: str, ask: Callable[[], str], remedy: str = "") -> Finding:
    try:
        found = ask()
        return Finding(name, found or "none", bool(found), remedy)
    except CourseError as error:
        return Finding(name, str(error), False, error.hint or remedy)
    except ImportError as error:
        return Finding(name, str(error), False, f"pip install {name}")


def _workspace(workspace: Workspace) -> Iterator[Finding]:
    yield _asked("settings", lambda: f"{workspace.settings.path}, {', '.join(t.name for t in workspace.tiers)}")
    yield _asked("your modules", lambda: f"{len(workspace.files())} complete")
    yield _asked("progress", lambda: f"{len(workspace.progress.modules())} modules noted")
    is_there = workspace.git.is_there()
    branch = workspace.git.branch() if is_there and shutil.which("git") else ""
    found = f"on {branch or 'no branch'}" if is_there else "no Git repository"
    yield Finding("repository", found, is_there, f"git -C {workspace.root} init -b main")
