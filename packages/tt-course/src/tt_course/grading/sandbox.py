"""The sandbox: a place to run a program that nobody can trust, made with bubblewrap.

Inside there is a Python installation, the files that the caller names, read-only, and a small scratch folder; no
network, no other process, no ``/proc``, no device but ``/dev/null`` and the sources of zeros and random bytes, no
user's files or environment. The program runs as a user that exists nowhere else. Knows nothing of courses and of
submissions.

Where bubblewrap is started by root, a user namespace would map the program to root outside it; there the program
becomes an unprivileged user by itself in its first lines, and the filter of
``seccomp`` keeps it from making namespaces. Elsewhere it has a user namespace of its own.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tt_course.grading.seccomp import seccomp_filter

__all__ = ["PYTHON", "Limits", "NoSandboxError", "Sandbox", "filter_file", "find_sandbox"]

PYTHON = "/python/bin/python"  # the interpreter, inside
_LIBRARIES = ("/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


class NoSandboxError(Exception):
    """There is no sandbox here; says why, and what would make one."""


@dataclass(frozen=True)
class Limits:
    """What a submission may use. Times are of the clock on the wall, except ``cpu_s``.

    A case is asked to stop after ``case_s`` and ended ``grace_s`` later.
    """

    memory_bytes: int = 2 << 30
    cpu_s: int = 60
    load_s: float = 20.0
    case_s: float = 10.0
    grace_s: float = 3.0
    wall_s: float = 120.0
    processes: int = 16
    open_files: int = 64
    file_bytes: int = 16 << 20
    scratch_bytes: int = 32 << 20
    result_bytes: int = 64 << 20
    printed_bytes: int = 4 << 20


@dataclass(frozen=True)
class Sandbox:
    """How programs are shut in here: the path of ``bwrap``, and whether root starts it."""

    bwrap: str
    as_root: bool

    def command(
        self,
        arguments: Iterable[str],
        files: Mapping[str, Path],
        environment: Mapping[str, str],
        limits: Limits,
        filter_fd: int,
    ) -> list[str]:
        """The command that runs the inner Python with these arguments.

        Args:
            arguments: of the interpreter.
            files: files and folders to show, by their path inside; read-only.
            environment: all that the program finds in its environment, besides what Python needs to start.
            limits: only ``scratch_bytes`` matters here; the rest is for the program's first lines and its watcher.
            filter_fd: an open file with the filter of refused system calls, or -1.
        """
        made = [self.bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
        made += ["--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox", "--cap-drop", "ALL"]
        if self.as_root:
            made += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            made += ["--unshare-user", "--disable-userns", "--uid", "65534", "--gid", "65534"]
        if filter_fd >= 0:
            made += ["--seccomp", str(filter_fd)]
        # The root is memory too: small, and read-only once everything has its place.
        shown = {**self._installation, **files}
        for folder in sorted({str(parent) for path in (*shown, *_DEVICES, "/tmp/x") for parent in Path(path).parents}):
            if folder != "/":
                made += ["--perms", "0755", "--dir", folder]
        for path, source in shown.items():
            made += ["--ro-bind", str(source), path]
        for path in self._hidden:
            made += ["--size", "4096", "--tmpfs", path, "--remount-ro", path]
        for path, target in self._links.items():
            made += ["--symlink", target, path]
        for path in _DEVICES:
            made += ["--dev-bind", path, path]
        made += ["--perms", "1777", "--size", str(limits.scratch_bytes), "--tmpfs", "/tmp", "--remount-ro", "/"]
        for name, value in {**self._variables, **environment}.items():
            made += ["--setenv", name, value]
        return [*made, "--chdir", "/tmp", "--", PYTHON, *arguments]

    @cached_property
    def _installation(self) -> dict[str, Path]:
        """Where the Python installation and the system's shared libraries lie inside."""
        shown = {path: Path(path) for path in _LIBRARIES if Path(path).is_dir() and not Path(path).is_symlink()}
        base = Path(sys.base_prefix)
        shown[PYTHON] = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
        bases = dict.fromkeys(("base", "platbase", "installed_base", "installed_platbase"), str(base))
        for name in ("stdlib", "platstdlib"):
            folder = Path(sysconfig.get_path(name, vars=bases))
            shown[f"/python/{folder.relative_to(base)}"] = folder
        if sysconfig.get_config_var("Py_ENABLE_SHARED"):
            for library in Path(sysconfig.get_config_var("LIBDIR") or base / "lib").glob("libpython*.so*"):
                shown[f"/python/lib/{library.name}"] = library
        if Path("/etc/ld.so.cache").is_file():
            shown["/etc/ld.so.cache"] = Path("/etc/ld.so.cache")
        return shown

    @cached_property
    def _hidden(self) -> list[str]:
        """Folders inside what is shown that hold installed packages."""
        found = []
        for path, source in self._installation.items():
            if source.is_dir():
                for pattern in ("site-packages", "dist-packages", "python3*/site-packages", "python3*/dist-packages"):
                    found += [f"{path}/{inner.relative_to(source)}" for inner in source.glob(pattern) if inner.is_dir()]
        return sorted(set(found))

    @cached_property
    def _links(self) -> dict[str, str]:
        """Links of a merged /usr: /lib -> usr/lib."""
        return {path: os.readlink(path) for path in _LIBRARIES if Path(path).is_symlink()}

    @cached_property
    def _variables(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": "/python/lib"} if any("libpython" in path for path in self._installation) else {}

    def outside_user(self) -> int:
        """A user for the program to become, which no other program has; 0 where it has one already."""
        return 1_000_000_000 + secrets.randbelow(1_000_000_000) if self.as_root else 0

    def process_limit(self, limits: Limits) -> int:
        """``RLIMIT_NPROC`` for a program inside; before Linux 5.14 it counts all processes of whoever started it."""
        release = tuple(int(n) for n in re.findall(r"\d+", platform.release())[:2])
        is_shared = not self.as_root and release < (5, 14)
        return limits.processes + (_processes_of(os.getuid()) if is_shared else 0)


def _processes_of(user: int) -> int:
    """How many processes and threads a user has."""
    count = 0
    for task in Path("/proc").glob("[0-9]*/task/*"):
        with contextlib.suppress(OSError):
            count += task.stat().st_uid == user
    return count


def filter_file() -> int:
    """An open file with the filter of refused system calls, for one start; -1 where this machine has none."""
    content = seccomp_filter()
    if content is None:
        return -1
    fd = os.memfd_create("filter", 0)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _is_full_root() -> bool:
    """Whether this is a root that can become any user."""
    try:
        ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    except OSError:
        return False
    return os.geteuid() == 0 and any(int(length) >= 2**31 for _, _, length in ranges)


def find_sandbox() -> Sandbox:
    """The sandbox of this machine, tried once.

    Raises:
        NoSandboxError: there is none, or it is refused; the message says why and what would help.
    """
    if not sys.platform.startswith("linux"):
        raise NoSandboxError(f"no sandbox on {sys.platform}: bubblewrap needs Linux")
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise NoSandboxError("no sandbox: bubblewrap is not installed (on Debian and Ubuntu: apt install bubblewrap)")
    sandbox = Sandbox(bwrap, _is_full_root())
    if sandbox.as_root and seccomp_filter() is None:
        raise NoSandboxError("no sandbox for root on this kind of processor: grade as an ordinary user")
    fd = filter_file()
    try:
        command = sandbox.command(["-I", "-S", "-c", "print('in')"], {}, {}, Limits(), fd)
        tried = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            pass_fds=[fd] if fd >= 0 else [],
        )
    except subprocess.TimeoutExpired:
        raise NoSandboxError("no sandbox: bubblewrap did not start within 30 s") from None
    finally:
        if fd >= 0:
            os.close(fd)
    if tried.returncode or tried.stdout.strip() != "in":
        said = tried.stderr.strip().splitlines()[-1:] or [f"it ended with {tried.returncode}"]
        raise NoSandboxError(
            f"no sandbox: {said[0]} (version 0.8 or newer is needed, and user namespaces must be allowed)"
        )
    return sandbox
