"""Manipulation: the same elements elsewhere: shapes, joins, splits, shifts and repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from tt_foundation.primitive import Array, Nary, Primitive, Scalar, gradient, primitive
from tt_foundation.tensor import Tensor, getitem, reshape, scatter_add

__all__ = [
    "concat", "expand_dims", "flatten", "flip", "joined", "pad", "repeat", "roll", "split", "squeeze", "stack", "tile",
    "unstack",
]  # fmt: skip


def squeeze(x: Tensor, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Axes of size 1 taken out, all of them by default: ``(..., 1, ...) -> (..., ...)``, a view.

    Raises:
        ValueError: an axis that is named has another size.
    """
    axes = [i for i, n in enumerate(x.shape) if n == 1] if axis is None else axis if isinstance(axis, tuple) else [axis]
    gone = {a % x.ndim for a in axes}
    for a in gone:
        if x.shape[a] != 1:
            raise ValueError(f"squeeze needs axes of size 1, axis {a} of {x.shape} is not")
    return reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if i not in gone))


def expand_dims(x: Tensor, axis: int = 0) -> Tensor:
    """An axis of size 1 put in at ``axis``: ``(..., ...) -> (..., 1, ...)``, a view.

    Raises:
        IndexError: ``axis`` is beyond the axes of the result.
    """
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise IndexError(f"expand_dims needs {-x.ndim - 1} <= axis <= {x.ndim}, got {axis}")
    at = axis % (x.ndim + 1)
    return reshape(x, shape=(*x.shape[:at], 1, *x.shape[at:]))


