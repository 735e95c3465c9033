"""Normalization against PyTorch's: values and gradients, with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tt_architectures import LayerNorm, RMSNorm
from tt_foundation import Tensor, grad, use_backend

ATOL = {"float32": 1e-5, "float64": 1e-11}


def agree(layer: Any, reference: Any, x: Any, dtype: str) -> None:
    """Values within 1e-5, and gradients of a random inner product within 1e-4 of their size."""
    rng = np.random.default_rng(5)
    layer.astype(np.dtype(dtype))
    for p in layer.parameters():
        p.data[...] = rng.normal(1, 0.3, p.shape)
    reference.to(getattr(torch, dtype))
    reference.load_state_dict({name: torch.tensor(array) for name, array in layer.state_dict().items()})
    x = x.astype(dtype)
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, expected = layer(ours), reference(theirs)
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=0, atol=ATOL[dtype])
    g = rng.normal(size=out.shape).astype(dtype)
    got = grad(out, [ours, *layer.parameters()], [Tensor(g)])
    right = torch.autograd.grad(expected, [theirs, *reference.parameters()], torch.tensor(g))
    for a, b in zip(got, right, strict=True):
        scale = b.abs().max().item()
        np.testing.assert_allclose(a.data, b.numpy(), rtol=0, atol=10 * ATOL[dtype] * max(scale, 1))
    for name, array in layer.state_dict().items():
        np.testing.assert_allclose(array, reference.state_dict()[name].numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("mean", "spread"), [(0, 1), (20, 3)])
@pytest.mark.parametrize(("shape", "over"), [((4, 6), 6), ((2, 3, 8), 8), ((2, 3, 8), (3, 8)), ((300, 256), 256)])
@pytest.mark.parametrize("options", [{}, {"eps": 0.1}, {"elementwise_affine": False}, {"bias": False}])
def test_layer_norm_is_that_of_pytorch(
    options: dict[str, Any], shape: tuple[int, ...], over: Any, mean: float, spread: float, dtype: str, backend: str
) -> None:
    x = np.random.default_rng(0).normal(mean, spread, shape)
    with use_backend(backend):
        agree(LayerNorm(over, **options), torch.nn.LayerNorm(over, **options), x, dtype)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "over"), [((4, 6), 6), ((2, 3, 8), 8), ((2, 3, 8), (3, 8)), ((300, 256), 256)])
@pytest.mark.parametrize("options", [{}, {"eps": 0.1}, {"elementwise_affine": False}])
def test_rms_norm_is_that_of_pytorch(
    options: dict[str, Any], shape: tuple[int, ...], over: Any, dtype: str, backend: str
) -> None:
    x = np.random.default_rng(0).normal(1, 2, shape)
    with use_backend(backend):
        agree(RMSNorm(over, **options), torch.nn.RMSNorm(over, **options), x, dtype)
