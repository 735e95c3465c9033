"""Layers: what they compute, how they start, and what they refuse."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tt_foundation import autograd  # noqa: F401 - registers the tape
from tt_foundation.activations import ReLU
from tt_foundation.layers import (
    Dropout,
    Flatten,
    Identity,
    Linear,
    Sequential,
    dropout,
    kaiming_normal,
    kaiming_uniform,
    linear,
    orthogonal,
    xavier_normal,
    xavier_uniform,
)
from tt_foundation.primitive import observe, use_backend
from tt_foundation.tensor import Tensor
from tt_foundation.testing import check_gradients


def tensor(*shape: int, dtype: Any = np.float32) -> Tensor:
    return Tensor(np.random.default_rng(len(shape)).normal(size=shape).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(4,), (2, 4), (0, 4), (2, 3, 4)])
def test_linear_is_a_matrix_product_and_a_bias(shape: tuple[int, ...], dtype: type) -> None:
    layer = Linear(4, 3, dtype=dtype)
    assert layer.bias is not None
    x = tensor(*shape, dtype=dtype)
    expected = x.data @ layer.weight.data.T + layer.bias.data
    out = layer(x)
    assert out.dtype == dtype
    np.testing.assert_allclose(out.data, expected, rtol=1e-5, atol=1e-6)
    activated = linear(x, layer.weight, layer.bias, activation="relu")
    np.testing.assert_allclose(activated.data, np.maximum(expected, 0), rtol=1e-5, atol=1e-6)


def test_linear_starts_within_its_bound_and_repeats_with_its_generator() -> None:
    layers = [Linear(100, 50, rng=np.random.default_rng(3)) for _ in range(2)]
    for one, two in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        assert np.array_equal(one.data, two.data)
        assert one.dtype == np.float32
        assert 0.08 < np.abs(one.data).max() <= 0.1


def test_linear_without_bias_has_one_parameter() -> None:
    assert [name for name, _ in Linear(2, 3, bias=False).named_parameters()] == ["weight"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Linear(0, 3), ValueError, r"Linear needs sizes of at least 1, got 0 -> 3"),
        (lambda: Linear(3, -1), ValueError, r"got 3 -> -1"),
        (lambda: Linear(4, 3)(tensor(2, 5)), ValueError, r"Linear\(4, 3\) needs x.shape\[-1\] == 4, got \(2, 5\)"),
        (lambda: Linear(4, 3)(Tensor(1.0)), ValueError, r"needs x.shape\[-1\] == 4, got \(\)"),
        (
            lambda: Linear(784, 128)(tensor(1, 784, dtype=np.float64)),
            TypeError,
            r"Linear\(784, 128\) takes float32 weights and got a float64 input: x.astype\(float32\)\?",
        ),
        (lambda: linear(tensor(2, 4), tensor(3, 4), activation="tanh"), ValueError, "'none' and 'relu', got 'tanh'"),  # type: ignore[call-overload]
        (lambda: linear(tensor(2, 4), tensor(3, 5)), ValueError, "matmul needs"),
        (lambda: Dropout(1.5), ValueError, r"Dropout needs 0 <= p <= 1, got 1.5"),
        (lambda: Dropout(math.nan), ValueError, "got nan"),
        (lambda: Sequential([ReLU(), "relu"]), TypeError, "got a str at place 1"),  # type: ignore[list-item]
        (lambda: xavier_uniform(tensor(3)), ValueError, r"two axes or more, got shape \(3,\)"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_dropout_keeps_the_mean_while_training_and_everything_otherwise() -> None:
    layer = Dropout(0.25, rng=np.random.default_rng(0))
    x = Tensor(np.ones((200, 100), np.float32))
    out = layer(x)
    assert out.dtype == np.float32
    assert set(np.unique(out.data)) == {np.float32(0), np.float32(4 / 3)}
    assert abs(float(out.mean()) - 1) < 0.02
    assert layer.eval()(x) is x


def test_the_same_generator_drops_the_same() -> None:
    x = tensor(5, 6)
    one, two = (Dropout(0.5, rng=np.random.default_rng(1))(x) for _ in range(2))
    assert np.array_equal(one.data, two.data)


def test_dropout_of_everything_gives_zeros_and_of_nothing_its_input() -> None:
    x = tensor(3, 4)
    assert not Dropout(1.0)(x).data.any()
    assert Dropout(0.0)(x) is x


def test_the_gradient_of_dropout_flows_where_the_mask_is_true() -> None:
    x = Tensor(np.ones(3), requires_grad=True)
    dropout(x, np.array([True, False, True]), p=0.5).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 0, 2]


def test_flatten_and_identity() -> None:
    assert Flatten()(tensor(2, 3, 4)).shape == (2, 12)
    assert Flatten()(tensor(0, 3, 4)).shape == (0, 12)
    x = tensor(2)
    assert Identity()(x) is x


def test_sequential_takes_a_list_or_arguments_and_gives_layers_and_slices() -> None:
    layers = [Linear(4, 3), ReLU(), Linear(3, 2)]
    one, two = Sequential(layers), Sequential(*layers)
    x = tensor(5, 4)
    assert np.array_equal(one(x).data, two(x).data)
    assert len(one) == 3
    assert list(one) == layers
    assert one[-1] is layers[2]
    assert isinstance(one[:2], Sequential)
    assert list(one[:2]) == layers[:2]
    assert Sequential()(x) is x


def test_a_linear_and_its_relu_run_as_one_operation_only_while_nobody_observes() -> None:
    model = Sequential(Linear(4, 3), ReLU())
    x = tensor(5, 4)
    names: list[str] = []

    def watch(op: Any, phase: str, inputs: Any, params: Any, output: Any, /) -> None:
        if phase == "forward" and output is not None:
            names.append(op.name)

    with observe(watch):
        observed = model(x)
    assert names == ["linear", "relu"]
    out = model(x)
    assert out.node.op is linear
    assert np.array_equal(out.data, observed.data)


class Doubled(Linear):
    """A layer with a forward of its own, over one that knows activations."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


