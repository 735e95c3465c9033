"""1969: what one layer cannot do, and two can.

No line parts the exclusive or; a hidden layer bends the plane. Minsky and Papert (1969), Perceptrons; Rumelhart, Hinton
and Williams (1986), Learning Representations by Back-Propagating Errors.
"""

from __future__ import annotations

import argparse

import numpy as np

from tt_foundation.activations import Tanh
from tt_foundation.layers import Linear, Sequential
from tt_foundation.losses import cross_entropy
from tt_foundation.metrics import accuracy
from tt_foundation.milestones.command import Result, run
from tt_foundation.optim import Adam
from tt_foundation.tensor import Tensor

__all__ = ["main"]

X = Tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = Tensor(np.array([0, 1, 1, 0]))


def trained(model: Sequential, epochs: int) -> float:
    """Train a model on the four cases; its accuracy on them."""
    optimizer = Adam(model.parameters(), lr=0.05)
    for _ in range(epochs):
        optimizer.zero_grad()
        cross_entropy(model(X), Y).backward()
        optimizer.step()
    return accuracy(model(X), Y)


def main(options: argparse.Namespace) -> Result:
    """Train one layer, which fails, and two, which do not; the accuracy is that of the two."""
    print(f"one layer: {trained(Sequential([Linear(2, 2)]), options.epochs):.0%} of the four cases")
    model = Sequential([Linear(2, 8), Tanh(), Linear(8, 2)])
    result = Result(trained(model, options.epochs), sum(p.size for p in model.parameters()))
    print(f"two layers: {result.accuracy:.0%}")
    return result


if __name__ == "__main__":
    run(main, "One layer fails at the exclusive or, two learn it.", data=["xor"], epochs=300)
