"""Normalization kernels: layer, RMS and batch norm in few passes over memory, for the ``numpy`` backend.

Rows or pixels are taken in blocks that stay in the second-level cache; sums along an axis are products with a vector
of ones, which BLAS does faster than NumPy adds. Knows ``normalization``; nothing imports a name from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from tt_architectures.normalization import batch_norm, batch_statistics, layer_norm, rms_norm
from tt_foundation import Array, kernel, mode, parallel_blocks

__all__: list[str] = []

Needs = tuple[bool, ...]

_BLOCK = 131_072
"""The most elements of a block: few enough to stay in the caches, enough for the calls not to count."""

_PER_THREAD = 131_072
"""The fewest elements that are worth waking another thread for."""


def _rows(x: Array, size: int) -> Array:
    """The last axes made one and all others too: ``(..., size) -> (rows, size)``, a view where ``x`` is in order."""
    return np.ascontiguousarray(x).reshape(-1, size)


def _step(size: int) -> int:
    """How many rows of ``size`` elements make a block."""
    return max(1, _BLOCK // size)


def _in_blocks(function: Callable[[int, slice], None], count: int, size: int) -> None:
    """Call ``function(i, slice)`` for the ``i``-th block of ``count`` rows, over all threads if it pays."""
    step = _step(size)

    def run(start: int, stop: int) -> None:
        for i in range(start, stop):
            function(i, slice(i * step, min((i + 1) * step, count)))

    parallel_blocks(run, -(-count // step), min_block=max(1, _PER_THREAD // (step * size)))


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


@lru_cache(maxsize=8)
def _share(size: int, dtype: np.dtype[Any]) -> Array:
    """What rows are multiplied with for their means: one product instead of a reduction."""
    return np.full(size, 1 / size, dtype)


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
    if weight is not None and bias is not None and (x.size,) == x.shape[-1:] == weight.shape == bias.shape:
        if normalized_shape == weight.shape and x.size > 0 and x.dtype == weight.dtype == bias.dtype:
            return _layer_norm_of_one(x, weight, bias, eps)
    if not _is_plain(x, normalized_shape, weight, bias):
        return NotImplemented
    size = math.prod(normalized_shape)
    rows = _rows(x, size)
    normal, out = np.empty_like(rows), np.empty_like(rows)
    scale = np.empty((len(rows), 1), x.dtype)
    share = _share(size, x.dtype)[:, None]
    w, b = (None if p is None else p.reshape(-1) for p in (weight, bias))

    def block(i: int, at: slice) -> None:
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

    _in_blocks(block, len(rows), size)
    return out.reshape(x.shape), (normal, scale, w)


def _layer_norm_of_one(x: Array, weight: Array, bias: Array, eps: float) -> Any:
    """For one token, where the number of calls is what counts, and broadcasting costs as much as another."""
    vector = x.reshape(-1)
    normal = np.subtract(vector, vector.dot(_share(x.size, x.dtype)))
    scale = np.asarray(1 / math.sqrt(normal.dot(normal).item() / x.size + eps), x.dtype)
    np.multiply(normal, scale, normal)
    if not mode().grad_enabled:
        np.multiply(normal, weight, normal)
        return np.add(normal, bias, normal).reshape(x.shape)
    out = np.add(np.multiply(normal, weight), bias)
    return out.reshape(x.shape), (normal.reshape(1, -1), scale.reshape(1, 1), weight)


@layer_norm_in_blocks.gradient
def layer_norm_gradient(
    g: Array, saved: tuple[Array, Array, Array | None], needs: Needs, *, normalized_shape: tuple[int, ...]
) -> tuple[Array | None, ...]:
    normal, scale, w = saved
    size = normal.shape[1]
    rows = _rows(g, size)
    share = _share(size, g.dtype)[:, None]
    wrt_x = np.empty_like(rows) if needs[0] else None

    def block(i: int, at: slice) -> None:
        assert wrt_x is not None
        n, p, s = normal[at], wrt_x[at], scale[at]
        d = rows[at] if w is None else np.multiply(rows[at], w)
        along = np.matmul(np.multiply(d, n, out=p), share)
        np.multiply(n, along, out=p)
        p += np.matmul(d, share)
        np.subtract(d, p, out=p)
        p *= s

    if needs[0]:
        _in_blocks(block, len(rows), size)
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
    share = _share(size, x.dtype)[:, None]
    w = None if weight is None else weight.reshape(-1)
    floor = np.finfo(x.dtype).eps if eps is None else eps

    def block(i: int, at: slice) -> None:
        n, s = normal[at], scale[at]
        np.matmul(np.multiply(rows[at], rows[at], out=n), share, out=s)
        s += floor
        np.divide(1, np.sqrt(s, out=s), out=s)
        np.multiply(rows[at], s, out=n)
        if w is not None:
            np.multiply(n, w, out=out[at])

    _in_blocks(block, len(rows), size)
    return out.reshape(x.shape), (normal, scale, w)


@rms_norm_in_blocks.gradient
def rms_norm_gradient(
    g: Array, saved: tuple[Array, Array, Array | None], needs: Needs, *, normalized_shape: tuple[int, ...]
) -> tuple[Array | None, ...]:
    normal, scale, w = saved
    size = normal.shape[1]
    rows = _rows(g, size)
    share = _share(size, g.dtype)[:, None]
    wrt_x = np.empty_like(rows) if needs[0] else None

    def block(i: int, at: slice) -> None:
        assert wrt_x is not None
        n, p = normal[at], wrt_x[at]
        d = rows[at] if w is None else np.multiply(rows[at], w)
        along = np.matmul(np.multiply(d, n, out=p), share)
        np.subtract(d, np.multiply(n, along, out=p), out=p)
        p *= scale[at]

    if needs[0]:
        _in_blocks(block, len(rows), size)
    return (
        None if wrt_x is None else wrt_x.reshape(g.shape),
        _sum_of_products(rows, normal).reshape(normalized_shape) if needs[1] else None,
    )


def _sum_of_products(x: Array, y: Array) -> Array:
    """``sum(x * y, axis=0)`` of two matrices, block by block: ``(n, size), (n, size) -> (size,)``."""
    step = _step(x.shape[1])
    total = np.zeros(x.shape[1], x.dtype)
    ones = np.ones(step, x.dtype)
    for at in range(0, len(x), step):
        product = np.multiply(x[at : at + step], y[at : at + step])
        total += np.matmul(ones[: len(product)], product)
    return total


def _lines(x: Array) -> Array:
    """Channels at the end and in memory so, everything else one axis: ``(n, c, ...) -> (n ..., c)``."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).reshape(-1, x.shape[1])


