"""Every optimizer and schedule against PyTorch; Lion, which PyTorch has not, against its paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tt_foundation import optim
from tt_foundation.tensor import Tensor

STEPS = 25

ROWS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.01, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "weight_decay": 0.1, "eps": 1e-4}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True, "momentum": 0.5}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.99), "eps": 1e-3}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "betas": (0.8, 0.99), "weight_decay": 0.3}),
    ("AdamW", {"lr": 0.1, "amsgrad": True}),
]


def both(
    name: str,
    options: dict[str, Any],
    shapes: list[tuple[int, ...]],
    dtype: str,
    steps: int = STEPS,
) -> tuple[list[Tensor], list[torch.Tensor]]:
    """Ours and PyTorch's parameters after the same gradients, which now and then leave one parameter out."""
    rng = np.random.default_rng(1)
    starts = [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]
    ours = [Tensor(start.copy(), requires_grad=True) for start in starts]
    theirs = [torch.tensor(start, requires_grad=True) for start in starts]
    mine, reference = (
        getattr(optim, name)(ours, **options),
        getattr(torch.optim, name)(theirs, **options),
    )
    for i in range(steps):
        mine.zero_grad()
        reference.zero_grad()
        for j, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            if j or i % 4 != 2:
                g = np.asarray(rng.normal(size=p.shape) + p.data, dtype)
                p.grad, q.grad = Tensor(g), torch.tensor(g)
        mine.step()
        reference.step()
    return ours, theirs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), ROWS, ids=str)
def test_optimizer_gives_pytorchs_values(
    name: str, options: dict[str, Any], dtype: str
) -> None:
    ours, theirs = both(name, options, [(4, 3), (5,), (), (0, 2)], dtype)
    for p, q in zip(ours, theirs, strict=True):
        assert p.dtype == dtype
        np.testing.assert_allclose(
            p.data,
            q.detach().numpy(),
            rtol=2e-5 if dtype == "float32" else 1e-11,
            atol=1e-6 * (dtype == "float32"),
        )


@pytest.mark.parametrize(
    "options",
    [{}, {"nesterov": False, "weight_decay": 0.0}, {"adjust_lr_fn": "match_rms_adamw"}],
)
def test_muon_gives_pytorchs_values_within_its_bfloat16(
    options: dict[str, Any],
) -> None:
    options = {"lr": 0.02, **options}
    ours, theirs = both("Muon", options, [(8, 5), (5, 8), (6, 6)], "float32")
    moved, _ = both("Muon", options, [(8, 5), (5, 8), (6, 6)], "float32", steps=0)
    for p, q, start in zip(ours, theirs, moved, strict=True):
        distance = np.linalg.norm(start.data - q.detach().numpy())
        assert np.linalg.norm(p.data - q.detach().numpy()) < 0.02 * distance


def test_muon_follows_its_description_in_float64() -> None:
    rng = np.random.default_rng(2)
    weight = rng.normal(size=(6, 4))
    p = Tensor(weight.copy(), requires_grad=True)
    optimizer = optim.Muon([p], lr=0.1, momentum=0.9, weight_decay=0.2)
    buffer = np.zeros_like(weight)
    for _ in range(STEPS):
        g = rng.normal(size=weight.shape)
        p.grad = Tensor(g)
        optimizer.step()
        buffer = 0.9 * buffer + 0.1 * g
        u, s, vt = np.linalg.svd(0.1 * g + 0.9 * buffer, full_matrices=False)
        s = s / np.linalg.norm(s)
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        weight = weight - 0.1 * 0.2 * weight - 0.1 * np.sqrt(6 / 4) * (u * s) @ vt
    np.testing.assert_allclose(p.data, weight, rtol=1e-9)


def test_lion_follows_its_paper() -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(6, 4))
    p = Tensor(weight.copy(), requires_grad=True)
    optimizer = optim.Lion([p], lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    momentum = np.zeros_like(weight)
    for _ in range(STEPS):
        g = rng.normal(size=weight.shape)
        p.grad = Tensor(g)
        optimizer.step()
        interpolated = momentum * 0.9 + g * (1 - 0.9)
        weight = weight - 0.01 * (np.sign(interpolated) + 0.1 * weight)
        momentum = momentum * 0.99 + g * (1 - 0.99)
    np.testing.assert_allclose(p.data, weight, rtol=1e-12)
