"""Data: what comes, in which order, in which batches, and the same for any number of workers."""

import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tt_architectures.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    default_collate,
    random_split,
)
from tt_architectures.samplers import DistributedSampler, WeightedRandomSampler
from tt_architectures.transforms import Compose, RandomCrop, RandomHorizontalFlip
from tt_architectures.workers import WorkerError
from tt_foundation import (
    Adam,
    Array,
    Batch,
    CrossEntropyLoss,
    Linear,
    Sequential,
    Tensor,
    Trainer,
    default_rng,
    generator_state,
    manual_seed,
)

X = np.arange(20, dtype=np.float32).reshape(10, 2)
Y = np.arange(10)
PAIRS = TensorDataset(X, Y)
IMAGES = np.random.default_rng(0).random((50, 6, 5, 3), dtype=np.float32).transpose(0, 3, 1, 2)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ys(loader: DataLoader) -> list[list[int]]:
    return [batch.y.data.tolist() for batch in loader]


class Squares(Dataset[tuple[float, int]]):
    """Plain Python numbers, one by one."""

    def __getitem__(self, index: int) -> tuple[float, int]:
        assert type(index) is int
        return float(index**2), index

    def __len__(self) -> int:
        return 7


@pytest.fixture(scope="module")
def cases() -> Iterator[Any]:
    """What workers must be able to import."""
    sys.path.insert(0, str(Path(__file__).parent))
    import worker_cases

    yield worker_cases
    sys.path.remove(str(Path(__file__).parent))


def test_a_tensor_data_set_gives_examples_and_whole_batches() -> None:
    x, y = PAIRS[3]
    assert (x.tolist(), int(y), len(PAIRS)) == ([6, 7], 3, 10)
    xs, ys = PAIRS.__getitems__(np.array([3, -1]))
    assert (xs.tolist(), ys.tolist()) == ([[6, 7], [18, 19]], [3, 9])
    assert TensorDataset(Tensor(X))[0][0].tolist() == [0, 1]


@pytest.mark.parametrize("tensors", [(), (X, Y[:9]), (np.array(1.0),), (X, np.array(1.0))])
def test_tensors_that_do_not_go_together_are_refused(tensors: tuple[Array, ...]) -> None:
    with pytest.raises(ValueError, match="first axes of one length, got shapes"):
        TensorDataset(*tensors)


def test_rows_in_order_are_not_copied() -> None:
    assert all(np.shares_memory(batch.x.data, X) for batch in DataLoader(PAIRS, 4))


@pytest.mark.parametrize("shuffle", [False, True])
def test_images_keep_their_channels_last(shuffle: bool) -> None:
    for batch in DataLoader(TensorDataset(IMAGES, np.arange(50)), 16, shuffle=shuffle):
        assert batch.x.data.transpose(0, 2, 3, 1).flags.c_contiguous
        np.testing.assert_array_equal(batch.x.data, IMAGES[batch.y.data])


def test_arrays_in_any_layout_are_indexed_right() -> None:
    order = rng().permutation(10)
    for x in (np.asfortranarray(X), X[:, ::-1], np.broadcast_to(np.float32(1), (10, 3)), X.T.copy().T, X[:, :1]):
        (batch,) = DataLoader(TensorDataset(x, Y), 10, sampler=order.tolist())
        np.testing.assert_array_equal(batch.x.data, x[order])


@pytest.mark.parametrize("dataset", [PAIRS, Squares(), [(1.0, 2), (3.0, 4), (5.0, 6)]])
def test_subsets_of_subsets_give_the_examples_named(dataset: Any) -> None:
    subset = Subset(Subset(dataset, [2, 0, -1]), np.array([1, 2]))
    assert len(subset) == 2
    for i, original in enumerate([0, len(dataset) - 1]):
        assert [np.asarray(part).tolist() for part in subset[i]] == [
            np.asarray(part).tolist() for part in dataset[original]
        ]
    (batch,) = DataLoader(subset, 2)
    assert batch.y.data.tolist() == [int(dataset[0][1]), int(dataset[len(dataset) - 1][1])]


@pytest.mark.parametrize("indices", [[10], [-11], [0, 99]])
def test_a_subset_of_what_is_not_there_is_refused(indices: list[int]) -> None:
    with pytest.raises(IndexError, match="Subset of 10 examples got indices"):
        Subset(PAIRS, indices)


