"""Kernels: this tier's fast NumPy, the `numpy` backend.

Every function here computes what its primitive's body says, in fewer passes over memory: results written in place,
blocks that stay in the second-level cache, residuals that the gradient takes instead of computing anew. Knows all
modules whose operations it speeds up; nothing imports a name from here.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np

from tt_foundation.activations import gelu, log_softmax, softmax
from tt_foundation.layers import linear
from tt_foundation.losses import Reduction, class_cross_entropy
from tt_foundation.machine import num_threads, parallel_blocks
from tt_foundation.optim import adam_step, sgd_step
from tt_foundation.optimizer import Pack
from tt_foundation.primitive import Array, kernel

__all__: list[str] = []

Needs = tuple[bool, ...]


@kernel(linear, "numpy")
def linear_in_place(
    x: Array, weight: Array, bias: Array | None = None, *, activation: Literal["none", "relu"] = "none"
) -> Any:
    """One product of matrices; bias and relu in its memory."""
    is_plain = x.ndim > 0 and weight.ndim == 2 and x.shape[-1] == weight.shape[1] and activation in ("none", "relu")
    if not is_plain or x.dtype != weight.dtype or (bias is not None and bias.dtype != x.dtype):
        return NotImplemented  # where something is wrong, the body says what
    if x.size == x.shape[-1]:  # one row: as a vector it need not be broadcast
        out = np.dot(weight, x.reshape(-1))
        if bias is not None:
            np.add(out, bias, out)
        out = out.reshape(*x.shape[:-1], len(weight))
    elif x.ndim > 2 or (x.size * len(weight) >= _PRODUCTS and num_threads() > 1):
        out = _linear_by_rows(x, weight, bias, activation == "relu")
        return out, (x, weight, None if activation == "none" else out)
    else:
        out = np.asarray(np.matmul(x, weight.T))
        if bias is not None:
            out += bias
    if activation == "relu":
        np.maximum(out, 0, out=out)
    return out, (x, weight, None if activation == "none" else out)


_PRODUCTS = 4_000_000
"""The fewest multiplications for which it pays to wake another thread."""


def _linear_by_rows(x: Array, weight: Array, bias: Array | None, has_relu: bool) -> Array:
    """As one product of two matrices, where NumPy would take a stack of them one by one; over all threads."""
    rows = x.reshape(-1, x.shape[-1])
    out = np.empty((len(rows), len(weight)), x.dtype)

    def block(start: int, stop: int) -> None:
        part = out[start:stop]
        np.matmul(rows[start:stop], weight.T, out=part)
        if bias is not None:
            part += bias
        if has_relu:
            np.maximum(part, 0, out=part)

    parallel_blocks(block, len(rows), min_block=_PRODUCTS // max(weight.size, 1) + 1)
    return out.reshape(*x.shape[:-1], len(weight))


@linear_in_place.gradient
def linear_gradient(g: Array, saved: tuple[Array, Array, Array | None], needs: Needs) -> tuple[Array | None, ...]:
    x, weight, activated = saved
    if activated is not None:
        passed = np.greater(activated, 0, out=np.empty_like(g))  # as floats: a product with booleans converts them
        g = np.multiply(g, passed, passed)
    rows, inputs = (g, x) if g.ndim == 2 else (g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1]))
    if rows.size * weight.shape[1] >= _PRODUCTS and num_threads() > 1:
        return _linear_gradient_by_blocks(rows, x, weight, needs)
    wrt_x = np.matmul(g, weight) if needs[0] else None
    wrt_weight = None
    if needs[1]:  # in the weight's own memory order
        wrt_weight = np.matmul(rows.T, inputs) if weight.flags.c_contiguous else np.matmul(inputs.T, rows).T
    wrt_bias = np.add.reduce(rows, axis=0) if needs[2] else None
    return wrt_x, wrt_weight, wrt_bias


def _linear_gradient_by_blocks(g: Array, x: Array, weight: Array, needs: Needs) -> tuple[Array | None, ...]:
    """The gradients of large products over all threads: blocks of rows for ``x``, of outputs for the weight."""
    inputs = x.reshape(-1, x.shape[-1])
    least = _PRODUCTS // weight.size + 1
    wrt_x = np.empty(inputs.shape, g.dtype) if needs[0] else None
    wrt_weight = np.empty_like(weight) if needs[1] else None  # in the weight's own memory order
    wrt_bias = np.empty(len(weight), g.dtype) if needs[2] else None
    ones = np.ones(len(g), g.dtype)

    def of_rows(start: int, stop: int) -> None:
        assert wrt_x is not None
        np.matmul(g[start:stop], weight, out=wrt_x[start:stop])

    def of_outputs(start: int, stop: int) -> None:
        columns = g[:, start:stop]
        if wrt_weight is not None and wrt_weight.flags.c_contiguous:
            np.matmul(columns.T, inputs, out=wrt_weight[start:stop])
        elif wrt_weight is not None:
            np.matmul(inputs.T, columns, out=wrt_weight.T[:, start:stop])
        if wrt_bias is not None:
            np.matmul(ones, columns, out=wrt_bias[start:stop])

    if wrt_x is not None:
        parallel_blocks(of_rows, len(g), min_block=least)
    parallel_blocks(of_outputs, len(weight), min_block=max(32, _PRODUCTS // max(inputs.size, 1) + 1))
    return None if wrt_x is None else wrt_x.reshape(x.shape), wrt_weight, wrt_bias


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
    """The common case, rows of scores and nothing weighted or smoothed: keeps the probabilities."""
    is_plain = logits.ndim == 2 and weight is None and not label_smoothing and reduction == "mean"
    if not is_plain or not logits.size:
        return NotImplemented
    if abs(ignore_index) <= logits.shape[1] and (ids == ignore_index).any():  # one beyond is found below
        return NotImplemented
    rows = np.arange(len(ids))
    p = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
    try:
        at_class = p[rows, ids]
    except IndexError:
        return NotImplemented
    np.exp(p, out=p)
    total = np.add.reduce(p, axis=1, keepdims=True)
    p /= total
    at_class -= np.log(total[:, 0])
    return np.asarray(np.add.reduce(at_class) / p.dtype.type(-len(ids))), (p, rows, ids)


@class_cross_entropy_of_rows.gradient
def class_cross_entropy_gradient(g: Array, saved: tuple[Array, Array, Array]) -> tuple[Array | None, ...]:
    p, rows, ids = saved
    share = g / len(ids)
    part = p * share
    part[rows, ids] -= share
    return part, None, None


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


def _is_flat(params: list[Array], grads: list[Array]) -> bool:
    """Whether each parameter and its gradient lie alike in memory without gaps, and all are of one type."""
    dtype = params[0].dtype
    for p, g in zip(params, grads, strict=True):
        if p.dtype != dtype or g.dtype != dtype or p.strides != g.strides or not p.flags.forc:
            return False
    return True


def _in_blocks(
    move: Move, params: list[Array], grads: list[Array], *kept: list[Any], shrink: float = 1.0, pull: float = 0.0
) -> None:
    """Make every parameter ``shrink * p - move(g + pull * p, *kept, t, u)``, flat block by flat block.

    ``t`` and ``u`` are scratch; ``move`` gives its result in one of them. Small parameters whose kept arrays are packed
    come several together: a bias costs as many calls as a matrix else.
    """
    t, u = _scratch.of(params[0].dtype)
    packs = [k for k in kept if isinstance(k, Pack)]
    if len(packs) < len(kept) or not packs:
        runs = [(i, i + 1, [_flat(k[i]) for k in kept if k[i] is not None]) for i in range(len(params))]
    else:
        runs = [(first, last, [pack.memory[at] for pack in packs]) for first, last, at in packs[0].runs(_BLOCK)]
    for first, last, memory in runs:
        some = [_flat(p) for p in params[first:last]]
        g = _flat(grads[first]) if last == first + 1 else np.concatenate([_flat(g) for g in grads[first:last]])
        if pull:
            g = g + pull * (some[0] if last == first + 1 else np.concatenate(some))
        size = g.size
        count = -(-size // _BLOCK)
        for i in range(count):
            at, end = size * i // count, size * (i + 1) // count
            moved = move(g[at:end], *[k[at:end] for k in memory], t[: end - at], u[: end - at])
            for p in [some[0][at:end]] if last == first + 1 else some:
                if shrink != 1:
                    np.multiply(p, shrink, p)
                np.subtract(p, moved[: p.size], p)
                moved = moved[p.size :]


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
    """Adam block by block, with two buffers for all that is passing."""
    if amsgrad or not _is_flat(params, grads):
        return NotImplemented
    root = math.sqrt(1 - betas[1] ** step)
    constants = (*betas, 1 - betas[0], 1 - betas[1], eps * root, lr / (1 - betas[0] ** step) * root)
    # As arrays, which NumPy need not convert in every call.
    dtype = params[0].dtype
    beta1, beta2, rest1, rest2, floor, rate = [np.asarray(c, dtype) for c in constants]

    def move(g: Array, m: Array, v: Array, t: Array, u: Array) -> Array:
        np.multiply(m, beta1, m)
        np.add(m, np.multiply(g, rest1, t), m)
        np.multiply(np.square(g, t), rest2, t)
        np.multiply(v, beta2, v)
        np.add(v, t, v)
        np.add(np.sqrt(v, t), floor, t)
        return np.multiply(np.divide(m, t, t), rate, t)

    decay = {"shrink": 1 - lr * weight_decay} if decoupled_weight_decay else {"pull": weight_decay}
    _in_blocks(move, params, grads, exp_avgs, exp_avg_sqs, **decay)
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
    """Gradient descent block by block, with two buffers for all that is passing."""
    if not _is_flat(params, grads):
        return NotImplemented

    def move(g: Array, *rest: Array) -> Array:
        *buffers, t, u = rest
        for buffer in buffers:
            buffer *= momentum
            buffer += g if step == 1 or not dampening else np.multiply(g, 1 - dampening, out=u)
            g = np.add(g, np.multiply(buffer, momentum, out=u), out=t) if nesterov else buffer
        return np.multiply(g, lr, out=u)

    _in_blocks(move, params, grads, *([momentum_buffers] if momentum else []), pull=weight_decay)
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


def _gelu_tanh(x: Array, cube: Any, slope: Any, out: Array) -> None:
    """The hyperbolic tangent in the formula of gelu, without a power: NumPy's is thirty times slower."""
    np.multiply(x, x, out)
    np.multiply(out, cube, out)
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
    cube, slope, half, *_ = _gelu_constants(x.dtype)
    out = np.empty(x.shape, x.dtype)

    def block(x: Array, out: Array, t: Array, u: Array) -> None:
        _gelu_tanh(x, cube, slope, t)
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
        _gelu_tanh(x, cube, slope, t)
        np.multiply(x, x, u)
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
