"""GPT: a stack of causal blocks that says what comes next.

Radford, Narasimhan, Salimans and Sutskever (2018), Improving Language Understanding by Generative Pre-Training. The
same stack with other choices in its configuration is a small Llama: ``norm="rms"``, ``activation="swiglu"``,
``rotary=True``, ``bias=False``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tt_architectures.attention import KeyValueCache
from tt_architectures.embeddings import Embedding, LearnedPositions
from tt_architectures.transformers import TransformerBlock, TransformerConfig, initialize_transformer
from tt_foundation import Array, Dropout, Linear, Module, Tensor, linear

__all__ = ["GPT", "GPTConfig"]


@dataclass(frozen=True, kw_only=True)
class GPTConfig(TransformerConfig):
    """A :class:`TransformerConfig`, and what a language model adds.

    Attributes:
        vocab_size: how many tokens there are.
        context: the most tokens it can see at once.
        tied: whether scores are products with the embedding table itself, or with a matrix of their own.
    """

    vocab_size: int
    context: int = 128
    tied: bool = True


class GPT(Module[..., Tensor]):
    """Scores for the next token after every prefix: ``(batch, seq) -> (batch, seq, vocab)``.

    Args:
        config: sizes and choices.
        rng: draws the weights (see :func:`initialize_transformer`) and the dropout.
    """

    def __init__(self, config: GPTConfig, *, rng: np.random.Generator | None = None) -> None:
        self.config = config
        self.embedding = Embedding(config.vocab_size, config.d_model, rng=rng)
        self.positions = None if config.rotary else LearnedPositions(config.context, config.d_model, rng=rng)
        self.dropout = Dropout(config.dropout, rng=rng)
        self.blocks = [TransformerBlock(config, rng=rng) for _ in range(config.num_layers)]
        self.norm = config.new_norm() if config.norm_first else None
        self.head = None if config.tied else Linear(config.d_model, config.vocab_size, bias=False, rng=rng)
        initialize_transformer(self, rng=rng)

    def forward(self, ids: Tensor, *, cache: KeyValueCache | None = None, positions: Array | None = None) -> Tensor:
        """Scores of every token to follow each of ``ids``.

        Args:
            ids: tokens, ``(batch, seq)``.
            cache: keeps keys and values, so that ``ids`` need only be the new tokens.
            positions: where they stand, ``(batch, seq)``; by default from 0. A cache needs them.

        Raises:
            ValueError: more tokens than the context holds, or another shape.
        """
        if ids.ndim != 2 or ids.shape[1] > self.config.context:
            raise ValueError(f"GPT needs ids of shape (batch, at most {self.config.context}), got {ids.shape}")
        x = self.embedding(ids)
        if self.positions is not None:
            x = self.positions(x, positions)
        x = self.dropout(x)
        for i, block in enumerate(self.blocks):
            x = block(x, is_causal=cache is None, cache=cache, layer=i, positions=positions)
        if self.norm is not None:
            x = self.norm(x)
        return linear(x, self.embedding.weight) if self.head is None else self.head(x)
