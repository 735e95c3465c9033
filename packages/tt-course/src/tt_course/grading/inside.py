"""What runs in the sandbox: loads a framework with a submission in it, runs cases, and writes what they returned.

Started as a file, with nothing of the engine but the worker's modules beside it. It reads a job (JSON) from its input
and writes frames into the descriptor that its argument names: a line of JSON, then the arrays that the line announces,
as ``.npy``. Its first lines give up what rights there are and set the limits; then the submission may do here
whatever it likes. There are no answers here, so nothing in this file has to hold against the submission.

It also notes what a submission tried that does not belong here, for the feedback alone: whoever hides from that gains
nothing.
"""

from __future__ import annotations

import io
import json
import os
import re
import resource
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

__all__ = ["main"]

MOST_NOTES = 40


def give_up_rights(job: Mapping[str, Any]) -> None:
    """Become an unprivileged user where root started this, and set the limits for this process and its children."""
    if job["user"]:
        os.setgroups([])
        os.setresgid(job["user"], job["user"], job["user"])
        os.setresuid(job["user"], job["user"], job["user"])
    if job["cores"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])
    for name, value in job["limits"].items():
        what = getattr(resource, name)
        highest = resource.getrlimit(what)[1]
        value = value if highest == resource.RLIM_INFINITY else min(value, highest)
        # A second between the warning and the end, for CPU time.
        soft = max(value - 1, 1) if name == "RLIMIT_CPU" else value
        resource.setrlimit(what, (soft, value))


