"""1986: back-propagation reads handwriting.

A multi-layer perceptron on MNIST (where TT_DATA or the cache has it) or on scikit-learn's digits. Rumelhart, Hinton and
Williams (1986), Learning Representations by Back-Propagating Errors.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

import numpy as np

from tt_foundation.activations import ReLU
from tt_foundation.datasets import Batch, batches
from tt_foundation.layers import Dropout, Linear, Sequential
from tt_foundation.losses import cross_entropy
from tt_foundation.metrics import accuracy
from tt_foundation.milestones.command import Result, load, run
from tt_foundation.optim import AdamW
from tt_foundation.primitive import Array
from tt_foundation.random import default_rng
from tt_foundation.schedules import OneCycleLR
from tt_foundation.training import Trainer

__all__ = ["main"]


def shifted(x: Array, rng: np.random.Generator) -> Array:
    """Square images moved by up to one pixel either way, one draw for each: ``(n, pixels) -> (n, pixels)``."""
    size = int(x.shape[1] ** 0.5)
    padded = np.pad(x.reshape(-1, size, size), [(0, 0), (1, 1), (1, 1)])
    moves = rng.integers(0, 9, len(x))
    out = np.empty((len(x), size, size), x.dtype)
    for move in range(9):
        down, right = divmod(move, 3)
        chosen = moves == move
        out[chosen] = padded[chosen, down : down + size, right : right + size]
    return out.reshape(len(x), -1)


class ShiftedBatches:
    """Batches of images in a random order, all shifted anew every time they are gone through."""

    def __init__(self, x: Array, y: Array, size: int, rng: np.random.Generator) -> None:
        self.x, self.y, self.size, self.rng = x, y, size, rng

    def __len__(self) -> int:
        return -(-len(self.x) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        yield from batches(shifted(self.x, self.rng), self.y, self.size, self.rng)


def main(options: argparse.Namespace) -> Result:
    """Train on shifted images; the accuracy is on the test half."""
    data = load(options.data)
    model = Sequential(
        [Linear(data.train_x.shape[1], 256), ReLU(), Dropout(0.1), Linear(256, 128), ReLU(), Linear(128, 10)]
    )
    optimizer = AdamW(model.parameters(), weight_decay=0.01)
    train = ShiftedBatches(data.train_x, data.train_y, 128, default_rng())
    schedule = OneCycleLR(optimizer, max_lr=3e-3, total_steps=options.epochs * len(train), pct_start=0.2)
    trainer = Trainer(
        model, optimizer, cross_entropy, schedule=schedule, schedule_per="step", metrics={"accuracy": accuracy}
    )
    history = trainer.fit(train, options.epochs, batches(data.test_x, data.test_y, 1000))
    return Result(history["val_accuracy"][-1], sum(p.size for p in model.parameters()))


if __name__ == "__main__":
    has_mnist = "TT_DATA" in os.environ
    run(
        main,
        "A multi-layer perceptron reads handwriting.",
        data=["mnist", "digits"] if has_mnist else ["digits", "mnist"],
        epochs={"mnist": 8, "digits": 60},
    )
