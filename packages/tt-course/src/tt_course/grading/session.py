"""A session: starts a program that nobody trusts, feeds it a job, watches it, and gives the frames that it writes.

It ends the program when its time is up, when it prints or returns too much, or when what it writes is no frame.
Knows processes and pipes; knows nothing of cases, points and names for what went wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tt_course.grading.cgroup import make_group
from tt_course.grading.frames import DamagedError, Frame, Reader, TooMuchError
from tt_course.grading.memory import memory_of
from tt_course.grading.sandbox import Limits

__all__ = ["Ending", "Session"]

KEPT = 4000  # of what is printed
CLOSED_S = 2.0  # a program without its pipes has so long to end
GLANCE_S = 0.25  # how often the memory of all processes is looked at
Stop = Literal["", "load", "case", "wall", "closed", "printed", "results", "damaged", "memory"]


@dataclass(frozen=True)
class Ending:
    """How a program ended: its exit code (128 and more: by a signal), or for what it was stopped."""

    code: int
    stopped: Stop = ""
    damage: str = ""
    hit_memory: bool = False
    printed: str = ""
    printed_bytes: int = 0
    seconds: float = 0.0


class Session:
    """One process in one sandbox; ``watch`` sees it through.

    Args:
        command: without the descriptor for the results, which is appended as its last argument.
        job: what the program reads as JSON.
        limits: that this watches over.
        deadline: the moment of ``time.monotonic`` at which it is ended, whatever it does.
        pass_fds: descriptors to leave open for the command.
        environment: the command's; by default this process's.
    """

    def __init__(
        self,
        command: Sequence[str],
        job: Mapping[str, Any],
        limits: Limits,
        deadline: float,
        *,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.limits = limits
        self.deadline = deadline
        self._printed = bytearray()
        self._printed_bytes = 0
        self._started = time.monotonic()
        # The engine's own processes (bubblewrap's two) count among those of the group.
        self._group = make_group(limits.memory_bytes, limits.processes + 3)
        self._results, writing = os.pipe()
        whole = [*command, str(writing)]
        try:
            self._process = subprocess.Popen(
                self._group.entering(whole) if self._group else whole,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[*pass_fds, writing],
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._results)
            if self._group:
                self._group.remove()
            raise
        finally:
            os.close(writing)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(job).encode())
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def watch(self, take: Callable[[Frame], None]) -> Ending:
        """Give each frame to ``take`` until the program ends, or until there is a reason to end it.

        A ``DamagedError`` that ``take`` raises is such a reason.
        """
        assert self._process.stdout is not None
        reader = Reader(self.limits.result_bytes)
        stopped: Stop = ""
        damage = ""
        patience = self._started + self.limits.load_s
        awaited: Stop = "load"
        glance = self._started + GLANCE_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._results, selectors.EVENT_READ)
            selector.register(self._process.stdout, selectors.EVENT_READ)
            try:
                while selector.get_map():
                    now = time.monotonic()
                    if now >= min(patience, self.deadline):
                        stopped = awaited if patience <= self.deadline else "wall"
                        break
                    if now >= glance:
                        glance = now + GLANCE_S
                        if self._has_too_much_memory():
                            stopped = "memory"
                            break
                    for key, _ in selector.select(min(patience, self.deadline, glance) - now):
                        data = os.read(key.fd, 1 << 16)
                        if not data:
                            selector.unregister(key.fileobj)
                        elif key.fd == self._results:
                            for frame in reader.feed(data):
                                take(frame)
                                if frame.kind in ("begin", "loaded", "result"):
                                    awaited = "case"
                                    patience = time.monotonic() + self.limits.case_s + self.limits.grace_s
                        else:
                            self._print(data)
                    if self._printed_bytes > self.limits.printed_bytes:
                        stopped = "printed"
                        break
            except TooMuchError:
                stopped = "results"
            except DamagedError as error:
                stopped, damage = "damaged", str(error)
            except BaseException:
                self._end("wall", "")
                raise
        return self._end(stopped, damage)

    def _has_too_much_memory(self) -> bool:
        if self._group is not None:
            return self._group.hit_memory  # whichever of its processes the kernel ended
        return memory_of(self._process.pid) > self.limits.memory_bytes

    def _print(self, data: bytes) -> None:
        self._printed_bytes += len(data)
        self._printed += data[: max(0, KEPT - len(self._printed))]

    def kill(self) -> None:
        """End the program and, in a sandbox, all that it started."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _end(self, stopped: Stop, damage: str) -> Ending:
        """End whatever still runs, and tell how it ended."""
        process = self._process
        if stopped:
            self.kill()
        try:
            code = process.wait(CLOSED_S)
        except subprocess.TimeoutExpired:
            stopped = stopped or "closed"
            self.kill()
            code = process.wait()
        assert process.stdout is not None
        process.stdout.close()
        os.close(self._results)
        hit_memory = False
        if self._group:
            hit_memory = self._group.hit_memory
            self._group.remove()
        return Ending(
            code=128 - code if code < 0 else code,
            stopped=stopped,
            damage=damage,
            hit_memory=hit_memory,
            printed=bytes(self._printed).decode(errors="replace"),
            printed_bytes=self._printed_bytes,
            seconds=time.monotonic() - self._started,
        )
