"""Normalization kernels: layer, RMS and batch norm in few passes over memory, for the ``numpy`` backend.

Rows or pixels are taken in blocks that stay in the second-level cache; sums along an axis are products with a vector
of ones, which BLAS does faster than NumPy adds. Knows ``normalization``; nothing imports a name from here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tt_architectures.normalization import layer_norm, rms_norm
from tt_foundation import Array, kernel, parallel_blocks

__all__: list[str] = []

Needs = tuple[bool, ...]

_BLOCK = 65_536
"""The most elements of a block: a few such arrays stay in the second-level cache."""

_PER_THREAD = 131_072
"""The fewest elements that are worth waking another thread for."""


def _rows(x: Array, size: int) -> Array:
    """The last axes made one and all others too: ``(..., size) -> (rows, size)``, a view where ``x`` is in order."""
    return np.ascontiguousarray(x).reshape(-1, size)


def _in_row_blocks(function: Any, count: int, size: int) -> None:
    """Call ``function(slice)`` for blocks of ``count`` rows of ``size`` elements, over all threads if it pays."""
    step = max(1, _BLOCK // size)

    def run(start: int, stop: int) -> None:
        for at in range(start, stop, step):
            function(slice(at, min(at + step, stop)))

    parallel_blocks(run, count, min_block=max(1, _PER_THREAD // size))


def _is_plain(x: Array, normalized_shape: tuple[int, ...], *parameters: Array | None) -> bool:
    """Whether kernels take it: real numbers of one type, the shapes as they must be (the body says what is wrong)."""
    count = len(normalized_shape)
    return (
        x.dtype in (np.float32, np.float64)
        and count > 0
        and x.size > 0
        and x.shape[-count:] == tuple(normalized_shape)
        and all(p is None or (p.shape == tuple(normalized_shape) and p.dtype == x.dtype) for p in parameters)
    )


@kernel(layer_norm, "numpy")
def layer_norm_in_blocks(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    normalized_shape: tuple[int, ...],
    eps: float = 1e-5,
) -> Any:
    """Keeps the normalized rows and each row's 1 / deviation."""
    if not _is_plain(x, normalized_shape, weight, bias):
        return NotImplemented
    size = math.prod(normalized_shape)
    rows = _rows(x, size)
    normal, out = np.empty_like(rows), np.empty_like(rows)
    scale = np.empty((len(rows), 1), x.dtype)
    share = np.full((size, 1), 1 / size, x.dtype)
    w, b = (None if p is None else p.reshape(-1) for p in (weight, bias))

    def block(at: slice) -> None:
        n, o, s = normal[at], out[at], scale[at]
        np.subtract(rows[at], np.matmul(rows[at], share), out=n)
        np.matmul(np.multiply(n, n, out=o), share, out=s)
        s += eps
        np.divide(1, np.sqrt(s, out=s), out=s)
        np.multiply(n, s, out=n)
        if w is None:
            np.copyto(o, n)
        else:
            np.multiply(n, w, out=o)
        if b is not None:
            np.add(o, b, out=o)

    _in_row_blocks(block, len(rows), size)
    return out.reshape(x.shape), (normal, scale, w)


@layer_norm_in_blocks.gradient
def layer_norm_gradient(
    g: Array, saved: tuple[Array, Array, Array | None], needs: Needs, *, normalized_shape: tuple[int, ...]
) -> tuple[Array | None, ...]:
    normal, scale, w = saved
    size = normal.shape[1]
    rows = _rows(g, size)
    share = np.full((size, 1), 1 / size, g.dtype)
    wrt_x = np.empty_like(rows) if needs[0] else None

    def block(at: slice) -> None:
        assert wrt_x is not None
        n, p, s = normal[at], wrt_x[at], scale[at]
        d = rows[at] if w is None else np.multiply(rows[at], w)
        along = np.matmul(np.multiply(d, n, out=p), share)
        np.multiply(n, along, out=p)
        p += np.matmul(d, share)
        np.subtract(d, p, out=p)
        p *= s

    if needs[0]:
        _in_row_blocks(block, len(rows), size)
    return (
        None if wrt_x is None else wrt_x.reshape(g.shape),
        _sum_of_products(rows, normal).reshape(normalized_shape) if needs[1] else None,
        np.matmul(np.ones(len(rows), g.dtype), rows).reshape(normalized_shape) if needs[2] else None,
    )


@kernel(rms_norm, "numpy")
def rms_norm_in_blocks(
    x: Array, weight: Array | None = None, *, normalized_shape: tuple[int, ...], eps: float | None = None
) -> Any:
    """Keeps the normalized rows and each row's 1 / root of its mean square."""
    if not _is_plain(x, normalized_shape, weight):
        return NotImplemented
    size = math.prod(normalized_shape)
    rows = _rows(x, size)
    normal = np.empty_like(rows)
    out = normal if weight is None else np.empty_like(rows)
    scale = np.empty((len(rows), 1), x.dtype)
    share = np.full((size, 1), 1 / size, x.dtype)
    w = None if weight is None else weight.reshape(-1)
    floor = np.finfo(x.dtype).eps if eps is None else eps

    def block(at: slice) -> None:
        n, s = normal[at], scale[at]
        np.matmul(np.multiply(rows[at], rows[at], out=n), share, out=s)
        s += floor
        np.divide(1, np.sqrt(s, out=s), out=s)
        np.multiply(rows[at], s, out=n)
        if w is not None:
            np.multiply(n, w, out=out[at])

    _in_row_blocks(block, len(rows), size)
    return out.reshape(x.shape), (normal, scale, w)


@rms_norm_in_blocks.gradient
def rms_norm_gradient(
    g: Array, saved: tuple[Array, Array, Array | None], needs: Needs, *, normalized_shape: tuple[int, ...]
) -> tuple[Array | None, ...]:
    normal, scale, w = saved
    size = normal.shape[1]
    rows = _rows(g, size)
    share = np.full((size, 1), 1 / size, g.dtype)
    wrt_x = np.empty_like(rows) if needs[0] else None

    def block(at: slice) -> None:
        assert wrt_x is not None
        n, p = normal[at], wrt_x[at]
        d = rows[at] if w is None else np.multiply(rows[at], w)
        along = np.matmul(np.multiply(d, n, out=p), share)
        np.subtract(d, np.multiply(n, along, out=p), out=p)
        p *= scale[at]

    if needs[0]:
        _in_row_blocks(block, len(rows), size)
    return (
        None if wrt_x is None else wrt_x.reshape(g.shape),
        _sum_of_products(rows, normal).reshape(normalized_shape) if needs[1] else None,
    )


def _sum_of_products(x: Array, y: Array) -> Array:
    """``sum(x * y, axis=0)`` of two matrices, block by block: ``(n, size), (n, size) -> (size,)``."""
    step = max(1, _BLOCK // x.shape[1])
    total = np.zeros(x.shape[1], x.dtype)
    ones = np.ones(step, x.dtype)
    for at in range(0, len(x), step):
        product = np.multiply(x[at : at + step], y[at : at + step])
        total += np.matmul(ones[: len(product)], product)
    return total