def flatten(x: Tensor, start_axis: int = 0, end_axis: int = -1) -> Tensor:
    """The axes from ``start_axis`` to ``end_axis`` made one: ``(a, b, c) -> (a * b * c,)``."""
    if x.ndim == 0:
        return reshape(x, shape=(1,))
    first, last = start_axis % x.ndim, end_axis % x.ndim
    return reshape(x, shape=(*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def _joined(*arrays: Array, axis: int) -> Array:
    return np.concatenate(arrays, axis)


_joined.__name__ = "concat"
joined: Nary = Primitive(_joined)
"""The primitive under :func:`concat`, of any number of arrays."""


@gradient(joined, "arrays")
def joined_wrt_arrays(g: Array, i: int, arrays_shape: tuple[tuple[int, ...], ...], *, axis: int) -> Array:
    at = axis % len(g.shape)
    start = int(np.sum([s[at] for s in arrays_shape[:i]], dtype=int))
    return getitem(g, index=(slice(None),) * at + (slice(start, start + arrays_shape[i][at]),))


def concat(tensors: Sequence[Tensor], axis: int | None = 0) -> Tensor:
    """Tensors end to end along ``axis``; flattened first where it is None: ``(..., n, ...), (..., m, ...) -> (..., n + m, ...)``.

    Raises:
        ValueError: there are none, or other axes than ``axis`` differ.
    """  # noqa: E501 - the shapes stand in one line
    if not tensors:
        raise ValueError("concat needs at least one tensor")
    if axis is None:
        return joined(*(flatten(t) for t in tensors), axis=0)
    return joined(*tensors, axis=axis)


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis: ``k x (...) -> (..., k, ...)``.

    Raises:
        ValueError: there are none, or shapes differ.
    """
    shapes = {t.shape for t in tensors}
    if len(shapes) != 1:
        raise ValueError(f"stack needs tensors of one shape, got {sorted(shapes)}")
    return concat([expand_dims(t, axis) for t in tensors], axis)


def unstack(x: Tensor, axis: int = 0) -> list[Tensor]:
    """The slices along ``axis``, without it: undoes :func:`stack`."""
    front = (slice(None),) * (axis % x.ndim)
    return [getitem(x, index=(*front, i)) for i in range(x.shape[axis])]


def split(x: Tensor, sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Parts along ``axis``: as many equal ones as ``sections`` says, or cut before the indices it lists.

    Raises:
        ValueError: the axis cannot be cut into so many equal parts.
    """
    n = x.shape[axis]
    if isinstance(sections, int):
        if sections < 1 or n % sections:
            raise ValueError(f"split cannot cut an axis of size {n} into {sections} equal parts")
        sections = range(n // sections, n, n // sections) if n else []
    front = (slice(None),) * (axis % x.ndim)
    cuts = [0, *sections, n]
    return [getitem(x, index=(*front, slice(a, b))) for a, b in pairwise(cuts)]


@primitive
def flip(x: Array, *, axis: int | tuple[int, ...] | None = None) -> Array:
    """Elements in reverse order along ``axis``, all of them by default: ``(*) -> (*)``, a view."""
    return np.flip(x, axis)


@gradient(flip, "x")
def flip_wrt_x(g: Array, *, axis: int | tuple[int, ...] | None = None) -> Array:
    return flip(g, axis=axis)


@primitive
def roll(x: Array, *, shift: int | tuple[int, ...], axis: int | tuple[int, ...] | None = None) -> Array:
    """Elements moved by ``shift`` along ``axis``, those pushed out coming in at the other end: ``(*) -> (*)``."""
    return np.roll(x, shift, axis)


@gradient(roll, "x")
def roll_wrt_x(g: Array, *, shift: int | tuple[int, ...], axis: int | tuple[int, ...] | None = None) -> Array:
    back = tuple(-s for s in shift) if isinstance(shift, tuple) else -shift
    return roll(g, shift=back, axis=axis)


def repeat(x: Tensor, repeats: int | Array, *, axis: int | None = None) -> Tensor:
    """Each element ``repeats`` times in a row along ``axis``, of the flat tensor by default."""
    if axis is None:
        return repeat(flatten(x), repeats, axis=0)
    places = np.repeat(np.arange(x.shape[axis]), repeats)
    return getitem(x, index=(slice(None),) * (axis % x.ndim) + (places,))


def tile(x: Tensor, repetitions: tuple[int, ...]) -> Tensor:
    """The whole tensor repeated along every axis, as often as ``repetitions`` says: ``(n,) -> (k * n,)``."""
    for _ in range(len(repetitions) - x.ndim):
        x = expand_dims(x)
    counts = (1,) * (x.ndim - len(repetitions)) + tuple(repetitions)
    for axis, count in enumerate(counts):
        if count != 1:
            places = np.tile(np.arange(x.shape[axis]), count)
            x = getitem(x, index=(slice(None),) * axis + (places,))
    return x


def pad(
    x: Tensor,
    widths: Sequence[tuple[int, int]],
    *,
    mode: Literal["constant", "reflect", "edge"] = "constant",
    constant: Scalar = 0,
) -> Tensor:
    """Elements put around: ``widths`` gives (before, after) for each axis; ``(n,) -> (before + n + after,)``.

    ``"constant"`` puts ``constant`` there, ``"edge"`` the nearest element, ``"reflect"`` what lies behind it.

    Raises:
        ValueError: there are not as many widths as axes, one is negative, or the mode is unknown.
    """
    if len(widths) != x.ndim or any(before < 0 or after < 0 for before, after in widths):
        raise ValueError(f"pad needs a pair of widths >= 0 for each of {x.ndim} axes, got {list(widths)}")
    if mode not in ("constant", "reflect", "edge"):
        raise ValueError(f"pad knows the modes constant, reflect and edge, got {mode!r}")
    if mode == "constant":
        shape = tuple(before + n + after for n, (before, after) in zip(x.shape, widths, strict=True))
        inside = tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True))
        placed = scatter_add(x, index=inside, shape=shape)
        if constant == 0:
            return placed
        around = np.full(shape, constant, x.dtype)
        around[inside] = 0
        return placed + around
    for axis, (before, after) in enumerate(widths):
        places: Any = np.pad(np.arange(x.shape[axis]), (before, after), mode=mode)
        x = getitem(x, index=(slice(None),) * axis + (places,))
    return x
