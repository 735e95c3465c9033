"""ResNets for small images: layers that learn what to add to what comes in.

He, Zhang, Ren and Sun (2015), Deep Residual Learning for Image Recognition, section 4.2.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tt_architectures.normalization import BatchNorm2d
from tt_architectures.spatial import Conv2d, channels_last
from tt_architectures.spatial_variants import GlobalAvgPool2d
from tt_foundation import Linear, Module, ReLU, Sequential, Tensor, default_rng, getitem, kaiming_normal, pad, relu

__all__ = ["ResNet", "ResidualBlock", "resnet8", "resnet20"]

Shortcut = Literal["pad", "conv"]


class ResidualBlock(Module[[Tensor], Tensor]):
    """Two convolutions whose result is added to what came in: ``(n, c, h, w) -> (n, c', h / stride, w / stride)``.

    Where the block makes the image smaller and deeper, what came in is made so too: every second pixel with empty
    channels around (``"pad"``, nothing to learn) or a 1 x 1 convolution (``"conv"``).

    Args:
        in_channels: of what comes in.
        out_channels: of what goes out.
        stride: of the first convolution.
        shortcut: how what came in is fitted.
        rng: draws the weights.

    Raises:
        ValueError: an unknown shortcut, or ``"pad"`` from more channels to fewer.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        shortcut: Shortcut = "pad",
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        if shortcut not in ("pad", "conv") or (shortcut == "pad" and out_channels < in_channels):
            raise ValueError(
                f"ResidualBlock knows shortcut='pad' (to more channels) and 'conv', "
                f"got {shortcut!r} for {in_channels} -> {out_channels}"
            )
        rng = default_rng(rng)
        self.stride, self.added_channels = stride, out_channels - in_channels
        self.body = Sequential(
            _conv(in_channels, out_channels, 3, stride, rng), BatchNorm2d(out_channels), ReLU(),
            _conv(out_channels, out_channels, 3, 1, rng), BatchNorm2d(out_channels),
        )  # fmt: skip
        is_changed = stride != 1 or in_channels != out_channels
        self.projection = (
            Sequential(_conv(in_channels, out_channels, 1, stride, rng), BatchNorm2d(out_channels))
            if is_changed and shortcut == "conv"
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.body(x) + self._fitted(x))

    def _fitted(self, x: Tensor) -> Tensor:
        if self.projection is not None:
            return self.projection(x)
        if self.stride != 1:
            x = getitem(x, index=(..., slice(None, None, self.stride), slice(None, None, self.stride)))
        if not self.added_channels:
            return x
        before = self.added_channels // 2
        return channels_last(pad(x, [(0, 0), (before, self.added_channels - before), (0, 0), (0, 0)]))


def _conv(inputs: int, outputs: int, kernel_size: int, stride: int, rng: np.random.Generator) -> Conv2d:
    """A convolution without bias, of the paper's start: normal weights of variance ``2 / outputs kh kw``."""
    layer = Conv2d(inputs, outputs, kernel_size, stride, padding=kernel_size // 2, bias=False, rng=rng)
    kaiming_normal(layer.weight, gain=(2 * inputs / outputs) ** 0.5, rng=rng)
    return layer


class ResNet(Module[[Tensor], Tensor]):
    """A convolution, three stages of residual blocks and the mean: ``(n, in_channels, h, w) -> (n, num_classes)``.

    Args:
        depth: layers with weights, ``6 n + 2`` for ``n`` blocks a stage.
        num_classes: how many scores come out.
        in_channels: of the images.
        widths: the channels of the stages; the second and third begin with stride 2.
        shortcut: see :class:`ResidualBlock`.
        rng: draws the parameters, layer by layer.

    Raises:
        ValueError: the depth is no ``6 n + 2``.
    """

    def __init__(
        self,
        depth: int = 20,
        num_classes: int = 10,
        in_channels: int = 3,
        widths: tuple[int, int, int] = (16, 32, 64),
        shortcut: Shortcut = "pad",
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"ResNet needs a depth of 6 n + 2 (8, 14, 20, ...), got {depth}")
        rng = default_rng(rng)
        self.stem = Sequential(_conv(in_channels, widths[0], 3, 1, rng), BatchNorm2d(widths[0]), ReLU())
        blocks: list[Module[[Tensor], Tensor]] = []
        channels = widths[0]
        for stage, width in enumerate(widths):
            for i in range((depth - 2) // 6):
                stride = 2 if stage and not i else 1
                blocks.append(ResidualBlock(channels, width, stride, shortcut, rng=rng))
                channels = width
        self.blocks = Sequential(blocks)
        self.classifier = Sequential(GlobalAvgPool2d(), Linear(channels, num_classes, rng=rng))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.blocks(self.stem(x)))


def resnet8(num_classes: int = 10, *, rng: np.random.Generator | None = None) -> ResNet:
    """One block a stage: 75,290 parameters, 24.5 million floating-point operations for a 32 x 32 colour image."""
    return ResNet(8, num_classes, rng=rng)


def resnet20(num_classes: int = 10, *, rng: np.random.Generator | None = None) -> ResNet:
    """Three blocks a stage: 269,722 parameters, 81.1 million floating-point operations for a 32 x 32 colour image."""
    return ResNet(20, num_classes, rng=rng)
