"""What models cost: operations and parameters, counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tt_architectures import BatchNorm2d, Conv2d, ConvTranspose2d, count_flops, count_parameters
from tt_foundation import Linear, Module, Sequential, Tensor, zeros


@pytest.mark.parametrize(
    ("model", "shape", "flops"),
    [
        (Linear(5, 3), (2, 5), 2 * 2 * 3 * 5),
        (Conv2d(3, 4, 3, padding=1), (2, 3, 8, 8), 2 * 2 * 4 * 64 * 27),
        (Conv2d(4, 4, (3, 1), 2, groups=2), (1, 4, 9, 9), 2 * 4 * 4 * 5 * 2 * 3),
        (ConvTranspose2d(3, 4, 2, 2), (1, 3, 5, 5), 2 * 3 * 25 * 4 * 4),
        (Sequential(Conv2d(3, 4, 1), BatchNorm2d(4)), (1, 3, 2, 2), 2 * 4 * 4 * 3),
    ],
)
def test_a_multiplication_and_an_addition_are_two_operations(model: Any, shape: tuple[int, ...], flops: int) -> None:
    assert count_flops(model, zeros(shape)) == flops


def test_counting_leaves_the_model_as_it_was() -> None:
    model = Sequential(Conv2d(3, 4, 1), BatchNorm2d(4))
    model[1].eval()
    before = model.state_dict()
    count_flops(model, Tensor(np.ones((2, 3, 4, 4), np.float32)))
    assert model.training
    assert model[0].training
    assert not model[1].training
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


class Tied(Module[[Tensor], Tensor]):
    """One layer twice."""

    def __init__(self) -> None:
        self.one = Linear(3, 3)
        self.two = self.one

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x))


def test_shared_parameters_count_once_and_their_operations_twice() -> None:
    assert count_parameters(Tied()) == 12
    assert count_flops(Tied(), zeros((1, 3))) == 36
