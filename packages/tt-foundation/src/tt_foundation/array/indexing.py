"""Indexing: elements by number, in order, and where a condition holds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tt_foundation.primitive import Array, Scalar, primitive
from tt_foundation.tensor import Tensor, getitem, scatter_add, where

__all__ = [
    "TopK", "argsort", "masked_fill", "nonzero", "one_hot", "put_along_axis", "sort", "take", "take_along_axis", "topk",
]  # fmt: skip


def take(x: Tensor, indices: Tensor | Array, *, axis: int = 0) -> Tensor:
    """Slices of ``x`` by number along ``axis``: ``(..., n, ...), (*) -> (..., *, ...)``.

    Raises:
        IndexError: a number is out of range.
    """
    return getitem(x, index=(slice(None),) * (axis % x.ndim) + (np.asarray(indices),))


def _places(x: Tensor, indices: Tensor | Array, axis: int) -> tuple[Array, ...]:
    """An index array for each axis, so that ``axis`` goes by ``indices`` and the others by their own place."""
    at = np.asarray(indices)
    if at.ndim != x.ndim:
        raise ValueError(f"indices need as many axes as the tensor, got {at.shape} for {x.shape}")
    own = [np.arange(n).reshape([-1 if i == a else 1 for i in range(x.ndim)]) for a, n in enumerate(at.shape)]
    own[axis % x.ndim] = at
    return tuple(own)


def take_along_axis(x: Tensor, indices: Tensor | Array, *, axis: int = -1) -> Tensor:
    """The elements that ``indices`` names along ``axis``: ``(..., n, ...), (..., k, ...) -> (..., k, ...)``.

    Raises:
        ValueError: ``indices`` has another number of axes.
        IndexError: a number is out of range.
    """
    return getitem(x, index=_places(x, indices, axis))


def put_along_axis(x: Tensor, indices: Tensor | Array, values: Tensor, *, axis: int = -1) -> Tensor:
    """A copy of ``x`` with ``values`` added where ``indices`` names along ``axis``, as often as it does.

    Raises:
        ValueError, IndexError: as :func:`take_along_axis`.
    """
    return x + scatter_add(values, index=_places(x, indices, axis), shape=x.shape)


@primitive
def argsort(x: Array, *, axis: int = -1, descending: bool = False) -> Array:
    """The order that sorts along ``axis``, equal elements staying in theirs: ``(*) -> (*)``, int64."""
    if descending:
        return np.flip(x.shape[axis] - 1 - np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    return np.argsort(x, axis=axis, kind="stable")


def sort(x: Tensor, *, axis: int = -1, descending: bool = False) -> Tensor:
    """The elements in order along ``axis``: ``(*) -> (*)``."""
    return take_along_axis(x, argsort(x, axis=axis, descending=descending), axis=axis) if x.ndim else x


class TopK(NamedTuple):
    """The largest elements and where they stood."""

    values: Tensor
    indices: Tensor


def topk(x: Tensor, k: int, *, axis: int = -1) -> TopK:
    """The ``k`` largest elements along ``axis``, largest first, and their indices: ``(..., n, ...) -> (..., k, ...)``.

    Raises:
        ValueError: there are not so many.
    """
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"topk needs 0 <= k <= {x.shape[axis]}, got {k}")
    order = argsort(x, axis=axis, descending=True)
    indices = order[(slice(None),) * (axis % x.ndim) + (slice(k),)]
    return TopK(take_along_axis(x, indices, axis=axis), indices)


def one_hot(indices: Tensor | Array, num_classes: int, *, dtype: npt.DTypeLike = np.float32) -> Tensor:
    """A 1 at the place that each index names and zeros elsewhere: ``(*) -> (*, num_classes)``.

    Raises:
        ValueError: an index is no class.
    """
    at = np.asarray(indices)
    if at.size and not 0 <= int(at.min()) <= int(at.max()) < num_classes:
        raise ValueError(f"one_hot of {num_classes} classes got indices from {at.min()} to {at.max()}")
    return Tensor((at[..., None] == np.arange(num_classes)).astype(dtype))


def masked_fill(x: Tensor, mask: Tensor | Array, value: Tensor | Scalar) -> Tensor:
    """``value`` where the mask is true and ``x`` elsewhere: ``(*), (*) -> (*)`` with broadcasting."""
    return where(mask, value, x)


def nonzero(x: Tensor) -> tuple[Tensor, ...]:
    """The places of the elements that are not zero: an index tensor for each axis, int64."""
    return tuple(Tensor(places) for places in np.nonzero(x.data))