@pytest.mark.parametrize(
    ("lengths", "sizes"), [([7, 3], [7, 3]), ([0.5, 0.25, 0.25], [6, 2, 2]), ([10, 0], [10, 0]), ([1.0], [10])]
)
def test_a_split_shares_nothing_and_leaves_out_nothing(lengths: list[Any], sizes: list[int]) -> None:
    parts = random_split(PAIRS, lengths, rng())
    again = random_split(PAIRS, lengths, rng())
    assert [len(part) for part in parts] == sizes
    assert sorted(chain(*(part.indices.tolist() for part in parts))) == list(range(10))
    assert [part.indices.tolist() for part in parts] == [part.indices.tolist() for part in again]
    assert list(chain(*(part.indices.tolist() for part in parts))) != list(range(10))


@pytest.mark.parametrize("lengths", [[5, 4], [0.5, 0.4], [11, -1], []])
def test_a_split_that_does_not_sum_up_is_refused(lengths: list[Any]) -> None:
    with pytest.raises(ValueError, match="random_split needs lengths"):
        random_split(PAIRS, lengths)


WEIGHTS = [0.0, 1.0, 3.0, 0.0, 6.0]
SAMPLERS: dict[str, Callable[[np.random.Generator], Sampler]] = {
    "sequential": lambda g: SequentialSampler(PAIRS),
    "random": lambda g: RandomSampler(PAIRS, rng=g),
    "random, more than there are": lambda g: RandomSampler(PAIRS, num_samples=25, rng=g),
    "random, with replacement": lambda g: RandomSampler(PAIRS, True, 1000, g),
    "weighted": lambda g: WeightedRandomSampler(WEIGHTS, 5000, rng=g),
    "weighted, without replacement": lambda g: WeightedRandomSampler(WEIGHTS, 3, False, g),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_gives_as_many_indices_as_it_says_the_same_for_the_same_seed(name: str) -> None:
    sampler, again = SAMPLERS[name](rng()), SAMPLERS[name](rng())
    first, second = list(sampler), list(sampler)
    assert len(first) == len(second) == len(sampler)
    assert (first, second) == (list(again), list(again))
    assert all(type(index) is int for index in first)
    assert (first == second) == (name == "sequential") or name == "weighted, without replacement"


def test_samplers_draw_what_they_promise() -> None:
    assert sorted(SAMPLERS["random"](rng())) == list(range(10))
    many = list(SAMPLERS["random, more than there are"](rng()))
    assert np.bincount(many[:20]).tolist() == [2] * 10
    counts = np.bincount(list(SAMPLERS["random, with replacement"](rng())), minlength=10)
    assert counts.min() > 60
    shares = np.bincount(list(SAMPLERS["weighted"](rng())), minlength=5) / 5000
    np.testing.assert_allclose(shares, np.array(WEIGHTS) / 10, atol=0.03)
    assert sorted(SAMPLERS["weighted, without replacement"](rng())) == [1, 2, 4]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("size", "replicas"), [(10, 3), (10, 5), (2, 5), (1, 1)])
def test_the_shares_of_all_processes_cover_the_data(size: int, replicas: int, drop_last: bool) -> None:
    shares = [DistributedSampler(range(size), replicas, rank, drop_last=drop_last) for rank in range(replicas)]
    drawn = [list(share) for share in shares]
    assert {len(part) for part in drawn} == {len(shares[0])}
    assert set(chain(*drawn)) == set(range(size)) or drop_last
    if drop_last or size % replicas == 0:
        assert len(set(chain(*drawn))) == sum(len(part) for part in drawn)


