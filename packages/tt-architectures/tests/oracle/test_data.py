"""Data against PyTorch: which indices come, how batches are cut and what they are made of."""

from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import data as torch_data

from tt_architectures.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    default_collate,
    random_split,
)
from tt_architectures.samplers import DistributedSampler, WeightedRandomSampler
from tt_architectures.transforms import Normalize, RandomCrop
from tt_foundation import Batch, Tensor

SIZES = [1, 2, 7, 10]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 10, 11])
@pytest.mark.parametrize("size", SIZES)
def test_batches_of_indices(size: int, batch_size: int, drop_last: bool) -> None:
    ours = BatchSampler(SequentialSampler(range(size)), batch_size, drop_last)
    theirs = torch_data.BatchSampler(torch_data.SequentialSampler(range(size)), batch_size, drop_last)
    assert [list(group) for group in ours] == list(theirs)
    assert len(ours) == len(theirs)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("size", SIZES)
def test_shares_of_processes(size: int, replicas: int, drop_last: bool) -> None:
    for rank in range(replicas):
        ours = DistributedSampler(range(size), replicas, rank, shuffle=False, drop_last=drop_last)
        theirs = torch_data.DistributedSampler(range(size), replicas, rank, shuffle=False, drop_last=drop_last)  # type: ignore[arg-type]
        if drop_last and size < replicas:
            continue  # PyTorch raises there or gives an index twice; here nobody has any
        assert len(ours) == len(theirs)
        assert list(ours) == list(theirs)


@pytest.mark.parametrize(
    ("replacement", "num_samples"), [(False, None), (False, 4), (False, 23), (True, None), (True, 50)]
)
def test_random_samplers(replacement: bool, num_samples: int | None) -> None:
    ours = RandomSampler(range(10), replacement, num_samples)
    theirs = torch_data.RandomSampler(range(10), replacement, num_samples)
    assert len(ours) == len(theirs) == len(list(ours)) == len(list(theirs))
    if not replacement:
        counts = [np.sort(np.bincount(list(sampler), minlength=10)).tolist() for sampler in (ours, theirs)]
        assert counts[0] == counts[1]


def test_weights_need_not_sum_to_one() -> None:
    weights = [1.0, 0.0, 3.0, 4.0]
    for replacement, number in ((True, 20_000), (False, 3)):
        ours = WeightedRandomSampler(weights, number, replacement, np.random.default_rng(0))
        theirs = torch_data.WeightedRandomSampler(weights, number, replacement, torch.Generator().manual_seed(0))
        counts = [np.bincount(list(sampler), minlength=4) / number for sampler in (ours, theirs)]
        np.testing.assert_allclose(counts[0], counts[1], atol=0.02)


@pytest.mark.filterwarnings("ignore:Length of split")
@pytest.mark.parametrize("lengths", [[7, 3], [0.5, 0.5], [0.34, 0.33, 0.33], [0.1] * 10, [0.99, 0.01], [1.0, 0.0]])
@pytest.mark.parametrize("size", [10, 11, 97])
def test_sizes_of_a_split(size: int, lengths: list[Any]) -> None:
    if isinstance(lengths[0], int):
        size = 10
    ours = random_split(TensorDataset(np.arange(size)), lengths)
    theirs = torch_data.random_split(torch_data.TensorDataset(torch.arange(size)), lengths)
    assert [len(part) for part in ours] == [len(part) for part in theirs]
    assert sorted(chain(*(part.indices.tolist() for part in ours))) == sorted(chain(*(p.indices for p in theirs)))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 20])
def test_batches_in_order(batch_size: int, drop_last: bool) -> None:
    x, y = np.random.default_rng(0).random((11, 3, 2), dtype=np.float32), np.arange(11)
    ours = DataLoader(TensorDataset(x, y), batch_size, drop_last=drop_last)
    tensors = torch_data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    theirs = torch_data.DataLoader(tensors, batch_size, drop_last=drop_last)
    assert len(ours) == len(theirs)
    for batch, (torch_x, torch_y) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(batch.x.data, torch_x.numpy())
        np.testing.assert_array_equal(batch.y.data, torch_y.numpy())


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, Tensor):
        return ours.data.tolist() == theirs.tolist()
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, Batch | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return list(ours) == list(theirs)


@pytest.mark.parametrize(
    "examples",
    [
        [1, 2, 3],
        [0.5, 1.5],
        [True, False],
        [(1, 0.5), (2, 1.5)],
        [(np.arange(3), 1, "a"), (np.arange(3), 2, "b")],
        [{"x": np.ones((2, 2)), "y": (1, 2)}] * 3,
    ],
)
def test_what_examples_are_collated_to(examples: list[Any]) -> None:
    assert same(default_collate(examples), torch_data.default_collate(examples))


def test_reflection_at_the_edges() -> None:
    x = np.random.default_rng(0).random((2, 3, 6, 5), dtype=np.float32)
    padded = torch.nn.functional.pad(torch.from_numpy(x), (3, 3, 3, 3), mode="reflect").numpy()
    down, right = np.random.default_rng(1).integers(7, size=(2, 2))
    ours = RandomCrop(3)(x, np.random.default_rng(1))
    for i in range(2):
        np.testing.assert_array_equal(ours[i], padded[i, :, down[i] : down[i] + 6, right[i] : right[i] + 5])


def test_normalisation() -> None:
    x = np.random.default_rng(0).random((2, 3, 6, 5), dtype=np.float32)
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    theirs = (torch.from_numpy(x) - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    np.testing.assert_allclose(Normalize(mean, std)(x), theirs.numpy(), rtol=1e-5, atol=1e-6)
