"""Transformers: blocks, their configuration, and a GPT that needs its attention and never looks ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tt_architectures.models.gpt import GPT, GPTConfig
from tt_architectures.transformers import (
    CrossAttentionBlock,
    FeedForward,
    SwiGLU,
    TransformerBlock,
    TransformerConfig,
    initialize_transformer,
    next_token_loss,
)
from tt_foundation import Adam, Array, Tensor, check_gradients, grad, no_grad, use_backend

KINDS: list[dict[str, Any]] = [
    {},
    {"norm_first": False},
    {"norm": "rms", "activation": "swiglu", "rotary": True, "bias": False, "num_kv_heads": 2},
    {"activation": "relu", "num_kv_heads": 1, "tied": False},
]


def gpt(**options: Any) -> GPT:
    config = {"vocab_size": 13, "context": 12, "d_model": 16, "num_heads": 4, "num_layers": 2, **options}
    model = GPT(GPTConfig(**config), rng=np.random.default_rng(0))
    initialize_transformer(model, std=0.3, rng=np.random.default_rng(0))
    return model


def ids(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 13, shape)


def draw(*shape: int, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_new_query_and_key_weights_change_what_a_gpt_says(options: dict[str, Any]) -> None:
    model = gpt(**options)
    before = model(Tensor(ids(2, 9))).data
    for half in (0, 1):
        changed = gpt(**options)
        for path, p in changed.named_parameters():
            if path.endswith("in_proj.weight"):  # the queries' rows, then the keys'
                rows = [slice(0, 16), slice(16, 16 + 4 * (changed.config.num_kv_heads or 4))][half]
                p.data[rows] = np.random.default_rng(5).normal(0, 0.3, p.data[rows].shape)
        after = changed(Tensor(ids(2, 9))).data
        assert np.abs(after[:, 1:] - before[:, 1:]).max(axis=-1).min() > 1e-4
        np.testing.assert_allclose(after[:, 0], before[:, 0], atol=1e-5)  # a first token has only itself to look at


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_token_never_sees_a_later_one(options: dict[str, Any], backend: str) -> None:
    model = gpt(**options).eval()
    one, two = ids(1, 12), ids(1, 12)
    two[0, 7:] = ids(1, 5, seed=1)
    with use_backend(backend), no_grad():
        a, b = model(Tensor(one)).data, model(Tensor(two)).data
    np.testing.assert_allclose(a[:, :7], b[:, :7], rtol=1e-5, atol=1e-6)
    assert np.abs(a[:, 7:] - b[:, 7:]).max(axis=-1).min() > 1e-3


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_gpt_learns_what_comes_next(options: dict[str, Any]) -> None:
    model = gpt(**options)
    x = ids(4, 12)
    optimizer = Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        loss = next_token_loss(model(Tensor(x[:, :-1])), x[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert all(p.grad is not None for p in model.parameters())


def test_a_tied_head_is_the_embedding_and_learns_from_both_ends() -> None:
    tied, free = gpt(), gpt(tied=False)
    assert sum(p.size for p in free.parameters()) - sum(p.size for p in tied.parameters()) == 13 * 16
    (slope,) = grad(tied(Tensor(ids(1, 3))).sum(), [tied.embedding.weight])
    assert slope.data.any(axis=1).all()


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("options", [{}, {"norm": "rms", "activation": "swiglu", "rotary": True}], ids=str)
def test_first_and_second_derivatives_of_a_block_are_right(options: dict[str, Any], norm_first: bool) -> None:
    config = TransformerConfig(d_model=8, num_heads=2, norm_first=norm_first, **options)
    block = TransformerBlock(config, rng=np.random.default_rng(0)).astype(np.float64)
    for backend in ("reference", "numpy"):
        with use_backend(backend):
            check_gradients(lambda x: block(x, is_causal=True), draw(2, 4, 8))


def test_a_cross_attention_block_looks_back_at_itself_and_everywhere_in_the_other() -> None:
    block = CrossAttentionBlock(TransformerConfig(d_model=8, num_heads=2), rng=np.random.default_rng(0))
    x, memory = Tensor(draw(2, 5, 8), requires_grad=True), Tensor(draw(2, 6, 8)[::-1].copy(), requires_grad=True)
    seen = np.arange(6) < np.array([[4], [6]])
    out = block(x, memory, memory_mask=seen[:, None, None])
    own, other = grad((out[:, 2] * out[:, 2]).sum(), [x, memory])
    assert own.data[:, :3].any(axis=-1).all()
    assert not own.data[:, 3:].any()
    assert other.data[seen].any(axis=-1).all()
    assert not other.data[~seen].any()


def test_feed_forwards_are_their_formulas() -> None:
    x = draw(2, 3, 6)
    layer = FeedForward(6, activation="relu", rng=np.random.default_rng(0))
    assert layer.up.weight.shape == (24, 6)
    inner = np.maximum(x @ layer.up.weight.data.T + layer.up.bias.data, 0)  # type: ignore[union-attr]
    expected = inner @ layer.down.weight.data.T + layer.down.bias.data  # type: ignore[union-attr]
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-5, atol=1e-6)
    gated = SwiGLU(6, rng=np.random.default_rng(0))
    assert gated.up.weight.shape == (16, 6)
    gate = x @ gated.gate.weight.data.T
    expected = (gate / (1 + np.exp(-gate)) * (x @ gated.up.weight.data.T)) @ gated.down.weight.data.T
    np.testing.assert_allclose(gated(Tensor(x)).data, expected, rtol=1e-5, atol=1e-6)


def test_what_adds_to_the_stream_starts_smaller_the_more_adds() -> None:
    model = GPT(GPTConfig(vocab_size=50, d_model=64, num_layers=8), rng=np.random.default_rng(0))
    state = model.state_dict()
    assert abs(state["blocks.0.attention.in_proj.weight"].std() / 0.02 - 1) < 0.05
    assert abs(state["blocks.3.feed_forward.down.weight"].std() / (0.02 / 4) - 1) < 0.05
    assert not state["blocks.3.feed_forward.down.bias"].any()
    assert (state["norm.weight"] == 1).all()


def test_dropout_acts_while_training_only_and_repeats_with_its_generator() -> None:
    x = Tensor(ids(2, 6))
    one, two = (gpt(dropout=0.3, attention_dropout=0.2) for _ in range(2))
    assert np.array_equal(one(x).data, two(x).data)
    assert not np.array_equal(one(x).data, one(x).data)
    one.eval()
    assert np.array_equal(one(x).data, one(x).data)


def test_the_loss_is_that_of_all_positions_that_count() -> None:
    logits, targets = draw(2, 3, 5), np.array([[0, 4, -100], [2, 1, 3]])
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -np.mean([log_p[i, j, targets[i, j]] for i in range(2) for j in range(3) if targets[i, j] >= 0])
    np.testing.assert_allclose(next_token_loss(Tensor(logits), targets).item(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TransformerConfig(num_layers=0), "TransformerConfig needs num_layers >= 1, got 0"),
        (lambda: TransformerConfig(dropout=1.0), "needs 0 <= dropout < 1, got 1.0"),
        (lambda: TransformerConfig(activation="tanh"), "knows activation of relu, gelu, gelu_tanh, swiglu, got 'tanh'"),  # type: ignore[arg-type]
        (lambda: TransformerConfig(norm="batch"), "knows norm of layer, rms, got 'batch'"),  # type: ignore[arg-type]
        (lambda: TransformerConfig(d_model=10, num_heads=4), "needs d_model % num_heads == 0, got 10 and 4"),
        (lambda: TransformerConfig(d_model=12, num_heads=4, rotary=True), "heads of an even size for rotary, got 3"),
        (lambda: GPTConfig(vocab_size=0), "GPTConfig needs vocab_size >= 1, got 0"),
        (lambda: FeedForward(4, activation="silu"), "FeedForward knows activation of relu"),  # type: ignore[arg-type]
        (lambda: gpt()(Tensor(ids(1, 13))), r"GPT needs ids of shape \(batch, at most 12\), got \(1, 13\)"),
        (lambda: next_token_loss(Tensor(draw(2, 3, 5)), ids(2, 4)), r"got \(2, 3, 5\) and \(2, 4\)"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
