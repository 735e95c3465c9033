"""The small VGG: its size, its shapes, and that its training step reaches every parameter."""

from __future__ import annotations

import numpy as np
import pytest

from tt_architectures import SmallVGG, count_flops, count_parameters
from tt_foundation import Tensor, cross_entropy, zeros


def test_it_has_the_size_that_is_stated() -> None:
    model = SmallVGG()
    assert count_parameters(model) == 288_746
    assert count_flops(model, zeros((1, 3, 32, 32))) == 77_269_504


@pytest.mark.parametrize(("widths", "depth", "size"), [((8, 16), 1, 12), ((4, 8, 8, 16), 2, 16)])
def test_it_gives_a_score_for_every_class(widths: tuple[int, ...], depth: int, size: int) -> None:
    model = SmallVGG(7, 1, widths, depth)
    assert model(zeros((2, 1, size, size))).shape == (2, 7)


def test_the_loss_reaches_every_parameter() -> None:
    rng = np.random.default_rng(0)
    model = SmallVGG(widths=(4, 8), rng=rng)
    x = Tensor(rng.normal(size=(6, 3, 8, 8)).astype(np.float32))
    cross_entropy(model(x), rng.integers(0, 10, 6)).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert np.abs(p.grad.data).max() > 0, name