def test_the_order_of_distributed_samplers_changes_with_the_epoch_only() -> None:
    sampler = DistributedSampler(range(100), 2, 0)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(DistributedSampler(range(5), 2, 1, shuffle=False)) == [1, 3, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomSampler([]), "got 0 and None"),
        (lambda: RandomSampler(PAIRS, num_samples=0), "got 10 and 0"),
        (lambda: WeightedRandomSampler([1, -1], 1), "finite weights >= 0"),
        (lambda: WeightedRandomSampler([1, np.nan], 1), "finite weights >= 0"),
        (lambda: WeightedRandomSampler([[1]], 1), "a row of"),  # type: ignore[list-item]
        (lambda: WeightedRandomSampler([0, 0], 1), "cannot draw 1 from 0 weights above 0"),
        (lambda: WeightedRandomSampler([1, 0], 2, False), "cannot draw 2 from 1 weights above 0"),
        (lambda: WeightedRandomSampler([1], 0), "cannot draw 0"),
        (lambda: DistributedSampler(PAIRS, 2, 2), "0 <= rank < num_replicas, got 2 and 2"),
        (lambda: BatchSampler(range(3), 0), "batch_size must be at least 1, got 0"),
        (lambda: DataLoader(PAIRS, 0), "batch_size must be at least 1, got 0"),
        (lambda: DataLoader(PAIRS, shuffle=True, sampler=[1]), "a sampler or shuffle, not both"),
        (lambda: DataLoader(PAIRS, 2, batch_sampler=[[1]]), "takes the place of batch_size"),
        (lambda: DataLoader(PAIRS, drop_last=True, batch_sampler=[[1]]), "takes the place of"),
        (lambda: DataLoader(PAIRS, num_workers=-1), "num_workers >= 0"),
        (lambda: DataLoader(PAIRS, prefetch_factor=0), "prefetch_factor >= 1"),
        (lambda: DataLoader(PAIRS, timeout=-1), "timeout >= 0"),
        (lambda: DataLoader(Naturals(), shuffle=True), "an IterableDataset has its own order"),
        (lambda: DataLoader(Naturals(), num_workers=2), "at most 1 worker, got num_workers=2"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


class Naturals(IterableDataset[tuple[int, int]]):
    """As many as are asked for."""

    def __init__(self, end: int | None = None) -> None:
        self.end = end

    def __iter__(self) -> Iterator[tuple[int, int]]:
        number = 0
        while number != self.end:
            yield number, number
            number += 1


@pytest.mark.parametrize("sampler", [SequentialSampler(range(7)), range(7), [0, 1, 2, 3, 4, 5, 6]])
def test_indices_are_grouped(sampler: Any) -> None:
    groups = BatchSampler(sampler, 3)
    assert [list(group) for group in groups] == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(groups) == 3
    groups = BatchSampler(sampler, 3, drop_last=True)
    assert [list(group) for group in groups] == [[0, 1, 2], [3, 4, 5]]
    assert len(groups) == 2
    with pytest.raises(TypeError, match="has no length"):
        len(BatchSampler(iter([1]), 1))


def test_examples_are_collated_part_by_part() -> None:
    batch = default_collate([(1.5, 2), (2.5, 3)])
    assert isinstance(batch, Batch)
    assert (batch.x.dtype, batch.y.dtype) == (np.float32, np.int64)
    assert batch.x.data.tolist() == [1.5, 2.5]
    nested = default_collate([{"a": (np.zeros(2), Tensor([1.0]), "x"), "b": True}] * 3)
    zeros, ones, names = nested["a"]
    assert (zeros.shape, ones.shape, names, nested["b"].dtype) == ((3, 2), (3, 1), ["x"] * 3, np.bool_)
    assert default_collate([np.float64(1), np.float64(2)]).dtype == np.float64
    stacked = default_collate(list(IMAGES[:4]))
    np.testing.assert_array_equal(stacked.data, IMAGES[:4])
    assert stacked.data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_examples_that_differ_in_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="same shape"):
        default_collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(ValueError, match="zip"):
        default_collate([(1, 2), (1, 2, 3)])


