"""Kernels: this tier's fast NumPy, the `numpy` backend.

Every function here computes what its primitive's body says, in fewer passes over memory: results written in place,
blocks that stay in the second-level cache, residuals that the gradient takes instead of computing anew. Knows all
modules whose operations it speeds up; nothing imports a name from here.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import is_
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from tt_foundation.activations import gelu, log_softmax, softmax
from tt_foundation.layers import linear
from tt_foundation.losses import Reduction, class_cross_entropy
from tt_foundation.machine import parallel_blocks
from tt_foundation.optim import adam_step, sgd_step
from tt_foundation.optimizer import Pack
from tt_foundation.primitive import Array, kernel
from tt_foundation.products import PER_THREAD, matrix_product
from tt_foundation.tensor import matmul

__all__: list[str] = []

Needs = tuple[bool, ...]


@kernel(linear, "numpy")
def linear_in_place(
    x: Array, weight: Array, bias: Array | None = None, *, activation: Literal["none", "relu"] = "none"
) -> Any:
    """One product of matrices; bias and relu in its memory."""
    shape, sizes = x.shape, weight.shape
    is_plain = len(sizes) == 2 and shape[-1:] == sizes[1:] and activation in ("none", "relu")
    if not is_plain or not x.size or x.dtype != weight.dtype or (bias is not None and bias.dtype != x.dtype):
        return NotImplemented  # where something is wrong, the body says what
    if x.size == sizes[1]:  # one row: as a vector it need not be broadcast
        out = weight.dot(x.reshape(-1))
        _finish(out, bias, activation)
        out = out.reshape(shape[:-1] + sizes[:1])
    elif x.ndim == 2 and x.size * len(weight) < PER_THREAD:
        out = matrix_product(x, weight.T)
        _finish(out, bias, activation)
    else:
        out = _linear_by_rows(x, weight, bias, activation)
    return out, (x, weight, None if activation == "none" else out)


def _finish(out: Array, bias: Array | None, activation: str) -> None:
    """Bias and activation in the memory of the product."""
    if bias is not None:
        np.add(out, bias, out)
    if activation == "relu":
        np.maximum(out, _zero(out.dtype), out=out)


def _linear_by_rows(x: Array, weight: Array, bias: Array | None, activation: str) -> Array:
    """As one product of two matrices, where NumPy would take a stack of them one by one; over all threads."""
    rows = x.reshape(-1, x.shape[-1])
    out = np.empty((len(rows), len(weight)), x.dtype)

    def block(start: int, stop: int) -> None:
        part = out[start:stop]
        matrix_product(rows[start:stop], weight.T, part)
        _finish(part, bias, activation)

    parallel_blocks(block, len(rows), min_block=PER_THREAD // max(weight.size, 1) + 1)
    return out.reshape(*x.shape[:-1], len(weight))


@lru_cache(maxsize=8)
def _zero(dtype: np.dtype[Any]) -> Array:
    """0 as an array, which NumPy need not convert in every call."""
    return np.zeros((), dtype)


@lru_cache(maxsize=8)
def _ones(count: int, dtype: np.dtype[Any]) -> Array:
    """What to multiply a matrix with for the sums of its columns: thrice as fast as a reduction of small ones."""
    return np.ones(count, dtype)


@linear_in_place.gradient
def linear_gradient(g: Array, saved: tuple[Array, Array, Array | None], needs: Needs) -> tuple[Array | None, ...]:
    x, weight, activated = saved
    if activated is not None:
        passed = np.empty_like(g)  # as floats: a product with booleans converts them
        np.greater(activated, _zero(g.dtype), out=passed)
        g = np.multiply(g, passed, passed)
    rows, inputs = (g, x) if g.ndim == 2 else (g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1]))
    wrt_x = matrix_product(rows, weight).reshape(x.shape) if needs[0] else None
    wrt_weight = None
    if needs[1]:  # in the weight's own memory order
        by_rows = weight.flags.c_contiguous
        wrt_weight = matrix_product(rows.T, inputs) if by_rows else matrix_product(inputs.T, rows).T
    wrt_bias = np.dot(_ones(len(rows), rows.dtype), rows) if needs[2] else None
    return wrt_x, wrt_weight, wrt_bias


@kernel(matmul, "numpy")
def matmul_over_threads(x: Array, y: Array) -> Any:
    """Rows times a matrix, as one product of two matrices."""
    is_plain = np.ndim(y) == 2 and np.ndim(x) >= 2 and x.dtype == y.dtype and x.dtype.kind == "f"
    if not is_plain or not x.size or x.shape[-1] != len(y):
        return NotImplemented
    if x.ndim == 2:
        return matrix_product(x, y)
    return matrix_product(x.reshape(-1, len(y)), y).reshape(*x.shape[:-1], y.shape[1])


@kernel(softmax, "numpy")
def softmax_in_place(x: Array, *, axis: int = -1) -> Any:
    """Three passes over one array."""
    if x.dtype.kind != "f" or not x.ndim:
        return NotImplemented
    out = x - x.max(axis=axis, keepdims=True)
    np.exp(out, out=out)
    out /= out.sum(axis=axis, keepdims=True)
    return out, None


@softmax_in_place.gradient
def softmax_gradient(g: Array, out: Array, saved: None, *, axis: int = -1) -> tuple[Array]:
    part = g * out
    part -= out * part.sum(axis=axis, keepdims=True)
    return (part,)


@kernel(log_softmax, "numpy")
def log_softmax_in_place(x: Array, *, axis: int = -1) -> Any:
    """The logarithm of the sum taken out in place."""
    if x.dtype.kind != "f" or not x.ndim:
        return NotImplemented
    out = x - x.max(axis=axis, keepdims=True)
    out -= np.log(np.exp(out).sum(axis=axis, keepdims=True))
    return out, None


@log_softmax_in_place.gradient
def log_softmax_gradient(g: Array, out: Array, saved: None, *, axis: int = -1) -> tuple[Array]:
    part = np.exp(out)
    part *= -g.sum(axis=axis, keepdims=True)
    part += g
    return (part,)


@kernel(class_cross_entropy, "numpy")
def class_cross_entropy_of_rows(
    logits: Array,
    ids: Array,
    weight: Array | None = None,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Any:
    """The common case, rows of scores and nothing weighted or smoothed: keeps the probabilities, classes first.

    So the reductions over classes go along memory, several examples at once.
    """
    is_plain = logits.ndim == 2 and weight is None and not label_smoothing and reduction == "mean"
    if not is_plain or not logits.size:
        return NotImplemented
    if abs(ignore_index) <= logits.shape[1] and (ids == ignore_index).any():  # one beyond is found below
        return NotImplemented
    count = len(ids)
    examples = np.arange(count)
    p = logits.T.copy()
    p -= np.maximum.reduce(p)
    try:
        at_class = p[ids, examples]
    except IndexError:
        return NotImplemented
    np.exp(p, p)
    total = np.add.reduce(p)
    p /= total
    at_class -= np.log(total, total)
    return np.add.reduce(at_class) / p.dtype.type(-count), (p, ids, examples)


@class_cross_entropy_of_rows.gradient
def class_cross_entropy_gradient(g: Array, saved: tuple[Array, Array, Array]) -> tuple[Array | None, ...]:
    p, ids, examples = saved
    share = g / len(ids)
    part = p * share
    part[ids, examples] -= share
    return part.T, None, None


_BLOCK = 65_536
"""The most elements of a block: few enough to stay in the second-level cache, enough for the calls not to count."""

Move: TypeAlias = Callable[..., Array]


class _Scratch(threading.local):
    """Two blocks of memory for what is passing, kept between steps: fresh ones would be paged in every time."""

    def __init__(self) -> None:
        self.blocks: dict[str, Array] = {}

    def of(self, dtype: np.dtype[Any]) -> Array:
        if dtype.char not in self.blocks:
            self.blocks[dtype.char] = np.empty((2, _BLOCK), dtype)
        return self.blocks[dtype.char]


_scratch = _Scratch()


def _flat(array: Array) -> Array:
    """The elements as they lie in memory: a view where they fill it without gaps."""
    return array.ravel("K")


class _Piece(NamedTuple):
    """What a block has of one parameter."""

    parameter: int
    elements: slice
    memory: Array
    place: slice
    """Where in the block."""


class _Block(NamedTuple):
    """Neighbours in memory that are stepped together: pieces of parameters, and what is kept for all of them."""

    size: int
    pieces: list[_Piece]
    kept: list[Array]


def _cut(params: list[Array], kept: Sequence[Array], number: int = 0) -> list[_Block]:
    """Parameters, as if they were one flat array, in equal blocks of at most ``_BLOCK`` elements; so ``kept``.

    ``number`` is the first parameter's.
    """
    flat = [_flat(p) for p in params]
    ends = list(accumulate(p.size for p in flat))
    count = -(-ends[-1] // _BLOCK)
    blocks: list[_Block] = []
    for k in range(count):
        first, last = ends[-1] * k // count, ends[-1] * (k + 1) // count
        pieces: list[_Piece] = []
        for i in range(bisect_right(ends, first), bisect_left(ends, last) + 1):
            start = ends[i] - flat[i].size
            at, end = max(first, start), min(last, ends[i])
            elements = slice(at - start, end - start)
            pieces.append(_Piece(number + i, elements, flat[i][elements], slice(at - first, end - first)))
        blocks.append(_Block(last - first, pieces, [k[first:last] for k in kept]))
    return blocks


def _blocks(params: list[Array], grads: list[Array], kept: Sequence[list[Any]]) -> list[_Block] | None:
    """The blocks for a step, or None if a parameter lies in memory with gaps, or otherwise than its gradient.

    Where what is kept is packed, small parameters come several to a block, and the blocks are cut only once: a bias
    costs as many calls as a matrix else.
    """
    dtype = params[0].dtype
    for p, g in zip(params, grads, strict=True):
        if p.dtype != dtype or g.dtype != dtype or p.strides != g.strides:
            return None
    packs = [k for k in kept if isinstance(k, Pack)]
    is_packed = bool(packs) and len(packs) == len(kept)
    if is_packed and packs[0].cut is not None and all(map(is_, packs[0].cut[0], params)):
        blocks: list[_Block] = packs[0].cut[1]
        return blocks
    if not all(p.flags.forc for p in params):
        return None
    if is_packed:
        blocks = _cut(params, [pack.memory for pack in packs])
        packs[0].cut = params, blocks
        return blocks
    own = [[_flat(k[i]) for k in kept if k[i] is not None] for i in range(len(params))]
    return [block for i, p in enumerate(params) for block in _cut([p], own[i], i)]


def _in_blocks(
    move: Move, blocks: list[_Block], grads: list[Array], *, scale: float, shrink: float = 1.0, pull: float = 0.0
) -> None:
    """Make every parameter ``shrink * p - move(scale * (g + pull * p), *kept, t)``, block by block.

    ``t`` is scratch; ``move`` may write into its first argument too, and gives its result in one of the two.
    """
    factor = np.asarray(scale, grads[0].dtype)

    def run(first: int, last: int) -> None:
        g, t = _scratch.of(factor.dtype)
        for size, pieces, kept in blocks[first:last]:
            for i, elements, p, place in pieces:
                part = _flat(grads[i])[elements]
                if pull:
                    np.multiply(p, pull, g[place])
                    part = np.add(part, g[place], g[place])
                np.multiply(part, factor, g[place])
            moved = move(g[:size], *kept, t[:size])
            for _, _, p, place in pieces:
                if shrink != 1:
                    np.multiply(p, shrink, p)
                np.subtract(p, moved[place], p)

    parallel_blocks(run, len(blocks), min_block=4)


@kernel(adam_step, "numpy")
def adam_step_in_place(
    params: list[Array],
    grads: list[Array],
    exp_avgs: list[Array],
    exp_avg_sqs: list[Array],
    max_exp_avg_sqs: list[Array | None],
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    amsgrad: bool,
    decoupled_weight_decay: bool,
) -> Any:
    """Adam block by block, reading the gradient once: both moments are made from ``(1 - beta1) g``."""
    blocks = None if amsgrad else _blocks(params, grads, (exp_avgs, exp_avg_sqs))
    if blocks is None:
        return NotImplemented
    rest1, rest2 = 1 - betas[0], 1 - betas[1]
    root = math.sqrt(1 - betas[1] ** step)
    constants = (*betas, rest2 / rest1**2, eps * root, lr / (1 - betas[0] ** step) * root)
    # As arrays, which NumPy need not convert in every call.
    dtype = params[0].dtype
    beta1, beta2, square, floor, rate = [np.asarray(c, dtype) for c in constants]

    def move(g: Array, m: Array, v: Array, t: Array) -> Array:
        np.multiply(m, beta1, m)
        np.add(m, g, m)
        np.multiply(np.square(g, g), square, g)
        np.multiply(v, beta2, v)
        np.add(v, g, v)
        np.add(np.sqrt(v, t), floor, t)
        return np.multiply(np.divide(m, t, t), rate, t)

    decay = {"shrink": 1 - lr * weight_decay} if decoupled_weight_decay else {"pull": weight_decay}
    _in_blocks(move, blocks, grads, scale=rest1, **decay)
    return None


@kernel(sgd_step, "numpy")
def sgd_step_in_place(
    params: list[Array],
    grads: list[Array],
    momentum_buffers: list[Array | None],
    *,
    step: int,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
) -> Any:
    """Gradient descent block by block."""
    blocks = _blocks(params, grads, (momentum_buffers,) if momentum else ())
    if blocks is None:
        return NotImplemented

    def move(g: Array, *rest: Array) -> Array:
        *buffers, t = rest
        for buffer in buffers:
            np.multiply(buffer, momentum, buffer)
            np.add(buffer, g, buffer)
            g = np.add(g, np.multiply(buffer, momentum, t), g) if nesterov else buffer
        return np.multiply(g, lr, t)

    _in_blocks(move, blocks, grads, scale=1 if step == 1 or not momentum else 1 - dampening, pull=weight_decay)
    return None


_SLOPE = math.sqrt(2 / math.pi)
_CUBE = 0.044715

_PER_THREAD = 131_072
"""The fewest elements for which it pays to wake another thread."""


def _over_blocks(function: Callable[..., None], *arrays: Array) -> None:
    """Call ``function(*parts, t, u)`` on blocks of flat arrays of one size, ``t`` and ``u`` being scratch."""
    flat = [a.reshape(-1) for a in arrays]

    def blocks(first: int, last: int) -> None:
        t, u = np.empty((2, min(_BLOCK, last - first)), flat[0].dtype)
        for at in range(first, last, _BLOCK):
            end = min(at + _BLOCK, last)
            function(*[a[at:end] for a in flat], t[: end - at], u[: end - at])

    parallel_blocks(blocks, flat[0].size, min_block=_PER_THREAD)


def _gelu_tanh(x: Array, squared: Array, cube: Any, slope: Any, out: Array) -> None:
    """The hyperbolic tangent in the formula of gelu, without a power: NumPy's is thirty times slower."""
    np.multiply(squared, cube, out)
    np.add(out, slope, out)
    np.multiply(out, x, out)
    np.tanh(out, out)


