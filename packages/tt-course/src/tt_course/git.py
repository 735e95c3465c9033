"""The few Git operations that a workspace needs, each of which loses nothing.

The working tree is never switched to an older state: ``merge_into`` makes the merge commit beside it and moves two
names. Works where Git knows no user, in a folder that lies in another repository, and whatever hooks and signatures a
user has set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tt_course.errors import CourseError

__all__ = ["Repository"]


class Repository:
    """The Git repository whose top folder is ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _git(self, *arguments: str, check: bool = True) -> str:
        if shutil.which("git") is None:
            raise CourseError("tito needs git, and there is none on the PATH", "On Debian: apt install git")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        settings = ["-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false", "-c", "core.quotePath=false"]
        done = subprocess.run(
            ["git", *settings, *arguments],
            cwd=self.root,
            env=environment | {"LC_ALL": "C", "GIT_CEILING_DIRECTORIES": str(self.root.parent)},
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
        )
        if done.returncode and check:
            why = (done.stderr.strip() or done.stdout.strip() or f"ended with {done.returncode}").splitlines()
            raise CourseError(f"git {arguments[0]} failed in {self.root}: {why[-1]}")
        return done.stdout.strip() if done.returncode == 0 else ""

    def _as_someone(self) -> list[str]:
        """Settings that name a user where Git knows none."""
        known = self._git("config", "--name-only", "--get-regexp", r"^user\.(name|email)$", check=False).split()
        return [] if len(set(known)) == 2 else ["-c", "user.name=tito", "-c", "user.email=tito@localhost"]

    def is_there(self) -> bool:
        """Whether the folder is a repository of its own."""
        return (self.root / ".git").exists()

    def _need(self) -> None:
        if not self.is_there():
            raise CourseError(
                f"{self.root} is no Git repository any more", "`git init -b main` in it makes it one again"
            )

    def create(self) -> None:
        """Make the repository, with the branch ``main``."""
        self._git("init", "--quiet", "--initial-branch=main")

    def branch(self) -> str:
        """The branch at hand; empty where HEAD is on none."""
        return self._git("symbolic-ref", "--quiet", "--short", "HEAD", check=False)

    def commit(self, message: str, paths: Sequence[str] = ()) -> bool:
        """Commit what changed in tracked files, and all of ``paths``; whether there was anything."""
        self._need()
        self._git("add", "--update", ".")
        there = [path for path in paths if (self.root / path).exists()]
        if there:
            self._git("add", "--", *there)
        has_head = bool(self._git("rev-parse", "--verify", "--quiet", "HEAD", check=False))
        if has_head and not self._git("status", "--porcelain", "--untracked-files=no"):
            return False
        self._git(*self._as_someone(), "commit", "--quiet", "--message", message)
        return True

    def begin_branch(self, name: str) -> str:
        """Go on in a new branch from here, the working tree as it is; its name, perhaps with a number."""
        self._need()
        free, number = name, 2
        while self._git("rev-parse", "--verify", "--quiet", f"refs/heads/{free}", check=False):
            free, number = f"{name}-{number}", number + 1
        self._git("switch", "--quiet", "--create", free)
        return free

    def take_in(self, target: str) -> None:
        """Merge ``target`` into the branch at hand where it holds commits that this one has not.

        Raises:
            CourseError: they conflict; nothing was changed.
        """
        self._need()
        tip = self._git("rev-parse", "--verify", "--quiet", f"refs/heads/{target}", check=False)
        if not tip or self._git("merge-base", "HEAD", tip, check=False) == tip:
            return
        try:
            self._git(*self._as_someone(), "merge", "--quiet", "--no-edit", target)
        except CourseError:
            self._git("merge", "--abort", check=False)
            raise CourseError(
                f"the branch {target} holds changes that conflict with yours",
                f"Merge them by hand (`git merge {target}`), then run this again.",
            ) from None

    def merge_into(self, target: str, message: str) -> None:
        """Merge the branch at hand into ``target`` and go on there; the working tree stays as it is.

        ``target`` must hold nothing that this branch has not: :meth:`take_in` sees to it.
        """
        self._need()
        if self.branch() == target:
            return
        head = self._git("rev-parse", "HEAD")
        tip = self._git("rev-parse", "--verify", "--quiet", f"refs/heads/{target}", check=False)
        parents = ["-p", tip, "-p", head] if tip and tip != head else ["-p", head]
        merged = self._git(*self._as_someone(), "commit-tree", "HEAD^{tree}", *parents, "-m", message)
        self._git("update-ref", f"refs/heads/{target}", merged, *([tip] if tip else []))
        self._git("symbolic-ref", "HEAD", f"refs/heads/{target}")
