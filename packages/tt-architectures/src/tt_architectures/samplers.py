"""Further samplers: indices by weight, and the share of one of several processes.

The samplers that every training needs, and what a sampler is, stand in ``data``.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized

import numpy as np

from tt_architectures.data import Sampler
from tt_foundation import Array, default_rng

__all__ = ["DistributedSampler", "WeightedRandomSampler"]


class WeightedRandomSampler(Sampler):
    """Index ``i`` as often as ``weights[i]`` says, drawn by ``rng.choice``.

    Args:
        weights: of each index; they need not sum to 1.
        num_samples: how many to draw.
        replacement: whether an index may come more than once.
        rng: draws.

    Raises:
        ValueError: a weight is negative or not finite, all are 0, or fewer are above 0 than must be drawn.
    """

    def __init__(
        self,
        weights: Sequence[float] | Array,
        num_samples: int,
        replacement: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.weights = np.asarray(weights, np.float64)
        if self.weights.ndim != 1 or not np.isfinite(self.weights).all() or (self.weights < 0).any():
            raise ValueError("WeightedRandomSampler needs a row of finite weights >= 0")
        possible = np.count_nonzero(self.weights)
        if num_samples < 1 or possible < (1 if replacement else num_samples):
            raise ValueError(f"WeightedRandomSampler cannot draw {num_samples} from {possible} weights above 0")
        self.num_samples = num_samples
        self.replacement = replacement
        self.rng = rng

    def order(self) -> Array:
        chances = self.weights / self.weights.sum()
        return default_rng(self.rng).choice(len(chances), self.num_samples, self.replacement, chances)

    def __len__(self) -> int:
        return self.num_samples


class DistributedSampler(Sampler):
    """The share of one of several processes: all draw the same order, and each takes every ``num_replicas``-th of it.

    Args:
        dataset: whose indices they are.
        num_replicas: how many processes there are.
        rank: which of them this is.
        shuffle: whether the order is drawn, from ``seed`` and the epoch, or fixed.
        seed: the same in all processes.
        drop_last: whether what does not divide evenly is left out; else some are repeated, so that all have as many.

    Raises:
        ValueError: there is no such rank.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int,
        rank: int,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if not 0 <= rank < num_replicas:
            raise ValueError(f"DistributedSampler needs 0 <= rank < num_replicas, got {rank} and {num_replicas}")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of this epoch from now on; without it every pass has the same."""
        self.epoch = epoch

    def order(self) -> Array:
        total = len(self.dataset)
        order = np.arange(total)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(total)
        return np.resize(order, len(self) * self.num_replicas)[self.rank :: self.num_replicas]

    def __len__(self) -> int:
        total = len(self.dataset)
        return total // self.num_replicas if self.drop_last else -(-total // self.num_replicas)