@lru_cache(maxsize=8)
def _gelu_constants(dtype: np.dtype[Any]) -> tuple[Array, ...]:
    """What stands in the formula and in its derivative, as arrays that NumPy need not convert in every call."""
    values = (_SLOPE * _CUBE, _SLOPE, 0.5, 3 * _SLOPE * _CUBE, 1.0)
    return tuple(np.asarray(value, dtype) for value in values)


@kernel(gelu, "numpy")
def gelu_in_blocks(x: Array, *, approximate: str = "none") -> Any:
    """GPT-2's formula, block by block in one array."""
    if approximate != "tanh" or x.dtype.kind != "f" or not x.flags.c_contiguous:
        return NotImplemented
    cube, slope, half, _, _ = _gelu_constants(x.dtype)
    out = np.empty(x.shape, x.dtype)

    def block(x: Array, out: Array, t: Array, u: Array) -> None:
        np.multiply(x, x, t)
        _gelu_tanh(x, t, cube, slope, t)
        np.multiply(t, half, t)
        np.add(t, half, t)
        np.multiply(t, x, out)

    if x.size <= _BLOCK:
        block(x, out, out, out)
    else:
        _over_blocks(block, x, out)
    return out, (x,)


@gelu_in_blocks.gradient
def gelu_gradient(g: Array, saved: tuple[Array]) -> tuple[Array]:
    (x,) = saved
    cube, slope, half, cube3, one = _gelu_constants(x.dtype)
    part = np.empty(x.shape, x.dtype)

    def block(x: Array, g: Array, out: Array, t: Array, u: Array) -> None:
        np.multiply(x, x, u)
        _gelu_tanh(x, u, cube, slope, t)
        np.multiply(u, cube3, u)
        np.add(u, slope, u)
        np.multiply(u, x, u)  # x times the slope of what the tangent is taken of
        np.multiply(t, t, out)
        np.subtract(one, out, out)
        np.multiply(u, out, u)
        np.add(t, one, t)
        np.add(u, t, u)
        np.multiply(u, half, u)
        np.multiply(u, g, out)

    _over_blocks(block, x, np.ascontiguousarray(g), part)
    return (part,)
