"""1957: the perceptron tells zeros from ones.

One neuron, and a rule that only learns from mistakes: no gradient, no loss. Rosenblatt (1957), The Perceptron: A
Perceiving and Recognizing Automaton.
"""

from __future__ import annotations

import argparse

import numpy as np

from tt_foundation.milestones.command import Result, load, run
from tt_foundation.random import default_rng
from tt_foundation.tensor import Tensor, matmul

__all__ = ["main"]


def main(options: argparse.Namespace) -> Result:
    """Train on the zeros and ones of a data set; the accuracy is on those of its test half."""
    data = load(options.data)
    train, test = data.train_y < 2, data.test_y < 2
    x, sign = data.train_x[train], 2.0 * data.train_y[train] - 1
    weight, bias = Tensor(np.zeros(x.shape[1], np.float32)), Tensor(0.0)
    for epoch in range(options.epochs):
        mistakes = 0
        for i in default_rng().permutation(len(x)):
            if sign[i] * (matmul(Tensor(x[i]), weight) + bias).item() <= 0:
                weight += Tensor(x[i]) * float(sign[i])
                bias += float(sign[i])
                mistakes += 1
        print(f"epoch {epoch + 1}: {mistakes} mistakes in {len(x)} examples")
        if not mistakes:
            break
    predicted = (matmul(Tensor(data.test_x[test]), weight) + bias) > 0
    accuracy = float((predicted == (data.test_y[test] == 1)).mean().item())
    return Result(accuracy, weight.size + bias.size)


if __name__ == "__main__":
    run(main, "A perceptron tells zeros from ones.", data=["digits", "mnist"], epochs=10)
