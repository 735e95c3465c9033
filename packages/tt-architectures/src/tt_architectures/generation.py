"""Generation: text from a language model, token by token.

The model says how likely each token is to come next; a rule picks one; it is appended, and the model is asked again.
Prompts of different lengths share a batch: each row has its own positions, and padding is written over. Once the model
has seen a token, a cache keeps what attention needs of it; when a text outgrows the model's context, the model is
asked about its last tokens as a whole. Knows models as functions from tokens to scores; knows nothing of what the
tokens stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from tt_architectures.attention import KeyValueCache
from tt_foundation import Array, Tensor, default_rng, no_grad

__all__ = ["GenerationStep", "LanguageModel", "PlainCache", "generate", "pick_token", "stream"]


class LanguageModel(Protocol):
    """Scores for the next token after every prefix: ``(batch, seq) -> (batch, seq, vocab)``."""

    def __call__(
        self, ids: Tensor, *, cache: KeyValueCache | None = None, positions: Array | None = None
    ) -> Tensor: ...


class PlainCache:
    """Keys and values in one array a layer, as long as the context: what generation uses when it is given no other."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._kept: dict[int, tuple[Array, Array]] = {}

    def update(self, layer: int, k: Tensor, v: Tensor, positions: Array) -> tuple[Tensor, Tensor, Array]:
        """See :class:`KeyValueCache`.

        Raises:
            ValueError: a position beyond the capacity.
        """
        lengths = positions[:, -1] + 1
        longest = int(lengths[0] if len(lengths) == 1 else lengths.max())
        if longest > self.capacity:
            raise ValueError(f"PlainCache({self.capacity}) has no place for position {longest - 1}")
        if layer not in self._kept:
            shape = (*k.shape[:2], self.capacity, k.shape[3])
            self._kept[layer] = np.zeros(shape, k.dtype), np.zeros(shape, v.dtype)
        keys, values = self._kept[layer]
        if len(positions) == 1:
            first = longest - k.data.shape[2]
            keys[:, :, first:longest], values[:, :, first:longest] = k.data, v.data
        else:
            rows = np.arange(len(positions))[:, None]
            keys[rows, :, positions] = np.swapaxes(k.data, 1, 2)  # (batch, seq, heads, d)
            values[rows, :, positions] = np.swapaxes(v.data, 1, 2)
        return Tensor(keys[:, :, :longest]), Tensor(values[:, :, :longest]), lengths


def pick_token(
    logits: Array,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    rng: np.random.Generator | None = None,
) -> Array:
    """One token for each row of scores: ``(batch, vocab) -> (batch,)``.

    With temperature 0 the likeliest, the first of equals. Else drawn by ``rng.random(batch)``, one number a row, from
    the probabilities in falling order, of which only some may be left.

    Args:
        logits: scores.
        temperature: scores are divided by it: below 1 sharper, above 1 flatter.
        top_k: only so many of the likeliest are left.
        top_p: only the likeliest are left that together have this probability, the last of them to reach it included.
        rng: draws.

    Raises:
        ValueError: a negative temperature, ``top_k`` below 1 or ``top_p`` outside (0, 1].

    Fan, Lewis and Dauphin (2018), Hierarchical Neural Story Generation (``top_k``); Holtzman et al. (2020), The Curious
    Case of Neural Text Degeneration (``top_p``).
    """
    if temperature < 0:
        raise ValueError(f"pick_token needs temperature >= 0, got {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"pick_token needs top_k >= 1, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"pick_token needs 0 < top_p <= 1, got {top_p}")
    if temperature == 0:
        return np.asarray(logits.argmax(axis=-1))
    scores = logits.astype(np.float64)
    order = np.argsort(-scores, axis=-1, kind="stable")[:, :top_k]
    ranked = np.take_along_axis(scores, order, axis=-1) / temperature
    p = np.exp(ranked - ranked[:, :1])
    p /= p.sum(axis=-1, keepdims=True)
    if top_p is not None:
        p[np.cumsum(p, axis=-1) - p >= top_p] = 0  # what stands before it reaches top_p already
    upto = np.cumsum(p, axis=-1)
    drawn = default_rng(rng).random(len(p))[:, None] * upto[:, -1:]
    place = np.minimum((upto <= drawn).sum(axis=-1), (p > 0).sum(axis=-1) - 1)
    return np.asarray(np.take_along_axis(order, place[:, None], axis=-1)[:, 0])


class GenerationStep(NamedTuple):
    """What one step of :func:`stream` gave: a token for each row, and which rows it belongs to.

    Both are ``(batch,)``; ``is_live`` says whether a row had not ended before: the token of one that had means nothing.
    """

    tokens: Array
    is_live: Array


