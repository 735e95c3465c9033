"""BERT: an encoder that sees both ways, and learns by guessing the words that were taken out.

Devlin, Chang, Lee and Toutanova (2019), BERT: Pre-Training of Deep Bidirectional Transformers for Language
Understanding.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from tt_architectures.embeddings import Embedding, LearnedPositions
from tt_architectures.transformers import TransformerBlock, TransformerConfig, initialize_transformer
from tt_foundation import (
    Array,
    Dropout,
    Linear,
    Module,
    Parameter,
    Tensor,
    cross_entropy,
    default_rng,
    gelu,
    linear,
)

__all__ = ["BERT", "BERTConfig", "MaskedTokens", "mask_tokens", "masked_token_loss"]


@dataclass(frozen=True, kw_only=True)
class BERTConfig(TransformerConfig):
    """A :class:`TransformerConfig` with BERT's choices, and what it adds.

    Attributes:
        vocab_size: how many tokens there are.
        context: the most tokens of a text.
        num_segments: kinds of text in one sequence, such as a question and its answer.
    """

    vocab_size: int
    context: int = 128
    num_segments: int = 2
    activation: Literal["relu", "gelu", "gelu_tanh", "swiglu"] = "gelu"
    norm_first: bool = False
    norm_eps: float = 1e-12


class BERT(Module[..., Tensor]):
    """Scores for the token at every position, from all of them: ``(batch, seq) -> (batch, seq, vocab)``.

    Args:
        config: sizes and choices.
        rng: draws the weights (see :func:`initialize_transformer`) and the dropout.
    """

    def __init__(self, config: BERTConfig, *, rng: np.random.Generator | None = None) -> None:
        self.config = config
        self.embedding = Embedding(config.vocab_size, config.d_model, rng=rng)
        self.positions = None if config.rotary else LearnedPositions(config.context, config.d_model, rng=rng)
        self.segments = Embedding(config.num_segments, config.d_model, rng=rng)
        self.embedding_norm = config.new_norm()
        self.dropout = Dropout(config.dropout, rng=rng)
        self.blocks = [TransformerBlock(config, rng=rng) for _ in range(config.num_layers)]
        self.norm = config.new_norm() if config.norm_first else None
        self.head = Linear(config.d_model, config.d_model, rng=rng)
        self.head_norm = config.new_norm()
        self.head_bias = Parameter(np.zeros(config.vocab_size, np.float32))
        initialize_transformer(self, rng=rng)

    def encode(self, ids: Tensor, *, mask: Array | None = None, segments: Tensor | None = None) -> Tensor:
        """What the encoder makes of every position: ``(batch, seq) -> (batch, seq, d_model)``.

        Args:
            ids: tokens.
            mask: True where there is a token, ``(batch, seq)``; by default everywhere.
            segments: of which text each token is, ``(batch, seq)``; by default the first.

        Raises:
            ValueError: more tokens than the context holds, or shapes that differ.
        """
        if ids.ndim != 2 or ids.shape[1] > self.config.context:
            raise ValueError(f"BERT needs ids of shape (batch, at most {self.config.context}), got {ids.shape}")
        if mask is not None and mask.shape != ids.shape:
            raise ValueError(f"BERT needs a mask of the shape of ids, {ids.shape}, got {mask.shape}")
        x = self.embedding(ids)
        if self.positions is not None:
            x = self.positions(x)
        x = x + self.segments(Tensor(np.zeros(ids.shape, np.int64)) if segments is None else segments)
        x = self.dropout(self.embedding_norm(x))
        seen = None if mask is None else mask[:, None, None, :]
        for block in self.blocks:
            x = block(x, mask=seen)
        return x if self.norm is None else self.norm(x)

    def forward(self, ids: Tensor, *, mask: Array | None = None, segments: Tensor | None = None) -> Tensor:
        """Scores of every token at every position; arguments and errors are those of :meth:`encode`."""
        x = self.head_norm(gelu(self.head(self.encode(ids, mask=mask, segments=segments))))
        return linear(x, self.embedding.weight, self.head_bias)


class MaskedTokens(NamedTuple):
    """Tokens with some taken out, and what stood there: -100 where nothing is asked."""

    ids: Array
    targets: Array


def mask_tokens(
    ids: Array,
    *,
    vocab_size: int,
    mask_id: int,
    special_ids: Collection[int] = (),
    share: float = 0.15,
    rng: np.random.Generator | None = None,
) -> MaskedTokens:
    """Take some tokens out for a model to guess: of those chosen, 8 of 10 become the mask, 1 any token, 1 stays.

    Draws ``rng.random(ids.shape)`` to choose, the same again for what becomes of each, and
    ``rng.integers(0, vocab_size, ids.shape)`` for the tokens.

    Args:
        ids: ``(batch, seq)``; not changed.
        vocab_size: how many tokens there are.
        mask_id: the token that stands for one taken out.
        special_ids: tokens that are never chosen, such as padding.
        share: the probability that a token is chosen.
        rng: draws.

    Raises:
        ValueError: ``share`` is no probability.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"mask_tokens needs 0 <= share <= 1, got {share}")
    draw = default_rng(rng)
    chosen = (draw.random(ids.shape) < share) & ~np.isin(ids, list(special_ids))
    fate = draw.random(ids.shape)
    anything = draw.integers(0, vocab_size, ids.shape)
    shown = np.where(chosen & (fate < 0.8), mask_id, np.where(chosen & (fate >= 0.9), anything, ids))
    return MaskedTokens(shown, np.where(chosen, ids, -100))


def masked_token_loss(logits: Tensor, targets: Array) -> Tensor:
    """Mean cross-entropy where something is asked: ``(batch, seq, vocab), (batch, seq) -> ()``; 0 if nothing is.

    Only the scores of those positions enter the loss.

    Raises:
        ValueError: the shapes do not fit.
    """
    if logits.ndim != 3 or targets.shape != logits.shape[:2]:
        raise ValueError(
            f"masked_token_loss needs (batch, seq, vocab) and (batch, seq), got {logits.shape} and {targets.shape}"
        )
    rows, places = np.nonzero(targets != -100)
    if not len(rows):
        return logits.sum() * 0
    return cross_entropy(logits[rows, places], targets[rows, places])
