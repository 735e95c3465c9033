"""Embeddings and positions against PyTorch and Hugging Face's transformers: values and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPTJConfig, GPTNeoXConfig, LlamaConfig
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings
from transformers.models.gpt_neox import modeling_gpt_neox as neox
from transformers.models.gptj import modeling_gptj as gptj
from transformers.models.llama import modeling_llama as llama

from tt_architectures.embeddings import Embedding, Rotary, alibi_bias, alibi_slopes, sinusoidal
from tt_foundation import SGD, SparseAdam, Tensor


def normal(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("padding_idx", [None, 0, 3, -1])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 3, 4), (0,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_embedding(padding_idx: int | None, shape: tuple[int, ...], dtype: Any) -> None:
    at = np.random.default_rng(0).integers(0, 6, shape)
    table, g = normal(6, 4, dtype=dtype), normal(*shape, 4, dtype=dtype)
    ours = Embedding.from_pretrained(table, padding_idx)
    theirs = torch.nn.Embedding.from_pretrained(torch.tensor(table), freeze=False, padding_idx=padding_idx)
    out, expected = ours(Tensor(at)), theirs(torch.tensor(at))
    assert np.array_equal(out.data, expected.detach().numpy())
    out.backward(g)
    expected.backward(torch.tensor(g))
    assert ours.weight.grad is not None
    np.testing.assert_allclose(ours.weight.grad.data, theirs.weight.grad.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("padding_idx", [None, 1])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(SGD, torch.optim.SGD), (SparseAdam, torch.optim.SparseAdam)], ids=["SGD", "SparseAdam"]
)
def test_training_an_embedding_by_rows(ours: Any, theirs: Any, padding_idx: int | None) -> None:
    rng = np.random.default_rng(1)
    table = normal(8, 3)
    mine = Embedding.from_pretrained(table, padding_idx)
    reference = torch.nn.Embedding.from_pretrained(
        torch.tensor(table), freeze=False, padding_idx=padding_idx, sparse=True
    )
    optimizers = ours(mine.parameters(), lr=0.1), theirs(reference.parameters(), lr=0.1)
    for _ in range(20):
        at = rng.integers(0, 8, (2, 3))
        for optimizer in optimizers:
            optimizer.zero_grad()
        (mine(Tensor(at)) ** 2).sum().backward()
        (reference(torch.tensor(at)) ** 2).sum().backward()
        for optimizer in optimizers:
            optimizer.step()
    np.testing.assert_allclose(mine.weight.data, reference.weight.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_sinusoidal() -> None:
    table = torch.empty(50, 12)
    create_sinusoidal_embeddings(50, 12, table)
    np.testing.assert_allclose(sinusoidal(np.arange(50), 12), table.numpy(), atol=1e-5)


POSITIONS = [np.arange(5), np.arange(100, 105), np.stack([np.arange(5), np.arange(7, 12)])]


def compare(layer: Rotary, turned: Any, positions: Any, head_dim: int) -> None:
    """Values and gradients of a layer and of a function of (batch, heads, seq, head_dim) and positions."""
    x, g = normal(2, 3, 5, head_dim), normal(2, 3, 5, head_dim) + 1
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out = layer(ours, positions)
    expected = turned(theirs, torch.tensor(np.broadcast_to(positions, (2, 5)).copy()))
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    out.backward(g)
    expected.backward(torch.tensor(g))
    assert ours.grad is not None
    assert theirs.grad is not None
    np.testing.assert_allclose(ours.grad.data, theirs.grad.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("positions", POSITIONS)
def test_rotary_as_in_llama(positions: Any) -> None:
    module = llama.LlamaRotaryEmbedding(LlamaConfig(hidden_size=24, num_attention_heads=3))

    def turned(x: Any, at: Any) -> Any:
        return llama.apply_rotary_pos_emb(x, x, *module(x, at))[0]

    compare(Rotary(8), turned, positions, 8)


@pytest.mark.parametrize("positions", POSITIONS)
def test_rotary_of_a_part_of_the_features_as_in_gpt_neox(positions: Any) -> None:
    config = GPTNeoXConfig(hidden_size=48, num_attention_heads=3, rotary_pct=0.25)
    module = neox.GPTNeoXRotaryEmbedding(config)

    def turned(x: Any, at: Any) -> Any:
        return neox.apply_rotary_pos_emb(x, x, *module(x, at))[0]

    compare(Rotary(4), turned, positions, 16)


@pytest.mark.parametrize("positions", POSITIONS)
def test_rotary_of_neighbours_as_in_gpt_j(positions: Any) -> None:
    table = gptj.create_sinusoidal_positions(GPTJConfig().n_positions, 8)

    def turned(x: Any, at: Any) -> Any:
        sin, cos = torch.split(table[at], 4, dim=-1)
        return gptj.apply_rotary_pos_emb(x.transpose(1, 2), sin, cos).transpose(1, 2)  # theirs has heads after seq

    compare(Rotary(8, interleaved=True), turned, positions, 8)


@pytest.mark.parametrize("num_heads", [1, 2, 3, 8, 12, 16, 20])
def test_alibi(num_heads: int) -> None:
    theirs = build_alibi_tensor(torch.ones(1, 6), num_heads, torch.float32).numpy().reshape(num_heads, 1, 6)
    np.testing.assert_allclose(alibi_slopes(num_heads), theirs[:, 0, 1], rtol=1e-6)
    ours = alibi_bias(num_heads, np.arange(6))
    past = np.tril(np.ones((6, 6), bool))
    # Theirs is larger by the same number in every row, which softmax does not see.
    np.testing.assert_allclose((ours - ours[:, :, :1])[:, past], (theirs + 0 * ours)[:, past], atol=1e-6)
