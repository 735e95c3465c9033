"""The optimizers' groups, state and account, and gradient clipping; their arithmetic is compared in oracle/."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_foundation import optim
from tt_foundation.autograd import no_grad
from tt_foundation.optim import SGD, Adam, AdamW, Muon, clip_grad_norm, clip_grad_value
from tt_foundation.optimizer import Optimizer
from tt_foundation.primitive import use_backend
from tt_foundation.tensor import Tensor

METHODS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"momentum": 0.9, "dampening": 0.5}),
    ("Adagrad", {"lr_decay": 0.01, "initial_accumulator_value": 0.1}),
    ("RMSprop", {"centered": True, "momentum": 0.9}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"weight_decay": 0.1}),
    ("AdamW", {}),
    ("Lion", {"weight_decay": 0.1}),
    ("Muon", {}),
]
methods = pytest.mark.parametrize(("name", "options"), METHODS, ids=str)


def parameters(*shapes: tuple[int, ...], dtype: str = "float32") -> list[Tensor]:
    rng = np.random.default_rng(0)
    return [Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True) for shape in shapes]


def run(optimizer: Optimizer, steps: int, seed: int = 1) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = Tensor(rng.normal(size=p.shape).astype(p.dtype))
        optimizer.step()


@methods
def test_loaded_state_goes_on_with_the_same_bits(name: str, options: dict[str, Any]) -> None:
    make: Callable[..., Optimizer] = getattr(optim, name)
    ours = parameters((4, 3), (2, 2))
    first = make(ours, lr=0.1, **options)
    run(first, 5)
    saved = copy.deepcopy(first.state_dict())
    theirs = [Tensor(p.data.copy(), requires_grad=True) for p in ours]
    second = make(theirs, lr=0.5, **options)
    second.load_state_dict(saved)
    run(first, 5, seed=2)
    run(second, 5, seed=2)
    for p, q in zip(ours, theirs, strict=True):
        assert p.data.tobytes() == q.data.tobytes()
    assert second.param_groups[0]["lr"] == 0.1


@methods
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_backend_agrees_with_the_reference(name: str, options: dict[str, Any], dtype: str) -> None:
    results = []
    for backend in ("reference", "numpy"):
        params = parameters((4, 3), (200, 300), dtype=dtype)
        with use_backend(backend):
            run(getattr(optim, name)(params, lr=0.1, **options), 4)
        results.append([p.data for p in params])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4 if dtype == "float32" else 1e-9, atol=1e-5)


@methods
def test_step_moves_parameters_down_a_bowl(name: str, options: dict[str, Any]) -> None:
    (p,) = parameters((3, 3))
    optimizer = getattr(optim, name)([p], lr=0.05, **options)
    losses = []
    for _ in range(40):
        loss = (p * p).sum()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]


@methods
def test_backward_after_a_step_refuses_the_graph_of_before(name: str, options: dict[str, Any]) -> None:
    (p,) = parameters((3, 3))
    loss = (p * p).sum()
    run(getattr(optim, name)([p], **options), 1)
    with pytest.raises(RuntimeError, match="in place"):
        loss.backward()


def test_parameters_without_a_gradient_stay() -> None:
    used, unused = parameters((2,), (2,))
    before = unused.data.copy()
    optimizer = AdamW([used, unused])
    used.grad = Tensor(np.ones(2, np.float32))
    optimizer.step()
    assert (unused.data == before).all()
    assert unused not in optimizer.state


def test_groups_have_options_of_their_own() -> None:
    slow, fast = parameters((2,), (2,))
    starts = [slow.data.copy(), fast.data.copy()]
    optimizer = SGD([{"params": [slow]}, {"params": [fast], "lr": 1.0}], lr=0.5)
    slow.grad, fast.grad = Tensor(np.ones(2, np.float32)), Tensor(np.ones(2, np.float32))
    optimizer.step()
    np.testing.assert_allclose(starts[0] - slow.data, 0.5, rtol=1e-6)
    np.testing.assert_allclose(starts[1] - fast.data, 1.0, rtol=1e-6)


def test_zero_grad_leaves_none() -> None:
    (p,) = parameters((2,))
    p.grad = Tensor(np.ones(2))
    SGD([p]).zero_grad()
    assert p.grad is None


def test_adam_holds_four_numbers_for_each_parameter() -> None:
    params = parameters((10, 3), (7,))
    optimizer = Adam(params)
    assert optimizer.bytes_per_parameter() == {"parameter": 4, "gradient": 0}
    run(optimizer, 1)
    assert optimizer.bytes_per_parameter() == {"parameter": 4, "gradient": 4, "exp_avg": 4, "exp_avg_sq": 4}


def test_sgd_without_momentum_holds_nothing_beyond_parameter_and_gradient() -> None:
    optimizer = SGD(parameters((10, 3)))
    run(optimizer, 1)
    assert optimizer.bytes_per_parameter() == {"parameter": 4, "gradient": 4}


def _integers() -> Tensor:
    return Tensor(np.arange(3))


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: SGD([]), ValueError, "needs parameters, got none"),
    (lambda: SGD(parameters((2,))[0]), TypeError, "list of tensors"),
    (lambda: SGD([np.ones(2)]), TypeError, "got a ndarray at place 0"),  # type: ignore[list-item]
    (lambda: SGD([_integers()]), ValueError, "leaves that require a gradient"),
    (lambda: SGD([parameters((2,))[0] * 2]), ValueError, "leaves that require a gradient"),
    (lambda: SGD(parameters((2,)) * 2), ValueError, "twice"),
    (lambda: SGD([{"params": parameters((2,)), "beta": 1}]), TypeError, "no option beta; it has lr, momentum"),
    (lambda: SGD([{"lr": 1.0}]), ValueError, "a group needs params"),
    (lambda: SGD(parameters((2,)), lr=-1.0), ValueError, "lr .* got -1.0"),
    (lambda: SGD(parameters((2,)), lr=float("nan")), ValueError, "lr .* got nan"),
    (lambda: SGD(parameters((2,)), nesterov=True), ValueError, "momentum > 0"),
    (lambda: Adam(parameters((2,)), betas=(0.9, 1.0)), ValueError, "betas < 1"),
    (lambda: Muon(parameters((2,))), ValueError, "give it to AdamW"),
    (lambda: Muon(parameters((2, 2)), adjust_lr_fn="fast"), ValueError, "original', 'match_rms_adamw"),
    (lambda: clip_grad_norm([], 0.0), ValueError, "max_norm > 0"),
    (lambda: clip_grad_value([], -1.0), ValueError, "clip_value > 0"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_arguments_are_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def _without(state: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = state
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return state


LIES: list[tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = [
    (lambda s: {}, "needs param_groups and state"),
    (lambda s: _without(s, "state", "1", "exp_avg"), "keeps .* parameter 1"),
    (lambda s: s | {"state": s["state"] | {"9": s["state"]["1"]}}, "a parameter 9"),
    (lambda s: s | {"state": {"1": s["state"]["0"]}}, r"of parameter 1 needs float32 \(4,\)"),
    (lambda s: s | {"param_groups": s["param_groups"] * 2}, r"\[2\] parameters, the state has \[2, 2\]"),
    (lambda s: s | {"param_groups": [s["param_groups"][0] | {"momentum": 1}]}, "has options"),
    (lambda s: s | {"param_groups": [s["param_groups"][0] | {"lr": -1.0}]}, "0 <= lr"),
]


@pytest.mark.parametrize(("lie", "message"), LIES, ids=[message for _, message in LIES])
def test_wrong_state_is_refused_and_nothing_is_loaded(
    lie: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    optimizer = Adam(parameters((2, 3), (4,)))
    run(optimizer, 2)
    other = Adam(parameters((2, 3), (4,)))
    run(other, 3, seed=5)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(lie(copy.deepcopy(other.state_dict())))
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for number, kept in before["state"].items():
        for name, value in kept.items():
            np.testing.assert_array_equal(after["state"][number][name], value)


def test_loaded_arrays_are_the_optimizers_own() -> None:
    optimizer = Adam(parameters((3,)))
    run(optimizer, 1)
    saved = copy.deepcopy(optimizer.state_dict())
    optimizer.load_state_dict(saved)
    run(optimizer, 1)
    other = Adam(parameters((3,)))
    run(other, 1)
    np.testing.assert_array_equal(saved["state"]["0"]["exp_avg"], other.state_dict()["state"]["0"]["exp_avg"])


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=8), st.floats(0.01, 100))
def test_clipped_gradients_are_no_longer_than_asked_and_point_the_same_way(values: list[float], norm: float) -> None:
    p, q = (Tensor(np.zeros(len(values), np.float32), requires_grad=True) for _ in range(2))
    p.grad, q.grad = Tensor(np.array(values, np.float32)), Tensor(np.ones(len(values), np.float32))
    before = np.concatenate([p.grad.data, q.grad.data]).astype(float)
    length = np.linalg.norm(before)
    assert clip_grad_norm([p, q], norm) == pytest.approx(length, rel=1e-5)
    after = np.concatenate([p.grad.data, q.grad.data])
    np.testing.assert_allclose(after, before * min(1, norm / length), rtol=1e-3, atol=1e-5)


def test_parameters_without_a_gradient_are_no_part_of_the_norm() -> None:
    assert clip_grad_norm(parameters((3,)), 1.0) == 0.0


def test_clipped_values_are_in_range() -> None:
    (p,) = parameters((3,))
    p.grad = Tensor(np.array([-5.0, 0.5, 5.0]))
    clip_grad_value([p], 1.0)
    assert p.grad.tolist() == [-1.0, 0.5, 1.0]


def test_a_parameter_of_no_axes_and_one_of_no_elements_are_moved() -> None:
    params = [Tensor(np.float32(2.0), requires_grad=True), Tensor(np.zeros((0, 3), np.float32), requires_grad=True)]
    run(Adam(params, lr=0.5), 1)
    with no_grad():
        assert params[0].item() == pytest.approx(2.0 - 0.5 * np.sign(2.0 - params[0].item()))
