"""Embeddings: from the number of a token to a vector, and from its place to what attention can tell apart (module 11).

A table holds a learned vector for each token. Attention by itself does not see in what order tokens come, so their
positions must enter too: as something added to the vectors (sinusoidal, learned), as a rotation of queries and keys
(rotary), or as a bias on the scores (ALiBi). Knows layers and gradients; knows nothing of attention itself.

Positions are whole numbers given as an array ``(seq)``, the same for all sequences, or ``(batch, seq)``; without them
they count from 0. A cache that holds ``n`` tokens already gives ``np.arange(n, n + seq)``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tt_foundation import Array, Module, Parameter, Rows, Tensor, default_rng, gradient, primitive, scatter_add, where

__all__ = [
    "ALiBi",
    "Angles",
    "Embedding",
    "LearnedPositions",
    "Rotary",
    "SinusoidalPositions",
    "alibi_bias",
    "alibi_slopes",
    "apply_rotary",
    "embedding",
    "rotary_angles",
    "sinusoidal",
]


@primitive
def embedding(indices: Array, weight: Array, *, padding_idx: int | None = None, is_sparse: bool = False) -> Array:
    """The rows of a table that ``indices`` names: ``(*), (vocab, d) -> (*, d)``.

    The row ``padding_idx`` gets no gradient. ``is_sparse``, for a table that no operation made, gives the gradient as
    :class:`Rows`, which cost what the batch touches, not what the table holds.

    Raises:
        TypeError: the indices are not whole numbers.
        IndexError: one is negative or not below ``vocab``.
    """
    if indices.dtype.kind not in "iu":
        raise TypeError(f"embedding needs indices that are integers, got {indices.dtype}")
    try:
        rows = weight.take(indices, axis=0)
        is_inside = not indices.size or bool(np.minimum.reduce(indices, axis=None) >= 0)  # from the end is no row here
    except IndexError:
        is_inside = False
    if not is_inside:
        raise IndexError(
            f"embedding of {len(weight)} rows needs 0 <= index < {len(weight)}, got {indices.min()} to {indices.max()}"
        )
    return rows


@gradient(embedding, "weight")
def embedding_wrt_weight(
    g: Array,
    indices: Array,
    weight_shape: tuple[int, ...],
    *,
    padding_idx: int | None = None,
    is_sparse: bool = False,
) -> Array | Rows:
    at = np.asarray(indices)
    if is_sparse and isinstance(g, np.ndarray):
        index, values = at.reshape(-1), g.reshape(at.size, *weight_shape[1:])
        if padding_idx is not None:
            index, values = index[index != padding_idx], values[index != padding_idx]
        return Rows(index, values, weight_shape[0])
    if padding_idx is not None:
        g = where((at != padding_idx)[..., None], g, 0)
    return scatter_add(g, index=at, shape=weight_shape)


class Embedding(Module[[Tensor], Tensor]):
    """:func:`embedding` with a table that learns, drawn from the standard normal distribution: ``(*) -> (*, d)``.

    Bengio, Ducharme, Vincent and Jauvin (2003), A Neural Probabilistic Language Model.

    Args:
        num_embeddings: how many rows, the size of the vocabulary.
        embedding_dim: the size of a row.
        padding_idx: a row that starts at zero and never learns; a negative one counts from the end.
        rng: draws the table, one ``rng.normal`` of its shape.
        dtype: of the table.

    Raises:
        ValueError: a size below 1, or a ``padding_idx`` that is no row.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if num_embeddings < 1 or embedding_dim < 1:
            raise ValueError(f"Embedding needs sizes of at least 1, got {num_embeddings} x {embedding_dim}")
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"Embedding of {num_embeddings} rows has no row {padding_idx} for padding")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(default_rng(rng).normal(size=(num_embeddings, embedding_dim)).astype(dtype))
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls, table: Array | Tensor, padding_idx: int | None = None) -> Embedding:
        """An embedding that starts from a copy of ``table``, ``(vocab, d)``.

        Raises:
            ValueError: the table has another number of axes than two.
        """
        values = np.array(table)
        if values.ndim != 2:
            raise ValueError(f"Embedding needs a table of two axes, got shape {values.shape}")
        made = cls(values.shape[0], values.shape[1], padding_idx, rng=np.random.default_rng(0), dtype=values.dtype)
        made.weight = Parameter(values)
        return made

    def forward(self, indices: Tensor) -> Tensor:
        return embedding(indices, self.weight, padding_idx=self.padding_idx, is_sparse=self.weight.is_leaf)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


def _positions(positions: Any, seq: int) -> Array:
    """Positions as an array whose last axis is the sequence; from 0 where none are given."""
    at = np.arange(seq) if positions is None else np.asarray(positions)
    if at.dtype.kind not in "iu":
        raise TypeError(f"positions are integers, got {at.dtype}")
    if at.ndim not in (1, 2) or at.shape[-1] != seq:
        raise ValueError(f"positions need shape (seq) or (batch, seq) with seq == {seq}, got {at.shape}")
    return at


