"""Transformers: attention and a small network, over and over (module 13).

A block lets every position gather from the others, then thinks about each by itself; both add to what runs past them,
so that a deep stack is as easy to train as a shallow one. Blocks differ in where they normalize (before each part, or
after the sum), with what, and in the small network; one configuration names all of it. Knows attention, embeddings and
normalization; knows nothing of vocabularies or of whole models, which stand in ``models``, nor of how text is
generated.

Vaswani et al. (2017), Attention Is All You Need.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

import numpy as np

from tt_architectures.attention import AttentionMask, KeyValueCache, MultiHeadAttention
from tt_architectures.embeddings import Rotary
from tt_architectures.normalization import LayerNorm, RMSNorm
from tt_foundation import (
    Array,
    Dropout,
    Linear,
    Module,
    Tensor,
    cross_entropy,
    default_rng,
    gelu,
    relu,
    silu,
    wrote,
)

__all__ = [
    "CrossAttentionBlock",
    "FeedForward",
    "SwiGLU",
    "TransformerBlock",
    "TransformerConfig",
    "initialize_transformer",
    "next_token_loss",
]

Activation: TypeAlias = Literal["relu", "gelu", "gelu_tanh", "swiglu"]


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """What a stack of blocks looks like.

    Attributes:
        d_model: the size of the vector at every position.
        num_heads: heads of attention.
        num_layers: how many blocks.
        d_ff: the inner size of the small network; by default ``4 d_model``, for ``swiglu`` two thirds of it.
        num_kv_heads: heads of keys and values, fewer than ``num_heads`` where several share one.
        activation: of the small network: ``relu``, ``gelu``, ``gelu_tanh`` (GPT-2's) or ``swiglu``.
        norm: ``layer`` or ``rms``.
        norm_first: whether each part's input is normalized (GPT-2), or the sum after it (BERT, the paper).
        norm_eps: added to the variance.
        rotary: whether attention turns queries and keys by their positions.
        bias: whether linear layers and layer norms have one.
        dropout: on what each part adds, and on the embeddings.
        attention_dropout: on the weights of attention.

    Raises:
        ValueError: a size below 1 or that does not divide, a share outside [0, 1), or an unknown name.
    """

    d_model: int = 128
    num_heads: int = 4
    num_layers: int = 4
    d_ff: int | None = None
    num_kv_heads: int | None = None
    activation: Activation = "gelu_tanh"
    norm: Literal["layer", "rms"] = "layer"
    norm_first: bool = True
    norm_eps: float = 1e-5
    rotary: bool = False
    bias: bool = True
    dropout: float = 0.0
    attention_dropout: float = 0.0

    def __post_init__(self) -> None:
        name = type(self).__name__
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is int and value < 1:
                raise ValueError(f"{name} needs {field.name} >= 1, got {value}")
            if "dropout" in field.name and not 0 <= value < 1:
                raise ValueError(f"{name} needs 0 <= {field.name} < 1, got {value}")
        choices = {"activation": ("relu", "gelu", "gelu_tanh", "swiglu"), "norm": ("layer", "rms")}
        for key, known in choices.items():
            if getattr(self, key) not in known:
                raise ValueError(f"{name} knows {key} of {', '.join(known)}, got {getattr(self, key)!r}")
        if self.d_model % self.num_heads:
            raise ValueError(f"{name} needs d_model % num_heads == 0, got {self.d_model} and {self.num_heads}")
        if self.rotary and self.d_model // self.num_heads % 2:
            raise ValueError(f"{name} needs heads of an even size for rotary, got {self.d_model // self.num_heads}")

    def new_norm(self) -> LayerNorm | RMSNorm:
        """A normalization over ``d_model``."""
        if self.norm == "rms":
            return RMSNorm(self.d_model, self.norm_eps)
        return LayerNorm(self.d_model, self.norm_eps, bias=self.bias)

    def new_attention(self, *, rotary: bool, rng: np.random.Generator | None = None) -> MultiHeadAttention:
        """Attention with these heads."""
        return MultiHeadAttention(
            self.d_model,
            self.num_heads,
            num_kv_heads=self.num_kv_heads,
            dropout=self.attention_dropout,
            bias=self.bias,
            rotation=Rotary(self.d_model // self.num_heads) if rotary else None,
            rng=rng,
        )

    def new_feed_forward(self, rng: np.random.Generator | None = None) -> FeedForward | SwiGLU:
        """The small network."""
        if self.activation == "swiglu":
            return SwiGLU(self.d_model, self.d_ff, bias=self.bias, rng=rng)
        return FeedForward(self.d_model, self.d_ff, activation=self.activation, bias=self.bias, rng=rng)


class FeedForward(Module[[Tensor], Tensor]):
    """A network of two layers at every position by itself: ``(..., d_model) -> (..., d_model)``.

    Args:
        d_model: the size that comes in and goes out.
        d_ff: the size between the layers, by default ``4 d_model``.
        activation: ``relu``, ``gelu`` or ``gelu_tanh``.
        bias: whether both layers have one.
        rng: draws the weights of ``up``, then of ``down``.

    Raises:
        ValueError: the activation is unknown.
    """

    def __init__(
        self,
        d_model: int,
        d_ff: int | None = None,
        *,
        activation: Literal["relu", "gelu", "gelu_tanh"] = "gelu_tanh",
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        if activation not in ("relu", "gelu", "gelu_tanh"):
            raise ValueError(f"FeedForward knows activation of relu, gelu, gelu_tanh, got {activation!r}")
        self.activation = activation
        self.up = Linear(d_model, 4 * d_model if d_ff is None else d_ff, bias, rng=rng)
        self.down = Linear(self.up.out_features, d_model, bias, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.up(x)
        if self.activation == "relu":
            return self.down(relu(inner))
        return self.down(gelu(inner, approximate="none" if self.activation == "gelu" else "tanh"))


class SwiGLU(Module[[Tensor], Tensor]):
    r"""A small network in which one half decides how much of the other passes: ``(..., d_model) -> (..., d_model)``.

    .. math:: W_{down} (\mathrm{silu}(W_{gate} x) \cdot W_{up} x)

    Shazeer (2020), GLU Variants Improve Transformer.

    Args:
        d_model: the size that comes in and goes out.
        d_ff: the inner size, by default two thirds of ``4 d_model``, rounded up to a multiple of 8: three matrices
            then hold as much as the two of a :class:`FeedForward`.
        bias: whether the layers have one.
        rng: draws the weights of ``gate``, ``up`` and ``down``.
    """

    def __init__(
        self, d_model: int, d_ff: int | None = None, *, bias: bool = False, rng: np.random.Generator | None = None
    ) -> None:
        inner = -(-8 * d_model // 24) * 8 if d_ff is None else d_ff
        self.gate = Linear(d_model, inner, bias, rng=rng)
        self.up = Linear(d_model, inner, bias, rng=rng)
        self.down = Linear(inner, d_model, bias, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(silu(self.gate(x)) * self.up(x))


class TransformerBlock(Module[..., Tensor]):
    """Attention to the sequence itself, then the small network: ``(batch, seq, d_model) -> (batch, seq, d_model)``.

    Args:
        config: what it looks like.
        rng: draws the weights, attention's first; and the dropout.

    Xiong et al. (2020), On Layer Normalization in the Transformer Architecture (``norm_first``).
    """

    def __init__(self, config: TransformerConfig, *, rng: np.random.Generator | None = None) -> None:
        self.norm_first = config.norm_first
        self.attention_norm = config.new_norm()
        self.attention = config.new_attention(rotary=config.rotary, rng=rng)
        self.feed_forward_norm = config.new_norm()
        self.feed_forward = config.new_feed_forward(rng)
        self.dropout = Dropout(config.dropout, rng=rng)

    def forward(
        self,
        x: Tensor,
        *,
        mask: AttentionMask = None,
        is_causal: bool = False,
        cache: KeyValueCache | None = None,
        layer: int = 0,
        positions: Array | None = None,
    ) -> Tensor:
        """``x`` after the block; the other arguments go to :class:`MultiHeadAttention`."""
        found = self.attention(
            self.attention_norm(x) if self.norm_first else x,
            mask=mask,
            is_causal=is_causal,
            cache=cache,
            layer=layer,
            positions=positions,
        )
        if self.norm_first:
            x = x + self.dropout(found)
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        x = self.attention_norm(x + self.dropout(found))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class CrossAttentionBlock(Module[..., Tensor]):
    """A decoder's block: attention to itself without the future, to another sequence, then the small network.

    ``(batch, seq, d_model), (batch, memory, d_model) -> (batch, seq, d_model)``.

    Args:
        config: what it looks like.
        rng: draws the weights, in the order of the parts; and the dropout.
    """

    def __init__(self, config: TransformerConfig, *, rng: np.random.Generator | None = None) -> None:
        self.norm_first = config.norm_first
        self.attention_norm = config.new_norm()
        self.attention = config.new_attention(rotary=config.rotary, rng=rng)
        self.cross_attention_norm = config.new_norm()
        self.cross_attention = config.new_attention(rotary=False, rng=rng)
        self.feed_forward_norm = config.new_norm()
        self.feed_forward = config.new_feed_forward(rng)
        self.dropout = Dropout(config.dropout, rng=rng)

    def forward(
        self, x: Tensor, memory: Tensor, *, mask: AttentionMask = None, memory_mask: AttentionMask = None
    ) -> Tensor:
        """``x`` after the block.

        Args:
            x: ``(batch, seq, d_model)``.
            memory: what the encoder made, ``(batch, memory, d_model)``.
            mask: which positions of ``x`` may be seen at all, broadcasting to ``(batch, heads, seq, seq)``.
            memory_mask: which of ``memory`` may be seen, broadcasting to ``(batch, heads, seq, memory)``.
        """
        drop = self.dropout
        if self.norm_first:
            x = x + drop(self.attention(self.attention_norm(x), mask=mask, is_causal=True))
            x = x + drop(self.cross_attention(self.cross_attention_norm(x), memory, mask=memory_mask))
            return x + drop(self.feed_forward(self.feed_forward_norm(x)))
        x = self.attention_norm(x + drop(self.attention(x, mask=mask, is_causal=True)))
        x = self.cross_attention_norm(x + drop(self.cross_attention(x, memory, mask=memory_mask)))
        return self.feed_forward_norm(x + drop(self.feed_forward(x)))


def initialize_transformer(
    model: Module[..., Any], *, std: float = 0.02, rng: np.random.Generator | None = None
) -> None:
    """GPT-2's start: every matrix normal with deviation ``std``, every bias 0, gains untouched.

    The two matrices of a block whose output is added to what runs past are divided by the root of their number, so
    that the sum does not grow with depth. Draws one ``rng.normal`` for each matrix, in the order of the parameters.

    Radford et al. (2019), Language Models are Unsupervised Multitask Learners.
    """
    draw = default_rng(rng)
    adding = [name for name, _ in model.named_parameters() if name.endswith(("out_proj.weight", "down.weight"))]
    for name, p in model.named_parameters():
        if p.ndim > 1:
            p.data[...] = draw.normal(0, std / len(adding) ** 0.5 if name in adding else std, p.shape)
        elif name.endswith(".bias"):
            p.data[...] = 0
        wrote(p.data)


def next_token_loss(logits: Tensor, targets: Tensor | Array, *, ignore_index: int = -100) -> Tensor:
    """Mean cross-entropy of the scores at all positions: ``(batch, seq, vocab), (batch, seq) -> ()``, in nats.

    Raises:
        ValueError: the shapes do not fit, or a target is no token.
    """
    if logits.ndim != 3 or targets.shape != logits.shape[:2]:
        raise ValueError(
            f"next_token_loss needs (batch, seq, vocab) and (batch, seq), got {logits.shape} and {targets.shape}"
        )
    return cross_entropy(logits.reshape(-1, logits.shape[2]), targets.reshape(-1), ignore_index=ignore_index)
