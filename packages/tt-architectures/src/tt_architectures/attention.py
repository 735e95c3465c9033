"""Attention: every position asks all others, and takes from those that answer (module 12).

A query is compared with every key; the softmax of the scores says how much of each value it takes. The operation is one
formula, :func:`scaled_dot_product_attention`; :class:`MultiHeadAttention` asks several questions at once, of the
sequence itself or of another. There is one convention for masks: True takes part. Knows tensors and linear layers;
knows nothing of blocks, models or how text is generated: for that it has a place for a cache, which others fill.

Bahdanau, Cho and Bengio (2015), Neural Machine Translation by Jointly Learning to Align and Translate; Vaswani et al.
(2017), Attention Is All You Need.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from tt_architectures.embeddings import Rotary
from tt_foundation import (
    Array,
    Linear,
    Module,
    Tensor,
    default_rng,
    dropout,
    fused,
    getitem,
    gradient,
    linear,
    matmul,
    observe,
    primitive,
    reshape,
    softmax,
    swapaxes,
    where,
)

__all__ = [
    "AttentionMask",
    "KeyValueCache",
    "MultiHeadAttention",
    "attention_maps",
    "attention_weights",
    "causal_mask",
    "merge_heads",
    "padding_mask",
    "scaled_dot_product_attention",
    "self_attention",
    "split_heads",
]

AttentionMask: TypeAlias = "Tensor | Array | None"


def causal_mask(queries: int, keys: int) -> Array:
    """Who may see whom when nobody sees the future: ``(queries, keys)`` of booleans, a lower triangle.

    The last query sees every key: of 5 keys, 2 queries are the newest positions and see 4 and 5 of them.
    """
    return np.tri(queries, keys, keys - queries, dtype=np.bool_)


def padding_mask(lengths: Array, keys: int) -> Array:
    """True where a sequence has not ended: ``(batch,) -> (batch, 1, 1, keys)``, for every head and query."""
    return (np.arange(keys) < np.asarray(lengths)[:, None])[:, None, None, :]


def attention_weights(
    query: Tensor,
    key: Tensor,
    mask: AttentionMask = None,
    bias: AttentionMask = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """How much each query takes of each key: ``(..., q, d), (..., k, d) -> (..., q, k)``; rows sum to 1.

    A query whose mask lets it see no key takes nothing: its row is 0. Arguments as in
    :func:`scaled_dot_product_attention`.

    Raises:
        ValueError: queries and keys have different sizes.
        TypeError: the mask is not boolean.
    """
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"attention needs query.shape[-1] == key.shape[-1], got {query.shape} and {key.shape}")
    if mask is not None and mask.dtype != np.bool_:
        raise TypeError(f"an attention mask is boolean, True takes part; got {mask.dtype} (what is added is a bias)")
    scores = matmul(query, swapaxes(key)) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if bias is not None:
        scores = scores + bias
    if is_causal:
        past = causal_mask(query.shape[-2], key.shape[-2])
        mask = past if mask is None else np.logical_and(np.asarray(mask), past)
    if mask is None:
        return softmax(scores)
    return where(mask, softmax(where(mask, scores, -1e30)), 0.0)


@fused
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: AttentionMask = None,
    bias: AttentionMask = None,
    keep: AttentionMask = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    dropout_p: float = 0.0,
) -> Tensor:
    r"""Values, weighted by how well their keys answer: ``(..., q, d), (..., k, d), (..., k, v) -> (..., q, v)``.

    .. math:: \mathrm{softmax}(Q K^\top / \sqrt{d})\, V

    The scores of random vectors grow with the square root of their size ``d``; divided by it, the softmax of a large
    head is no harder than that of a small one. Leading axes broadcast.

    Args:
        query: what is asked.
        key: what it is compared with.
        value: what is taken.
        mask: booleans that broadcast to ``(..., q, k)``: True takes part.
        bias: numbers that broadcast to ``(..., q, k)``, added to the scaled scores.
        keep: with dropout, booleans of shape ``(..., q, k)`` that the caller drew: the weights that stay.
        is_causal: whether a query sees only keys up to its own position; the last query sees all.
        scale: instead of one over the square root of ``d``.
        dropout_p: the probability that a weight was dropped; the others are divided by what is left.

    Raises:
        ValueError: queries and keys have different sizes, or there is not one value for each key.
        TypeError: the mask is not boolean.
    """
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"attention needs key.shape[-2] == value.shape[-2], got {key.shape} and {value.shape}")
    weights = attention_weights(query, key, mask, bias, is_causal=is_causal, scale=scale)
    if keep is not None:
        weights = dropout(weights, keep, p=dropout_p)
    return matmul(weights, value)


@primitive
def split_heads(x: Array, *, num_heads: int) -> Array:
    """The last axis cut into heads, a view: ``(batch, seq, heads * d) -> (batch, heads, seq, d)``."""
    return x.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)


@primitive
def merge_heads(x: Array) -> Array:
    """The heads side by side again: ``(batch, heads, seq, d) -> (batch, seq, heads * d)``."""
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3])


@gradient(split_heads, "x")
def split_heads_wrt_x(g: Array) -> Array:
    return merge_heads(g)


@gradient(merge_heads, "x")
def merge_heads_wrt_x(g: Array, x_shape: tuple[int, ...]) -> Array:
    return split_heads(g, num_heads=x_shape[1])


@fused
def self_attention(
    packed: Tensor,
    mask: AttentionMask = None,
    keep: AttentionMask = None,
    *,
    num_heads: int,
    num_kv_heads: int,
    is_causal: bool = False,
    dropout_p: float = 0.0,
) -> Tensor:
    """Attention of a sequence to itself, of queries, keys and values side by side, as one projection makes them.

    ``(batch, seq, (num_heads + 2 num_kv_heads) d) -> (batch, seq, num_heads d)``. With fewer heads of keys and values
    than of queries, neighbouring query heads share one.

    Args:
        packed: for each position the heads of its queries, then of its keys, then of its values.
        mask: as in :func:`scaled_dot_product_attention`, as are the following; broadcasts to
            ``(batch, num_heads, seq, seq)``.
        keep: which weights dropout leaves, ``(batch, num_heads, seq, seq)``.
        num_heads: heads of queries.
        num_kv_heads: heads of keys and of values.
        is_causal: whether a position sees only itself and those before it.
        dropout_p: the probability that a weight was dropped.
    """
    heads = split_heads(packed, num_heads=num_heads + 2 * num_kv_heads)
    q, k, v = (getitem(heads, index=(slice(None), part)) for part in _parts(num_heads, num_kv_heads))
    return merge_heads(_attention_of_groups(q, k, v, mask, keep, is_causal=is_causal, dropout_p=dropout_p))


def _parts(num_heads: int, num_kv_heads: int) -> tuple[slice, slice, slice]:
    """Where the heads of queries, keys and values stand when they stand side by side."""
    end = num_heads + num_kv_heads
    return slice(0, num_heads), slice(num_heads, end), slice(end, end + num_kv_heads)


def _attention_of_groups(
    q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, keep: AttentionMask, *, is_causal: bool, dropout_p: float
) -> Tensor:
    """Attention in which several query heads may share a head of keys and values: all ``(batch, heads, seq, d)``."""
    (batch, heads, queries, size), groups = q.data.shape, k.data.shape[1]
    if heads == groups:
        return scaled_dot_product_attention(q, k, v, mask, None, keep, is_causal=is_causal, dropout_p=dropout_p)
    # Heads that share keys stand along an axis of their own: (batch, groups, heads of a group, seq, d).
    q = reshape(q, shape=(batch, groups, heads // groups, queries, size))
    k, v = (reshape(t, shape=(batch, groups, 1, *t.shape[2:])) for t in (k, v))
    mask, keep = (_grouped(m, groups) for m in (mask, keep))
    out = scaled_dot_product_attention(q, k, v, mask, None, keep, is_causal=is_causal, dropout_p=dropout_p)
    return reshape(out, shape=(batch, heads, queries, size))


def _grouped(mask: AttentionMask, groups: int) -> Array | None:
    """A mask over heads as one over groups and the heads of a group: ``(..., heads, q, k)`` with one axis more."""
    if mask is None:
        return None
    array = np.asarray(mask)
    if array.ndim < 3:
        return array
    heads = (1, 1) if array.shape[-3] == 1 else (groups, array.shape[-3] // groups)
    return array.reshape(*array.shape[:-3], *heads, *array.shape[-2:])


class KeyValueCache(Protocol):
    """Where the keys and values of earlier tokens are kept, so that each is computed once.

    Sequences of different lengths share a batch: a token of row ``b`` stands at its own position, and what was kept
    there before (padding, say) is written over.
    """

    def update(self, layer: int, k: Tensor, v: Tensor, positions: Array) -> tuple[Tensor, Tensor, Array]:
        """Keep the keys and values of new tokens; give all of the layer, and how many count in each row.

        Args:
            layer: which layer of the model asks, from 0.
            k: keys of the new tokens, ``(batch, kv_heads, seq, head_dim)``.
            v: their values, likewise.
            positions: where each stands in its sequence, ``(batch, seq)``, increasing along a row.

        Returns:
            Keys and values from position 0 on, ``(batch, kv_heads, longest, head_dim)``, and the lengths of the rows,
            ``(batch,)``, the largest of them ``longest``.
        """
        ...


class MultiHeadAttention(Module[..., Tensor]):
    """Attention with several heads, each with queries, keys and values of its own, and a mixing of what they found.

    With fewer heads for keys and values than for queries, several query heads share one (grouped; with a single one,
    multi-query): the cache shrinks by as much.

    Args:
        embed_dim: the size of what comes in and goes out.
        num_heads: the heads of the queries.
        num_kv_heads: the heads of keys and values, by default as many; a divisor of ``num_heads``.
        dropout: the probability that a weight is dropped while training, drawn as
            ``rng.random((batch, heads, q, k), dtype=float32) >= dropout``.
        bias: whether the projections have one.
        rotation: turns queries and keys by their positions (rotary embeddings).
        rng: draws the weights of ``in_proj``, for queries, keys and values side by side, then of ``out_proj``; and the
            dropout.
        dtype: of the parameters.

    Raises:
        ValueError: sizes that do not divide.

    Vaswani et al. (2017), Attention Is All You Need; Shazeer (2019), Fast Transformer Decoding: One Write-Head Is All
    You Need; Ainslie et al. (2023), GQA: Training Generalized Multi-Query Transformer Models.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        num_kv_heads: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        rotation: Rotary | None = None,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(f"MultiHeadAttention needs embed_dim % num_heads == 0, got {embed_dim} and {num_heads}")
        if kv_heads < 1 or num_heads % kv_heads:
            raise ValueError(f"MultiHeadAttention needs num_heads % num_kv_heads == 0, got {num_heads} and {kv_heads}")
        if not 0 <= dropout < 1:
            raise ValueError(f"MultiHeadAttention needs 0 <= dropout < 1, got {dropout}")
        self.num_heads = num_heads
        self.num_kv_heads = kv_heads
        self.dropout = dropout
        self.rotation = rotation
        self.rng = rng
        packed = (num_heads + 2 * kv_heads) * (embed_dim // num_heads)
        self.in_proj = Linear(embed_dim, packed, bias, rng=rng, dtype=dtype)
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng, dtype=dtype)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        *,
        mask: AttentionMask = None,
        is_causal: bool = False,
        cache: KeyValueCache | None = None,
        layer: int = 0,
        positions: Array | None = None,
    ) -> Tensor:
        """Attend to ``key`` (by default to ``query`` itself), taking ``value`` (by default made from ``key``).

        Args:
            query: ``(batch, q, embed_dim)``.
            key: ``(batch, k, embed_dim)``.
            value: ``(batch, k, embed_dim)``.
            mask: booleans that broadcast to ``(batch, heads, q, k)``: True takes part.
            is_causal: whether a position sees only itself and those before it.
            cache: keeps keys and values; each token then sees what stands at its own position and before.
            layer: under which number the cache keeps them.
            positions: where the tokens stand, ``(batch, q)``; a cache needs them, and a rotation uses them.

        Raises:
            ValueError: a cache without positions, or with a mask or another sequence to attend to.
            RuntimeError: a cache while gradients are recorded.
        """
        heads, groups = self.num_heads, self.num_kv_heads
        p = self.dropout if self.training else 0.0
        if cache is not None:
            if positions is None or mask is not None or key is not None or value is not None:
                raise ValueError("a cache needs positions, no mask, and a sequence that attends to itself")
            q, k, v = self._of_itself(query, positions)
            k, v, lengths = cache.update(layer, k, v, positions)
            seen = _seen(positions, lengths, k.data.shape[2])
            found = merge_heads(_attention_of_groups(q, k, v, seen, None, is_causal=False, dropout_p=0.0))
        elif key is None and value is None and self.rotation is None:
            keep = self._kept(p, query, query)
            found = self_attention(
                self.in_proj(query), mask, keep, num_heads=heads, num_kv_heads=groups, is_causal=is_causal, dropout_p=p
            )
        else:
            key = query if key is None else key
            q, k = self._projected(query, 0), self._projected(key, 1)
            v = self._projected(key if value is None else value, 2)
            if self.rotation is not None:
                q, k = self.rotation(q, positions), self.rotation(k, positions)
            keep = self._kept(p, query, key)
            found = merge_heads(_attention_of_groups(q, k, v, mask, keep, is_causal=is_causal, dropout_p=p))
        return self.out_proj(found)

    def _projected(self, x: Tensor, part: int) -> Tensor:
        """The heads of queries (0), keys (1) or values (2), by their rows of the projection."""
        heads = _parts(self.num_heads, self.num_kv_heads)[part]
        size = self.in_proj.out_features // (self.num_heads + 2 * self.num_kv_heads)
        rows = slice(heads.start * size, heads.stop * size)
        bias = None if self.in_proj.bias is None else self.in_proj.bias[rows]
        return split_heads(linear(x, self.in_proj.weight[rows], bias), num_heads=heads.stop - heads.start)

    def _of_itself(self, x: Tensor, positions: Array) -> tuple[Tensor, Tensor, Tensor]:
        """The heads of queries, keys and values of new tokens, which no gradient will ask for."""
        packed = self.in_proj(x)
        if packed.requires_grad:
            raise RuntimeError("a cache keeps no gradients: use it under no_grad")
        queries, end = self.num_heads, self.num_heads + self.num_kv_heads
        heads = packed.data.reshape(*x.data.shape[:2], end + self.num_kv_heads, -1).swapaxes(1, 2)
        q, k, v = Tensor(heads[:, :queries]), Tensor(heads[:, queries:end]), Tensor(heads[:, end:])
        if self.rotation is None:
            return q, k, v
        return self.rotation(q, positions), self.rotation(k, positions), v

    def _kept(self, p: float, query: Tensor, key: Tensor) -> Array | None:
        """The weights that dropout leaves, ``(batch, heads, q, k)``."""
        if not p:
            return None
        shape = (query.shape[0], self.num_heads, query.shape[1], key.shape[1])
        return default_rng(self.rng).random(shape, dtype=np.float32) >= p


