"""Reductions and running totals beyond those of module 01: many elements made fewer along an axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tt_foundation.array.elementwise import isfinite
from tt_foundation.array.manipulation import flip, joined
from tt_foundation.primitive import Array, fused, gradient, primitive
from tt_foundation.tensor import (
    Axis,
    Tensor,
    broadcast_to,
    divide,
    exp,
    getitem,
    log,
    max,
    mean,
    multiply,
    reshape,
    sqrt,
    sum,
    where,
)  # fmt: skip

__all__ = [
    "all", "any", "argmin", "count_nonzero", "cumulative_prod", "cumulative_sum", "logsumexp", "prod", "std", "var",
]  # fmt: skip


def _count(x: Tensor, axis: Axis) -> int:
    """How many elements a reduction over ``axis`` makes one of."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return math.prod(x.shape[a] for a in axes)


def var(x: Tensor, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Mean squared distance from the mean over ``axis``: ``(..., n, ...) -> (..., ...)``.

    The sum is divided by ``n - correction``: 0 for the variance of the elements, 1 for an estimate from a sample.
    """
    distance = x - mean(x, axis=axis, keepdims=True)
    return divide(sum(distance * distance, axis=axis, keepdims=keepdims), float(_count(x, axis) - correction))


def std(x: Tensor, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Square root of :func:`var`: ``(..., n, ...) -> (..., ...)``."""
    return sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


@fused
def logsumexp(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """``log(sum(exp(x)))`` without overflow over ``axis``: ``(..., n, ...) -> (..., ...)``."""
    m = max(x, axis=axis, keepdims=True)
    m = where(isfinite(m), m, 0.0)
    out = log(sum(exp(x - m), axis=axis, keepdims=True)) + m
    return out if keepdims else sum(out, axis=axis)


@primitive
def argmin(x: Array, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """Index of the first smallest element along ``axis``, in the flat array by default: int64, not differentiable."""
    return np.argmin(x, axis=axis, keepdims=keepdims)


@primitive
def any(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether some element is true over ``axis``: ``(..., n, ...) -> (..., ...)`` of booleans."""
    return np.any(x, axis=axis, keepdims=keepdims)


@primitive
def all(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether every element is true over ``axis``: ``(..., n, ...) -> (..., ...)`` of booleans."""
    return np.all(x, axis=axis, keepdims=keepdims)


@primitive
def count_nonzero(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """How many elements are not zero over ``axis``: ``(..., n, ...) -> (..., ...)``, int64."""
    return np.asarray(np.count_nonzero(x, axis=axis, keepdims=keepdims))


@primitive
def cumulative_sum(x: Array, *, axis: int = -1) -> Array:
    """Running sum along ``axis``: ``(..., n, ...) -> (..., n, ...)``."""
    return np.cumsum(x, axis=axis)


@gradient(cumulative_sum, "x")
def cumulative_sum_wrt_x(g: Array, *, axis: int = -1) -> Array:
    return flip(cumulative_sum(flip(g, axis=axis), axis=axis), axis=axis)


@primitive
def cumulative_prod(x: Array, *, axis: int = -1) -> Array:
    """Running product along ``axis``: ``(..., n, ...) -> (..., n, ...)``."""
    return np.cumprod(x, axis=axis)


@gradient(cumulative_prod, "x")
def cumulative_prod_wrt_x(g: Array, x: Array, *, axis: int = -1) -> Array:
    """Right with zeros too: every running product once without each factor, n products of n."""
    axis = axis % len(x.shape)
    n = x.shape[axis]
    front = (slice(None),) * axis
    wide = (*x.shape[:axis], n, *x.shape[axis:])  # (..., k, n, ...): row k leaves factor k out
    rows = broadcast_to(getitem(x, index=(*front, None)), shape=wide)
    diagonal = np.eye(n, dtype=bool).reshape((n, n) + (1,) * (len(x.shape) - axis - 1))
    without = cumulative_prod(where(diagonal, 1.0, rows), axis=axis + 1)
    later = np.triu(np.ones((n, n), x.dtype)).reshape(diagonal.shape)
    return sum(getitem(g, index=(*front, None)) * (without * later), axis=axis + 1)


@primitive
def _prod(x: Array) -> Array:
    return np.prod(x, axis=-1)


@gradient(_prod, "x")
def prod_wrt_x(g: Array, x: Array) -> Any:
    """The product of what stands before and what stands after, so that zeros do no harm."""
    one = np.ones((*x.shape[:-1], 1), x.dtype)
    before = cumulative_prod(joined(one, x[..., :-1], axis=-1))
    after = flip(cumulative_prod(flip(joined(x[..., 1:], one, axis=-1), axis=-1)), axis=-1)
    return multiply(before, after) * reshape(g, shape=(*g.shape, 1))


def prod(x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Product over ``axis``, all of them by default: ``(..., n, ...) -> (..., ...)``; 1 over no elements."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    reduced = sorted(a % x.ndim for a in axes)
    kept = [a for a in range(x.ndim) if a not in reduced]
    shape = tuple(x.shape[a] for a in kept)
    last = x.permute_dims(*kept, *reduced).reshape(*shape, math.prod(x.shape[a] for a in reduced))
    out = _prod(last)
    return out.reshape(tuple(1 if a in reduced else n for a, n in enumerate(x.shape))) if keepdims else out