def stream(
    model: LanguageModel,
    prompts: Sequence[Sequence[int] | Array],
    max_new_tokens: int,
    *,
    context: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: Sequence[Sequence[int]] = (),
    rng: np.random.Generator | None = None,
    cache: Callable[[int], KeyValueCache] | None = PlainCache,
) -> Iterator[GenerationStep]:
    """Continue prompts, giving every token as soon as it is there.

    A row ends when it ends with one of ``stop``; the stream ends with its last row. The texts are the same with and
    without a cache, and a row's greedy text is the same alone and in a batch, up to rounding.

    Args:
        model: in evaluation mode.
        prompts: tokens of each row, at least one; lengths may differ.
        max_new_tokens: the most for each row.
        context: the most tokens the model can see; of longer texts it is shown the last.
        temperature: see :func:`pick_token`, as for ``top_k``, ``top_p`` and ``rng``.
        stop: sequences of tokens that end a row; what comes of them is given too.
        cache: makes a cache for so many positions; None does without.

    Raises:
        ValueError: no prompts, an empty one, an empty stop sequence, or a number out of range.
    """
    rows = [[int(token) for token in prompt] for prompt in prompts]
    if not rows or not all(rows):
        raise ValueError(f"generation needs prompts of at least one token, got lengths {[len(row) for row in rows]}")
    if max_new_tokens < 1 or context < 1:
        raise ValueError(f"generation needs max_new_tokens and context >= 1, got {max_new_tokens} and {context}")
    if not all(len(sequence) for sequence in stop):
        raise ValueError("generation needs stop sequences of at least one token")
    pick_token(np.zeros((1, 1)), temperature=temperature, top_k=top_k, top_p=top_p, rng=np.random.default_rng(0))
    ends = [[int(token) for token in sequence] for sequence in stop]

    def steps() -> Iterator[GenerationStep]:
        is_live = np.ones(len(rows), np.bool_)
        texts = _Texts(model, rows, context, cache)
        for _ in range(max_new_tokens):
            logits = texts.next_logits()
            tokens = pick_token(logits, temperature=temperature, top_k=top_k, top_p=top_p, rng=rng)
            was_live = is_live.copy()
            for i, (row, token) in enumerate(zip(rows, tokens, strict=True)):
                row.append(int(token))
                is_live[i] &= not any(row[-len(end) :] == end for end in ends)
            yield GenerationStep(tokens, was_live)
            if not is_live.any():
                return

    return steps()


class _Texts:
    """Rows of tokens that grow, and how to ask the model about them without asking twice."""

    def __init__(
        self,
        model: LanguageModel,
        rows: list[list[int]],
        context: int,
        cache: Callable[[int], KeyValueCache] | None,
    ) -> None:
        self.model = model
        self.rows = rows
        self.context = context
        self.cache = None if cache is None else cache(context)
        self.is_first = True

    def next_logits(self) -> Array:
        """The scores of the token to follow each row: ``(batch, vocab)``."""
        with no_grad():
            longest = max(map(len, self.rows))
            if self.cache is None or longest > self.context:
                self.cache = None  # a window that moves gives every token another position
                return self._whole(None)
            if self.is_first:
                self.is_first = False
                return self._whole(self.cache)
            positions = np.array([[len(row) - 1] for row in self.rows])
            newest = Tensor(np.array([row[-1:] for row in self.rows]))
            return self.model(newest, cache=self.cache, positions=positions).data[:, -1]

    def _whole(self, cache: KeyValueCache | None) -> Array:
        """Ask about whole rows, the shorter ones filled up behind their end."""
        shown = [row[-self.context :] for row in self.rows]
        lengths = np.array([len(row) for row in shown])
        ids = np.zeros((len(shown), int(lengths.max())), np.int64)
        for i, row in enumerate(shown):
            ids[i, : len(row)] = row
        positions = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        logits = self.model(Tensor(ids), cache=cache, positions=positions).data
        return logits[np.arange(len(shown)), lengths - 1]


def generate(
    model: LanguageModel,
    prompts: Sequence[Sequence[int] | Array],
    max_new_tokens: int,
    *,
    context: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: Sequence[Sequence[int]] = (),
    rng: np.random.Generator | None = None,
    cache: Callable[[int], KeyValueCache] | None = PlainCache,
) -> list[list[int]]:
    """The continuations alone, without their prompts: :func:`stream`, gathered; arguments and errors are its own."""
    texts: list[list[int]] = [[] for _ in prompts]
    for step in stream(
        model,
        prompts,
        max_new_tokens,
        context=context,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        stop=stop,
        rng=rng,
        cache=cache,
    ):
        for text, token, is_live in zip(texts, step.tokens, step.is_live, strict=True):
            if is_live:
                text.append(int(token))
    return texts
