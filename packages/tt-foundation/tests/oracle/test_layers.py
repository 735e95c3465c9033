"""Layers and activations against PyTorch's: values and gradients, with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tt_foundation import activations, layers
from tt_foundation.autograd import grad
from tt_foundation.tensor import Tensor

RTOL = {"float32": 2e-5, "float64": 1e-11}
ATOL = {"float32": 2e-6, "float64": 1e-12}

ACTIVATIONS: list[tuple[str, dict[str, Any]]] = [
    ("ReLU", {}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.3}),
    ("ELU", {}),
    ("ELU", {"alpha": 0.5}),
    ("SELU", {}),
    ("GELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("SiLU", {}),
    ("Mish", {}),
    ("Sigmoid", {}),
    ("Tanh", {}),
    ("Softplus", {}),
    ("Softplus", {"beta": 2.0}),
    ("Hardswish", {}),
]


def agree(out: Tensor, expected: torch.Tensor, ours: list[Tensor], theirs: list[torch.Tensor], dtype: str) -> None:
    """Values, and gradients of a random inner product."""
    tolerance: dict[str, Any] = {"rtol": RTOL[dtype], "atol": ATOL[dtype]}
    assert str(out.dtype) == dtype
    np.testing.assert_allclose(out.data, expected.detach().numpy(), **tolerance)
    g = np.asarray(np.random.default_rng(9).normal(size=out.shape), dtype)
    for a, b in zip(grad(out, ours, [Tensor(g)]), torch.autograd.grad(expected, theirs, torch.tensor(g)), strict=True):
        np.testing.assert_allclose(a.data, b.numpy(), **tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (3, 40)])
@pytest.mark.parametrize(("name", "options"), ACTIVATIONS)
def test_an_activation_is_that_of_pytorch(
    name: str, options: dict[str, Any], shape: tuple[int, ...], scale: float, dtype: str
) -> None:
    x = np.asarray(np.random.default_rng(0).normal(size=shape) * scale, dtype)
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    exact = {"threshold": 40} if name == "Softplus" else {}  # PyTorch's own, 20, is off by 1e-9 there
    expected = getattr(torch.nn, name)(**options, **exact)(theirs)
    agree(getattr(activations, name)(**options)(ours), expected, [ours], [theirs], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_softmax_is_that_of_pytorch(name: str, axis: int, scale: float, dtype: str) -> None:
    x = np.asarray(np.random.default_rng(0).normal(size=(3, 4, 5)) * scale, dtype)
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    agree(getattr(activations, name)(axis)(ours), getattr(torch.nn, name)(axis)(theirs), [ours], [theirs], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4), (0, 4)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["none", "relu"])
def test_linear_is_that_of_pytorch(activation: Any, bias: bool, shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    layer = layers.Linear(4, 3, bias, rng=rng, dtype=dtype)
    reference = torch.nn.Linear(4, 3, bias, dtype=getattr(torch, dtype))
    reference.load_state_dict({name: torch.tensor(array) for name, array in layer.state_dict().items()})
    x = np.asarray(rng.normal(size=shape), dtype)
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    expected = reference(theirs)
    agree(
        layer.activated(ours, activation),
        expected.relu() if activation == "relu" else expected,
        [ours, *layer.parameters()],
        [theirs, *reference.parameters()],
        dtype,
    )


@pytest.mark.parametrize("bias", [True, False])
def test_linear_starts_in_the_range_where_pytorchs_does(bias: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = layers.Linear(300, 200, bias, rng=np.random.default_rng(0)), torch.nn.Linear(300, 200, bias)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.shape == tuple(q.shape)
        assert abs(np.abs(p.data).max() / q.abs().max().item() - 1) < 0.02
        assert abs(p.data.std() / q.std().item() - 1) < 0.1


def test_a_network_is_that_of_pytorch() -> None:
    model = layers.Sequential(layers.Linear(6, 5), activations.ReLU(), layers.Linear(5, 4), activations.GELU())
    model.astype(np.float64)
    reference = torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 4), torch.nn.GELU()
    ).double()
    state = {name.removeprefix("layers."): torch.tensor(array) for name, array in model.state_dict().items()}
    reference.load_state_dict(state)
    x = np.random.default_rng(1).normal(size=(8, 6))
    ours: list[Tensor] = list(model.parameters())
    agree(model(Tensor(x)), reference(torch.tensor(x)), ours, list(reference.parameters()), "float64")
