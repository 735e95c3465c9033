"""Normalization against PyTorch's: values and gradients, with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tt_architectures import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm, RMSNorm, channels_last
from tt_foundation import Tensor, grad, use_backend

ATOL = {"float32": 1e-5, "float64": 1e-11}


def agree(layer: Any, reference: Any, x: Any, dtype: str, activation: str = "none") -> None:
    """Values within 1e-5, and gradients of a random inner product within 1e-4 of their size."""
    rng = np.random.default_rng(5)
    layer.astype(np.dtype(dtype))
    for p in layer.parameters():
        p.data[...] = rng.normal(1, 0.3, p.shape)
    reference.to(getattr(torch, dtype))
    reference.load_state_dict({name: torch.tensor(array) for name, array in layer.state_dict().items()})
    x = x.astype(dtype, order="K")
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(np.ascontiguousarray(x), requires_grad=True)
    out = layer(ours) if activation == "none" else layer.activated(ours, activation)
    expected = reference(theirs) if activation == "none" else reference(theirs).relu()
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


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["channels first", "channels last"])
@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize(
    ("shape", "activation"),
    [((2, 3, 4, 5), "relu"), ((7, 5, 1, 1), "none"), ((40, 32, 16, 16), "relu"), ((6, 3), "none"), ((4, 3, 5), "relu")],
)
@pytest.mark.parametrize(
    "options",
    [{}, {"eps": 0.1, "momentum": 0.3}, {"affine": False}, {"momentum": None}, {"track_running_stats": False}],
)
def test_batch_norm_is_that_of_pytorch(
    options: dict[str, Any],
    shape: tuple[int, ...],
    activation: str,
    is_training: bool,
    layout: str,
    dtype: str,
    backend: str,
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, shape)
    if layout == "channels last" and len(shape) == 4:
        x = np.array(channels_last(x))
    kind, theirs = (BatchNorm2d, torch.nn.BatchNorm2d) if len(shape) == 4 else (BatchNorm1d, torch.nn.BatchNorm1d)
    layer, reference = kind(shape[1], **options), theirs(shape[1], **options)
    for name, buffer in layer.named_buffers():
        if name != "num_batches_tracked":
            buffer.data[...] = rng.uniform(0.5, 2, buffer.shape)
    layer.train(is_training)
    reference.train(is_training)
    with use_backend(backend):
        agree(layer, reference, x, dtype, activation)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["channels first", "channels last"])
@pytest.mark.parametrize("shape", [(2, 6, 4, 5), (3, 12, 8, 8), (6, 12), (4, 6, 5)])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("options", [{}, {"eps": 0.1}, {"affine": False}])
def test_group_norm_is_that_of_pytorch(
    options: dict[str, Any], groups: int, shape: tuple[int, ...], layout: str, dtype: str, backend: str
) -> None:
    x = np.random.default_rng(0).normal(3, 2, shape)
    if layout == "channels last" and len(shape) == 4:
        x = np.array(channels_last(x))
    with use_backend(backend):
        agree(GroupNorm(groups, shape[1], **options), torch.nn.GroupNorm(groups, shape[1], **options), x, dtype)
