"""Normalization: keeping what flows through a deep network at one scale.

Each layer here subtracts a mean, divides by a standard deviation and then lets the network undo both with a weight and
a bias that learn. They differ in what the mean is taken over: one position's features (layer norm, RMS norm), one
channel over the whole batch (batch norm), a few channels of one image (group norm). Knows tensors, modules and how
images lie in memory; knows nothing of convolution or attention. The fast forms stand in ``normalization_kernels``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tt_architectures.spatial import channels_last, check_dtype
from tt_foundation import (
    Array,
    Buffer,
    Module,
    Parameter,
    Tensor,
    fused,
    mean,
    procedure,
    relu,
    reshape,
    sqrt,
    wrote,
)

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm", "RMSNorm", "batch_norm", "batch_statistics", "group_norm",
    "layer_norm", "rms_norm", "update_running_statistics",
]  # fmt: skip

Layer = Module[[Tensor], Tensor]


@fused
def layer_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    normalized_shape: tuple[int, ...],
    eps: float = 1e-5,
) -> Tensor:
    r"""Each position's features at mean 0 and variance 1: ``(..., *normalized_shape) -> (..., *normalized_shape)``.

    .. math:: y = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \cdot \mathrm{weight} + \mathrm{bias}

    ``weight`` and ``bias`` have shape ``normalized_shape``. The variance is the mean of the squares, not divided by
    ``n - 1``.

    Ba, Kiros and Hinton (2016), Layer Normalization.

    Raises:
        ValueError: the last axes of ``x`` are not ``normalized_shape``.
    """
    axes = _last_axes("layer_norm", x, normalized_shape)
    centred = x - mean(x, axis=axes, keepdims=True)
    variance = mean(centred * centred, axis=axes, keepdims=True)
    out = centred / sqrt(variance + eps)
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


@fused
def rms_norm(
    x: Tensor, weight: Tensor | None = None, *, normalized_shape: tuple[int, ...], eps: float | None = None
) -> Tensor:
    r"""Each position's features at mean square 1: ``(..., *normalized_shape) -> (..., *normalized_shape)``.

    .. math:: y = \frac{x}{\sqrt{\mathrm{mean}(x^2) + \epsilon}} \cdot \mathrm{weight}

    Like :func:`layer_norm` without the mean. ``eps`` is by default the distance from 1 to the next number of ``x``'s
    type.

    Zhang and Sennrich (2019), Root Mean Square Layer Normalization.

    Raises:
        ValueError: the last axes of ``x`` are not ``normalized_shape``.
    """
    axes = _last_axes("rms_norm", x, normalized_shape)
    if eps is None:
        eps = float(np.finfo(x.dtype).eps)
    out = x / sqrt(mean(x * x, axis=axes, keepdims=True) + eps)
    return out if weight is None else out * weight


def _last_axes(name: str, x: Tensor, normalized_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes that a normalization over ``normalized_shape`` goes over."""
    count = len(normalized_shape)
    if not count or x.shape[-count:] != tuple(normalized_shape):
        raise ValueError(f"{name} needs the last axes of x to be {tuple(normalized_shape)}, got shape {x.shape}")
    return tuple(range(-count, 0))


@procedure("mean", "variance")
def batch_statistics(x: Array, mean: Array, variance: Array) -> None:
    """Each channel's mean and variance over the whole batch, of ``(n, c, ...)``, written into the two others."""
    axes = (0, *range(2, x.ndim))
    mean[...] = x.mean(axis=axes, dtype=np.float64)
    variance[...] = x.var(axis=axes, dtype=np.float64)


@procedure("running_mean", "running_variance")
def update_running_statistics(
    mean: Array, variance: Array, running_mean: Array, running_variance: Array, *, momentum: float, count: int
) -> None:
    """Move the running statistics by ``momentum`` towards a batch's.

    ``count`` is over how many numbers each was taken: the running variance is the unbiased one, ``count / (count - 1)``
    times the batch's.
    """
    running_mean += momentum * (mean - running_mean)
    running_variance += momentum * (variance * (count / max(count - 1, 1)) - running_variance)


