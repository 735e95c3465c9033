"""LeNet-5: its size, its shapes, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest

from tt_architectures import LeNet5, count_flops, count_parameters
from tt_foundation import Adam, Tensor, accuracy, batches, cross_entropy, digits, zeros


def test_it_has_the_size_that_is_stated() -> None:
    model = LeNet5()
    assert count_parameters(model) == 61_706
    assert count_flops(model, zeros((1, 1, 28, 28))) == 833_040


@pytest.mark.parametrize(("channels", "size", "classes"), [(1, 28, 10), (3, 32, 5), (1, 12, 2)])
def test_it_gives_a_score_for_every_class(channels: int, size: int, classes: int) -> None:
    assert LeNet5(classes, channels, size)(zeros((2, channels, size, size))).shape == (2, classes)


def test_the_same_generator_gives_the_same_network() -> None:
    one, two = (LeNet5(rng=np.random.default_rng(3)).state_dict() for _ in range(2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])


def test_it_learns_to_read_digits() -> None:
    data = digits()
    x, test_x = (np.kron(a.reshape(-1, 1, 8, 8), np.ones((2, 2), a.dtype)) for a in (data.train_x, data.test_x))
    rng = np.random.default_rng(0)
    model = LeNet5(size=16, rng=rng)
    optimizer = Adam(model.parameters(), lr=3e-3)
    for _ in range(3):
        for batch in batches(x, data.train_y, 32, rng):
            optimizer.zero_grad()
            cross_entropy(model(batch.x), batch.y).backward()
            optimizer.step()
    assert accuracy(model(Tensor(test_x)), data.test_y) > 0.9


def test_images_that_are_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 12 x 12 pixels, got 8"):
        LeNet5(size=8)
