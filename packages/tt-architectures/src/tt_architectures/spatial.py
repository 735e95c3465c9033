"""Spatial layers: one small pattern looked for everywhere in an image (module 08).

A convolution multiplies a small window of the image with a weight, everywhere with the same one: that is why it needs
so few parameters and sees a cat wherever it sits. Pooling keeps the best or the mean of a window. Images have shape
``(N, C, H, W)``; in memory the channels of a pixel lie side by side ("channels-last"), which is what makes one matrix
product of a convolution. Every layer takes either order and returns that one.

Knows tensors and modules; knows nothing of normalization or of what images are for. The fast forms stand in
``spatial_kernels``.

LeCun, Bottou, Bengio and Haffner (1998), Gradient-Based Learning Applied to Document Recognition.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tt_architectures.window import Padding, Size, Window, pair
from tt_foundation import (
    Array,
    Module,
    Parameter,
    Tensor,
    argmax,
    default_rng,
    fused,
    gradient,
    kaiming_uniform,
    pad,
    primitive,
    reshape,
    sum,
    take_along_axis,
)

__all__ = [
    "AvgPool2d", "Conv2d", "MaxPool2d", "avg_pool2d", "channels_last", "conv2d",
    "conv2d_input_gradient", "conv2d_loops", "conv2d_weight_gradient", "max_pool2d", "overlap_add", "windows",
]  # fmt: skip

Layer = Module[[Tensor], Tensor]


@primitive
def channels_last(x: Array) -> Array:
    """The same image with the channels of a pixel side by side in memory: ``(n, c, h, w) -> (n, c, h, w)``."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


@gradient(channels_last, "x")
def channels_last_wrt_x(g: Array) -> Array:
    return g


@primitive
def windows(x: Array, *, kernel_size: Size, stride: Size = 1, dilation: Size = 1) -> Array:
    """What a window sees at every place: ``(n, c, h, w) -> (n, c, out_h, out_w, kernel_h, kernel_w)``, a view.

    Raises:
        ValueError: the window does not fit the image.
    """
    kernel, (down, right), (gap_h, gap_w) = pair(kernel_size), pair(stride), pair(dilation)
    Window.over(x.shape[2:], kernel, stride, 0, dilation)
    spans = gap_h * (kernel[0] - 1) + 1, gap_w * (kernel[1] - 1) + 1
    every = np.lib.stride_tricks.sliding_window_view(x, spans, (2, 3))
    return every[:, :, ::down, ::right, ::gap_h, ::gap_w]


@primitive
def overlap_add(values: Array, *, size: tuple[int, ...], stride: Size = 1, dilation: Size = 1) -> Array:
    """What windows hold added up where they saw it: ``(n, c, out_h, out_w, kernel_h, kernel_w) -> (n, c, *size)``.

    The transpose of :func:`windows`.
    """
    n, c, out_h, out_w, kernel_h, kernel_w = values.shape
    (down, right), (gap_h, gap_w) = pair(stride), pair(dilation)
    out = np.moveaxis(np.zeros((n, *size, c), values.dtype), -1, 1)
    for i in range(kernel_h):
        rows = slice(i * gap_h, i * gap_h + down * (out_h - 1) + 1, down)
        for j in range(kernel_w):
            columns = slice(j * gap_w, j * gap_w + right * (out_w - 1) + 1, right)
            out[:, :, rows, columns] += values[..., i, j]
    return out


@gradient(windows, "x")
def windows_wrt_x(g: Array, x_shape: tuple[int, ...], *, stride: Size = 1, dilation: Size = 1) -> Array:
    return overlap_add(g, size=x_shape[2:], stride=stride, dilation=dilation)


@gradient(overlap_add, "values")
def overlap_add_wrt_values(g: Array, values_shape: tuple[int, ...], *, stride: Size = 1, dilation: Size = 1) -> Array:
    return windows(g, kernel_size=values_shape[4:], stride=stride, dilation=dilation)


