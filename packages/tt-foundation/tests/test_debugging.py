"""Anomaly mode and the drawn graph."""

import numpy as np
import pytest

from tt_foundation.autograd import no_grad
from tt_foundation.debugging import anomaly_mode, graph_dot, graph_nodes, graph_text
from tt_foundation.tensor import Tensor, log, matmul, multiply, sqrt


def test_the_operation_that_made_the_first_nan_is_named_with_its_place() -> None:
    x = Tensor([1.0, -1.0], requires_grad=True)
    with (
        anomaly_mode(),
        pytest.raises(FloatingPointError, match=r"log made a NaN .* called at .*test_debugging\.py:\d+"),
    ):
        log(x)


def test_a_nan_born_in_backward_names_the_forward_call() -> None:
    x = Tensor([0.0], requires_grad=True)
    with anomaly_mode():
        y = multiply(sqrt(x), 0.0).sum()
        with pytest.raises(FloatingPointError, match=r"the gradient of sqrt made a NaN; .*test_debugging\.py:\d+"):
            y.backward()


def test_a_write_through_data_is_seen() -> None:
    x, w = Tensor([1.0], requires_grad=True), Tensor([2.0], requires_grad=True)
    with anomaly_mode():
        y = (x * w).sum()
        w.data[0] = 5.0
        with pytest.raises(RuntimeError, match=r"that multiply kept .* was changed through `data`"):
            y.backward()


def test_a_sound_computation_passes() -> None:
    x = Tensor([4.0], requires_grad=True)
    with anomaly_mode():
        sqrt(x).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 0.25


def test_the_graph_shows_operations_shapes_and_kept_bytes() -> None:
    x, w = Tensor(np.ones((2, 3), np.float32), requires_grad=True), Tensor(np.ones((3, 1), np.float32))
    y = matmul(x, w).sum()
    assert [(n.name, n.shape, n.kept_bytes) for n in graph_nodes(y)] == [
        ("sum", (), 0),
        ("matmul", (2, 1), 12),
        ("leaf", (2, 3), 0),
    ]
    assert "matmul" in graph_text(y)
    assert graph_dot(y).startswith("digraph tape {")
    assert "n2 -> n1;" in graph_dot(y)


def test_an_untracked_tensor_has_no_graph() -> None:
    with no_grad():
        y = Tensor([1.0], requires_grad=True) * 2
    with pytest.raises(ValueError, match="nothing was recorded"):
        graph_text(y)
