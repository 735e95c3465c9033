"""ResNets: their sizes, their shapes, that a block adds to what comes in, and that they learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tt_architectures import ResidualBlock, ResNet, count_flops, count_parameters, resnet8, resnet20
from tt_foundation import SGD, Tensor, cross_entropy, zeros


@pytest.mark.parametrize(
    ("make", "parameters", "flops"), [(resnet8, 75_290, 24_478_976), (resnet20, 269_722, 81_102_080)]
)
def test_they_have_the_sizes_that_are_stated(make: Any, parameters: int, flops: int) -> None:
    model = make()
    assert count_parameters(model) == parameters
    assert count_flops(model, zeros((1, 3, 32, 32))) == flops


@pytest.mark.parametrize("shortcut", ["pad", "conv"])
def test_a_block_halves_the_image_and_keeps_what_came_in(shortcut: Any) -> None:
    rng = np.random.default_rng(0)
    block = ResidualBlock(4, 8, 2, shortcut, rng=rng)
    x = np.abs(rng.normal(size=(2, 4, 6, 6))).astype(np.float32)
    assert block(Tensor(x)).shape == (2, 8, 3, 3)
    for name, p in block.named_parameters():
        if name.startswith("body"):
            p.data[...] = 0  # nothing is added
    if shortcut == "pad":
        out = block(Tensor(x)).data
        np.testing.assert_array_equal(out[:, 2:6], x[:, :, ::2, ::2])
        np.testing.assert_array_equal(out[:, [0, 1, 6, 7]], 0)
    assert count_parameters(ResidualBlock(4, 8, 2, "conv")) - count_parameters(ResidualBlock(4, 8, 2)) == 4 * 8 + 16


def test_a_resnet_learns_by_heart() -> None:
    rng = np.random.default_rng(0)
    model = ResNet(8, widths=(8, 8, 16), rng=rng)
    x, y = Tensor(rng.normal(size=(16, 3, 8, 8)).astype(np.float32)), rng.integers(0, 10, 16)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(30):
        loss = cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 2
    assert losses[-1] < 0.1
    model.eval()
    assert model(x).shape == (16, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ResNet(9), r"depth of 6 n \+ 2 \(8, 14, 20, ...\), got 9"),
        (lambda: ResidualBlock(8, 4), r"'pad' for 8 -> 4"),
        (lambda: ResidualBlock(4, 4, 1, "crop"), r"'crop' for 4 -> 4"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_built_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
