"""Blocks and models against PyTorch's: values and gradients, with the same weights, on every backend."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from tt_architectures.models.gpt import GPT, GPTConfig
from tt_architectures.transformers import CrossAttentionBlock, TransformerBlock, TransformerConfig, next_token_loss
from tt_foundation import Array, Module, Tensor, use_backend

NAMES = {
    "self_attn": "attention",
    "multihead_attn": "cross_attention",
    "linear1": "feed_forward.up",
    "linear2": "feed_forward.down",
}
NORMS = {True: ("attention", "cross_attention", "feed_forward"), False: ("attention", "feed_forward")}


def renamed(theirs: dict[str, Array], has_cross: bool) -> dict[str, Array]:
    """What PyTorch's layer holds, under our names."""
    names = {**NAMES, **{f"norm{i + 1}": f"{part}_norm" for i, part in enumerate(NORMS[has_cross])}}
    state = {}
    for name, array in theirs.items():
        part, _, rest = name.partition(".")
        state[f"{names[part]}.{rest.replace('in_proj_', 'in_proj.')}"] = array
    return state


def compare_gradients(layer: Module[..., Any], gradients: dict[str, Array]) -> None:
    for name, p in layer.named_parameters():
        assert p.grad is not None, name
        scale = max(float(np.abs(gradients[name]).max()), 1e-2)
        np.testing.assert_allclose(p.grad.data, gradients[name], rtol=0, atol=1e-4 * scale, err_msg=name)


def gradients_of(reference: torch.nn.Module) -> dict[str, Array]:
    return {name: p.grad.numpy() for name, p in reference.named_parameters() if p.grad is not None}


def arrays_of(reference: torch.nn.Module) -> dict[str, Array]:
    return {name: p.detach().numpy() for name, p in reference.named_parameters()}


def rough(reference: torch.nn.Module) -> torch.nn.Module:
    """No parameter at 0 or 1, so that each counts."""
    torch.manual_seed(0)
    for p in reference.parameters():
        torch.nn.init.normal_(p, mean=0.1, std=0.3)
    return reference


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_block_is_an_encoder_layer(activation: Any, norm_first: bool, is_causal: bool, backend: str) -> None:
    reference = rough(
        torch.nn.TransformerEncoderLayer(
            12, 3, 20, dropout=0.0, activation=activation, batch_first=True, norm_first=norm_first
        )
    )
    config = TransformerConfig(d_model=12, num_heads=3, d_ff=20, activation=activation, norm_first=norm_first)
    block = TransformerBlock(config)
    block.load_state_dict(renamed(arrays_of(reference), False))
    x = np.random.default_rng(0).normal(size=(2, 7, 12)).astype(np.float32)
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    future = ~torch.ones(7, 7, dtype=torch.bool).tril() if is_causal else None
    expected = reference(theirs, src_mask=future)
    expected.square().sum().backward()
    with use_backend(backend):
        out = block(ours, is_causal=is_causal)
        (out * out).sum().backward()
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    assert ours.grad is not None
    assert theirs.grad is not None
    scale = float(theirs.grad.abs().max())
    np.testing.assert_allclose(ours.grad.data, theirs.grad.numpy(), rtol=0, atol=1e-4 * scale)
    compare_gradients(block, renamed(gradients_of(reference), False))


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("norm_first", [True, False])
def test_a_cross_attention_block_is_a_decoder_layer(norm_first: bool, backend: str) -> None:
    reference = rough(torch.nn.TransformerDecoderLayer(12, 3, 20, dropout=0.0, batch_first=True, norm_first=norm_first))
    block = CrossAttentionBlock(
        TransformerConfig(d_model=12, num_heads=3, d_ff=20, activation="relu", norm_first=norm_first)
    )
    block.load_state_dict(renamed(arrays_of(reference), True))
    rng = np.random.default_rng(0)
    x, memory = (rng.normal(size=(2, n, 12)).astype(np.float32) for n in (5, 8))
    real = np.arange(8) < np.array([[8], [3]])
    expected = reference(
        torch.tensor(x),
        torch.tensor(memory),
        tgt_mask=~torch.ones(5, 5, dtype=torch.bool).tril(),
        memory_key_padding_mask=torch.tensor(~real),
    )
    expected.square().sum().backward()
    with use_backend(backend):
        out = block(Tensor(x), Tensor(memory), memory_mask=real[:, None, None])
        (out * out).sum().backward()
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    compare_gradients(block, renamed(gradients_of(reference), True))