def test_a_loader_goes_through_everything_in_order_or_in_a_fresh_one_each_time() -> None:
    assert ys(DataLoader(PAIRS, 4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert ys(DataLoader(PAIRS, 4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    loader, again = (DataLoader(PAIRS, 4, shuffle=True, rng=rng()) for _ in range(2))
    first, second = ys(loader), ys(loader)
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(10))
    assert first != second
    assert (first, second) == (ys(again), ys(again))
    assert len(loader) == 3


@pytest.mark.parametrize("dataset", [PAIRS, Squares(), [(1.0, 2)] * 5, Naturals(7)])
def test_every_kind_of_data_set_comes_in_batches(dataset: Any) -> None:
    for batch in DataLoader(dataset, 3):
        assert isinstance(batch, Batch)
        assert len(batch.x) == len(batch.y) <= 3


def test_data_sets_that_fetch_many_may_give_a_list() -> None:
    class Listed(Squares):
        def __getitems__(self, indices: Any) -> list[tuple[float, int]]:
            return [self[int(i)] for i in indices]

    assert ys(DataLoader(Listed(), 4, shuffle=True, rng=rng())) == ys(DataLoader(Squares(), 4, shuffle=True, rng=rng()))


def test_other_than_pairs_come_as_tuples() -> None:
    ((x,),) = DataLoader(TensorDataset(X), 10)
    assert x.shape == (10, 2)  # type: ignore[attr-defined]
    (three,) = DataLoader(TensorDataset(X, Y, Y), 10)
    assert len(three) == 3


def test_a_stream_ends_when_it_ends() -> None:
    assert ys(DataLoader(Naturals(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert ys(DataLoader(Naturals(7), 3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]
    assert ys(DataLoader(Naturals(0), 3)) == []
    endless = iter(DataLoader(Naturals(), 2))
    assert [next(endless).y.data.tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(TypeError, match="the number of batches is not known"):
        len(DataLoader(Naturals(7), 3))


def test_samplers_and_batch_samplers_say_what_comes() -> None:
    assert ys(DataLoader(PAIRS, 2, sampler=[9, 0, 5])) == [[9, 0], [5]]
    loader = DataLoader(PAIRS, batch_sampler=[[1, 2, 3], [4]])
    assert (ys(loader), len(loader)) == ([[1, 2, 3], [4]], 2)


def test_a_collate_function_gets_the_examples() -> None:
    def reverse(examples: list[Any]) -> Batch:
        assert isinstance(examples, list)
        return Batch(*(Tensor(np.array(part)[::-1]) for part in zip(*examples, strict=True)))

    for dataset in (PAIRS, [(x, int(y)) for x, y in zip(X, Y, strict=True)]):
        assert ys(DataLoader(dataset, 5, collate_fn=reverse)) == [[4, 3, 2, 1, 0], [9, 8, 7, 6, 5]]
    with pytest.raises(TypeError, match="collate_fn must return a batch, got None"):
        list(DataLoader(PAIRS, collate_fn=lambda examples: None))  # type: ignore[arg-type, return-value]


def test_a_transform_gets_the_inputs_of_the_batch_and_a_generator() -> None:
    loader = DataLoader(PAIRS, 4, transform=lambda x, rng: x + rng.random(x.shape, np.float32), rng=rng())
    first, second = list(loader), list(loader)
    for batch, other in zip(first, second, strict=True):
        assert ((batch.x.data >= X[batch.y.data]) & (batch.x.data < X[batch.y.data] + 1)).all()
        assert not np.array_equal(batch.x.data, other.x.data)
    assert not np.array_equal(first[0].x.data - X[:4], first[1].x.data - X[4:8])
    with pytest.raises(TypeError, match=r"batches of pairs \(x, y\), got a tuple"):
        list(DataLoader(TensorDataset(X), transform=lambda x, rng: x))


def test_a_pass_takes_one_number_and_an_order_from_the_generator_and_leaves_it_else_alone(cases: Any) -> None:
    manual_seed(3)
    list(DataLoader(cases.Drawn(8), 2, transform=cases.add_noise))
    after = generator_state()
    manual_seed(3)
    default_rng().integers(2**63)
    assert generator_state() == after


def test_an_error_in_a_data_set_is_raised_as_it_is_and_leaves_the_generator_alone(cases: Any) -> None:
    loader = DataLoader(cases.Trap(8, 5, "fails"), 2, rng=rng())
    before = generator_state()
    with pytest.raises(ValueError, match="the seventh seal"):
        list(loader)
    assert generator_state() == before


def recipes(cases: Any) -> dict[str, Callable[[int], DataLoader]]:
    augmented = Compose([RandomCrop(2), RandomHorizontalFlip(), cases.add_noise])
    images = TensorDataset(IMAGES, np.arange(50))
    texts = [(np.arange(n + 1), n) for n in range(20)]

    def loader(dataset: Any, size: int, shuffle: bool, workers: int, **options: Any) -> DataLoader:
        return DataLoader(dataset, size, shuffle, num_workers=workers, persistent_workers=True, rng=rng(1), **options)

    return {
        "images": lambda n: loader(images, 8, True, n, transform=augmented),
        "drawn": lambda n: loader(cases.Drawn(20), 3, True, n, transform=cases.add_noise),
        "drawn at once": lambda n: loader(cases.Noisy(X, Y), 3, True, n),
        "padded": lambda n: loader(texts, 4, True, n, collate_fn=cases.longest),
        "stream": lambda n: loader(cases.Stream(20), 3, False, min(n, 1)),
    }


@pytest.mark.parametrize("name", ["images", "drawn", "drawn at once", "padded", "stream"])
def test_the_same_seed_gives_the_same_batches_for_any_number_of_workers(cases: Any, name: str) -> None:
    loaders = [recipes(cases)[name](workers) for workers in ((0, 1) if name == "stream" else (0, 1, 2))]
    for _ in range(2):
        alone, *others = [list(loader) for loader in loaders]
        assert len(alone) >= 4
        for batches in others:
            for a, b in zip(alone, batches, strict=True):
                assert (a.x.dtype, a.x.data.strides) == (b.x.dtype, b.x.data.strides)
                np.testing.assert_array_equal(a.x.data, b.x.data)
                np.testing.assert_array_equal(a.y.data, b.y.data)
    assert len(multiprocessing.active_children()) == (1 if name == "stream" else 3)
    del loaders
    gc.collect()
    assert not multiprocessing.active_children()


def test_persistent_workers_live_as_long_as_their_loader(cases: Any) -> None:
    loader = DataLoader(cases.Drawn(20), 3, num_workers=2, persistent_workers=True, rng=rng(1))
    reference = DataLoader(cases.Drawn(20), 3, rng=rng(1))
    seen = []
    for _ in range(3):
        for a, b in zip(loader, reference, strict=True):
            np.testing.assert_array_equal(a.x.data, b.x.data)
        seen.append({process.pid for process in multiprocessing.active_children()})
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == 2
    for _ in loader:
        break
    next(iter(reference))
    gc.collect()
    assert not multiprocessing.active_children()  # a pass abandoned half-way ends them,
    assert ys(loader) == ys(reference)  # and the next one has new ones
    assert len(multiprocessing.active_children()) == 2
    del loader, a, b
    gc.collect()
    assert not multiprocessing.active_children()


def test_two_passes_at_a_time_do_not_disturb_each_other(cases: Any) -> None:
    loader = DataLoader(cases.Drawn(12), 3, num_workers=1, persistent_workers=True)
    pairs = [(a.y.data.tolist(), b.y.data.tolist()) for a, b in zip(loader, loader, strict=True)]
    assert [a for a, _ in pairs] == [b for _, b in pairs] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]


@pytest.mark.parametrize(
    ("action", "argument", "expected"),
    [("fails", None, "ValueError: the seventh seal"), ("dies", 9, "was killed by SIGKILL"), ("sleeps", 600, "hangs")],
)
def test_what_goes_wrong_in_a_worker_is_raised_here_and_ends_all(
    cases: Any, action: str, argument: Any, expected: str
) -> None:
    loader = DataLoader(
        cases.Trap(40, 20, action, argument), 2, num_workers=2, timeout=0.5 if action == "sleeps" else 0
    )
    with pytest.raises(WorkerError, match=expected):
        list(loader)
    gc.collect()
    assert not multiprocessing.active_children()


def test_workers_are_told_their_number(cases: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKS", str(tmp_path))
    list(DataLoader(cases.Drawn(4), num_workers=2, worker_init_fn=cases.mark))
    assert sorted(os.listdir(tmp_path)) == ["0", "1"]


def test_loading_overlaps_training_and_the_wait_says_so(cases: Any) -> None:
    dataset = cases.Slow(np.zeros((48, 2)), np.zeros(48))
    alone = DataLoader(dataset, 8)
    list(alone)
    assert alone.wait_s >= 6 * dataset.seconds
    loader = DataLoader(dataset, 8, num_workers=1, persistent_workers=True)
    list(loader)
    began = time.monotonic()
    for _ in loader:
        time.sleep(2 * dataset.seconds)  # a training step
    assert loader.wait_s < 4 * dataset.seconds
    assert time.monotonic() - began - loader.wait_s >= 12 * dataset.seconds


def test_a_trainer_resumes_in_the_middle_of_an_epoch_with_the_same_bits(cases: Any, tmp_path: Path) -> None:
    x = rng().normal(size=(60, 4)).astype(np.float32)
    dataset = TensorDataset(x, (x[:, 0] > 0).astype(np.int64))

    def trainer() -> Trainer:
        manual_seed(0)
        model = Sequential([Linear(4, 2)])
        return Trainer(model, Adam(model.parameters(), lr=0.01), CrossEntropyLoss(), progress=False)

    def loader(workers: int = 0) -> DataLoader:
        return DataLoader(dataset, 8, True, transform=cases.add_noise, num_workers=workers, rng=rng(2))

    def weights(t: Trainer) -> list[list[float]]:
        return [p.data.ravel().tolist() for p in t.model.parameters()]

    whole, first, second = trainer(), trainer(), trainer()
    whole.fit(loader(), 3)

    class Stop(Exception):  # noqa: N818
        pass

    def until_step_11(self: Any, *_: Any) -> None:
        if first._place.step == 11:
            raise Stop

    first.callbacks[0].on_step_end = until_step_11  # type: ignore[method-assign, assignment]
    with pytest.raises(Stop):
        first.fit(loader(1), 3, checkpoint=tmp_path / "run", checkpoint_every=5)
    second.resume(tmp_path / "run")
    second.fit(loader(2), 3)
    assert weights(second) == weights(whole)
