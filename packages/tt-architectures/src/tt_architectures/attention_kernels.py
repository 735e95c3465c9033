"""Attention in tiles: the `numpy` backend's way, which never holds all the scores.

A tile is a block of queries against every key that one of them may see. Its scores stay in the second-level cache, are
made, used and forgotten; what is kept is one number for each query, the logarithm of the sum of its exponentials, from
which the gradient makes the same tiles again. A causal tile leaves out the keys that lie in the future. Threads take
different sequences and heads. Nothing imports a name from here.

Rabe and Staats (2021), Self-Attention Does Not Need O(n^2) Memory; Dao et al. (2022), FlashAttention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tt_architectures.attention import AttentionMask, scaled_dot_product_attention, self_attention
from tt_foundation import Array, kernel, mode, num_threads, parallel_blocks

__all__: list[str] = []

_TILE = 65_536
"""The most scores of a tile: as many as stay in the second-level cache while they are worked on."""

_CAUSAL_ROWS = 64
"""The most queries of a causal tile: the fewer, the less of the future is computed in vain."""

_SMALL = 40.0
"""Scores between this and its negative have exponentials that float32 holds, and sums of them too."""

_NO_SHIFT = np.zeros((1, 1), np.float32)

Prefix = tuple[int | slice, ...]


class _Plan(NamedTuple):
    """One call: its arrays with all leading axes, and how it is cut."""

    lead: tuple[int, ...]
    query: Array  # (*lead, q, d), as are the next two with k
    key: Array
    value: Array
    mask: Array | None  # (*lead, q, k)
    keep: Array | None
    scale: Any
    kept_share: Any  # 1 - dropout_p
    is_causal: bool
    units: list[Prefix]  # into the first of the leading axes; what each shows is worked on together
    rows: int

    def tiles(self) -> Iterator[tuple[int, int, int]]:
        """First query, query after the last, and how many keys they see; the tile that sees most comes first."""
        queries, keys = self.query.shape[-2], self.key.shape[-2]
        for start in reversed(range(0, queries, self.rows)):
            stop = min(start + self.rows, queries)
            yield start, stop, keys - queries + stop if self.is_causal else keys

    def scratch(self) -> Array:
        """Memory for the scores of the largest tile."""
        together = math.prod(self.query[self.units[0]].shape[:-2])
        return np.empty(together * self.rows * self.key.shape[-2], self.query.dtype)


def _planned(
    query: Array, key: Array, value: Array, mask: Any, keep: Any, is_causal: bool, scale: float | None, p: float
) -> _Plan | None:
    """How to compute a call; None where the body must, or must say what is wrong."""
    if query.ndim < 3 or key.ndim < 3 or value.ndim < 3 or not query.dtype == key.dtype == value.dtype:
        return None
    queries, size = query.shape[-2:]
    keys = key.shape[-2]
    is_sound = size == key.shape[-1] and value.shape[-2] == keys and query.dtype.kind == "f"
    is_sound = is_sound and (mask is None or mask.dtype == np.bool_)
    if not is_sound or not size or not keys or (is_causal and queries > keys):
        return None
    lead = query.shape[:-2]
    if not lead == key.shape[:-2] == value.shape[:-2]:
        lead = np.broadcast_shapes(lead, key.shape[:-2], value.shape[:-2])
        query, key, value = (np.broadcast_to(a, lead + a.shape[-2:]) for a in (query, key, value))
    total = math.prod(lead) * queries * keys
    if not total:
        return None
    try:
        mask, keep = (None if m is None else np.broadcast_to(m, (*lead, queries, keys)) for m in (mask, keep))
    except ValueError:
        return None
    units: list[Prefix] = [()]
    rows = queries
    if total > _TILE:
        outer = math.prod(lead[:-1])
        is_whole = outer < num_threads() or lead[-1] * keys * _CAUSAL_ROWS > _TILE
        together = 1 if is_whole else lead[-1]
        rows = max(16, _TILE // (together * keys))
        rows = min(queries, rows, _CAUSAL_ROWS if is_causal else rows)
        units = list(np.ndindex(lead if is_whole else lead[:-1]))
        step = _TILE // (together * keys * rows)
        if step > 1 and len(units) > 1:  # longer calls: threads seldom wait for each other between two
            *before, last = lead if is_whole else lead[:-1]
            units = [(*at, slice(i, i + step)) for at in np.ndindex(*before) for i in range(0, last, step)]
    number = query.dtype.type
    is_causal = is_causal and queries > 1
    root = number(1 / math.sqrt(size) if scale is None else scale)
    return _Plan(lead, query, key, value, mask, keep, root, number(1 - p), is_causal, units, rows)


def _heads_inside(lead: tuple[int, ...], rows: int, columns: int, dtype: Any) -> Array:
    """Uninitialised ``(*lead, rows, columns)`` with the rows right after the first axis in memory.

    So the heads of a token lie side by side, and merging them is a view.
    """
    return np.moveaxis(np.empty((*lead[:1], rows, *lead[1:], columns), dtype), 1, -2)


def _exponentials(
    plan: _Plan, at: Prefix, tile: tuple[int, int, int], future: Array | None, memory: Array, shift: Array | None
) -> Any:
    """``exp(scores - shift)`` of a tile, 0 where masked; its scaled queries; and the shift, where none is given.

    Shapes ``(*, rows, keys)``, ``(*, rows, d)`` and ``(*, rows, 1)``. The shift that a softmax needs is the largest
    score of a row; where no score is large it needs none, and two reductions over all are faster than one over rows.
    """
    start, stop, seen = tile
    query = plan.query[at][..., start:stop, :] * plan.scale
    shape = (*query.shape[:-1], seen)
    flat = memory[: math.prod(shape)]
    scores = flat.reshape(shape)
    np.matmul(query, plan.key[at][..., :seen, :].swapaxes(-1, -2), out=scores)
    is_small = shift is None and np.minimum.reduce(flat) > -_SMALL and np.maximum.reduce(flat) < _SMALL
    if future is not None:
        newest = scores[..., seen - (stop - start) :]
        newest += future[: stop - start, : stop - start]
    if plan.mask is not None:
        np.copyto(scores, -np.inf, where=~plan.mask[at][..., start:stop, :seen])
    if is_small:
        shift = _NO_SHIFT
    else:
        if shift is None:
            shift = np.maximum.reduce(scores, axis=-1, keepdims=True)
            if plan.mask is not None:  # a query that sees nothing
                shift[np.isneginf(shift)] = 0
        scores -= shift
    np.exp(scores, out=scores)
    return scores, query, shift


def _future(plan: _Plan) -> Array | None:
    """What is added to the scores of as many keys as a causal tile has queries: minus infinity above the diagonal."""
    if not plan.is_causal:
        return None
    return np.triu(np.full((plan.rows, plan.rows), -np.inf, plan.query.dtype), 1)


def _attend(plan: _Plan, out: Array) -> tuple[Array | None, Array]:
    """Fill ``out``, ``(*lead, q, v)``; give what the gradient needs beside it: the future, and each query's log."""
    future = _future(plan)
    logs = np.empty((*plan.lead, plan.query.shape[-2], 1), plan.query.dtype)

    def units(first: int, last: int) -> None:
        memory = plan.scratch()
        ones = np.ones((plan.key.shape[-2], 1), plan.query.dtype)
        for at in plan.units[first:last]:
            for tile in plan.tiles():
                start, stop, seen = tile
                weights, _, shift = _exponentials(plan, at, tile, future, memory, None)
                total = np.matmul(weights, ones[:seen])
                if plan.mask is not None:
                    total[total == 0] = 1
                np.add(shift, np.log(total), out=logs[at][..., start:stop, :])
                if plan.keep is not None:
                    weights *= plan.keep[at][..., start:stop, :seen]
                    total *= plan.kept_share
                part = out[at][..., start:stop, :]
                np.matmul(weights, plan.value[at][..., :seen, :], out=part)
                part /= total

    _over_units(plan, units)
    return future, logs