@fused
def batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    batch_mean: Tensor,
    batch_variance: Tensor,
    *,
    training: bool,
    eps: float = 1e-5,
    activation: Literal["none", "relu"] = "none",
) -> Tensor:
    r"""Each channel at mean 0 and variance 1, perhaps with a relu: ``(n, c, ...), (c), (c), (c), (c) -> (n, c, ...)``.

    .. math:: y = \frac{x - \mu_c}{\sqrt{\sigma_c^2 + \epsilon}} \cdot \mathrm{weight}_c + \mathrm{bias}_c

    The statistics are constants, such as running ones, unless ``training``: then they are those of ``x``, as
    :func:`batch_statistics` gives them, and gradients flow through them too.

    Ioffe and Szegedy (2015), Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
    Shift.

    Raises:
        ValueError: ``x`` has no axis of channels, or the activation is unknown.
    """
    if activation not in ("none", "relu"):
        raise ValueError(f"batch_norm knows activation='none' and 'relu', got {activation!r}")
    if x.ndim < 2 or (x.shape[1],) != batch_mean.shape:
        raise ValueError(f"batch_norm needs x of shape (N, {batch_mean.shape[0]}, ...), got {x.shape}")
    if x.ndim == 4:
        x = channels_last(x)
    along = (1, -1) + (1,) * (x.ndim - 2)  # the shape in which (c,) meets (n, c, ...)
    if training:  # the same numbers, but made of x
        centred = x - _channel_mean(x)
        variance = _channel_mean(centred * centred)
    else:
        centred = x - reshape(batch_mean, shape=along)
        variance = reshape(batch_variance, shape=along)
    out = centred / sqrt(variance + eps)
    if weight is not None:
        out = out * reshape(weight, shape=along)
    if bias is not None:
        out = out + reshape(bias, shape=along)
    return relu(out) if activation == "relu" else out


def _channel_mean(x: Tensor) -> Tensor:
    """Each channel's mean, ``(1, c, ...)``: of every image first, then of these, as very long sums lose digits."""
    of_images = mean(x, axis=tuple(range(2, x.ndim)), keepdims=True) if x.ndim > 2 else x
    return mean(of_images, axis=0, keepdims=True)


