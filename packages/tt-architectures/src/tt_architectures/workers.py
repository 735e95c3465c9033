"""Worker processes: a function called on tasks elsewhere, its results in the order of the tasks, made ahead.

Arrays are not pickled: what goes to a worker and what comes back lies in memory that both processes map, pipes carry a
few bytes. That memory has no name, so whatever dies, none is left behind. Knows nothing of data sets.

Processes are started afresh (``spawn``), not forked: a fork copies one thread of a process that has many, the BLAS's
and our own, and whatever lock another of them held stays locked in the copy for ever.
"""

from __future__ import annotations

import io
import math
import mmap
import multiprocessing
import os
import pickle
import signal
import tempfile
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection, reduction, resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar

import numpy as np

from tt_architectures.layout import memory_order
from tt_foundation import Array, Tensor, keep_freed_memory, set_num_threads

__all__ = ["WorkerError", "Workers"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_ALIGNMENT = 64
_START_S = 60.0
"""How much longer than the timeout a worker may take for its first task: it has modules to import."""

_GRACE_S = (0.2, 1.0, 5.0)
"""How long a worker that is no longer needed may take to end by itself, when terminated, and when killed."""


class WorkerError(RuntimeError):
    """A worker process raised or died; the message has its traceback, or says what killed it."""


class Workers(Generic[Task, Result]):
    """Processes that call ``function`` on tasks.

    Args:
        function: called with a task; it is sent to the workers once, when they start. When it returns None it has
            come to its end and gets no more tasks.
        num_workers: how many processes.
        prefetch: how many tasks each has at a time.
        timeout_s: after how many seconds without a result an error is raised; 0 waits for ever.
        init: called in each with its number when it starts.

    Raises:
        TypeError: ``function`` does not pickle.
        RuntimeError: this is a worker itself.
        NotImplementedError: the system is not POSIX.
    """

    def __init__(
        self,
        function: Callable[[Task], Result | None],
        num_workers: int,
        *,
        prefetch: int = 2,
        timeout_s: float = 0,
        init: Callable[[int], None] | None = None,
    ) -> None:
        if not hasattr(reduction, "DupFd"):
            raise NotImplementedError("worker processes share memory by file descriptor, which needs POSIX")
        if multiprocessing.current_process().daemon:
            raise RuntimeError("a worker process can have no workers of its own: use num_workers=0 in it")
        self._timeout_s = timeout_s
        self._pid = os.getpid()
        self._busy = 0
        self._workers: list[_Worker] = []
        self.close = weakref.finalize(self, _end, self._workers, self._pid)
        program = _Memory()
        try:
            try:
                program.write((function, init))
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise TypeError(f"what worker processes work with must pickle: {error}") from error
            for number in range(num_workers):
                self._workers.append(_Worker(number, program, prefetch))
        except BaseException:
            self.close()
            raise

    @property
    def is_idle(self) -> bool:
        """Whether they could take the tasks of another :meth:`map`."""
        return self.close.alive and not self._busy and self._pid == os.getpid()

    def map(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """The result of each task, in order; up to ``num_workers * prefetch`` are worked at meanwhile.

        Raises:
            WorkerError: the function raised in a worker, or a worker died or exceeded the time.
            RuntimeError: this is a forked copy of the process that began it.
        """
        numbered = enumerate(tasks)
        free = deque(place for places in zip(*(w.slots for w in self._workers), strict=True) for place in places)
        at_work: deque[tuple[int, _Slot]] = deque()
        is_over = False
        while True:
            if self._pid != os.getpid():
                raise RuntimeError("workers belong to the process that started them; this is a forked copy of it")
            while free and not is_over and (item := next(numbered, None)) is not None:
                slot = free.popleft()
                self._busy += 1
                at_work.append((item[0], slot))
                slot.worker.give(item[0], slot, item[1])
            if not at_work:
                return
            number, slot = at_work.popleft()
            self._wait_for(number, slot.worker)
            result = slot.memory.read()
            self._busy -= 1
            free.append(slot)
            if result is None:
                is_over = True
            elif not is_over:
                yield result

    def _wait_for(self, number: int, worker: _Worker) -> None:
        """Take what all workers say until ``worker`` has done a task; raise at once what any complains of."""
        by_pipe = {w.pipe: w for w in self._workers}
        began = time.monotonic()
        while True:
            is_done = number in worker.done
            limit_s = (self._timeout_s if worker.has_started else self._timeout_s + _START_S) or math.inf
            wait_s = 0 if is_done else max(0, began + limit_s - time.monotonic())
            said = connection.wait(by_pipe, wait_s if math.isfinite(wait_s) else None)
            for pipe in said:
                by_pipe[pipe].listen()  # type: ignore[index]
            if is_done:
                worker.done.remove(number)
                return
            if worker.pipe in said:
                began = time.monotonic()
            elif not said:
                raise WorkerError(f"{worker} gave nothing for {limit_s:.3g} s: it hangs, or timeout is too short")


class _Slot:
    """Where one task goes to a worker and its result comes back."""

    def __init__(self, worker: _Worker, number: int) -> None:
        self.worker = worker
        self.number = number
        self.memory = _Memory()


class _Worker:
    """One process, seen from the one that started it."""

    def __init__(self, number: int, program: _Memory, prefetch: int) -> None:
        self.number = number
        self.has_started = False
        self.done: set[int] = set()
        self.slots = [_Slot(self, i) for i in range(prefetch)]
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        memories = [slot.memory for slot in self.slots]
        self.process = context.Process(
            target=_work, args=(number, theirs, program, memories, os.getpid()), name=f"tt-worker-{number}", daemon=True
        )
        # Ctrl-C goes to the whole group; one that is just starting shall not print a traceback for it. The first start
        # also starts Python's resource tracker, which would unblock the signal on the way.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def __str__(self) -> str:
        return f"worker {self.number} (process {self.process.pid})"

    def give(self, number: int, slot: _Slot, task: object) -> None:
        """Let it work at a task."""
        slot.memory.write(task)
        try:
            self.pipe.send((number, slot.number))
        except OSError:
            self.listen()  # it may have said why before it died
            raise self._death() from None

    def listen(self) -> None:
        """Take one message: that it has started, then which task is done; or why not."""
        try:
            number, slot, is_good = self.pipe.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if not is_good:
            raise WorkerError(f"{self} failed:\n\n{self.slots[slot].memory.read()}")
        if self.has_started:
            self.done.add(number)
        self.has_started = True

    def _death(self) -> WorkerError:
        self.process.join(5)
        code = self.process.exitcode
        if code is None:
            return WorkerError(f"{self} closed its pipe")
        if code < 0:
            name = signal.Signals(-code).name
            hint = " (the system may have run out of memory)" if name in ("SIGKILL", "SIGBUS") else ""
            return WorkerError(f"{self} was killed by {name}{hint}")
        return WorkerError(
            f"{self} ended with code {code}; what it wrote to standard error says why. A script that uses workers must "
            'do its work under `if __name__ == "__main__":`'
        )


def _end(workers: list[_Worker], pid: int) -> None:
    """End the processes: ask, then terminate, then kill."""
    if pid != os.getpid():
        return
    for worker in workers:
        worker.pipe.close()
    processes = [worker.process for worker in workers]
    for stop, grace_s in zip((None, SpawnProcess.terminate, SpawnProcess.kill), _GRACE_S, strict=True):
        end = time.monotonic() + grace_s
        for process in processes:
            if stop is not None and process.is_alive():
                stop(process)
        for process in processes:
            process.join(max(0, end - time.monotonic()))
    for worker in workers:
        if worker.process.exitcode is not None:
            worker.process.close()
        for slot in worker.slots:
            slot.memory.close()


def _work(number: int, pipe: connection.Connection, program: _Memory, slots: list[_Memory], parent: int) -> None:
    """Be a worker: take tasks until the pipe ends or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    is_good = True
    function: Callable[[Any], Any] | None = None
    try:
        _settle()
        function, init = program.read(is_shared=True)
        if init is not None:
            init(number)
    except BaseException:
        slots[0].write(traceback.format_exc())
        function, is_good = None, False
    try:
        pipe.send((-1, 0, is_good))
        while function is not None:
            # A pipe may outlive its owner in a process that was forked meanwhile, so ask for the parent too.
            while not pipe.poll(1):
                if os.getppid() != parent:
                    return
            task, slot = pipe.recv()
            try:
                slots[slot].write(function(slots[slot].read()))
                is_good = True
            except BaseException:
                slots[slot].write(traceback.format_exc())
                is_good = False
            pipe.send((task, slot, is_good))
    except (EOFError, OSError):
        pass  # nobody waits for it any more


def _settle() -> None:
    """Leave the cores to the training and to the other workers, and keep the memory of one batch for the next."""
    from threadpoolctl import threadpool_limits

    keep_freed_memory()
    set_num_threads(1)
    threadpool_limits(1)


class _Memory:
    """A nameless file in memory that holds one object; sent to a process that is starting, it is shared with it.

    It holds the number of arrays, their sizes and that of the pickle, the pickle, and the arrays.
    """

    def __init__(self, file: int | None = None) -> None:
        if file is None:
            if hasattr(os, "memfd_create"):
                file = os.memfd_create("tt-worker")
            else:
                with tempfile.TemporaryFile() as temporary:
                    file = os.dup(temporary.fileno())
        self._file = file
        self._size = 0
        self._map: mmap.mmap | None = None
        self.close = weakref.finalize(self, os.close, file)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Memory._opened, (reduction.DupFd(self._file),)

    @staticmethod
    def _opened(duplicate: Any) -> _Memory:
        return _Memory(duplicate.detach())

    def write(self, value: object) -> None:
        """Hold ``value`` from now on."""
        arrays: list[pickle.PickleBuffer] = []
        pickled = io.BytesIO()
        _Pickler(pickled, protocol=5, buffer_callback=arrays.append).dump(value)
        pieces: list[Any] = [pickled.getbuffer(), *(array.raw() for array in arrays)]
        header = np.array([len(pieces), *(len(piece) for piece in pieces)], np.int64)
        starts, end = _places(header)
        if end > os.fstat(self._file).st_size:
            os.ftruncate(self._file, end)
        memory = self._mapped(end)
        memory[: header.nbytes] = header.tobytes()
        for start, piece in zip(starts, pieces, strict=True):
            memory[start : start + len(piece)] = piece

    def read(self, *, is_shared: bool = False) -> Any:
        """What it holds: copied out, or, if it is never written again, with arrays that are copied when written to."""
        size = os.fstat(self._file).st_size
        if is_shared:
            content = np.frombuffer(mmap.mmap(self._file, size, access=mmap.ACCESS_COPY), np.uint8)
        else:
            content = np.frombuffer(self._mapped(size), np.uint8)
        header = content[: 8 * (1 + int(content[:8].view(np.int64)[0]))].view(np.int64)
        starts, end = _places(header)
        if not is_shared:
            content = content[:end].copy()
        pickled, *arrays = (content[start : start + size] for start, size in zip(starts, header[1:], strict=True))
        return pickle.loads(pickled.data, buffers=arrays)  # our own process wrote it

    def _mapped(self, size: int) -> mmap.mmap:
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self._file, size)
        return self._map


def _places(header: Array) -> tuple[list[int], int]:
    """Where the pieces begin whose sizes follow their number in ``header``, and where the last ends."""
    starts, end = [], header[0].item() * 8 + 8
    for size in header[1:].tolist():
        start = -(-end // _ALIGNMENT) * _ALIGNMENT
        starts.append(start)
        end = start + size
    return starts, end


class _Pickler(pickle.Pickler):
    """Pickles all but the elements of arrays, which are handed over as they lie."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is Tensor and not value.requires_grad:
            return Tensor, (value.data,)
        if type(value) is not np.ndarray or value.dtype.hasobject:
            return NotImplemented
        order = memory_order(value)
        moved = value.transpose(order)
        elements = pickle.PickleBuffer(np.ascontiguousarray(moved).reshape(-1).view(np.uint8).data)
        return _array, (elements, value.dtype, moved.shape, tuple(np.argsort(order).tolist()))


def _array(elements: Array, dtype: np.dtype[Any], shape: tuple[int, ...], order: tuple[int, ...]) -> Array:
    return elements.view(dtype).reshape(shape).transpose(order)