def sinusoidal(positions: Array, d_model: int, *, base: float = 10_000.0) -> Array:
    r"""Waves of many lengths, a place's coordinates in each: ``(*) -> (*, d_model)``, float32.

    .. math:: e_{p, 2i} = \sin(p\, b^{-2i/d}), \qquad e_{p, 2i+1} = \cos(p\, b^{-2i/d})

    Vaswani et al. (2017), Attention Is All You Need.

    Raises:
        ValueError: ``d_model`` is odd.
    """
    angles = rotary_angles(positions, d_model, base=base)
    return np.stack([angles.sin, angles.cos], axis=-1).reshape(*np.shape(positions), d_model)


class SinusoidalPositions(Module[..., Tensor]):
    """Adds :func:`sinusoidal` positions: ``(..., seq, d_model) -> (..., seq, d_model)``.

    Raises:
        ValueError: ``d_model`` is odd; in the call: another last axis, or positions that do not fit.
    """

    def __init__(self, d_model: int, *, base: float = 10_000.0) -> None:
        sinusoidal(np.arange(1), d_model)
        self.d_model, self.base = d_model, base

    def forward(self, x: Tensor, positions: Tensor | Array | None = None) -> Tensor:
        if x.ndim < 2 or x.shape[-1] != self.d_model:
            raise ValueError(f"{self} needs x of shape (..., seq, {self.d_model}), got {x.shape}")
        at = _positions(positions, x.shape[-2])
        return x + sinusoidal(at, self.d_model, base=self.base).astype(x.dtype, copy=False)


class LearnedPositions(Module[..., Tensor]):
    """Adds a learned vector for each place up to a limit: ``(..., seq, d_model) -> (..., seq, d_model)``.

    Gehring, Auli, Grangier, Yarats and Dauphin (2017), Convolutional Sequence to Sequence Learning.

    Args:
        max_positions: how many places there are.
        d_model: the size of the last axis.
        rng: draws the table, normal with standard deviation 0.02.

    Raises:
        ValueError: in the call: another last axis, or positions that do not fit.
        IndexError: in the call: a position that has no vector.
    """

    def __init__(self, max_positions: int, d_model: int, *, rng: np.random.Generator | None = None) -> None:
        self.max_positions, self.d_model = max_positions, d_model
        self.table = Embedding(max_positions, d_model, rng=rng)
        self.table.weight.data *= 0.02

    def forward(self, x: Tensor, positions: Tensor | Array | None = None) -> Tensor:
        if x.ndim < 2 or x.shape[-1] != self.d_model:
            raise ValueError(f"LearnedPositions needs x of shape (..., seq, {self.d_model}), got {x.shape}")
        at = _positions(positions, x.shape[-2])
        try:
            return x + self.table(Tensor(at))
        except IndexError:
            low, high = at.min(), at.max()
            wrong = low if low < 0 else high
            message = f"LearnedPositions has places 0 to {self.max_positions - 1}, got position {wrong}"
            raise IndexError(message) from None


class Angles(NamedTuple):
    """Cosines and sines by which pairs of features are turned: each ``(*, dim / 2)``."""

    cos: Array
    sin: Array


def rotary_angles(positions: Array, dim: int, *, base: float = 10_000.0) -> Angles:
    r"""Cosine and sine of :math:`p\, b^{-2i/d}` for position p and pair i: ``(*) -> (*, dim / 2)`` each, float32.

    Raises:
        ValueError: ``dim`` is odd or below 2.
    """
    if dim < 2 or dim % 2:
        raise ValueError(f"positions in pairs of features need an even size of at least 2, got {dim}")
    turn = np.asarray(positions, np.float64)[..., None] * base ** (-np.arange(0, dim, 2) / dim)
    return Angles(np.cos(turn).astype(np.float32), np.sin(turn).astype(np.float32))


@primitive
def apply_rotary(x: Array, cos: Array, sin: Array, *, interleaved: bool = False) -> Array:
    r"""Turn pairs of features by an angle each: ``(..., seq, dim), (..., seq, r / 2) x 2 -> (..., seq, dim)``.

    .. math:: (a, b) \mapsto (a \cos\theta - b \sin\theta,\; b \cos\theta + a \sin\theta)

    Feature i is paired with i + r / 2, as in Llama and GPT-NeoX; or, ``interleaved``, 2i with 2i + 1, as in the paper
    and in GPT-J. Where r is less than ``dim``, features from r on stay as they are. No gradient for the angles.

    Su et al. (2021), RoFormer: Enhanced Transformer with Rotary Position Embedding.

    Raises:
        ValueError: ``dim`` is less than r.
    """
    half = cos.shape[-1]
    if 2 * half > x.shape[-1]:
        raise ValueError(f"apply_rotary turns {2 * half} features, got x of shape {x.shape}")
    first = slice(0, 2 * half, 2) if interleaved else slice(0, half)
    second = slice(1, 2 * half, 2) if interleaved else slice(half, 2 * half)
    a, b = x[..., first], x[..., second]
    out = np.empty(np.broadcast_shapes(x.shape[:-1], cos.shape[:-1]) + x.shape[-1:], x.dtype)
    out[..., 2 * half :] = x[..., 2 * half :]
    np.subtract(a * cos, b * sin, out=out[..., first], casting="same_kind")
    np.add(b * cos, a * sin, out=out[..., second], casting="same_kind")
    return out


