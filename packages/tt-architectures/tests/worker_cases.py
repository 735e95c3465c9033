"""What worker processes are asked to do in the tests: a worker imports it by name, so it is no test module."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tt_architectures.data import Dataset, IterableDataset, TensorDataset
from tt_architectures.workers import Workers
from tt_foundation import Array, default_rng


class Call:
    """Calls ``operation(*arguments)`` for the task ``(operation, *arguments)``; keeps an array to itself."""

    def __init__(self) -> None:
        self.kept = np.arange(1000)

    def __call__(self, task: Any) -> Any:
        operation, *arguments = task
        return getattr(self, operation)(*arguments)

    def echo(self, value: Any) -> Any:
        return value

    def filled(self, shape: Any, value: float) -> Array:
        return np.full(shape, value)

    def strides(self, x: Array) -> tuple[int, ...]:
        return x.strides

    def worker(self, seconds: float = 0) -> int:
        time.sleep(seconds)
        return os.getpid()

    def bump(self) -> int:
        self.kept += 1
        return int(self.kept[0])

    def fails(self) -> None:
        raise ValueError("the seventh seal")

    def unpicklable(self) -> Any:
        return lambda: None

    def exits(self, code: int) -> None:
        sys.exit(code)

    def vanishes(self, code: int) -> None:
        os._exit(code)

    def dies(self, signum: int) -> None:
        os.kill(os.getpid(), signum)

    def sleeps(self, seconds: float) -> None:
        time.sleep(seconds)

    def is_deaf(self, seconds: float) -> str:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)
        return "woke up"

    def has_workers(self) -> str:
        try:
            Workers(Call(), 1)
        except RuntimeError as error:
            return str(error)
        return "it had"

    def threads(self) -> tuple[int, int]:
        from threadpoolctl import threadpool_info

        from tt_foundation import num_threads

        return num_threads(), max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")


class Counting:
    """Counts to ``end``, then is over."""

    def __init__(self, end: int) -> None:
        self.end = end

    def __call__(self, task: int) -> int | None:
        return task if task < self.end else None


class CannotArrive:
    """Pickles, and raises where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise RuntimeError('lost at sea')",)


def refuse(number: int) -> None:
    raise RuntimeError(f"worker {number} will not start")


def mark(number: int) -> None:
    Path(os.environ["MARKS"], str(number)).touch()


class Drawn(Dataset[tuple[Array, int]]):
    """Examples that are drawn from the process's generator every time."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __getitem__(self, index: int) -> tuple[Array, int]:
        return default_rng().random(3).astype(np.float32), index

    def __len__(self) -> int:
        return self.size


class Stream(IterableDataset[tuple[float, int]]):
    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Any:
        return ((float(default_rng().random()), i) for i in range(self.size))


class Trap(Dataset[tuple[float, int]]):
    """Does what it is told at one index."""

    def __init__(self, size: int, at: int, action: str, argument: Any = None) -> None:
        self.size, self.at, self.action, self.argument = size, at, action, argument

    def __getitem__(self, index: int) -> tuple[float, int]:
        if index == self.at:
            getattr(Call(), self.action)(*([] if self.argument is None else [self.argument]))
        return float(index), index

    def __len__(self) -> int:
        return self.size


class Slow(TensorDataset):
    """Takes its time for each batch."""

    seconds = 0.1

    def __getitems__(self, indices: Any) -> tuple[Array, ...]:
        time.sleep(self.seconds)
        return super().__getitems__(indices)


class Noisy(TensorDataset):
    """Draws for a whole batch."""

    def __getitems__(self, indices: Any) -> tuple[Array, ...]:
        x, y = super().__getitems__(indices)
        return default_rng().permutation(x), y


def add_noise(x: Array, rng: np.random.Generator) -> Array:
    return x + rng.random(x.shape, dtype=np.float32)


def longest(examples: list[tuple[Array, int]]) -> Any:
    """Pads examples of different lengths."""
    from tt_foundation import Batch, Tensor

    length = max(len(x) for x, _ in examples)
    x = np.stack([np.pad(x, (0, length - len(x))) for x, _ in examples])
    return Batch(Tensor(x), Tensor(np.array([y for _, y in examples])))
