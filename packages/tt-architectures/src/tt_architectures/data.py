"""Data: examples, the order they come in, and the batches they are made into (module 09).

A data set gives an example for an index, a sampler says which indices come when, a batch sampler groups them, a loader
makes each group a batch. Arrays are indexed for a whole batch at once, so that loading costs what slicing costs.
Knows nothing of files (``datasets``), of what happens to images (``transforms``), nor how processes work for it
(``workers``).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import islice, repeat
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np

from tt_architectures.layout import Indices, as_index, memory_order, take_rows
from tt_architectures.transforms import Transform
from tt_architectures.workers import Workers
from tt_foundation import Array, Batch, Tensor, default_rng, generator_state, set_generator_state

__all__ = [
    "BatchSampler",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "TensorDataset",
    "default_collate",
    "random_split",
]

Example = TypeVar("Example", covariant=True)


class Dataset(ABC, Generic[Example]):
    """Examples that are numbered: ``dataset[i]`` for ``i`` from 0 to ``len(dataset) - 1``, usually a pair ``(x, y)``.

    A data set that can fetch many at once also has ``__getitems__(indices)``. It returns the list of the examples, or,
    much quicker, a tuple of arrays that hold the whole batch, one array for each part of an example.
    """

    @abstractmethod
    def __getitem__(self, index: int) -> Example: ...

    @abstractmethod
    def __len__(self) -> int: ...


class IterableDataset(ABC, Generic[Example]):
    """Examples that come one after the other, as from a stream whose length nobody knows."""

    @abstractmethod
    def __iter__(self) -> Iterator[Example]: ...


class TensorDataset(Dataset[tuple[Array, ...]]):
    """Arrays or tensors side by side: example ``i`` is ``(x[i], y[i], ...)``.

    Raises:
        ValueError: there are no tensors, or they differ in length.
    """

    def __init__(self, *tensors: Array | Tensor) -> None:
        self.tensors = tuple(t.data if isinstance(t, Tensor) else np.asarray(t) for t in tensors)
        shapes = [t.shape for t in self.tensors]
        if not shapes or any(not shape or shape[0] != shapes[0][0] for shape in shapes):
            raise ValueError(f"TensorDataset needs tensors with first axes of one length, got shapes {shapes}")

    def __getitem__(self, index: int) -> tuple[Array, ...]:
        return tuple(t[index] for t in self.tensors)

    def __getitems__(self, indices: Indices) -> tuple[Array, ...]:
        return tuple(take_rows(t, indices) for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset[Example]):
    """Some of the examples of a data set: number ``i`` is its number ``indices[i]``.

    Raises:
        IndexError: the data set has no such examples.
    """

    def __init__(self, dataset: Dataset[Example], indices: Indices) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices, np.int64)
        size = len(dataset)
        if self.indices.size and not -size <= self.indices.min() <= self.indices.max() < size:
            raise IndexError(f"Subset of {size} examples got indices {self.indices.min()} to {self.indices.max()}")
        self.indices = np.where(self.indices < 0, self.indices + size, self.indices)

    def __getitem__(self, index: int) -> Example:
        return self.dataset[int(self.indices[index])]

    def __getitems__(self, indices: Indices) -> Sequence[Example] | tuple[Array, ...]:
        return _fetch(self.dataset, self.indices[as_index(indices)])

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Dataset[Example], lengths: Sequence[int] | Sequence[float], rng: np.random.Generator | None = None
) -> list[Subset[Example]]:
    """Parts of a data set that share no example, drawn by ``rng.permutation``.

    Args:
        dataset: what to split.
        lengths: of the parts, together all there are; or fractions that sum to 1, each rounded down, what remains going
            one by one to the first parts.
        rng: draws which examples go where.

    Raises:
        ValueError: the lengths do not sum to that of the data set, or the fractions not to 1.
    """
    total = len(dataset)
    sizes = [int(length) for length in lengths]
    if any(length < 0 for length in lengths):
        raise ValueError(f"random_split needs lengths >= 0, got {list(lengths)}")
    if any(isinstance(length, float) for length in lengths) and abs(sum(lengths) - 1) < 1e-6:
        sizes = [int(total * fraction) for fraction in lengths]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
    if sum(sizes) != total:
        raise ValueError(f"random_split needs lengths that sum to {total} or fractions to 1, got {list(lengths)}")
    order = default_rng(rng).permutation(total)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(sizes)[:-1])]


class Sampler(ABC):
    """An order of indices, fixed or drawn anew each time it is gone through."""

    @abstractmethod
    def order(self) -> range | Array:
        """The indices of one pass."""

    def __iter__(self) -> Iterator[int]:
        order = self.order()
        return iter(order if isinstance(order, range) else order.tolist())

    @abstractmethod
    def __len__(self) -> int: ...


class SequentialSampler(Sampler):
    """First to last."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def order(self) -> range:
        return range(len(self.data_source))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Every index once in an order drawn anew each pass (``rng.permutation``), or indices drawn independently.

    Args:
        data_source: whose indices they are.
        replacement: whether each is drawn from all (``rng.integers``).
        num_samples: how many; as many as there are by default. Without replacement a new order begins where one ends.
        rng: draws.

    Raises:
        ValueError: there is nothing to draw from, or ``num_samples`` is below 1.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        if not len(data_source) or (num_samples is not None and num_samples < 1):
            raise ValueError(f"RandomSampler needs examples and samples, got {len(data_source)} and {num_samples}")
        self.data_source = data_source
        self.replacement = replacement
        self.num_samples = num_samples
        self.rng = rng

    def order(self) -> Array:
        rng, total, size = default_rng(self.rng), len(self.data_source), len(self)
        if self.replacement:
            return rng.integers(total, size=size)
        return np.concatenate([rng.permutation(total) for _ in range(-(-size // total))])[:size]

    def __len__(self) -> int:
        return len(self.data_source) if self.num_samples is None else self.num_samples


class BatchSampler:
    """Indices in groups of ``batch_size``.

    Args:
        sampler: the indices.
        batch_size: how many make a group.
        drop_last: whether a last group that is smaller is left out.

    Raises:
        ValueError: ``batch_size`` is below 1.
    """

    def __init__(self, sampler: Sampler | Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[Indices]:
        size = self.batch_size
        if isinstance(self.sampler, Sampler):
            order = self.sampler.order()
            groups: Iterable[Indices] = (order[i : i + size] for i in range(0, len(order), size))
        else:
            indices = iter(self.sampler)
            groups = iter(lambda: list(islice(indices, size)), [])
        return (group for group in groups if len(group) == size or not self.drop_last)

    def __len__(self) -> int:
        if not isinstance(self.sampler, Sized):
            raise TypeError(f"a {type(self.sampler).__name__} has no length, so its batches have none")
        total = len(self.sampler)
        return total // self.batch_size if self.drop_last else -(-total // self.batch_size)


def default_collate(examples: Sequence[Any]) -> Any:
    """A batch of examples: numbers, arrays and tensors stacked, pairs made a :class:`~tt_foundation.datasets.Batch`.

    Other tuples and dictionaries are collated part by part; what is no number (a string) stays in a list.

    Raises:
        ValueError: the examples have different shapes or parts.
    """
    first = examples[0]
    if isinstance(first, Mapping):
        return {key: default_collate([example[key] for example in examples]) for key in first}
    if isinstance(first, tuple):
        return _batch([default_collate(part) for part in zip(*examples, strict=True)])
    if type(first) in (bool, int, float):
        return Tensor(list(examples))
    if isinstance(first, Tensor | np.ndarray | np.generic):
        arrays = [example.data if isinstance(example, Tensor) else example for example in examples]
        order = memory_order(np.asarray(arrays[0]))  # images that lie channels-last are stacked so
        stacked = np.stack([np.transpose(array, order) for array in arrays])
        return Tensor(stacked.transpose(0, *(1 + np.argsort(order))))
    return list(examples)


class DataLoader:
    """Batches of a data set, one pass each time it is gone through.

    Everything random in a pass hangs on one number drawn from ``rng`` at its beginning. While a batch is made, the
    process's generator is seeded for that batch, so that a data set or transform that draws from it gives the same
    for any number of workers.

    Args:
        dataset: what to load. One that is no :class:`Dataset` needs ``dataset[i]`` and ``len(dataset)``.
        batch_size: how many examples make a batch.
        shuffle: whether the order is drawn anew each pass.
        sampler: the order, instead of ``shuffle``.
        batch_sampler: groups of indices, instead of ``batch_size``, ``shuffle``, ``sampler`` and ``drop_last``.
        num_workers: how many processes make batches while the training goes on; 0 makes them when they are asked for.
            An :class:`IterableDataset` is one stream, so at most 1. What is loaded must pickle, and a script must
            do its work under ``if __name__ == "__main__":``, because the processes are started afresh.
        collate_fn: makes a batch of a list of examples; :func:`default_collate` by default.
        drop_last: whether a last batch that is smaller is left out.
        timeout: after how many seconds without a batch from a worker an error is raised; 0 waits for ever.
        worker_init_fn: called in each worker with its number when it starts.
        prefetch_factor: how many batches each worker makes ahead; 2 by default.
        persistent_workers: whether the workers live on for the next pass. They start in some tenths of a second, and
            see the data set as it was when they did.
        transform: ``transform(x, rng)`` for the inputs of the whole batch, run by the workers.
        rng: draws the order and all else.

    Attributes:
        wait_s: how long the latest pass waited for batches, in seconds: what loading cost the training.

    Raises:
        ValueError: arguments that contradict each other or are out of range.
    """

    def __init__(
        self,
        dataset: Dataset[Any] | IterableDataset[Any] | Sequence[Any],
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        sampler: Sampler | Iterable[int] | None = None,
        batch_sampler: Iterable[Indices] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Batch] | None = None,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        prefetch_factor: int = 2,
        persistent_workers: bool = False,
        transform: Transform | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        is_stream = isinstance(dataset, IterableDataset)
        if is_stream and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("an IterableDataset has its own order: no shuffle, sampler or batch_sampler")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader takes a sampler or shuffle, not both")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("a batch_sampler takes the place of batch_size, shuffle, sampler and drop_last")
        if num_workers < 0 or prefetch_factor < 1 or timeout < 0:
            raise ValueError(
                f"DataLoader needs num_workers >= 0, prefetch_factor >= 1 and timeout >= 0, "
                f"got {num_workers}, {prefetch_factor} and {timeout}"
            )
        if is_stream and num_workers > 1:
            raise ValueError(f"an IterableDataset is one stream, for at most 1 worker, got num_workers={num_workers}")
        if sampler is None and isinstance(dataset, Sized):
            sampler = RandomSampler(dataset, rng=rng) if shuffle else SequentialSampler(dataset)
        if batch_sampler is None:
            batch_sampler = BatchSampler(() if sampler is None else sampler, batch_size, drop_last)
        self.dataset = dataset
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers
        self.transform = transform
        self.rng: np.random.Generator | None = getattr(sampler, "rng", None) if rng is None else rng
        self.wait_s = 0.0
        self._idle: Workers[_Task, Batch] | None = None

    def __len__(self) -> int:
        if not isinstance(self.batch_sampler, Sized) or not isinstance(self.dataset, Sized):
            raise TypeError("the number of batches is not known: the data set or batch sampler has no length")
        return len(self.batch_sampler)

    def __iter__(self) -> Generator[Batch, None, None]:
        maker = _BatchMaker(self.dataset, self.collate_fn, self.transform, self.drop_last)
        batches = self._made_by_workers(maker) if self.num_workers else map(maker, self._tasks())
        self.wait_s = 0.0
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            self.wait_s += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    def _tasks(self) -> Iterator[_Task]:
        """What the batches of a pass are to be made of: indices, or how many of a stream."""
        seed = int(default_rng(self.rng).integers(2**63))
        is_stream = isinstance(self.dataset, IterableDataset)
        groups: Iterable[Indices | int] = repeat(self.batch_size) if is_stream else self.batch_sampler
        for number, group in enumerate(groups):
            yield group, seed, number

    def _made_by_workers(self, maker: _BatchMaker) -> Generator[Batch, None, None]:
        """The batches of a pass, from processes that are gone when it ends, however it ends, or stay for the next."""
        workers, self._idle = self._idle, None
        if workers is None or not workers.is_idle:
            count, ahead, init = self.num_workers, self.prefetch_factor, self.worker_init_fn
            workers = Workers[_Task, Batch](maker, count, prefetch=ahead, timeout_s=self.timeout, init=init)
        try:
            yield from workers.map(self._tasks())
        finally:
            if self.persistent_workers and workers.is_idle:
                self._idle = workers
            else:
                workers.close()


_Task: TypeAlias = "tuple[Indices | int, int, int]"


class _BatchMaker:
    """Makes one batch of a pass, in whichever process it is."""

    def __init__(
        self,
        dataset: Dataset[Any] | IterableDataset[Any] | Sequence[Any],
        collate_fn: Callable[[list[Any]], Batch] | None,
        transform: Transform | None,
        drop_last: bool,
    ) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.transform = transform
        self.drop_last = drop_last
        self.stream: Iterator[Any] = iter(())
        self.draws = transform is not None or collate_fn is not None or type(dataset) is not TensorDataset

    def __call__(self, task: _Task) -> Batch | None:
        """Batch ``number`` of the pass with this seed; None when a stream has ended."""
        group, seed, number = task
        if not self.draws:
            return self._collated(group, number)
        before = generator_state()
        set_generator_state(np.random.default_rng((seed, number)).bit_generator.state)
        try:
            batch = self._collated(group, number)
            if batch is not None and self.transform is not None:
                if not isinstance(batch, Batch):
                    raise TypeError(f"transform is for batches of pairs (x, y), got a {type(batch).__name__}")
                batch = batch._replace(x=Tensor(self.transform(batch.x.data, default_rng())))
            return batch
        finally:
            set_generator_state(before)

    def _collated(self, group: Indices | int, number: int) -> Any:
        examples: Sequence[Any] | tuple[Array, ...]
        if isinstance(self.dataset, IterableDataset):
            assert isinstance(group, int)
            if number == 0:
                self.stream = iter(self.dataset)
            examples = list(islice(self.stream, group))
            if len(examples) < (group if self.drop_last else 1):
                return None
        else:
            assert not isinstance(group, int)
            examples = _fetch(self.dataset, group)
        if self.collate_fn is not None:
            batch = self.collate_fn(list(zip(*examples, strict=True) if isinstance(examples, tuple) else examples))
            if batch is None:
                raise TypeError("collate_fn must return a batch, got None")
            return batch
        if isinstance(examples, tuple):
            return _batch([Tensor(part) for part in examples])
        return default_collate(examples)


def _batch(parts: Sequence[Any]) -> Any:
    return Batch(*parts) if len(parts) == 2 else tuple(parts)


def _fetch(dataset: Any, indices: Indices) -> Sequence[Any] | tuple[Array, ...]:
    """A list of examples, or a tuple of arrays that hold all of them where the data set can give that."""
    if hasattr(dataset, "__getitems__"):
        return dataset.__getitems__(indices)
    return [dataset[i] for i in (indices.tolist() if isinstance(indices, np.ndarray) else indices)]