def _image(lines: Array, shape: tuple[int, ...]) -> Array:
    """Undoes ``_lines``: a view of shape ``(n, c, ...)``."""
    return np.moveaxis(lines.reshape(shape[0], *shape[2:], shape[1]), -1, 1)


def _repeats(count: int, channels: int) -> int:
    """How many lines to take as one: short rows keep NumPy's inner loops from their speed."""
    repeats = 1
    while count % (2 * repeats) == 0 and repeats * channels < 512:
        repeats *= 2
    return repeats


@kernel(batch_statistics, "numpy")
def batch_statistics_in_blocks(x: Array, mean: Array, variance: Array) -> Any:
    """Sums and sums of squares of what is left when a mean of some pixels is taken out, joined in float64."""
    if x.dtype not in (np.float32, np.float64) or x.ndim < 2 or not x.size:
        return NotImplemented
    lines = _lines(x)
    count, c = lines.shape
    repeats = _repeats(count, c)
    wide = lines.reshape(-1, repeats * c)
    rough = lines[:: max(1, count // 256)].mean(axis=0)  # near the mean, so that the squares lose no digits
    wide_rough = np.tile(rough, repeats)
    sums, squares = _block_sums(wide), _block_sums(wide)
    ones = np.ones(_step(wide.shape[1]), x.dtype)

    def block(i: int, at: slice) -> None:
        left = wide[at] - wide_rough
        np.matmul(ones[: len(left)], left, out=sums[i])
        np.multiply(left, left, out=left)
        np.matmul(ones[: len(left)], left, out=squares[i])

    _in_blocks(block, *wide.shape)
    apart = _by_channel(sums, c) / count
    mean[...] = rough + apart
    variance[...] = np.maximum(_by_channel(squares, c) / count - apart * apart, 0)
    return None


def _block_sums(wide: Array) -> Array:
    """Room for the sum of each block's rows: ``(blocks, wide)``."""
    return np.empty((-(-len(wide) // _step(wide.shape[1])), wide.shape[1]), wide.dtype)


def _by_channel(sums: Array, channels: int) -> Array:
    """Sums of lines, of which several were taken as one, added by channel in float64."""
    return sums.reshape(-1, channels).sum(axis=0, dtype=np.float64)


@kernel(batch_norm, "numpy")
def batch_norm_in_blocks(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    batch_mean: Any,
    batch_variance: Any,
    *,
    training: bool,
    eps: float = 1e-5,
    activation: Literal["none", "relu"] = "none",
) -> Any:
    """One factor and one summand a channel; keeps the image as it came."""
    each = [p for p in (weight, bias, batch_mean, batch_variance) if p is not None]
    if x.dtype not in (np.float32, np.float64) or x.ndim < 2 or not x.size or activation not in ("none", "relu"):
        return NotImplemented
    if any(p.dtype != x.dtype or p.shape != (x.shape[1],) for p in each):
        return NotImplemented
    lines = _lines(x)
    scale = 1 / np.sqrt(batch_variance.astype(np.float64) + eps)
    factor = scale if weight is None else scale * weight
    summand = -batch_mean * factor if bias is None else bias - batch_mean * factor
    repeats = _repeats(*lines.shape)
    out = np.empty_like(lines)
    wide, wide_out = (a.reshape(-1, repeats * a.shape[1]) for a in (lines, out))
    times, plus = (np.tile(a.astype(x.dtype), repeats) for a in (factor, summand))

    def block(i: int, at: slice) -> None:
        o = np.multiply(wide[at], times, out=wide_out[at])
        o += plus
        if activation == "relu":
            np.maximum(o, 0, out=o)

    _in_blocks(block, *wide.shape)
    return _image(out, x.shape), (lines, batch_mean, scale, weight)


@batch_norm_in_blocks.gradient
def batch_norm_gradient(
    g: Array,
    saved: tuple[Array, Array, Array, Array | None],
    out: Array,
    needs: Needs,
    *,
    training: bool,
    activation: Literal["none", "relu"] = "none",
) -> tuple[Array | None, ...]:
    lines, middle, scale, weight = saved
    count, c = lines.shape
    repeats = _repeats(count, c)
    masked = np.empty_like(lines)
    wide, wide_g, wide_out, d = (a.reshape(-1, repeats * c) for a in (lines, _lines(g), _lines(out), masked))
    wide_middle = np.tile(middle, repeats)
    sums, products = _block_sums(wide), _block_sums(wide)
    ones = np.ones(_step(wide.shape[1]), g.dtype)

    def collect(i: int, at: slice) -> None:
        if activation == "relu":
            np.multiply(wide_g[at], wide_out[at] > 0, out=d[at])
        else:
            d[at] = wide_g[at]
        product = np.subtract(wide[at], wide_middle)
        np.matmul(ones[: len(product)], d[at], out=sums[i])
        product *= d[at]
        np.matmul(ones[: len(product)], product, out=products[i])

    _in_blocks(collect, *wide.shape)
    wrt_bias, along = _by_channel(sums, c), _by_channel(products, c)  # sums of g, and of g (x - mean)
    wrt_weight = along * scale
    factor = scale if weight is None else scale * weight
    times = np.tile(factor.astype(g.dtype), repeats)
    by_x = -factor * scale * wrt_weight / count
    by_one = -factor * wrt_bias / count - by_x * middle
    slope, offset = (np.tile(a.astype(g.dtype), repeats) for a in (by_x, by_one))

    def spread(i: int, at: slice) -> None:
        d[at] *= times
        if training:
            part = np.multiply(wide[at], slope)
            part += offset
            d[at] += part

    if needs[0]:
        _in_blocks(spread, *wide.shape)
    return (
        _image(masked, g.shape) if needs[0] else None,
        wrt_weight.astype(g.dtype) if needs[1] else None,
        wrt_bias.astype(g.dtype) if needs[2] else None,
        (-factor * wrt_bias).astype(g.dtype) if needs[3] and not training else None,
        (-0.5 * factor * scale * scale * along).astype(g.dtype) if needs[4] and not training else None,
    )