def _collect_gradients(
    plan: _Plan, future: Array | None, logs: Array, out: Array, g: Array, parts: Sequence[Array | None]
) -> None:
    """Fill the gradients of queries, keys and values that are wanted, each with all leading axes."""
    wrt_query, wrt_key, wrt_value = parts
    queries = plan.query.shape[-2]

    def units(first: int, last: int) -> None:
        memory = plan.scratch(), plan.scratch()
        ones = np.ones((g.shape[-1], 1), g.dtype)
        for at in plan.units[first:last]:
            for tile in plan.tiles():
                start, stop, seen = tile
                weights, query, _ = _exponentials(plan, at, tile, future, memory[0], logs[at][..., start:stop, :])
                gradient = g[at][..., start:stop, :]
                keep = None if plan.keep is None else plan.keep[at][..., start:stop, :seen] / plan.kept_share
                if wrt_value is not None:
                    taken = weights if keep is None else weights * keep
                    _collect(wrt_value[at], taken, gradient, seen, stop == queries)
                if wrt_query is None and wrt_key is None:
                    continue
                change = memory[1][: weights.size].reshape(weights.shape)
                np.matmul(gradient, plan.value[at][..., :seen, :].swapaxes(-1, -2), out=change)
                if keep is not None:
                    change *= keep
                change -= np.matmul(gradient * out[at][..., start:stop, :], ones)
                change *= weights
                if wrt_key is not None:
                    _collect(wrt_key[at], change, query, seen, stop == queries)
                if wrt_query is not None:
                    part = wrt_query[at][..., start:stop, :]
                    np.matmul(change, plan.key[at][..., :seen, :], out=part)
                    part *= plan.scale

    _over_units(plan, units)