def _seen(positions: Array, lengths: Array, keys: int) -> Array | None:
    """Which kept keys each new token sees, ``(batch, 1, q, keys)``; None where that is all of them."""
    if positions.shape[1] == 1 and (len(lengths) == 1 or lengths.min() == keys):
        return None
    return np.arange(keys) <= positions[:, None, :, None]


def attention_maps(model: Module[..., Any], *args: Any, **params: Any) -> list[Array]:
    """Run a model and look on: the weights of every attention in it, in order, ``(batch, heads, q, k)`` each.

    They are computed beside the model's own operations, which may never hold them as a whole.
    """
    maps: list[Array] = []

    def look(op: Any, phase: str, inputs: Any, statics: Any, output: Any, /) -> None:
        name = getattr(op, "name", "")
        if phase != "forward" or output is not None or name not in (_ATTENTION, _SELF_ATTENTION):
            return
        query, key, *rest = inputs
        mask, bias = (*rest[1:3], None, None)[:2]
        if name == _SELF_ATTENTION:
            counts = statics["num_heads"], statics["num_kv_heads"]
            packed = split_heads(np.asarray(query), num_heads=counts[0] + 2 * counts[1])
            query, key = (packed[:, part] for part in _parts(*counts)[:2])
            key = np.repeat(key, counts[0] // counts[1], axis=1)
            mask, bias = inputs[1], None
        options = {option: statics[option] for option in ("is_causal", "scale") if option in statics}
        weights = np.asarray(attention_weights(query, key, mask, bias, **options))
        maps.append(weights.reshape(weights.shape[0], -1, *weights.shape[-2:]))

    with observe(look):
        model(*args, **params)
    return maps


_ATTENTION, _SELF_ATTENTION = scaled_dot_product_attention.name, self_attention.name
