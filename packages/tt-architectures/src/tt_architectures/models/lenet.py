"""LeNet-5: the network that read cheques."""

from __future__ import annotations

from typing import Any

import numpy as np

from tt_architectures.spatial import AvgPool2d, Conv2d
from tt_foundation import Flatten, Linear, Module, Sequential, Tanh, Tensor, default_rng

__all__ = ["LeNet5"]


class LeNet5(Module[[Tensor], Tensor]):
    """Two convolutions, two pools and three linear layers: ``(n, in_channels, size, size) -> (n, num_classes)``.

    As in the paper but for three things everybody has changed since: the pools have nothing to learn, every map of the
    second convolution sees all of the first, and the output is linear. For 28 x 28 grey images: 61,706 parameters,
    0.83 million floating-point operations an image.

    Args:
        num_classes: how many scores come out.
        in_channels: of the images.
        size: height and width of the images; the first convolution keeps it.
        rng: draws the parameters, layer by layer.

    LeCun, Bottou, Bengio and Haffner (1998), Gradient-Based Learning Applied to Document Recognition.

    Raises:
        ValueError: the images are too small: below 12.
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, size: int = 28, *, rng: np.random.Generator | None = None
    ) -> None:
        if size < 12:
            raise ValueError(f"LeNet5 needs images of at least 12 x 12 pixels, got {size}")
        draw: Any = {"rng": default_rng(rng)}
        side = (size // 2 - 4) // 2
        self.features = Sequential(
            Conv2d(in_channels, 6, 5, padding=2, **draw), Tanh(), AvgPool2d(2), Conv2d(6, 16, 5, **draw), Tanh(),
            AvgPool2d(2),
        )  # fmt: skip
        self.classifier = Sequential(
            Flatten(), Linear(16 * side * side, 120, **draw), Tanh(), Linear(120, 84, **draw), Tanh(),
            Linear(84, num_classes, **draw),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))