@fused
def group_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, *, num_groups: int, eps: float = 1e-5
) -> Tensor:
    """The channels of one image, in groups, each group at mean 0 and variance 1: ``(n, c, ...), (c), (c) -> (n, c, ...)``.

    Wu and He (2018), Group Normalization.

    Raises:
        ValueError: ``x`` has no axis of channels, or ``num_groups`` does not divide their number.
    """  # noqa: E501 - the shapes stand in one line
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(f"group_norm needs x of shape (N, C, ...) with {num_groups} dividing C, got {x.shape}")
    if x.ndim == 4:
        x = channels_last(x)
    groups = reshape(x, shape=(x.shape[0], num_groups, x.shape[1] // num_groups, *x.shape[2:]))
    axes = tuple(range(2, groups.ndim))
    centred = groups - mean(groups, axis=axes, keepdims=True)
    variance = mean(centred * centred, axis=axes, keepdims=True)
    out = reshape(centred / sqrt(variance + eps), shape=x.shape)
    along = (1, -1) + (1,) * (x.ndim - 2)
    if weight is not None:
        out = out * reshape(weight, shape=along)
    return out if bias is None else out + reshape(bias, shape=along)


class LayerNorm(Layer):
    """:func:`layer_norm` with a weight that starts at 1 and a bias that starts at 0.

    Args:
        normalized_shape: the size of the last axis, or the sizes of the last axes.
        eps: added to the variance.
        elementwise_affine: whether to have a weight (and a bias) that learn.
        bias: whether to have the bias too.
        dtype: of the parameters.

    Raises:
        ValueError: a size below 1; in the call: other last axes.
        TypeError: in the call: another element type than the weight's.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.normalized_shape = _shape("LayerNorm", normalized_shape)
        self.eps = eps
        self.weight = Parameter(np.ones(self.normalized_shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape, dtype)) if elementwise_affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        check_dtype(self, x, self.weight)
        return layer_norm(x, self.weight, self.bias, normalized_shape=self.normalized_shape, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Layer):
    """:func:`rms_norm` with a weight that starts at 1.

    Args:
        normalized_shape: the size of the last axis, or the sizes of the last axes.
        eps: added to the mean square; by default the distance from 1 to the next number of the input's type.
        elementwise_affine: whether to have a weight that learns.
        dtype: of the weight.

    Raises:
        ValueError: a size below 1; in the call: other last axes.
        TypeError: in the call: another element type than the weight's.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self.normalized_shape = _shape("RMSNorm", normalized_shape)
        self.eps = eps
        self.weight = Parameter(np.ones(self.normalized_shape, dtype)) if elementwise_affine else None

    def forward(self, x: Tensor) -> Tensor:
        check_dtype(self, x, self.weight)
        return rms_norm(x, self.weight, normalized_shape=self.normalized_shape, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


def _shape(name: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or math.prod(shape) < 1:
        raise ValueError(f"{name} needs sizes of at least 1, got {normalized_shape}")
    return shape


class BatchNorm2d(Layer):
    """:func:`batch_norm` of images, by the batch's statistics while training and by running ones after that.

    Args:
        num_features: the number of channels.
        eps: added to the variance.
        momentum: how far the running statistics move towards each batch's; None makes them the mean over all batches.
        affine: whether to have a weight, which starts at 1, and a bias, which starts at 0.
        track_running_stats: whether to keep running statistics; without them the batch's serve always.
        dtype: of the parameters and statistics.

    Raises:
        ValueError: ``num_features`` is below 1; in the call: another shape, or training on one number a channel.
        TypeError: in the call: another element type than the parameters'.
    """

    dimensions: tuple[int, ...] = (4,)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if num_features < 1:
            raise ValueError(f"{type(self).__name__} needs at least one channel, got {num_features}")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine else None
        self.running_mean = Buffer(np.zeros(num_features, dtype)) if track_running_stats else None
        self.running_var = Buffer(np.ones(num_features, dtype)) if track_running_stats else None
        self.num_batches_tracked = Buffer(np.zeros((), np.int64)) if track_running_stats else None

    def forward(self, x: Tensor) -> Tensor:
        return self.activated(x)

    def activated(self, x: Tensor, activation: Literal["none", "relu"] = "none") -> Tensor:
        """The layer followed by an activation, as one operation."""
        if x.ndim not in self.dimensions or x.shape[1] != self.num_features:
            raise ValueError(f"{self} needs x of {self.dimensions} axes, {self.num_features} channels, got {x.shape}")
        check_dtype(self, x, self.weight)
        if not self.training and self.running_mean is not None and self.running_var is not None:
            mean, variance, is_batch = self.running_mean.data, self.running_var.data, False
        else:
            mean, variance = np.zeros((2, self.num_features), x.dtype)
            is_batch = True
            if x.size <= self.num_features and self.training:
                raise ValueError(f"{self} needs more than one number a channel to train, got {x.shape}")
            batch_statistics(x, mean, variance)
            if self.training:
                self._track(mean, variance, x.size // self.num_features)
        statistics: Any = (mean, variance)  # arrays, which no gradient asks for
        return batch_norm(
            x, self.weight, self.bias, *statistics, training=is_batch, eps=self.eps, activation=activation
        )

    def _track(self, mean: Array, variance: Array, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.data += 1
        wrote(self.num_batches_tracked.data)
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        update_running_statistics(mean, variance, self.running_mean, self.running_var, momentum=momentum, count=count)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(BatchNorm2d):
    """:func:`batch_norm` of features ``(n, c)`` or sequences ``(n, c, l)``; arguments as :class:`BatchNorm2d`'s."""

    dimensions = (2, 3)

    def activated(self, x: Tensor, activation: Literal["none", "relu"] = "none") -> Tensor:
        """The layer followed by an activation, as one operation."""
        return super().activated(x, activation)


class GroupNorm(Layer):
    """:func:`group_norm` with a weight that starts at 1 and a bias that starts at 0.

    Args:
        num_groups: into how many groups the channels go; 1 takes all together, ``num_channels`` each alone.
        num_channels: of what comes in.
        eps: added to the variance.
        affine: whether to have a weight and a bias that learn.
        dtype: of the parameters.

    Raises:
        ValueError: ``num_groups`` does not divide ``num_channels``; in the call: another number of channels.
        TypeError: in the call: another element type than the weight's.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if num_groups < 1 or num_channels < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm needs num_groups to divide num_channels, got {num_groups} and {num_channels}")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(f"{self} needs x of {self.num_channels} channels, got {x.shape}")
        check_dtype(self, x, self.weight)
        return group_norm(x, self.weight, self.bias, num_groups=self.num_groups, eps=self.eps)
