"""Layout: the order in which the axes of an array lie in memory, and picking rows without changing it.

Images have the shape ``(N, C, H, W)`` and lie channels-last: what copies them keeps it so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from tt_foundation import Array

__all__ = ["Indices", "as_index", "memory_order", "take_rows"]

Indices: TypeAlias = "range | Array | Sequence[int]"


def memory_order(x: Array) -> tuple[int, ...]:
    """The axes from the one with the longest step in memory to the one with the shortest.

    For images ``(N, C, H, W)`` that lie channels-last it is ``(0, 2, 3, 1)``.
    """
    return tuple(sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis])))


def as_index(indices: Indices) -> slice | Array:
    """Indices as NumPy takes them; a range is a slice, which copies nothing."""
    if isinstance(indices, range) and indices.step == 1 and indices.start >= 0:
        return slice(indices.start, indices.stop)
    return np.asarray(indices, np.int64)


def take_rows(x: Array, indices: Indices) -> Array:
    """``x[indices]`` in the memory layout that ``x`` has: ``(n, ...) -> (batch, ...)``, by copying whole rows."""
    index = as_index(indices)
    if isinstance(index, slice):
        return x[index]
    if x.flags.c_contiguous:
        return x.take(index, axis=0)
    order = memory_order(x)
    if order[0] != 0:
        return x[index]
    return x.transpose(order).take(index, axis=0).transpose(np.argsort(order))