def gpt_in_torch(model: GPT, ids: torch.Tensor, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """The same model in PyTorch's functions, any configuration: the second opinion."""
    c = model.config
    functional: Any = torch.nn.functional
    heads, groups, size = c.num_heads, c.num_kv_heads or c.num_heads, c.d_model // c.num_heads
    batch, seq = ids.shape

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        if c.norm == "rms":
            return functional.rms_norm(x, (c.d_model,), weights[f"{name}.weight"], c.norm_eps)
        return functional.layer_norm(
            x, (c.d_model,), weights[f"{name}.weight"], weights.get(f"{name}.bias"), c.norm_eps
        )

    def turned(x: torch.Tensor) -> torch.Tensor:
        turn = torch.arange(seq)[:, None] * 10000.0 ** (-torch.arange(0, size, 2) / size)
        cos, sin = torch.cos(turn).float(), torch.sin(turn).float()
        a, b = x.chunk(2, -1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def attention(x: torch.Tensor, name: str) -> torch.Tensor:
        packed = linear(x, f"{name}.in_proj").view(batch, seq, -1, size).transpose(1, 2)
        q, k, v = packed.split([heads, groups, groups], dim=1)
        if c.rotary:
            q, k = turned(q), turned(k)
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return linear(out.transpose(1, 2).reshape(batch, seq, -1), f"{name}.out_proj")

    def small_network(x: torch.Tensor, name: str) -> torch.Tensor:
        if c.activation == "swiglu":
            inner = functional.silu(linear(x, f"{name}.gate")) * linear(x, f"{name}.up")
        else:
            inner = functional.gelu(linear(x, f"{name}.up"), approximate="tanh")
        return linear(inner, f"{name}.down")

    x = weights["embedding.weight"][ids]
    if not c.rotary:
        x = x + weights["positions.table.weight"][:seq]
    for i in range(c.num_layers):
        name = f"blocks.{i}"
        x = x + attention(norm(x, f"{name}.attention_norm"), f"{name}.attention")
        x = x + small_network(norm(x, f"{name}.feed_forward_norm"), f"{name}.feed_forward")
    head = weights["embedding.weight"] if c.tied else weights["head.weight"]
    return functional.linear(norm(x, "norm"), head)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tied": False, "bias": False},
        {"norm": "rms", "activation": "swiglu", "rotary": True, "bias": False, "num_kv_heads": 2},
        {"num_kv_heads": 1},
    ],
    ids=str,
)
def test_a_gpt_is_what_pytorch_makes_of_its_weights(options: dict[str, Any], backend: str) -> None:
    config = GPTConfig(vocab_size=31, context=80, d_model=32, num_heads=4, num_layers=2, **options)
    model = GPT(config, rng=np.random.default_rng(0))
    rng = np.random.default_rng(1)
    for p in model.parameters():  # no gain at 1, no bias at 0; scores of order 1
        p.data[...] = rng.normal(0.1, 0.5 / math.sqrt(p.shape[-1]) if p.ndim > 1 else 0.3, p.shape)
    ids, targets = (rng.integers(0, 31, (3, 70)) for _ in range(2))
    weights = {name: torch.tensor(p.data, requires_grad=True) for name, p in model.named_parameters()}
    expected = gpt_in_torch(model, torch.tensor(ids), weights)
    torch.nn.functional.cross_entropy(expected.view(-1, 31), torch.tensor(targets).view(-1), reduction="sum").backward()
    with use_backend(backend):
        out = model(Tensor(ids))
        (next_token_loss(out, targets) * targets.size).backward()
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    compare_gradients(model, {name: w.grad.numpy() for name, w in weights.items() if w.grad is not None})