class Own(Doubled):
    """One that knows activations itself."""

    def activated(self, x: Tensor, activation: Any = "none") -> Tensor:
        return super().activated(x) * (3 if activation == "relu" else 1)


def test_only_a_class_with_activated_of_its_own_is_asked_for_it() -> None:
    x = tensor(5, 4)
    doubled, own = Doubled(4, 3), Own(4, 3)
    assert np.array_equal(Sequential(doubled, ReLU())(x).data, np.maximum(doubled(x).data, 0))
    assert np.array_equal(Sequential(own, ReLU())(x).data, own.activated(x, "relu").data)


@pytest.mark.parametrize(
    ("fill", "deviation"),
    [
        (lambda w, rng: xavier_uniform(w, rng=rng), math.sqrt(2 / 500)),
        (lambda w, rng: xavier_normal(w, gain=2, rng=rng), 2 * math.sqrt(2 / 500)),
        (lambda w, rng: kaiming_uniform(w, rng=rng), math.sqrt(2 / 300)),
        (lambda w, rng: kaiming_normal(w, gain=1, rng=rng), math.sqrt(1 / 300)),
    ],
)
def test_initial_weights_have_their_deviation(fill: Callable[..., None], deviation: float) -> None:
    weight = Tensor(np.zeros((200, 300), np.float32))
    memory = weight.data
    fill(weight, np.random.default_rng(0))
    assert weight.data is memory
    assert abs(float(memory.mean())) < deviation / 50
    assert abs(float(memory.std()) / deviation - 1) < 0.02


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5), (4, 2, 3)])
def test_orthogonal_rows_or_columns_are_orthogonal(shape: tuple[int, ...]) -> None:
    weight = Tensor(np.zeros(shape))
    orthogonal(weight, gain=3, rng=np.random.default_rng(0))
    matrix = weight.data.reshape(shape[0], -1) / 3
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("activation", ["none", "relu"])
def test_first_and_second_derivatives_of_linear_are_right(activation: Any, backend: str) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 4)), rng.normal(size=5)
    with use_backend(backend):
        check_gradients(lambda x, w, b: linear(x, w, b, activation=activation), x, weight, bias)