def _collect(total: Array, weights: Array, rows: Array, seen: int, is_first: bool) -> None:
    """Give every key its share of the rows of a tile; the first tile is one that sees all keys."""
    if is_first:
        np.matmul(weights.swapaxes(-1, -2), rows, out=total)
    else:
        total[..., :seen, :] += np.matmul(weights.swapaxes(-1, -2), rows)


def _over_units(plan: _Plan, units: Callable[[int, int], None]) -> None:
    if len(plan.units) == 1:
        units(0, 1)
    else:
        parallel_blocks(units, len(plan.units))


@kernel(scaled_dot_product_attention, "numpy")
def attention_in_tiles(
    query: Array,
    key: Array,
    value: Array,
    mask: AttentionMask = None,
    bias: AttentionMask = None,
    keep: AttentionMask = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    dropout_p: float = 0.0,
) -> Any:
    """Tile by tile; keeps the logarithm of every query's sum of exponentials."""
    if query.ndim > 2 and query.shape[-2] == 1 and mask is bias is keep is None and not mode().grad_enabled:
        return _newest_token(query, key, value, scale)
    plan = None if bias is not None else _planned(query, key, value, mask, keep, is_causal, scale, dropout_p)
    if plan is None:
        return NotImplemented
    out = _heads_inside(plan.lead, query.shape[-2], value.shape[-1], query.dtype)
    return out, (plan, *_attend(plan, out), out)


def _newest_token(query: Array, key: Array, value: Array, scale: float | None) -> Any:
    """One query that sees all keys, when nothing is recorded: as few calls as can be."""
    is_sound = query.shape[-1] == key.shape[-1] and key.shape[-2] == value.shape[-2] > 0
    if not is_sound or not query.dtype == key.dtype == value.dtype:
        return NotImplemented
    weights = np.matmul(query, key.swapaxes(-1, -2))
    np.multiply(weights, _root(query.shape[-1], query.dtype) if scale is None else scale, weights)
    flat, keys = weights.reshape(-1), key.shape[-2]
    if not (np.minimum.reduce(flat) > -_SMALL and np.maximum.reduce(flat) < _SMALL):
        weights -= np.maximum.reduce(weights, axis=-1, keepdims=True)
    np.exp(weights, weights)
    total = flat.reshape(-1, keys).dot(_ones(keys.bit_length(), query.dtype)[:keys])
    out = np.matmul(weights, value)
    return np.divide(out, total.reshape(*out.shape[:-1], 1), out)


@lru_cache(maxsize=8)
def _root(size: int, dtype: np.dtype[Any]) -> Array:
    """What scores are multiplied with, as an array that NumPy need not convert in every call."""
    return np.asarray(1 / math.sqrt(size), dtype)


