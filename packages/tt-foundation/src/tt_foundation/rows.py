"""Rows: the gradient of a large table, of which a batch touches a few rows.

The gradient of picking rows out of a table is zero everywhere else: it is kept as the rows alone, and costs what the
batch touches, not what the table holds. Knows tensors; knows nothing of the tape, of embeddings or of optimizers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tt_foundation.primitive import Array, wrote
from tt_foundation.tensor import Tensor

__all__ = ["Rows", "RowsGradient"]


class Rows:
    """An array that is zero but for some of its rows.

    The rule of an argument that no operation made (a leaf) may return it; where it meets another gradient of that leaf
    the two are added.

    Args:
        index: which rows, integers in any order, one several times if it gets several: ``(n)``.
        values: what is added to each: ``(n, ...)``.
        length: how many rows the whole array has.

    Raises:
        ValueError: there is not one row of values for each index.
    """

    __slots__ = ("index", "is_summed", "length", "values")
    __array_ufunc__ = None  # so that `array + rows` asks the rows

    def __init__(self, index: Array, values: Array, length: int) -> None:
        if index.ndim != 1 or values.shape[:1] != index.shape:
            raise ValueError(f"Rows need one row of values for each index, got {values.shape} for {index.shape}")
        self.index, self.values, self.length = index.astype(np.intp, copy=False), values, length
        self.is_summed = len(index) < 2

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return (self.length, *self.values.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        """The bytes of the rows alone."""
        return self.index.nbytes + self.values.nbytes

    def summed(self) -> Rows:
        """The same with every row once, in order, and memory of its own."""
        if self.is_summed:
            return Rows(self.index.copy(), self.values.copy(), self.length) if len(self.index) < 2 else self
        order = np.argsort(self.index, kind="stable")
        index = self.index[order]
        starts = np.flatnonzero(np.concatenate(([True], index[1:] != index[:-1])))
        rows = Rows(index[starts], np.add.reduceat(self.values[order], starts, axis=0), self.length)
        rows.is_summed = True
        return rows

    def dense(self) -> Array:
        """The whole array."""
        out = np.zeros(self.shape, self.dtype)
        rows = self.summed()
        out[rows.index] = rows.values
        return out

    def add_to(self, array: Array) -> None:
        """Add the rows to an array of the same shape, in place."""
        rows = self.summed()
        array[rows.index] += rows.values

    def __add__(self, other: Rows | Array) -> Any:
        if isinstance(other, Rows):
            both = np.concatenate([self.index, other.index]), np.concatenate([self.values, other.values])
            return Rows(*both, self.length)
        out = np.array(other)
        self.add_to(out)
        return out

    __radd__ = __add__

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return self.dense().astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"Rows({len(self.index)} of shape {self.shape})"


class RowsGradient(Tensor):
    """A leaf's gradient that is kept as rows, each once and in order, for an optimizer that takes ``rows``.

    Who asks for its numbers gets, from then on, an ordinary tensor: ``rows`` is None.
    """

    __slots__ = ("_whole", "rows")

    rows: Rows | None
    _whole: Array

    def __init__(self, rows: Rows) -> None:
        self.rows = rows.summed()
        self.grad, self.node, self.requires_grad = None, None, False

    @property
    def data(self) -> Array:
        """The whole array, made at the first time."""
        if self.rows is not None:
            self._whole, self.rows = self.rows.dense(), None
        return self._whole

    @data.setter
    def data(self, array: Array) -> None:
        self._whole, self.rows = array, None

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of every axis."""
        return self._whole.shape if self.rows is None else self.rows.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        return self._whole.dtype if self.rows is None else self.rows.dtype

    @property
    def nbytes(self) -> int:
        """The bytes that it takes."""
        return self._whole.nbytes if self.rows is None else self.rows.nbytes


def with_rows(gradient: Tensor | None, rows: Rows) -> Tensor:
    """A leaf's gradient after ``rows`` have been added to what it was."""
    if gradient is None:
        return RowsGradient(rows)
    if isinstance(gradient, RowsGradient) and gradient.rows is not None:
        return RowsGradient(gradient.rows + rows)
    rows.add_to(gradient.data)
    wrote(gradient.data)
    return gradient


def rows_or_whole(gradient: Tensor) -> Rows | Array:
    """A gradient as rows where it is kept so, as a whole array elsewhere."""
    rows = gradient.rows if isinstance(gradient, RowsGradient) else None
    return gradient.data if rows is None else rows


def numbers(gradient: Tensor) -> Array:
    """The array that holds a gradient's numbers, of rows only those that are kept; to be read and written."""
    held = rows_or_whole(gradient)
    return held.values if isinstance(held, Rows) else held
