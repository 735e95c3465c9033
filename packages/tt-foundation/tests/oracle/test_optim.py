"""Every optimizer and schedule against PyTorch; Lion, which PyTorch has not, against its paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tt_foundation import optim, schedules
from tt_foundation.optimizer import Optimizer
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
    name: str, options: dict[str, Any], shapes: list[tuple[int, ...]], dtype: str, steps: int = STEPS
) -> tuple[list[Tensor], list[torch.Tensor]]:
    """Ours and PyTorch's parameters after the same gradients, which now and then leave one parameter out."""
    rng = np.random.default_rng(1)
    starts = [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]
    ours = [Tensor(start.copy(), requires_grad=True) for start in starts]
    theirs = [torch.tensor(start, requires_grad=True) for start in starts]
    mine, reference = (getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options))
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
def test_optimizer_gives_pytorchs_values(name: str, options: dict[str, Any], dtype: str) -> None:
    ours, theirs = both(name, options, [(4, 3), (5,), (), (0, 2)], dtype)
    for p, q in zip(ours, theirs, strict=True):
        assert p.dtype == dtype
        np.testing.assert_allclose(
            p.data, q.detach().numpy(), rtol=2e-5 if dtype == "float32" else 1e-11, atol=1e-6 * (dtype == "float32")
        )


@pytest.mark.parametrize("options", [{}, {"nesterov": False, "weight_decay": 0.0}, {"adjust_lr_fn": "match_rms_adamw"}])
def test_muon_gives_pytorchs_values_within_its_bfloat16(options: dict[str, Any]) -> None:
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


SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 4}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}),
    ("MultiStepLR", {"milestones": [3, 3, 10], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.5, "total_iters": 7}),
    ("CosineAnnealingLR", {"T_max": 10, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 30}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 25}),
    ("OneCycleLR", {"max_lr": [0.3, 0.1], "total_steps": 30, "anneal_strategy": "linear", "pct_start": 0.4}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 30, "three_phase": True, "div_factor": 5, "final_div_factor": 9}),
]


@pytest.mark.parametrize("method", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=str)
def test_schedule_gives_pytorchs_rates(name: str, options: dict[str, Any], method: str) -> None:
    mine, reference = pair(method)
    schedule = getattr(schedules, name)(mine, **options)
    expected = getattr(torch.optim.lr_scheduler, name)(reference, **options)
    for _ in range(STEPS - 1):
        assert_same_groups(mine, reference)
        reference.step()
        schedule.step()
        expected.step()
    assert_same_groups(mine, reference)
    np.testing.assert_allclose(schedule.get_last_lr(), expected.get_last_lr(), rtol=1e-9)


def test_sequential_schedule_gives_pytorchs_rates() -> None:
    mine, reference = pair("SGD")
    schedule = schedules.cosine_with_warmup(mine, warmup_steps=4, total_steps=20, eta_min=0.02)
    warmup = torch.optim.lr_scheduler.LinearLR(reference, start_factor=0.2, total_iters=4)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(reference, T_max=16, eta_min=0.02)
    expected = torch.optim.lr_scheduler.SequentialLR(reference, [warmup, cosine], [4])
    for _ in range(20):
        assert_same_groups(mine, reference)
        reference.step()
        schedule.step()
        expected.step()
    assert_same_groups(mine, reference)
    assert schedule.get_last_lr() == pytest.approx([0.02, 0.02])


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 2},
        {"mode": "max", "patience": 1, "factor": 0.5, "cooldown": 3},
        {"patience": 0, "threshold": 0.3, "threshold_mode": "abs", "min_lr": 0.02},
        {"mode": "max", "patience": 0, "threshold": 0.5, "factor": 0.3, "threshold_mode": "abs"},
        {"patience": 1, "threshold": 0.2, "eps": 0.04},
    ],
    ids=str,
)
def test_plateau_schedule_gives_pytorchs_rates(options: dict[str, Any]) -> None:
    mine, reference = pair("SGD")
    schedule = schedules.ReduceLROnPlateau(mine, **options)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(reference, **options)
    for metric in np.random.default_rng(4).normal(size=60).cumsum():
        schedule.step(float(metric))
        expected.step(float(metric))
        assert_same_groups(mine, reference)


def pair(method: str) -> tuple[Optimizer, torch.optim.Optimizer]:
    """Ours and PyTorch's optimizer with two groups of other rates."""
    options = {"momentum": 0.5} if method == "SGD" else {}
    values = [np.ones(2), np.ones(3)]
    ours = [{"params": [Tensor(v, requires_grad=True)], "lr": lr} for v, lr in zip(values, (0.1, 0.2), strict=True)]
    theirs = [
        {"params": [torch.tensor(v, requires_grad=True)], "lr": lr} for v, lr in zip(values, (0.1, 0.2), strict=True)
    ]
    optimizer: Optimizer = getattr(optim, method)(ours, **options)
    reference: torch.optim.Optimizer = getattr(torch.optim, method)(theirs, **options)
    return optimizer, reference


def assert_same_groups(mine: Optimizer, reference: torch.optim.Optimizer) -> None:
    for group, expected in zip(mine.param_groups, reference.param_groups, strict=True):
        for name in {"lr", "momentum", "betas"} & group.keys():
            np.testing.assert_allclose(group[name], expected[name], rtol=1e-9, atol=1e-12)
