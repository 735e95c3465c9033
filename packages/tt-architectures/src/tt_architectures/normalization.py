"""Normalization: keeping what flows through a deep network at one scale.

Each layer here subtracts a mean, divides by a standard deviation and then lets the network undo both with a weight and
a bias that learn. They differ in what the mean is taken over: one position's features (layer norm, RMS norm), one
channel over the whole batch (batch norm), a few channels of one image (group norm). Knows tensors and modules; knows
nothing of convolution or attention, and its fast forms stand in ``normalization_kernels``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tt_foundation import Module, Parameter, Tensor, fused, mean, sqrt

__all__ = ["LayerNorm", "RMSNorm", "layer_norm", "rms_norm"]

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
        _check_dtype(self, x, self.weight)
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
        _check_dtype(self, x, self.weight)
        return rms_norm(x, self.weight, normalized_shape=self.normalized_shape, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


def _shape(name: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or math.prod(shape) < 1:
        raise ValueError(f"{name} needs sizes of at least 1, got {normalized_shape}")
    return shape


def _check_dtype(layer: Layer, x: Tensor, weight: Tensor | None) -> None:
    if weight is not None and x.dtype != weight.dtype:
        raise TypeError(f"{layer} has {weight.dtype} weights and got a {x.dtype} input: x.astype({weight.dtype})?")
