"""The first transformer: an encoder reads one sequence, a decoder writes another.

Vaswani et al. (2017), Attention Is All You Need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tt_architectures.embeddings import Embedding, SinusoidalPositions
from tt_architectures.transformers import (
    CrossAttentionBlock,
    TransformerBlock,
    TransformerConfig,
    initialize_transformer,
)
from tt_foundation import Array, Dropout, Linear, Module, Tensor, no_grad

__all__ = ["EncoderDecoder", "EncoderDecoderConfig"]


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderConfig(TransformerConfig):
    """A :class:`TransformerConfig` with the paper's choices, and what it adds.

    Attributes:
        source_vocab_size: tokens of what is read.
        target_vocab_size: tokens of what is written.
        num_decoder_layers: blocks of the decoder; by default as many as the encoder's ``num_layers``.
    """

    source_vocab_size: int
    target_vocab_size: int
    num_decoder_layers: int | None = None
    activation: Literal["relu", "gelu", "gelu_tanh", "swiglu"] = "relu"
    norm_first: bool = False


class EncoderDecoder(Module[..., Tensor]):
    """Scores for what to write next, given what is read and what was written.

    ``(batch, source), (batch, target) -> (batch, target, target_vocab)``.

    Args:
        config: sizes and choices.
        rng: draws the weights (see :func:`initialize_transformer`) and the dropout.
    """

    def __init__(self, config: EncoderDecoderConfig, *, rng: np.random.Generator | None = None) -> None:
        self.config = config
        decoder_layers = config.num_layers if config.num_decoder_layers is None else config.num_decoder_layers
        self.source_embedding = Embedding(config.source_vocab_size, config.d_model, rng=rng)
        self.target_embedding = Embedding(config.target_vocab_size, config.d_model, rng=rng)
        self.positions = SinusoidalPositions(config.d_model)
        self.dropout = Dropout(config.dropout, rng=rng)
        self.encoder = [TransformerBlock(config, rng=rng) for _ in range(config.num_layers)]
        self.decoder = [CrossAttentionBlock(config, rng=rng) for _ in range(decoder_layers)]
        self.encoder_norm = config.new_norm() if config.norm_first else None
        self.decoder_norm = config.new_norm() if config.norm_first else None
        self.head = Linear(config.d_model, config.target_vocab_size, rng=rng)
        initialize_transformer(self, rng=rng)

    def encode(self, source: Tensor, *, source_mask: Array | None = None) -> Tensor:
        """What the encoder makes of a sequence: ``(batch, source) -> (batch, source, d_model)``.

        Args:
            source: tokens.
            source_mask: True where there is one, ``(batch, source)``; by default everywhere.
        """
        x = self._embedded(self.source_embedding, source)
        seen = None if source_mask is None else source_mask[:, None, None, :]
        for block in self.encoder:
            x = block(x, mask=seen)
        return x if self.encoder_norm is None else self.encoder_norm(x)

    def decode(self, target: Tensor, memory: Tensor, *, source_mask: Array | None = None) -> Tensor:
        """Scores for the token after each of ``target``, given the encoder's ``memory``.

        ``(batch, target), (batch, source, d_model) -> (batch, target, target_vocab)``.
        """
        x = self._embedded(self.target_embedding, target)
        seen = None if source_mask is None else source_mask[:, None, None, :]
        for block in self.decoder:
            x = block(x, memory, memory_mask=seen)
        return self.head(x if self.decoder_norm is None else self.decoder_norm(x))

    def forward(self, source: Tensor, target: Tensor, *, source_mask: Array | None = None) -> Tensor:
        """Scores for the token after each of ``target``: while training, ``target`` is the answer, one to the right."""
        return self.decode(target, self.encode(source, source_mask=source_mask), source_mask=source_mask)

    def _embedded(self, embedding: Embedding, ids: Tensor) -> Tensor:
        # The tables start small: times the root of their size they stand beside positions of order 1.
        return self.dropout(self.positions(embedding(ids) * self.config.d_model**0.5))

    def written(
        self, source: Tensor, *, start: int, end: int, max_tokens: int, source_mask: Array | None = None
    ) -> list[list[int]]:
        """The likeliest answer to each row of ``source``, token by token, without its start and end.

        Args:
            source: ``(batch, source)``.
            start: the token that an answer begins with.
            end: the token that ends one.
            max_tokens: the most of an answer.
            source_mask: see :meth:`encode`.
        """
        answers = np.full((len(source), 1), start)
        with no_grad():
            memory = self.encode(source, source_mask=source_mask)
            while answers.shape[1] <= max_tokens and not (answers == end).any(axis=1).all():
                logits = self.decode(Tensor(answers), memory, source_mask=source_mask).data[:, -1]
                answers = np.concatenate([answers, logits.argmax(axis=1)[:, None]], axis=1)
        rows: list[list[int]] = answers[:, 1:].tolist()
        return [row[: row.index(end)] if end in row else row for row in rows]