class Frames:
    """Writes frames into a descriptor. Keeps the functions that it needs, lest they be changed on the way."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._write = os.write
        self._dumps = json.dumps

    def send(self, kind: str, arrays: tuple[bytes, ...] = (), **content: Any) -> None:
        """Write a frame."""
        head = self._dumps({"kind": kind, "sizes": [len(a) for a in arrays], **content})
        data = memoryview(b"".join([head.encode(), b"\n", *arrays]))
        while data:
            data = data[self._write(self._descriptor, data) :]


class Watch:
    """Notes, while a submission's code is running, what it tries that does not belong here."""

    HARMLESS = ("/linecache.py", "/traceback.py", "/warnings.py")
    NETWORK = ("socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname")
    PROCESSES = ("os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "subprocess.Popen", "os.kill")
    FRAMES = (
        "sys._getframe",
        "gc.get_objects",
        "gc.get_referrers",
        "gc.get_referents",
        "sys.settrace",
        "sys.setprofile",
    )
    FILES = ("open", "os.listdir", "os.scandir", "os.symlink", "os.link", "os.rename", "os.remove", "os.mkdir")

    def __init__(self, frames: Frames, job: Mapping[str, Any]) -> None:
        self._frames = frames
        self._own = set(job["files"].values())
        self._absent = set(job["absent"])
        stems = "|".join(re.escape(name.rpartition(".")[2]) for name in job["files"])
        self._reference = re.compile(rf"(^|/)({stems})(\.[\w-]+)?\.pyc?$")
        self._noted: set[tuple[str, str]] = set()
        self._busy = False

    def note(self, kind: str, detail: str) -> None:
        """Send a note, unless it was sent before or there are many already."""
        if (kind, detail) not in self._noted and len(self._noted) < MOST_NOTES:
            self._noted.add((kind, detail))
            self._frames.send("note", what=kind, detail=detail[:200])

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """The audit hook."""
        if self._busy:
            return
        self._busy = True
        try:
            self._look(event, args)
        except Exception:  # whatever arguments a submission raised an event with
            pass
        finally:
            self._busy = False

    def _look(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "import":
            name = str(args[0])
            is_absent = name.partition(".")[0] in self._absent or name in self._absent
            if is_absent and self._from_submission(deepest=1):
                self.note("import", name)
        elif event in self.NETWORK:
            # The first argument of these two is the socket.
            said = args[1:] if event in ("socket.bind", "socket.connect") else args
            self.note("network", " ".join(str(a) for a in said))
        elif event in self.PROCESSES:
            if self._from_submission():
                self.note("process", event)
        elif event in self.FRAMES:
            if self._from_submission(deepest=1 if event == "sys._getframe" else 0):
                self.note("frames", event)
        elif event == "ctypes.dlopen":
            if self._from_submission():
                self.note("native", str(args[0]))
        elif event in self.FILES:
            path = os.fsdecode(args[0]) if isinstance(args[0], str | bytes) else str(args[0])
            if path in self._own:
                return
            if self._reference.search(path):
                self.note("reference", path)
            elif self._from_submission() and path.rstrip("/") != "/tmp" and not path.startswith("/tmp/"):
                self.note("file", path)

    def _from_submission(self, deepest: int = 0) -> bool:
        """Whether the submission's code is what led here, other than by importing or by failing.

        With ``deepest``, only if it is within so many calls, not counting those of ``inspect``.
        """
        at: FrameType | None = sys._getframe(3)
        depth = 0
        while at is not None:
            file = at.f_code.co_filename
            if file in self._own:
                return True
            if file.startswith("<frozen importlib") or file.endswith(self.HARMLESS):
                return False
            depth += 1
            if deepest and depth >= deepest and not file.endswith("/inspect.py"):
                return False
            at = at.f_back
        return False


class Originals:
    """What some modules held before the submission was loaded."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._before = {name: dict(vars(sys.modules[name])) for name in names}

    def changed(self) -> list[str]:
        """What is something else by now."""
        found = []
        for name, before in self._before.items():
            now = vars(sys.modules[name]) if name in sys.modules else {}
            found += [f"{name}.{key}" for key, value in before.items() if now.get(key) is not value and key != "_"]
        testing = sys.modules.get("numpy.testing")
        for key in ("assert_allclose", "assert_array_equal", "assert_equal", "assert_array_almost_equal"):
            code = getattr(getattr(testing, key, None), "__code__", None)
            if testing is not None and (code is None or "/numpy/" not in code.co_filename):
                found.append(f"numpy.testing.{key}")
        return found


def packed(values: Mapping[str, Any], save: Callable[..., None], array: type) -> tuple[list[Any], tuple[bytes, ...]]:
    """Values as JSON and arrays: the JSON gives, for each value, its name, its kind and what it is."""
    table: list[Any] = []
    arrays: list[bytes] = []
    for name, value in values.items():
        if isinstance(value, array):
            file = io.BytesIO()
            save(file, value, allow_pickle=False)
            table.append([str(name), "array", len(arrays)])
            arrays.append(file.getvalue())
        elif value is None or isinstance(value, bool | int | float | str):
            table.append([str(name), "plain", value])
        else:
            table.append([str(name), "other", str(getattr(value, "kind", ""))])
    return table, tuple(arrays)


def main(descriptor: int) -> None:
    """Read the job, run it, write frames."""
    end = os._exit
    job = json.loads(sys.stdin.buffer.read())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    give_up_rights(job)
    sys.path[:0] = job["path"]
    sys.dont_write_bytecode = True
    import numpy as np
    import numpy.lib.format

    from tt_course import worker

    save, array = np.save, np.ndarray
    answer, described = worker.answer, worker.described
    frames = Frames(descriptor)
    watch = Watch(frames, job)
    originals = Originals(
        ("__main__", "builtins", "json", "numpy", "numpy.lib.format", "os", "tt_course.values", "tt_course.worker")
    )
    look = originals.changed
    sys.addaudithook(watch)

    def note_changes() -> None:
        for name in look():
            watch.note("patched", name)

    try:
        framework, cases = worker.load(job, job["files"])
    except BaseException as error:
        frames.send("failed", error=described(error, job["files"]))
        note_changes()
        end(0)
    frames.send("loaded")
    note_changes()
    for name in job["names"]:
        frames.send("begin", name=name)
        result, returned, _ = answer(job, job["seed"], framework, cases, name, job["files"])
        table, arrays = packed(returned, save, array)
        frames.send("result", arrays, name=name, values=table, error=result.get("error"), seconds=result["seconds"])
    note_changes()
    frames.send("done")
    sys.stdout.flush()
    end(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
