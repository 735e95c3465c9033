"""A small VGG: nothing but 3 x 3 convolutions, pools, and more channels the deeper it gets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tt_architectures.normalization import BatchNorm2d
from tt_architectures.spatial import Conv2d, MaxPool2d
from tt_architectures.spatial_variants import GlobalAvgPool2d
from tt_foundation import Linear, Module, ReLU, Sequential, Tensor, default_rng

__all__ = ["SmallVGG"]


class SmallVGG(Module[[Tensor], Tensor]):
    """Stages of two 3 x 3 convolutions and a pool, then the mean: ``(n, in_channels, h, w) -> (n, num_classes)``.

    With three stages and 32 x 32 colour images: 288,746 parameters, 77.3 million floating-point operations an image.

    Args:
        num_classes: how many scores come out.
        in_channels: of the images.
        widths: the channels of each stage.
        depth: how many convolutions a stage has.
        rng: draws the parameters, layer by layer.

    Simonyan and Zisserman (2014), Very Deep Convolutional Networks for Large-Scale Image Recognition; with batch norm
    and, instead of two wide linear layers, the mean of every channel.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        widths: Sequence[int] = (32, 64, 128),
        depth: int = 2,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = default_rng(rng)
        layers: list[Module[[Tensor], Tensor]] = []
        channels = in_channels
        for width in widths:
            for _ in range(depth):
                layers += [Conv2d(channels, width, 3, padding=1, bias=False, rng=rng), BatchNorm2d(width), ReLU()]
                channels = width
            layers.append(MaxPool2d(2))
        self.features = Sequential(layers)
        self.classifier = Sequential(GlobalAvgPool2d(), Linear(channels, num_classes, rng=rng))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))
