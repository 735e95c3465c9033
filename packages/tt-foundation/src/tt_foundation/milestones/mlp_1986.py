"""1986: back-propagation reads handwriting.

A multi-layer perceptron on MNIST (where TT_DATA or the cache has it) or on scikit-learn's digits. Rumelhart, Hinton and
Williams (1986), Learning Representations by Back-Propagating Errors.
"""

from __future__ import annotations

import argparse
import os

import numpy as np

from tt_foundation.activations import ReLU
from tt_foundation.autograd import no_grad
from tt_foundation.datasets import batches
from tt_foundation.layers import Dropout, Linear, Sequential
from tt_foundation.losses import cross_entropy
from tt_foundation.metrics import accuracy
from tt_foundation.milestones.command import Result, load, run
from tt_foundation.optim import AdamW
from tt_foundation.primitive import Array
from tt_foundation.random import default_rng
from tt_foundation.schedules import OneCycleLR
from tt_foundation.tensor import Tensor

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


def main(options: argparse.Namespace) -> Result:
    """Train on shifted images; the accuracy is on the test half."""
    data = load(options.data)
    rng = default_rng()
    model = Sequential(
        [Linear(data.train_x.shape[1], 256), ReLU(), Dropout(0.1), Linear(256, 128), ReLU(), Linear(128, 10)]
    )
    optimizer = AdamW(model.parameters(), weight_decay=0.01)
    size = 128
    schedule = OneCycleLR(
        optimizer, max_lr=3e-3, total_steps=options.epochs * -(-len(data.train_x) // size), pct_start=0.2
    )
    for epoch in range(options.epochs):
        model.train()
        for batch in batches(shifted(data.train_x, rng), data.train_y, size, rng):
            optimizer.zero_grad()
            cross_entropy(model(batch.x), batch.y).backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with no_grad():
            test_accuracy = accuracy(model(Tensor(data.test_x)), data.test_y)
        print(f"epoch {epoch + 1}: test accuracy {test_accuracy:.2%}")
    return Result(test_accuracy, sum(p.size for p in model.parameters()))


if __name__ == "__main__":
    has_mnist = "TT_DATA" in os.environ
    run(
        main,
        "A multi-layer perceptron reads handwriting.",
        data=["mnist", "digits"] if has_mnist else ["digits", "mnist"],
        epochs=8,
    )
