"""Spatial variants: convolution in one dimension and transposed, pools to a given size, enlarging, dropout.

Relatives of what ``spatial`` teaches, each made of its operations or of matrix products. Knows ``spatial``.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from tt_architectures.spatial import (
    avg_pool2d,
    channels_last,
    check_channels,
    check_dtype,
    conv2d,
    conv2d_input_gradient,
    weight_and_bias,
)  # fmt: skip
from tt_architectures.window import Padding, Size, Window, pair
from tt_foundation import (
    Array,
    Module,
    Tensor,
    argmax,
    default_rng,
    dropout,
    expand_dims,
    getitem,
    matmul,
    mean,
    pad,
    permute_dims,
    reshape,
    squeeze,
    take_along_axis,
)  # fmt: skip

__all__ = [
    "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "Conv1d", "ConvTranspose2d", "Dropout2d", "GlobalAvgPool2d", "Upsample",
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "conv1d", "conv_transpose2d", "dropout2d", "global_avg_pool2d",
    "upsample",
]  # fmt: skip

Layer = Module[[Tensor], Tensor]


def conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int | Literal["same", "valid"] = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """:func:`conv2d` of sequences, images of height 1: ``(n, c, l), (out, c / groups, k), (out) -> (n, out, l')``.

    Raises:
        ValueError: as :func:`conv2d`.
    """
    if x.ndim != 3 or weight.ndim != 3:
        raise ValueError(f"conv1d needs x of shape (N, C, L) and a weight of three axes, got {x.shape}, {weight.shape}")
    out = conv2d(
        expand_dims(x, 2),
        expand_dims(weight, 2),
        bias,
        stride=(1, stride),
        padding=_across(padding),
        dilation=(1, dilation),
        groups=groups,
    )
    return squeeze(out, 2)


def _across(padding: int | Literal["same", "valid"]) -> Padding:
    """A padding of sequences as one of images of height 1."""
    return padding if isinstance(padding, str) else (0, padding)


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The transpose of :func:`conv2d`, which enlarges: ``(n, c, h, w), (c, out / groups, kh, kw), (out) -> (n, out, h', w')``.

    Several sizes of image give one size under a stride; ``output_padding`` says how many rows and columns to add to
    the smallest.

    Zeiler, Krishnan, Taylor and Fergus (2010), Deconvolutional Networks.

    Raises:
        ValueError: shapes, groups or padding do not fit; ``output_padding`` reaches both stride and dilation.
    """  # noqa: E501 - the shapes stand in one line
    steps, gaps, around, more = pair(stride), pair(dilation), pair(padding), pair(output_padding)
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != len(weight) or groups < 1 or len(weight) % groups:
        raise ValueError(
            "conv_transpose2d needs x of shape (N, C, H, W) and a weight (C, out / groups, kh, kw), "
            f"got {x.shape}, {weight.shape} and {groups} groups"
        )
    if any(not 0 <= m < max(s, d) for m, s, d in zip(more, steps, gaps, strict=True)):
        raise ValueError(f"output_padding must be below stride or dilation, got {more}, {steps} and {gaps}")
    # The added rows and columns take back padding at the end; where there is none left, no window reaches them.
    ends = [max(p - m, 0) for p, m in zip(around, more, strict=True)]
    beyond = [max(m - p, 0) for p, m in zip(around, more, strict=True)]
    size = tuple(
        (x.shape[2 + i] - 1) * steps[i] - around[i] - ends[i] + gaps[i] * (weight.shape[2 + i] - 1) + 1
        for i in range(2)
    )
    at = Window.over(size, weight.shape[2:], steps, ((around[0], ends[0]), (around[1], ends[1])), gaps)
    out = conv2d_input_gradient(x, weight, size=size, at=at, groups=groups)
    if any(beyond):
        out = channels_last(pad(out, [(0, 0), (0, 0), (0, beyond[0]), (0, beyond[1])]))
    return out if bias is None else out + reshape(bias, shape=(-1, 1, 1))


def _check_image(name: str, x: Tensor) -> None:
    if x.ndim != 4:
        raise ValueError(f"{name} needs x of shape (N, C, H, W), got {x.shape}")


def _resampled(x: Tensor, rows: Array, columns: Array) -> Tensor:
    """Each new row a mixture of rows, each new column of columns: ``(n, c, h, w) -> (n, c, rows, columns)``."""
    n, c, h, w = x.shape
    by_rows = reshape(permute_dims(channels_last(x), axes=(0, 2, 3, 1)), shape=(n, h, w * c))
    mixed = reshape(matmul(rows.astype(x.dtype), by_rows), shape=(n, len(rows), w, c))
    return permute_dims(matmul(columns.astype(x.dtype), mixed), axes=(0, 3, 1, 2))


def _bins(n: int, count: int) -> list[tuple[int, int]]:
    """``range(n)`` in ``count`` parts as even as can be, overlapping where it must: (start, stop) of each."""
    return [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]


def adaptive_avg_pool2d(x: Tensor, output_size: Size) -> Tensor:
    """Means over parts as even as can be, so many down and across: ``(n, c, h, w) -> (n, c, *output_size)``.

    Raises:
        ValueError: ``x`` is no image, or a size is below 1.
    """
    sides = _output("adaptive_avg_pool2d", x, output_size)
    if x.shape[2] % sides[0] == 0 and x.shape[3] % sides[1] == 0 and x.size:
        return avg_pool2d(x, kernel_size=(x.shape[2] // sides[0], x.shape[3] // sides[1]))
    mixtures = []
    for n, count in zip(x.shape[2:], sides, strict=True):
        mixture = np.zeros((count, n))
        for i, (start, stop) in enumerate(_bins(n, count)):
            mixture[i, start:stop] = 1 / (stop - start)
        mixtures.append(mixture)
    return _resampled(x, *mixtures)


def adaptive_max_pool2d(x: Tensor, output_size: Size) -> Tensor:
    """The largest of parts as even as can be, the first of equal ones: ``(n, c, h, w) -> (n, c, *output_size)``.

    Raises:
        ValueError: ``x`` is no image, or a size is below 1.
    """
    sides = _output("adaptive_max_pool2d", x, output_size)
    places = []
    for n, count in zip(x.shape[2:], sides, strict=True):
        bins = _bins(n, count)
        longest = max(stop - start for start, stop in bins)
        places.append(np.array([[min(start + k, stop - 1) for k in range(longest)] for start, stop in bins]))
    rows, columns = places
    # (n, c, out_h, rows, out_w, columns) -> (n, c, out_h, out_w, rows columns)
    seen = permute_dims(
        getitem(getitem(x, index=(..., rows, slice(None))), index=(..., columns)), axes=(0, 1, 2, 4, 3, 5)
    )
    flat = reshape(seen, shape=(*seen.shape[:4], seen.shape[4] * seen.shape[5]))
    return channels_last(squeeze(take_along_axis(flat, argmax(flat, axis=-1, keepdims=True)), -1))


def _output(name: str, x: Tensor, output_size: Size) -> tuple[int, int]:
    _check_image(name, x)
    sides = pair(output_size)
    if min(sides) < 1:
        raise ValueError(f"{name} needs sizes of at least 1, got {sides}")
    return sides


def global_avg_pool2d(x: Tensor) -> Tensor:
    """The mean of every channel, ready for a linear layer: ``(n, c, h, w) -> (n, c)``.

    Lin, Chen and Yan (2013), Network In Network.

    Raises:
        ValueError: ``x`` is no image.
    """
    _check_image("global_avg_pool2d", x)
    return mean(x, axis=(2, 3))


def upsample(
    x: Tensor,
    *,
    size: Size | None = None,
    scale_factor: float | tuple[float, float] | None = None,
    mode: Literal["nearest", "bilinear"] = "nearest",
    align_corners: bool = False,
) -> Tensor:
    """An image with more pixels (or fewer): ``(n, c, h, w) -> (n, c, *size)``.

    ``"nearest"`` repeats pixels, ``"bilinear"`` mixes the four around. Pixels are small squares, unless
    ``align_corners``: then the centres of those in the corners stay where they are.

    Raises:
        ValueError: not one of ``size`` and ``scale_factor`` is given, an unknown mode, or no pixel would be left.
    """
    _check_image("upsample", x)
    if (size is None) == (scale_factor is None):
        raise ValueError(f"upsample needs either size or scale_factor, got {size} and {scale_factor}")
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"upsample knows the modes nearest and bilinear, got {mode!r}")
    if align_corners and mode == "nearest":
        raise ValueError("align_corners is for mode='bilinear'")
    mixture = _nearest if mode == "nearest" else _aligned if align_corners else _bilinear
    if size is not None:
        pairs = [(count, n / count if count > 0 else 0.0) for n, count in zip(x.shape[2:], pair(size), strict=True)]
    else:
        assert scale_factor is not None
        factors = scale_factor if isinstance(scale_factor, tuple) else (scale_factor, scale_factor)
        pairs = [(math.floor(n * f), 1 / f) for n, f in zip(x.shape[2:], factors, strict=True)]
    if min(count for count, _ in pairs) < 1:
        raise ValueError(f"upsample would leave no pixel of {x.shape}: {[count for count, _ in pairs]}")
    return _resampled(x, *(mixture(n, count, step) for n, (count, step) in zip(x.shape[2:], pairs, strict=True)))


def _nearest(n: int, count: int, step: float) -> Array:
    """Which pixel each new one repeats: ``(count, n)``, one 1 a row."""
    return np.eye(n)[np.minimum(np.floor(np.arange(count) * step).astype(int), n - 1)]


def _bilinear(n: int, count: int, step: float) -> Array:
    """What each new pixel is mixed of: ``(count, n)``, two neighbours a row."""
    return _between(n, np.maximum((np.arange(count) + 0.5) * step - 0.5, 0))


def _aligned(n: int, count: int, step: float) -> Array:
    """As ``_bilinear``, the first and last pixel staying the first and last."""
    return _between(n, np.arange(count) * ((n - 1) / (count - 1) if count > 1 else 0.0))


def _between(n: int, places: Array) -> Array:
    low = np.minimum(np.floor(places).astype(int), n - 1)
    high = np.minimum(low + 1, n - 1)
    share = (places - low)[:, None]
    return np.eye(n)[low] * (1 - share) + np.eye(n)[high] * share


def dropout2d(x: Tensor, p: float = 0.5, *, rng: np.random.Generator | None = None) -> Tensor:
    """Whole channels of an image zeroed with probability ``p``, the rest scaled to keep the mean: ``(n, c, h, w)``.

    The mask is ``rng.random((n, c, 1, 1)) >= p``.

    Tompson, Goroshin, Jain, LeCun and Bregler (2015), Efficient Object Localization Using Convolutional Networks.

    Raises:
        ValueError: ``p`` is no probability, or ``x`` no image.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout2d needs 0 <= p <= 1, got {p}")
    _check_image("dropout2d", x)
    return dropout(channels_last(x), default_rng(rng).random((*x.shape[:2], 1, 1)) >= p, p=p)


class Conv1d(Layer):
    """:func:`conv1d` with a weight and bias that learn; arguments, start and errors as :class:`Conv2d`'s."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | Literal["same", "valid"] = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_channels("Conv1d", in_channels, out_channels, groups)
        Window.over((1, 2**30), (1, kernel_size), (1, stride), _across(padding), (1, dilation))
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.weight, self.bias = weight_and_bias(
            (out_channels, in_channels // groups, kernel_size), out_channels, bias, rng, dtype
        )

    def forward(self, x: Tensor) -> Tensor:
        check_dtype(self, x, self.weight)
        return conv1d(
            x, self.weight, self.bias,
            stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.groups,
        )  # fmt: skip


class ConvTranspose2d(Layer):
    """:func:`conv_transpose2d` with a weight and bias that learn; arguments, start and errors as :class:`Conv2d`'s.

    The weight has shape ``(in_channels, out_channels / groups, kh, kw)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_channels("ConvTranspose2d", in_channels, out_channels, groups)
        Window.over((2**30, 2**30), kernel_size, stride, padding, dilation)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, pair(kernel_size)
        self.stride, self.padding, self.output_padding = pair(stride), pair(padding), pair(output_padding)
        self.dilation, self.groups = pair(dilation), groups
        self.weight, self.bias = weight_and_bias(
            (in_channels, out_channels // groups, *self.kernel_size), out_channels, bias, rng, dtype
        )

    def forward(self, x: Tensor) -> Tensor:
        check_dtype(self, x, self.weight)
        return conv_transpose2d(
            x, self.weight, self.bias, stride=self.stride, padding=self.padding, output_padding=self.output_padding,
            groups=self.groups, dilation=self.dilation,
        )  # fmt: skip


class AdaptiveAvgPool2d(Layer):
    """:func:`adaptive_avg_pool2d` as a layer."""

    def __init__(self, output_size: Size) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return adaptive_avg_pool2d(x, self.output_size)


class AdaptiveMaxPool2d(Layer):
    """:func:`adaptive_max_pool2d` as a layer."""

    def __init__(self, output_size: Size) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return adaptive_max_pool2d(x, self.output_size)


class GlobalAvgPool2d(Layer):
    """:func:`global_avg_pool2d` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return global_avg_pool2d(x)


class Upsample(Layer):
    """:func:`upsample` as a layer."""

    def __init__(
        self,
        size: Size | None = None,
        scale_factor: float | tuple[float, float] | None = None,
        mode: Literal["nearest", "bilinear"] = "nearest",
        align_corners: bool = False,
    ) -> None:
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        return upsample(
            x, size=self.size, scale_factor=self.scale_factor, mode=self.mode, align_corners=self.align_corners
        )


class Dropout2d(Layer):
    """:func:`dropout2d` while training; gives what it got otherwise.

    Raises:
        ValueError: ``p`` is no probability.
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout2d needs 0 <= p <= 1, got {p}")
        self.p, self.rng = p, rng

    def forward(self, x: Tensor) -> Tensor:
        return dropout2d(x, self.p, rng=self.rng) if self.training and self.p else x