@gradient(apply_rotary, "x")
def apply_rotary_wrt_x(g: Array, cos: Array, sin: Array, *, interleaved: bool = False) -> Array:
    return apply_rotary(g, cos, -sin, interleaved=interleaved)


class Rotary(Module[..., Tensor]):
    """Turns queries or keys by their positions: ``(..., seq, head_dim) -> (..., seq, head_dim)``.

    The score of a query and a key then depends on how far apart they stand. Positions ``(batch, seq)`` go with
    ``(batch, ..., seq, head_dim)``.

    Args:
        dim: how many of the features are turned, at most ``head_dim``.
        base: the longest wave has a length of about ``2 pi base``.
        interleaved: which features make pairs, see :func:`apply_rotary`.

    Raises:
        ValueError: ``dim`` is odd; in the call: fewer features, or positions that do not fit.
    """

    def __init__(self, dim: int, *, base: float = 10_000.0, interleaved: bool = False) -> None:
        self.dim, self.base, self.interleaved = dim, base, interleaved
        self._table = rotary_angles(np.arange(1), dim, base=base)

    def angles(self, positions: Array) -> Angles:
        """Cosines and sines for positions, from a table that grows to the largest met: ``(*) -> (*, dim / 2)``."""
        largest = int(positions.max(initial=0))
        table = self._table
        if largest >= len(table.cos):
            table = self._table = rotary_angles(np.arange(2 * largest + 1), self.dim, base=self.base)
        return Angles(table.cos[positions], table.sin[positions])

    def forward(self, x: Tensor, positions: Tensor | Array | None = None) -> Tensor:
        if x.ndim < 2 or x.shape[-1] < self.dim:
            raise ValueError(f"{self} needs x of shape (..., seq, at least {self.dim}), got {x.shape}")
        at = _positions(positions, x.shape[-2])
        if at.size and int(at.min()) < 0:
            raise ValueError(f"positions count from 0, got {at.min()}")
        if at.ndim == 2:  # (batch, seq) -> (batch, 1, ..., seq), beside the heads
            at = at.reshape(len(at), *[1] * (x.ndim - 3), -1)
        cos, sin = self.angles(at)
        return apply_rotary(x, cos, sin, interleaved=self.interleaved)


def alibi_slopes(num_heads: int) -> Array:
    r"""How steeply the bias of each head falls, :math:`2^{-8 h / n}` for head h of n, from 1: ``(num_heads)``, float32.

    Where n is no power of two, the slopes for the next lower power come first, then every second one of those for the
    next higher, as in the authors' code.

    Raises:
        ValueError: there are no heads.
    """
    if num_heads < 1:
        raise ValueError(f"ALiBi needs at least one head, got {num_heads}")
    power = 1 << num_heads.bit_length() - 1
    slopes = 2.0 ** (-8 * np.arange(1, power + 1) / power)
    between = 2.0 ** (-4 * np.arange(1, 2 * power, 2) / power)
    return np.concatenate([slopes, between[: num_heads - power]]).astype(np.float32)


def alibi_bias(num_heads: int, positions: Array, key_positions: Array | None = None) -> Array:
    r"""What is added to scores, :math:`-s_h\, |p_q - p_k|`: ``(..., q), (..., k) -> (..., num_heads, q, k)``, float32.

    Press, Smith and Lewis (2022), Train Short, Test Long: Attention with Linear Biases Enables Input Length
    Extrapolation.

    Args:
        num_heads: each has its slope, see :func:`alibi_slopes`.
        positions: of the queries.
        key_positions: of the keys; those of the queries where there are none.
    """
    queries = np.asarray(positions)
    keys = queries if key_positions is None else np.asarray(key_positions)
    distance = np.abs(queries[..., None, :, None] - keys[..., None, None, :])
    return -alibi_slopes(num_heads)[:, None, None] * distance.astype(np.float32)


class ALiBi(Module[..., Tensor]):
    """Adds :func:`alibi_bias` to attention scores: ``(..., num_heads, q, k) -> (..., num_heads, q, k)``.

    Without positions the keys count from 0 and the queries are the last of them.

    Raises:
        ValueError: there are no heads; in the call: scores of another number of heads, or more queries than keys.
    """

    def __init__(self, num_heads: int) -> None:
        alibi_slopes(num_heads)
        self.num_heads = num_heads

    def forward(self, scores: Tensor, positions: Array | None = None, key_positions: Array | None = None) -> Tensor:
        if scores.ndim < 3 or scores.shape[-3] != self.num_heads:
            raise ValueError(f"ALiBi needs scores of shape (..., {self.num_heads}, q, k), got {scores.shape}")
        q, k = scores.shape[-2:]
        if positions is None and q > k:
            raise ValueError(f"ALiBi needs positions where there are more queries than keys, got {q} and {k}")
        keys = np.arange(k) if key_positions is None else key_positions
        bias = alibi_bias(self.num_heads, np.arange(k - q, k) if positions is None else positions, keys)
        return scores + bias.astype(scores.dtype, copy=False)
