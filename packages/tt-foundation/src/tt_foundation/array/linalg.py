"""Linear algebra beyond the matrix product: sums of products, norms, and what lies on, above or below a diagonal."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tt_foundation.primitive import Array, Nary, Primitive, gradient, primitive
from tt_foundation.tensor import (
    Axis,
    Tensor,
    abs,
    broadcast_to,
    getitem,
    max,
    min,
    multiply,
    permute_dims,
    pow,
    reshape,
    sqrt,
    sum,
    swapaxes,
)  # fmt: skip

__all__ = [
    "diagonal", "einsum", "matrix_norm", "matrix_transpose", "outer", "product_sum", "trace", "tril", "triu", "vecdot",
    "vector_norm",
]  # fmt: skip


def matrix_transpose(x: Tensor) -> Tensor:
    """Rows and columns exchanged: ``(..., n, m) -> (..., m, n)``, a view.

    Raises:
        ValueError: ``x`` has fewer than two axes.
    """
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose needs two axes or more, got shape {x.shape}")
    return swapaxes(x)


def vecdot(x: Tensor, y: Tensor, *, axis: int = -1) -> Tensor:
    """Sum of products along ``axis``: ``(..., n), (..., n) -> (...)`` with broadcasting."""
    return sum(multiply(x, y), axis=axis)


def outer(x: Tensor, y: Tensor) -> Tensor:
    """Every product of an element of one with one of the other: ``(n), (m) -> (n, m)``.

    Raises:
        ValueError: one is no vector.
    """
    if x.ndim != 1 or y.ndim != 1:
        raise ValueError(f"outer needs two vectors, got {x.shape} and {y.shape}")
    return multiply(reshape(x, shape=(-1, 1)), y)


def _product_sum(*arrays: Array, inputs: tuple[str, ...], output: str) -> Array:
    return np.asarray(np.einsum(f"{','.join(inputs)}->{output}", *arrays, optimize=len(arrays) > 2))


_product_sum.__name__ = "einsum"
product_sum: Nary = Primitive(_product_sum)
"""The primitive under :func:`einsum`: axes named by letters, none twice in one array."""


@gradient(product_sum, "arrays")
def product_sum_wrt_arrays(g: Array, i: int, arrays: tuple[Array, ...], *, inputs: tuple[str, ...], output: str) -> Any:
    others = tuple(letters for j, letters in enumerate(inputs) if j != i)
    known = "".join(letter for letter in inputs[i] if letter in output or letter in "".join(others))
    values = [a for j, a in enumerate(arrays) if j != i]
    part = product_sum(g, *values, inputs=(output, *others), output=known)
    shape = arrays[i].shape
    part = reshape(part, shape=tuple(n if s in known else 1 for s, n in zip(inputs[i], shape, strict=True)))
    return broadcast_to(part, shape=shape)


def einsum(subscripts: str, *tensors: Tensor) -> Tensor:
    """Sums of products by named axes, as in ``einsum("ij,jk->ik", x, y)``; ``...`` stands for leading axes.

    An axis named twice in one tensor is its diagonal. Einstein (1916), The Foundation of the General Theory of
    Relativity, section 5.

    Raises:
        ValueError: the subscripts do not fit the tensors.
    """
    inputs, output = _subscripts(subscripts, tensors)
    operands = list(tensors)
    for i, letters in enumerate(inputs):
        for letter in dict.fromkeys(letters):
            while letters.count(letter) > 1:
                first, second = letters.index(letter), letters.rindex(letter)
                operands[i] = diagonal(operands[i], axis1=first, axis2=second)
                letters = letters.replace(letter, "") + letter if letters.count(letter) == 2 else letters
                if letters.count(letter) > 1:
                    raise ValueError(f"einsum takes an axis at most twice in one tensor, got {subscripts!r}")
        inputs[i] = letters
    return product_sum(*operands, inputs=tuple(inputs), output=output)


def _subscripts(subscripts: str, tensors: Sequence[Tensor]) -> tuple[list[str], str]:
    """Input and output letters, with ellipses spelled out."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(tensors):
        raise ValueError(f"einsum {subscripts!r} names {len(inputs)} tensors, got {len(tensors)}")
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in subscripts]
    widest = ""
    for i, (letters, tensor) in enumerate(zip(inputs, tensors, strict=True)):
        extra = tensor.ndim - len(letters.replace("...", ""))
        if extra < 0 or (extra and "..." not in letters):
            raise ValueError(f"einsum {subscripts!r} does not fit shape {tensor.shape} of tensor {i}")
        names = "".join(free[-extra:]) if extra else ""
        widest = names if len(names) > len(widest) else widest
        inputs[i] = letters.replace("...", names)
    if not arrow:
        text = "".join(inputs)
        right = widest + "".join(sorted(c for c in set(text) if text.count(c) == 1 and c not in widest))
    return inputs, right.replace("...", widest)


def vector_norm(x: Tensor, *, axis: Axis = None, ord: float = 2, keepdims: bool = False) -> Tensor:
    """Length of the vectors along ``axis``: ``(..., n, ...) -> (..., ...)``; ``ord`` may be infinite.

    The gradient of the length of a zero vector is not a number.
    """
    if ord == 2:
        return sqrt(sum(x * x, axis=axis, keepdims=keepdims))
    if ord == math.inf:
        return max(abs(x), axis=axis, keepdims=keepdims)
    if ord == -math.inf:
        return min(abs(x), axis=axis, keepdims=keepdims)
    if ord == 1:
        return sum(abs(x), axis=axis, keepdims=keepdims)
    return pow(sum(pow(abs(x), ord), axis=axis, keepdims=keepdims), 1 / ord)


def matrix_norm(x: Tensor, *, keepdims: bool = False) -> Tensor:
    """Frobenius norm of the matrices in the last two axes: ``(..., n, m) -> (...)``."""
    return vector_norm(x, axis=(-2, -1), keepdims=keepdims)


def diagonal(x: Tensor, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """The elements ``x[i, i + offset]`` of two axes, put last: ``(..., n, n) -> (..., n)``."""
    first, second = axis1 % x.ndim, axis2 % x.ndim
    rest = [a for a in range(x.ndim) if a not in (first, second)]
    moved = permute_dims(x, axes=(*rest, first, second))
    rows, columns = moved.shape[-2:]
    i = np.arange(rows)[builtins.max(0, -offset) : builtins.max(0, builtins.min(rows, columns - offset))]
    return getitem(moved, index=(..., i, i + offset))


def trace(x: Tensor, *, offset: int = 0) -> Tensor:
    """Sum of the diagonal of the last two axes: ``(..., n, n) -> (...)``."""
    return sum(diagonal(x, offset=offset), axis=-1)


@primitive
def tril(x: Array, *, k: int = 0) -> Array:
    """The elements on and below diagonal ``k``, zeros above: ``(..., n, m) -> (..., n, m)``."""
    return np.tril(x, k)


@gradient(tril, "x")
def tril_wrt_x(g: Array, *, k: int = 0) -> Array:
    return tril(g, k=k)


@primitive
def triu(x: Array, *, k: int = 0) -> Array:
    """The elements on and above diagonal ``k``, zeros below: ``(..., n, m) -> (..., n, m)``."""
    return np.triu(x, k)


@gradient(triu, "x")
def triu_wrt_x(g: Array, *, k: int = 0) -> Array:
    return triu(g, k=k)
