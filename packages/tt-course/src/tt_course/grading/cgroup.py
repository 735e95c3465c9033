"""A control group around a sandbox, where one can be made: it counts what the limits of single processes do not.

Memory of all processes together, with the scratch folder, and how many there are. Knows both versions of the
kernel's interface; knows nothing of what runs inside. Nobody may rely on it: without the right to make groups there
is none, and the limits of each process hold alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

__all__ = ["ControlGroup", "make_group"]

# Enter each folder's group, then become the command after "--".
_ENTER = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'


class ControlGroup:
    """A group that was made; ``entering`` puts a command into it."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders

    def entering(self, command: list[str]) -> list[str]:
        """The command that enters the group and becomes ``command``."""
        return ["/bin/sh", "-c", _ENTER, "sh", *map(str, self.folders), "--", *command]

    @property
    def hit_memory(self) -> bool:
        """Whether the kernel ended a process in here for want of memory."""
        return self._ended("memory.events") + self._ended("memory.oom_control") > 0

    def _ended(self, name: str) -> int:
        for folder in self.folders:
            with contextlib.suppress(OSError, ValueError):
                for line in (folder / name).read_text().splitlines():
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """End what is left inside, and take the group away."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                (folder / "cgroup.kill").write_text("1")
        for folder in self.folders:
            for _ in range(200):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:  # the last processes are still going
                    time.sleep(0.01)


def make_group(memory_bytes: int, processes: int) -> ControlGroup | None:
    """A group with these limits on all its processes together; None where none can be made."""
    name = f"tito-{os.getpid()}-{secrets.token_hex(4)}"
    settings = {
        "memory.max": memory_bytes,
        "memory.swap.max": 0,
        "memory.oom.group": 1,
        "memory.limit_in_bytes": memory_bytes,
        "memory.memsw.limit_in_bytes": memory_bytes,
        "pids.max": processes,
    }
    for version in (_parents_v2(), _parents_v1()):
        folders: list[Path] = []
        for parent in version:
            folder = parent / name
            try:
                folder.mkdir()
            except OSError:
                continue
            done = False
            for setting, value in settings.items():
                if (folder / setting).exists():
                    with contextlib.suppress(OSError):
                        (folder / setting).write_text(str(value))
                        done = done or setting in ("memory.max", "memory.limit_in_bytes", "pids.max")
            if done:
                folders.append(folder)
            else:
                folder.rmdir()
            if done and (folder / "memory.max").exists():
                break
        if folders:
            return ControlGroup(folders)
    return None


def _mounts(kind: str) -> list[tuple[Path, list[str]]]:
    """Where a kind of file system is mounted, with its options."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines]
    return [(Path(f[1]), f[3].split(",")) for f in fields if len(f) > 3 and f[2] == kind]


def _own() -> dict[str, str]:
    """This process's group by controller; that of version 2 under the empty name."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return {}
    return {
        name: path for line in lines for name in line.split(":", 2)[1].split(",") for path in [line.split(":", 2)[2]]
    }


def _parents_v2() -> list[Path]:
    """Beside this process's own group, then at the top: a group that holds processes can have no limited children."""
    own = _own().get("", "/").strip("/")
    return [place for mount, _ in _mounts("cgroup2") for place in ((mount / own).parent if own else mount, mount)]


def _parents_v1() -> list[Path]:
    own = _own()
    return [
        mount / own.get(controller, "/").strip("/")
        for controller in ("memory", "pids")
        for mount, options in _mounts("cgroup")
        if controller in options
    ]
