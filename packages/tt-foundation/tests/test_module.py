"""Modules: what they hold is found, counted once, saved, loaded whole or not at all, and shown."""

from typing import Any

import numpy as np
import pytest

from tt_foundation import autograd  # noqa: F401 - registers the tape
from tt_foundation.activations import ReLU
from tt_foundation.layers import Dropout, Linear, ModuleList, Sequential
from tt_foundation.module import Buffer, Module, Parameter
from tt_foundation.primitive import observe
from tt_foundation.tensor import Tensor


class Scale(Module[[Tensor], Tensor]):
    def __init__(self, size: int) -> None:
        self.scale = Parameter(np.ones(size, np.float32))
        self.seen = Buffer(np.zeros((), np.int64))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def model() -> Sequential:
    return Sequential([Linear(4, 3), ReLU(), Scale(3), Dropout(0.5)])


def test_parameters_and_buffers_are_found_by_path() -> None:
    assert [name for name, _ in model().named_parameters()] == ["layers.0.weight", "layers.0.bias", "layers.2.scale"]
    assert [name for name, _ in model().named_buffers()] == ["layers.2.seen"]
    assert [name for name, _ in model().named_modules()] == ["", "layers.0", "layers.1", "layers.2", "layers.3"]


def test_a_parameter_is_a_leaf_that_requires_grad_and_a_buffer_is_not() -> None:
    assert Parameter([1.0]).requires_grad
    assert Parameter([1.0]).is_leaf
    assert not Buffer([1.0]).requires_grad


def test_a_shared_parameter_and_a_shared_module_count_once() -> None:
    first, second = Linear(3, 3, bias=False), Linear(3, 3, bias=False)
    second.weight = first.weight
    shared = Sequential(first, second, first)
    assert len(list(shared.parameters())) == 1
    assert len(list(shared.modules())) == 3
    assert list(shared.state_dict()) == ["layers.0.weight"]


def test_state_is_copied_out_and_written_in_place() -> None:
    one, two = model(), model()
    state = one.state_dict()
    memory = [p.data for p in two.parameters()]
    two.load_state_dict(state)
    for p, q, array in zip(one.parameters(), two.parameters(), memory, strict=True):
        assert np.array_equal(p.data, q.data)
        assert q.data is array
        assert not np.shares_memory(p.data, q.data)
    state["layers.0.bias"][:] = 7
    assert not (one[0].state_dict()["bias"] == 7).any()


def test_a_state_that_does_not_fit_names_every_problem_and_writes_nothing() -> None:
    m = model()
    before = m.state_dict()
    state: dict[str, Any] = {name: array + 1 for name, array in before.items()}
    del state["layers.0.bias"]
    state["layers.2.scale"] = np.ones(5, np.float32)
    state["layers.9.weight"] = np.ones((2, 2), np.float32)
    state["layers.0.weight"] = state["layers.0.weight"].astype(np.float64)
    with pytest.raises(ValueError) as error:
        m.load_state_dict(state)
    for part in [
        "missing layers.0.bias (3,)",
        "layers.2.scale has shape (3,), got (5,)",
        "unexpected layers.9.weight (2, 2)",
        "layers.0.weight has type float32, got float64",
    ]:
        assert part in str(error.value)
    assert all(np.array_equal(before[name], array) for name, array in m.state_dict().items())


def test_without_strict_what_is_there_is_loaded_and_shapes_still_count() -> None:
    m = model()
    m.load_state_dict({"layers.0.bias": np.full(3, 2, np.float32), "other": np.ones(1)}, strict=False)
    assert m.state_dict()["layers.0.bias"].tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="has shape"):
        m.load_state_dict({"layers.0.bias": np.ones(2, np.float32)}, strict=False)


def test_loading_between_forward_and_backward_is_refused_by_backward() -> None:
    m = Linear(2, 2)
    x = Tensor(np.ones((1, 2), np.float32), requires_grad=True)
    loss = m(x).sum()
    m.load_state_dict(m.state_dict())
    with pytest.raises(RuntimeError, match="written in place"):
        loss.backward()


def test_train_and_eval_reach_every_module() -> None:
    m = Sequential(model(), model())
    assert all(part.training for part in m.modules())
    assert not any(part.training for part in m.eval().modules())
    assert all(part.training for part in m.train().modules())


def test_astype_converts_floats_and_leaves_integers() -> None:
    m = model().astype(np.float64)
    assert {p.dtype for p in m.parameters()} == {np.dtype(np.float64)}
    assert [b.dtype for b in m.buffers()] == [np.dtype(np.int64)]
    m.eval()(Tensor(np.ones((2, 4)))).sum().backward()
    assert all(p.grad is not None and p.grad.dtype == np.float64 for p in m.parameters())


def test_zero_grad_forgets_every_gradient() -> None:
    m = model()
    m(Tensor(np.ones((2, 4), np.float32))).sum().backward()
    assert all(p.grad is not None for p in m.parameters())
    m.zero_grad()
    assert all(p.grad is None for p in m.parameters())


def test_a_module_list_holds_its_modules_in_order() -> None:
    items = ModuleList([Linear(2, 3)])
    items.append(Linear(3, 2))
    assert len(items) == 2
    assert [name for name, _ in items.named_parameters()][2] == "items.1.weight"
    assert list(items)[1] is items[1]


def test_observers_see_each_layer_entered_and_left() -> None:
    seen: list[tuple[str, bool]] = []

    def watch(op: Any, phase: str, inputs: Any, params: Any, output: Any, /) -> None:
        if phase == "scope":
            seen.append((type(op).__name__, output is None))

    m = Sequential(Linear(2, 2), ReLU())
    with observe(watch):
        m(Tensor(np.ones((1, 2), np.float32)))
    assert seen == [
        ("Sequential", True), ("Linear", True), ("Linear", False), ("ReLU", True), ("ReLU", False),
        ("Sequential", False),
    ]  # fmt: skip


def test_an_observed_layer_takes_arguments_of_any_name() -> None:
    class Named(Module[..., Tensor]):
        def forward(self, x: Tensor, *, layer: int, run: int) -> Tensor:
            return x * (layer + run)

    with observe(lambda *event: None):
        assert Named()(Tensor(2.0), layer=1, run=2).item() == 6


def test_the_summary_counts_parameters_and_bytes() -> None:
    lines = model().summary().splitlines()
    assert lines[0].split() == ["module", "class", "shapes", "parameters", "bytes"]
    assert lines[1].split()[:2] == ["layers.0", "Linear"]
    assert lines[1].split()[-2:] == ["15", "60"]
    assert lines[-1].split()[-2:] == ["18", "80"]
    assert len({len(line) for line in lines}) == 1


def test_the_repr_is_nested_and_shows_options() -> None:
    assert repr(Sequential(Linear(4, 3), Sequential(Dropout(0.5), Linear(3, 2, bias=False)))) == (
        "Sequential(\n"
        "  (layers.0): Linear(4, 3)\n"
        "  (layers.1): Sequential(\n"
        "    (layers.0): Dropout(p=0.5)\n"
        "    (layers.1): Linear(3, 2, bias=False)\n"
        "  )\n"
        ")"
    )
