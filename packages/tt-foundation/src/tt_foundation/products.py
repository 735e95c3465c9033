"""Products of two matrices, over all threads, and cut in small ones where the BLAS at hand is faster so.

A BLAS first copies ("packs") what it multiplies into the order that its inner loop likes. OpenBLAS's kernels for
AVX-512 spare that for small products, of up to a million multiplications: they take the matrices where they lie, and
are up to a fifth faster. Knows the machine; knows no operation.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tt_foundation.machine import parallel_blocks
from tt_foundation.primitive import Array

__all__ = ["matrix_product"]

_UNPACKED = 1_000_000
"""The most multiplications that OpenBLAS does without packing."""

_ARCHITECTURES = {"SkylakeX", "Cooperlake", "SapphireRapids"}
"""The kernels of OpenBLAS that have such a bound."""

_ROWS, _COLUMNS = 128, 64
"""The most rows and the columns of a tile, as measured to be fastest."""

_FEW = 2048
"""The most elements of a product that is summed over parts of the axis that vanishes."""

_MANY = 1024
"""The fewest rows for which it pays to lay the other matrix out by rows first."""

PER_THREAD = 4_000_000
"""The fewest multiplications for which it pays to wake another thread."""


@lru_cache(maxsize=1)
def _has_bound() -> bool:
    """Whether NumPy's BLAS spares packing for small products."""
    from threadpoolctl import threadpool_info  # slow to import

    pools = [pool for pool in threadpool_info() if pool["internal_api"] == "openblas"]
    return any(pool.get("architecture") in _ARCHITECTURES for pool in pools)


def matrix_product(x: Array, y: Array, out: Array | None = None) -> Array:
    """``x @ y`` of two matrices of one floating-point type, ``(m, k), (k, n) -> (m, n)``; into ``out`` where given.

    Raises:
        ValueError: shapes that do not fit; the message names them.
    """
    (m, k), n = x.shape, y.shape[1]
    if m * n * k <= _UNPACKED or len(y) != k:
        return np.matmul(x, y, out=out)
    if m >= _MANY and y.strides[1] != y.itemsize:
        y = np.ascontiguousarray(y)
    if out is None:
        out = np.empty((m, n), x.dtype)
    if m * n * k < 2 * PER_THREAD:
        _multiply(x, y, out)
    elif m >= n:
        parallel_blocks(lambda i, j: _multiply(x[i:j], y, out[i:j]), m, min_block=PER_THREAD // (n * k) + 1)
    else:
        parallel_blocks(lambda i, j: _multiply(x, y[:, i:j], out[:, i:j]), n, min_block=PER_THREAD // (m * k) + 1)
    return out


def _multiply(x: Array, y: Array, out: Array) -> None:
    """The product in this thread."""
    is_large = len(x) * y.size > _UNPACKED and y.strides[1] == y.itemsize
    if not is_large or not _has_bound():
        np.matmul(x, y, out=out)
    elif out.size <= _FEW:
        _sum_of_parts(x, y, out)
    else:
        _tiles(x, y, out)


def _sum_of_parts(x: Array, y: Array, out: Array) -> None:
    """A product of few rows and columns: the axis between them is cut."""
    (m, k), n = x.shape, y.shape[1]
    count = -(-m * n * k // _UNPACKED)
    length = k // count
    whole = count * length
    parts = np.matmul(x[:, :whole].reshape(m, count, length).swapaxes(0, 1), y[:whole].reshape(count, length, n))
    np.add.reduce(parts, axis=0, out=out)
    if whole < k:
        out += np.matmul(x[:, whole:], y[whole:])


def _tiles(x: Array, y: Array, out: Array) -> None:
    """The product, tile by tile."""
    (m, k), n = x.shape, y.shape[1]
    columns = n if n % _COLUMNS else _COLUMNS
    rows = min(_UNPACKED // (columns * k), _ROWS) // 8 * 8
    if not rows:
        np.matmul(x, y, out=out)
        return
    rows = -(-m // -(-m // rows) // 8) * 8  # as even as can be
    whole = m - m % rows
    np.matmul(
        x[:whole].reshape(-1, 1, rows, k),
        y.reshape(k, -1, columns).swapaxes(0, 1),
        out=out[:whole].reshape(-1, rows, n // columns, columns).swapaxes(1, 2),
    )
    if whole < m:
        np.matmul(x[whole:], y, out=out[whole:])