@lru_cache(maxsize=8)
def _ones(bits: int, dtype: np.dtype[Any]) -> Array:
    """As many ones as a number of so many bits can count: what rows are multiplied with for their sums."""
    return np.ones(1 << bits, dtype)


@attention_in_tiles.gradient
def attention_gradient(
    g: Array, saved: tuple[_Plan, Array | None, Array, Array], needs: tuple[bool, ...]
) -> tuple[Array | None, ...]:
    plan, future, logs, out = saved
    shapes = [a.shape[-2:] for a in (plan.query, plan.key, plan.value)]
    parts = [
        _heads_inside(plan.lead, shape[0], shape[1], g.dtype) if needed else None
        for shape, needed in zip(shapes, needs, strict=False)
    ]
    _collect_gradients(plan, future, logs, out, g, parts)
    return (*parts, None, None, None)


def _by_head(x: Array, heads: int) -> Array:
    """``(batch, seq, heads * d) -> (batch, heads, seq, d)``, a view."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def _in_groups(x: Array, groups: int) -> Array:
    """``(batch, heads, seq, d) -> (batch, groups, heads of a group, seq, d)``, a view."""
    return x.reshape(x.shape[0], groups, -1, *x.shape[2:])


def _unpacked(packed: Array, num_heads: int, num_kv_heads: int) -> list[Array]:
    """Queries, keys and values that stand side by side, by head; in groups where heads share keys."""
    by_head = _by_head(packed, num_heads + 2 * num_kv_heads)
    end = num_heads + num_kv_heads
    parts = [by_head[:, :num_heads], by_head[:, num_heads:end], by_head[:, end:]]
    return parts if num_heads == num_kv_heads else [_in_groups(part, num_kv_heads) for part in parts]


@kernel(self_attention, "numpy")
def self_attention_in_tiles(
    packed: Array,
    mask: AttentionMask = None,
    keep: AttentionMask = None,
    *,
    num_heads: int,
    num_kv_heads: int,
    is_causal: bool = False,
    dropout_p: float = 0.0,
) -> Any:
    """In place: queries, keys and values are read, and later their gradients written, where they stand."""
    is_grouped = num_heads != num_kv_heads
    if is_grouped and (mask is not None or keep is not None):
        return NotImplemented
    if packed.ndim != 3 or not packed.size or packed.shape[2] % (num_heads + 2 * num_kv_heads):
        return NotImplemented
    q, k, v = _unpacked(packed, num_heads, num_kv_heads)
    plan = _planned(q, k, v, mask, keep, is_causal, None, dropout_p)
    if plan is None:
        return NotImplemented
    out = _heads_inside(plan.lead, packed.shape[1], plan.value.shape[-1], packed.dtype)
    future, logs = _attend(plan, out)
    merged = out.transpose(0, 2, 1, 3) if out.ndim == 4 else out.transpose(0, 3, 1, 2, 4)
    return merged.reshape(*packed.shape[:2], -1), (plan, future, logs, out)


@self_attention_in_tiles.gradient
def self_attention_gradient(
    g: Array, saved: tuple[_Plan, Array | None, Array, Array], *, num_heads: int, num_kv_heads: int
) -> tuple[Array | None, ...]:
    plan, future, logs, out = saved
    size = out.shape[-1]
    by_head = _by_head(g, num_heads)
    wrt_packed = np.empty((*g.shape[:2], (num_heads + 2 * num_kv_heads) * size), g.dtype)
    parts = _unpacked(wrt_packed, num_heads, num_kv_heads)
    if num_heads == num_kv_heads:
        _collect_gradients(plan, future, logs, out, by_head, parts)
    else:
        every = [_heads_inside(plan.lead, g.shape[1], size, g.dtype) for _ in range(2)]
        _collect_gradients(plan, future, logs, out, _in_groups(by_head, num_kv_heads), [parts[0], *every])
        for part, whole in zip(parts[1:], every, strict=True):
            np.add.reduce(whole, axis=2, keepdims=True, out=part)
    return wrt_packed, None, None