def conv2d_loops(
    x: Array, weight: Array, bias: Array | None = None, *, stride: Size = 1, padding: Padding = 0, dilation: Size = 1
) -> Array:
    """:func:`conv2d` as it is defined, one loop for each index: to read, and to check the others with.

    .. math:: y_{n o p q} = b_o + \\sum_{i j} \\sum_c w_{o c i j}\\, x_{n, c, p s + i d, q s + j d}
    """
    at = Window.over(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    (down, right), (gap_h, gap_w) = at.stride, at.dilation
    x = np.pad(x, [(0, 0), (0, 0), *at.padding])
    out = np.zeros((len(x), len(weight), *at.output), x.dtype)
    for n in range(len(x)):
        for o in range(len(weight)):
            for p in range(at.output[0]):
                for q in range(at.output[1]):
                    for i in range(at.kernel[0]):
                        for j in range(at.kernel[1]):
                            pixel = x[n, :, p * down + i * gap_h, q * right + j * gap_w]
                            out[n, o, p, q] += np.dot(weight[o, :, i, j], pixel)
                    if bias is not None:
                        out[n, o, p, q] += bias[o]
    return out


def _columns(x: Array, at: Window, groups: int) -> Array:
    """What a window sees, a row for each place ("im2col"): ``(groups, n h' w', c / groups kh kw)``."""
    x = np.pad(x, [(0, 0), (0, 0), *at.padding])
    seen = windows(x, kernel_size=at.kernel, stride=at.stride, dilation=at.dilation)
    places, per_group = len(x) * math.prod(at.output), x.shape[1] // groups * math.prod(at.kernel)
    return seen.transpose(0, 2, 3, 1, 4, 5).reshape(places, groups, per_group).swapaxes(0, 1)


def _pixels(y: Array, groups: int) -> Array:
    """The channels of each pixel, by groups: ``(n, c, h, w) -> (n h w, groups, c / groups)``."""
    n, c, h, w = y.shape
    return np.moveaxis(y, 1, -1).reshape(n * h * w, groups, c // groups)


def _check(name: str, x: Array, weight_shape: tuple[int, ...], groups: int) -> None:
    if x.ndim != 4 or len(weight_shape) != 4:
        raise ValueError(
            f"{name} needs x of shape (N, C, H, W) and a weight of four axes, got {x.shape}, {weight_shape}"
        )
    if groups < 1 or weight_shape[0] % groups or x.shape[1] != weight_shape[1] * groups:
        raise ValueError(
            f"{name} needs x.shape[1] == groups * weight.shape[1] and groups to divide weight.shape[0], "
            f"got {x.shape}, {weight_shape} and {groups} groups"
        )


@primitive
def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    """Cross-correlation of images with kernels: ``(n, c, h, w), (out, c / groups, kh, kw), (out) -> (n, out, h', w')``.

    What :func:`conv2d_loops` spells out, as one matrix product: each row of the first matrix is what the window sees at
    one place, each column of the second is one kernel. With ``groups`` the channels are split and convolved apart.

    Chellapilla, Puri and Simard (2006), High Performance Convolutional Neural Networks for Document Processing.

    Raises:
        ValueError: shapes, groups or padding do not fit; the message says which.
    """
    _check("conv2d", x, weight.shape, groups)
    at = Window.over(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    columns = _columns(x, at, groups)
    kernels = weight.reshape(groups, len(weight) // groups, -1)  # (groups, out / groups, c / groups kh kw)
    out = np.matmul(columns, kernels.swapaxes(1, 2))  # (groups, n h' w', out / groups)
    out = out.swapaxes(0, 1).reshape(len(x), *at.output, len(weight))
    if bias is not None:
        out = out + bias
    return np.moveaxis(np.ascontiguousarray(out), -1, 1)


@primitive
def conv2d_input_gradient(y: Array, weight: Array, *, size: tuple[int, ...], at: Window, groups: int = 1) -> Array:
    """The gradient of :func:`conv2d` for images of height and width ``size``: ``(n, out, h', w') -> (n, c, *size)``.

    Every place sends its value, times the kernel, back to where its window looked.
    """
    kernels = weight.reshape(groups, len(weight) // groups, -1)  # (groups, out / groups, c / groups kh kw)
    rows = _pixels(y, groups).swapaxes(0, 1)
    columns = np.matmul(rows, kernels).swapaxes(0, 1)  # (n h' w', groups, c / groups kh kw)
    values = columns.reshape(len(y), *at.output, groups * weight.shape[1], *at.kernel).transpose(0, 3, 1, 2, 4, 5)
    (top, bottom), (left, right) = at.padding
    padded = overlap_add(
        values, size=(size[0] + top + bottom, size[1] + left + right), stride=at.stride, dilation=at.dilation
    )
    return channels_last(padded[:, :, top : top + size[0], left : left + size[1]])


@primitive
def conv2d_weight_gradient(y: Array, x: Array, *, at: Window, groups: int = 1) -> Array:
    """The gradient of :func:`conv2d` for its weight: ``(n, out, h', w'), (n, c, h, w) -> (out, c / groups, kh, kw)``.

    Each kernel collects what its window saw, times how much it mattered there.
    """
    kernels = np.matmul(_pixels(y, groups).transpose(1, 2, 0), _columns(x, at, groups))
    return kernels.reshape(y.shape[1], x.shape[1] // groups, *at.kernel)


# Convolution is linear in the image and in the weight, so its derivatives are convolutions again: of these three
# operations each is the gradient of the two others, to any order.


@gradient(conv2d, "x")
def conv2d_wrt_x(
    g: Array,
    x_shape: tuple[int, ...],
    weight: Array,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    at = Window.over(x_shape[2:], weight.shape[2:], stride, padding, dilation)
    return conv2d_input_gradient(g, weight, size=x_shape[2:], at=at, groups=groups)


@gradient(conv2d, "weight")
def conv2d_wrt_weight(
    g: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    at = Window.over(x.shape[2:], weight_shape[2:], stride, padding, dilation)
    return conv2d_weight_gradient(g, x, at=at, groups=groups)


@gradient(conv2d, "bias")
def conv2d_wrt_bias(g: Array) -> Array:
    return sum(g, axis=(0, 2, 3))


@gradient(conv2d_input_gradient, "y")
def conv2d_input_gradient_wrt_y(g: Array, weight: Array, *, at: Window, groups: int = 1) -> Array:
    return conv2d(g, weight, stride=at.stride, padding=at.padding, dilation=at.dilation, groups=groups)


@gradient(conv2d_input_gradient, "weight")
def conv2d_input_gradient_wrt_weight(g: Array, y: Array, *, at: Window, groups: int = 1) -> Array:
    return conv2d_weight_gradient(y, g, at=at, groups=groups)


@gradient(conv2d_weight_gradient, "y")
def conv2d_weight_gradient_wrt_y(g: Array, x: Array, *, at: Window, groups: int = 1) -> Array:
    return conv2d(x, g, stride=at.stride, padding=at.padding, dilation=at.dilation, groups=groups)


@gradient(conv2d_weight_gradient, "x")
def conv2d_weight_gradient_wrt_x(g: Array, y: Array, x_shape: tuple[int, ...], *, at: Window, groups: int = 1) -> Array:
    return conv2d_input_gradient(y, g, size=x_shape[2:], at=at, groups=groups)


@fused
def max_pool2d(
    x: Tensor,
    *,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest a window sees, the first of equal ones: ``(n, c, h, w) -> (n, c, h', w')``.

    ``stride`` is ``kernel_size`` if not given, so that windows lie side by side.

    Raises:
        ValueError: the padding is more than half a window, or no window fits.
    """
    at = _pool("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    padded = pad(x, [(0, 0), (0, 0), *at.padding], constant=-math.inf)
    seen = windows(padded, kernel_size=at.kernel, stride=at.stride, dilation=at.dilation)
    flat = reshape(seen, shape=(*seen.shape[:4], math.prod(at.kernel)))  # (n, c, h', w', kh kw)
    best = argmax(flat, axis=-1, keepdims=True)
    return channels_last(reshape(take_along_axis(flat, best), shape=seen.shape[:4]))


@fused
def avg_pool2d(
    x: Tensor,
    *,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of what a window sees: ``(n, c, h, w) -> (n, c, h', w')``.

    Zeros of the padding count unless ``count_include_pad`` is false. ``divisor_override`` replaces their number.

    Raises:
        ValueError: the padding is more than half a window, or no window fits.
    """
    at = _pool("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode)
    padded = pad(x, [(0, 0), (0, 0), *at.padding])
    total = sum(windows(padded, kernel_size=at.kernel, stride=at.stride), axis=(4, 5))
    counts = at.pixels(x.shape[2:], padding, count_include_pad).astype(x.dtype)
    return channels_last(total / (counts if divisor_override is None else divisor_override))


def _pool(
    name: str, x: Tensor, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size, ceil_mode: bool
) -> Window:
    if x.ndim != 4:
        raise ValueError(f"{name} needs x of shape (N, C, H, W), got {x.shape}")
    if any(2 * p > k for p, k in zip(pair(padding), pair(kernel_size), strict=True)):
        raise ValueError(f"{name} needs a padding of at most half the window, got {padding} for {kernel_size}")
    return Window.over(
        x.shape[2:], kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode=ceil_mode
    )


class Conv2d(Layer):
    """:func:`conv2d` with a weight and bias that learn, drawn within ``1 / sqrt(in_channels / groups kh kw)``.

    Args:
        in_channels: of the images that come in.
        out_channels: of those that go out: the number of kernels.
        kernel_size: height and width of the kernels.
        stride: how far the window moves.
        padding: zeros put around; ``"same"`` keeps the size, ``"valid"`` puts none.
        dilation: how far apart the pixels of a window lie.
        groups: into how many parts the channels are split.
        bias: whether to add one.
        rng: draws the weight, then the bias, uniformly.
        dtype: of the parameters.

    Raises:
        ValueError: a size is below 1, or ``groups`` divides not both numbers of channels; in the call: as conv2d.
        TypeError: in the call: another element type than the weight's.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        check_channels("Conv2d", in_channels, out_channels, groups)
        Window.over((2**30, 2**30), kernel_size, stride, padding, dilation)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, pair(kernel_size)
        self.stride, self.padding, self.dilation, self.groups = pair(stride), padding, pair(dilation), groups
        self.weight, self.bias = weight_and_bias(
            (out_channels, in_channels // groups, *self.kernel_size), out_channels, bias, rng, dtype
        )

    def forward(self, x: Tensor) -> Tensor:
        check_dtype(self, x, self.weight)
        return conv2d(
            x, self.weight, self.bias,
            stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.groups,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding!r}"
        )


def check_channels(name: str, in_channels: int, out_channels: int, groups: int) -> None:
    """Raise unless ``groups`` divides both numbers of channels."""
    if min(in_channels, out_channels, groups) < 1 or in_channels % groups or out_channels % groups:
        raise ValueError(
            f"{name} needs channels of at least 1 that groups divide, got {in_channels} -> {out_channels} "
            f"in {groups} groups"
        )


def weight_and_bias(
    shape: tuple[int, ...], out_channels: int, has_bias: bool, rng: np.random.Generator | None, dtype: npt.DTypeLike
) -> tuple[Parameter, Parameter | None]:
    """A weight and perhaps a bias, both uniform within 1 / root of how much one output adds up."""
    rng = default_rng(rng)
    weight = Parameter(np.empty(shape, dtype))
    kaiming_uniform(weight, gain=1 / math.sqrt(3), rng=rng)
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    return weight, Parameter(rng.uniform(-bound, bound, out_channels).astype(dtype)) if has_bias else None


def check_dtype(layer: Layer, x: Tensor, weight: Tensor | None) -> None:
    """Raise unless ``x`` has the weight's element type."""
    if weight is not None and x.data.dtype != weight.data.dtype:
        raise TypeError(f"{layer} has {weight.dtype} weights and got a {x.dtype} input: x.astype({weight.dtype})?")


class MaxPool2d(Layer):
    """:func:`max_pool2d` as a layer."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        return max_pool2d(
            x, kernel_size=self.kernel_size, stride=self.stride, padding=self.padding, dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )  # fmt: skip


class AvgPool2d(Layer):
    """:func:`avg_pool2d` as a layer."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.ceil_mode, self.count_include_pad, self.divisor_override = ceil_mode, count_include_pad, divisor_override

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool2d(
            x, kernel_size=self.kernel_size, stride=self.stride, padding=self.padding, ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad, divisor_override=self.divisor_override,
        )  # fmt: skip
