"""Attention against PyTorch's: values and gradients, with the same weights, on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tt_architectures.attention import MultiHeadAttention, scaled_dot_product_attention
from tt_foundation import Array, Tensor, grad, use_backend

VALUE = {"rtol": 1e-5, "atol": 1e-5}


def agree(out: Tensor, expected: torch.Tensor, ours: list[Tensor], theirs: list[torch.Tensor]) -> None:
    """Outputs within 1e-5, gradients of a random inner product within 1e-4 of their size."""
    np.testing.assert_allclose(out.data, expected.detach().numpy(), **VALUE)
    g = np.random.default_rng(9).normal(size=out.shape).astype(np.float32)
    expectations = torch.autograd.grad(expected, theirs, torch.tensor(g), retain_graph=True)
    for a, b in zip(grad(out, ours, [Tensor(g)], retain_graph=True), expectations, strict=True):
        scale = float(b.abs().max()) + 1e-2  # a bias on all keys changes nothing: its gradient is noise
        np.testing.assert_allclose(a.data, b.numpy(), rtol=0, atol=1e-4 * scale)


def leaves(*shapes: tuple[int, ...]) -> tuple[list[Tensor], list[torch.Tensor]]:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    return [Tensor(a, requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]


def some(*shape: int) -> Array:
    """A random mask in which every query sees its first key."""
    mask = np.random.default_rng(1).random(shape) < 0.5
    mask[..., 0] = True
    return mask


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("mask", [None, "causal", "query by key", "batch", "everything"])
@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (1, 5), (3, 7), (130, 130)])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_attention_is_that_of_pytorch(
    queries: int, keys: int, mask: str | None, scale: float | None, backend: str
) -> None:
    ours, theirs = leaves((2, 3, queries, 8), (2, 3, keys, 8), (2, 3, keys, 8))
    shapes = {"query by key": (queries, keys), "batch": (2, 1, 1, keys), "everything": (2, 3, queries, keys)}
    own = some(*shapes[mask]) if mask in shapes else None
    other = None if own is None else torch.tensor(own)
    is_causal = mask == "causal"
    if is_causal:  # theirs lets the first query see the first key, ours the last query all keys
        other = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)
    with use_backend(backend):
        out = scaled_dot_product_attention(*ours, own, is_causal=is_causal, scale=scale)
        expected = torch.nn.functional.scaled_dot_product_attention(*theirs, attn_mask=other, scale=scale)
        agree(out, expected, ours, theirs)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("is_causal", [False, True])
def test_grouped_heads_are_those_of_pytorch(groups: int, is_causal: bool, backend: str) -> None:
    layer = MultiHeadAttention(16, 4, num_kv_heads=groups, rng=np.random.default_rng(0))
    ours, theirs = leaves((2, 9, 16))
    weights = {name: torch.tensor(a, requires_grad=True) for name, a in layer.state_dict().items()}

    packed = torch.nn.functional.linear(theirs[0], weights["in_proj.weight"], weights["in_proj.bias"])
    q, k, v = packed.view(2, 9, -1, 4).transpose(1, 2).split([4, groups, groups], dim=1)
    heads = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=is_causal, enable_gqa=True)
    expected = torch.nn.functional.linear(
        heads.transpose(1, 2).reshape(2, 9, 16), weights["out_proj.weight"], weights["out_proj.bias"]
    )
    with use_backend(backend):
        out = layer(ours[0], is_causal=is_causal)
        agree(out, expected, [*ours, *layer.parameters()], [*theirs, *weights.values()])


def renamed(theirs: dict[str, Array]) -> dict[str, Array]:
    """What PyTorch keeps of a parameter under our names."""
    return {name.replace("in_proj_", "in_proj."): a for name, a in theirs.items()}


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("kind", ["self", "causal", "padded", "cross"])
def test_multi_head_attention_is_that_of_pytorch(kind: str, backend: str) -> None:
    layer = MultiHeadAttention(12, 3, rng=np.random.default_rng(0))
    torch.manual_seed(0)
    reference = torch.nn.MultiheadAttention(12, 3, batch_first=True)
    layer.load_state_dict(renamed({name: p.detach().numpy() for name, p in reference.named_parameters()}))
    ours, theirs = leaves((2, 6, 12), (2, 8, 12))
    real = np.arange(6) < np.array([[4], [6]])
    options: dict[str, Any] = {}
    if kind == "causal":
        options = {"attn_mask": ~torch.ones(6, 6, dtype=torch.bool).tril()}  # theirs: True is left out
    if kind == "padded":
        options = {"key_padding_mask": torch.tensor(~real)}
    with use_backend(backend):
        if kind == "cross":
            out = layer(*ours)
            expected, _ = reference(theirs[0], theirs[1], theirs[1], need_weights=False)
        else:
            del ours[1], theirs[1]
            mask = real[:, None, None] if kind == "padded" else None
            out = layer(ours[0], mask=mask, is_causal=kind == "causal")
            expected, _ = reference(theirs[0], theirs[0], theirs[0], need_weights=False, **options)
        agree(out, expected, ours, theirs)
        out.sum().backward()
    expected.sum().backward()
    gradients = renamed({name: p.grad.numpy() for name, p in reference.named_parameters() if p.grad is not None})
    for name, p in layer.named_parameters():
        assert p.grad is not None
        scale = float(np.abs(gradients[name]).max()) + 1e-2
        np.testing.assert_allclose(p.grad.data, gradients[name], rtol=0, atol=1e-4 * scale, err_msg=name)
