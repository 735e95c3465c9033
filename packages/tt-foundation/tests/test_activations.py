"""Activations: right at the ends of the number line, the same as functions and as layers, wrong calls refused."""

import math
from typing import Any

import numpy as np
import pytest

from tt_foundation import activations
from tt_foundation.activations import gelu, log_softmax, sigmoid, softmax
from tt_foundation.autograd import grad
from tt_foundation.primitive import use_backend
from tt_foundation.tensor import Tensor
from tt_foundation.testing import check_gradients, check_kernel

LAYERS: list[tuple[str, str, dict[str, Any]]] = [
    ("ReLU", "relu", {}),
    ("LeakyReLU", "leaky_relu", {"negative_slope": 0.2}),
    ("ELU", "elu", {"alpha": 0.5}),
    ("SELU", "selu", {}),
    ("GELU", "gelu", {"approximate": "tanh"}),
    ("SiLU", "silu", {}),
    ("Mish", "mish", {}),
    ("Sigmoid", "sigmoid", {}),
    ("Tanh", "tanh", {}),
    ("Softplus", "softplus", {"beta": 2.0}),
    ("Hardswish", "hardswish", {}),
    ("Softmax", "softmax", {"axis": 0}),
    ("LogSoftmax", "log_softmax", {"axis": 0}),
]

LIMITS = [
    # function      far left        far right
    ("relu", 0.0, 1e4),
    ("leaky_relu", -1e2, 1e4),
    ("elu", -1.0, 1e4),
    ("selu", -1.0507009873554805 * 1.6732632423543772, 1.0507009873554805e4),
    ("gelu", 0.0, 1e4),
    ("silu", 0.0, 1e4),
    ("mish", 0.0, 1e4),
    ("sigmoid", 0.0, 1.0),
    ("tanh", -1.0, 1.0),
    ("softplus", 0.0, 1e4),
    ("hardswish", 0.0, 1e4),
]


@pytest.mark.parametrize(("layer", "function", "options"), LAYERS)
def test_a_layer_is_its_function(layer: str, function: str, options: dict[str, Any]) -> None:
    x = Tensor(np.random.default_rng(0).normal(size=(3, 4)))
    module = getattr(activations, layer)(**options)
    assert np.array_equal(module(x).data, getattr(activations, function)(x, **options).data)
    assert repr(module) == f"{layer}({', '.join(f'{k}={v!r}' for k, v in options.items())})"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("function", "left", "right"), LIMITS)
def test_large_inputs_give_the_limits_and_finite_gradients(
    function: str, left: float, right: float, dtype: type
) -> None:
    x = Tensor(np.array([-1e4, 1e4], dtype), requires_grad=True)
    out = getattr(activations, function)(x)
    assert out.dtype == dtype
    np.testing.assert_allclose(out.data, [left, right], rtol=1e-6, atol=1e-30)
    assert np.isfinite(grad(out.sum(), [x])[0].data).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_scores_far_apart_is_a_sure_choice(dtype: type) -> None:
    x = Tensor(np.array([[-1e4, 1e4, 0]], dtype))
    assert softmax(x).tolist() == [[0, 1, 0]]
    assert log_softmax(x).tolist() == [[-2e4, 0, -1e4]]


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 3, 4)])
def test_shapes_stay(shape: tuple[int, ...]) -> None:
    for _, function, _ in LAYERS:
        if "softmax" not in function:
            assert getattr(activations, function)(Tensor(np.ones(shape))).shape == shape


def test_softmax_sums_to_one_along_its_axis() -> None:
    x = Tensor(np.random.default_rng(0).normal(size=(2, 3, 4)))
    for axis in (-1, 0, 1):
        np.testing.assert_allclose(softmax(x, axis=axis).sum(axis=axis).data, 1)


def test_arrays_give_arrays() -> None:
    assert isinstance(sigmoid(np.zeros(2)), np.ndarray)
    assert sigmoid(np.zeros(2)).tolist() == [0.5, 0.5]


def test_gelu_knows_its_approximations() -> None:
    one = Tensor(np.array(1.0))
    assert math.isclose(gelu(one).item(), 0.8413447460685429)
    with pytest.raises(ValueError, match="approximate='none' and 'tanh', got 'erf'"):
        gelu(one, approximate="erf")


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize(("function", "options"), [row[1:] for row in LAYERS])
def test_first_and_second_derivatives_are_right(function: str, options: dict[str, Any], backend: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4))
    with use_backend(backend):
        check_gradients(lambda x: getattr(activations, function)(x, **options), x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0, 3), (5, 7), (3, 100_000)])
def test_gelu_in_blocks_is_gelu(shape: tuple[int, ...], dtype: type) -> None:
    x = np.asarray(np.random.default_rng(0).normal(0, 3, shape), dtype)
    check_kernel(gelu, "numpy", x, approximate="tanh")
