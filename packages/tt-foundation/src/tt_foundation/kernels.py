"""Kernels: this tier's fast NumPy, the `numpy` backend.

Every function here computes what its primitive's body says, in fewer passes over memory: results written in place,
blocks that stay in the second-level cache, residuals that the gradient takes instead of computing anew. Knows all
modules whose operations it speeds up; nothing imports a name from here.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from tt_foundation.activations import log_softmax, softmax
from tt_foundation.layers import linear
from tt_foundation.losses import Reduction, class_cross_entropy
from tt_foundation.optim import adam_step, sgd_step
from tt_foundation.primitive import Array, kernel

__all__: list[str] = []

Needs = tuple[bool, ...]


@kernel(linear, "numpy")
def linear_in_place(
    x: Array, weight: Array, bias: Array | None = None, *, activation: Literal["none", "relu"] = "none"
) -> Any:
    """One product of matrices; bias and relu in its memory."""
    if activation not in ("none", "relu") or x.shape[-1:] != weight.shape[-1:]:
        return NotImplemented  # the body says what is wrong
    is_plain = x.ndim > 0 and weight.ndim == 2 and x.shape[-1] == weight.shape[1] and activation in ("none", "relu")
    if not is_plain or x.dtype != weight.dtype or (bias is not None and bias.dtype != x.dtype):
        return NotImplemented
    out = np.asarray(np.matmul(x, weight.T))
    if bias is not None:
        out += bias
    if activation == "relu":
        np.maximum(out, 0, out=out)
    return out, (x, weight, None if activation == "none" else out)


@linear_in_place.gradient
def linear_gradient(g: Array, saved: tuple[Array, Array, Array | None], needs: Needs) -> tuple[Array | None, ...]:
    x, weight, activated = saved
    if activated is not None:
        g = g * (activated > 0)
    rows = g.reshape(-1, g.shape[-1])
    wrt_x = np.matmul(g, weight) if needs[0] else None
    wrt_weight = np.matmul(rows.T, x.reshape(-1, x.shape[-1])) if needs[1] else None
    wrt_bias = rows.sum(axis=0) if len(needs) > 2 and needs[2] else None
    return (wrt_x, wrt_weight, wrt_bias)[: len(needs)]


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
    if not is_plain or not logits.size or (ids == ignore_index).any():
        return NotImplemented
    rows = np.arange(len(ids))
    p = logits - logits.max(axis=1, keepdims=True)
    at_class = p[rows, ids]
    np.exp(p, out=p)
    total = p.sum(axis=1, keepdims=True)
    loss = (np.log(total[:, 0]) - at_class).mean()
    p /= total
    return np.asarray(loss), (p, ids)


@class_cross_entropy_of_rows.gradient
def class_cross_entropy_gradient(g: Array, saved: tuple[Array, Array], needs: Needs) -> tuple[Array | None, ...]:
    p, ids = saved
    share = g / len(ids)
    part = p * share
    part[np.arange(len(ids)), ids] -= share
    return (part, None, None)[: len(needs)]


_BLOCK = 65_536
"""Elements of a block: few enough for the second-level cache, enough for the calls not to count."""


class _Scratch(threading.local):
    """Two blocks of memory for what is passing, kept between steps: fresh ones would be paged in every time."""

    def __init__(self) -> None:
        self.blocks: dict[np.dtype[Any], Array] = {}

    def of(self, dtype: np.dtype[Any]) -> Array:
        if dtype not in self.blocks:
            self.blocks[dtype] = np.empty((2, _BLOCK), dtype)
        return self.blocks[dtype]


_scratch = _Scratch()


def _flat_blocks(arrays: tuple[Array, ...]) -> Iterator[tuple[Array, ...]]:
    """The arrays, all of one size, cut alike into flat views of at most a block, and as much scratch, twice."""
    flat = [a.reshape(-1) for a in arrays]
    t, u = _scratch.of(flat[0].dtype)
    for start in range(0, flat[0].size, _BLOCK):
        size = min(_BLOCK, flat[0].size - start)
        yield (*[a[start : start + size] for a in flat], t[:size], u[:size])


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
    if amsgrad or not all(a.flags.c_contiguous for arrays in (params, grads) for a in arrays):
        return NotImplemented
    beta1, beta2 = betas
    root = math.sqrt(1 - beta2**step)
    rate = lr / (1 - beta1**step) * root
    for arrays in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        for p, g, m, v, t, u in _flat_blocks(arrays):
            if weight_decay and decoupled_weight_decay:
                p *= 1 - lr * weight_decay
            elif weight_decay:
                g = np.add(g, np.multiply(p, weight_decay, out=u), out=u)
            m *= beta1
            m += np.multiply(g, 1 - beta1, out=t)
            np.multiply(g, g, out=t)
            t *= 1 - beta2
            v *= beta2
            v += t
            np.sqrt(v, out=t)
            t += eps * root
            np.divide(m, t, out=t)
            t *= rate
            p -= t


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
    if not all(a.flags.c_contiguous for arrays in (params, grads) for a in arrays):
        return NotImplemented
    for arrays in zip(params, grads, momentum_buffers, strict=True):
        for p, g, *rest in _flat_blocks(tuple(a for a in arrays if a is not None)):
            t, u = rest[-2:]
            if weight_decay:
                g = np.add(g, np.multiply(p, weight_decay, out=t), out=t)
            if len(rest) == 3:
                buffer = rest[0]
                buffer *= momentum
                buffer += g if step == 1 or not dampening else np.multiply(g, 1 - dampening, out=u)
                g = np.add(g, np.multiply(buffer, momentum, out=u), out=t) if nesterov else buffer
            p -= np.multiply(g, lr, out=u)
