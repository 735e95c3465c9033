"""Spatial layers: what convolutions and pools compute, their gradients of both orders, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tt_architectures as tt
from tt_foundation import Tensor, check_gradients, relu, use_backend

BACKENDS = pytest.mark.parametrize("backend", ["reference", "numpy"])


def draw(*shapes: tuple[int, ...], dtype: Any = np.float64) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def is_channels_last(x: Any) -> bool:
    return bool(np.moveaxis(x, 1, -1).flags.c_contiguous)


@BACKENDS
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": 1, "stride": 2},
        {"padding": "same"},
        {"padding": (2, 1), "dilation": (2, 1), "stride": (1, 2)},
        {"padding": ((1, 0), (0, 2))},
    ],
)
def test_conv2d_is_the_loops_that_define_it(options: dict[str, Any], has_bias: bool, backend: str) -> None:
    x, weight, bias = draw((2, 3, 6, 5), (4, 3, 3, 2), (4,))
    b = bias if has_bias else None
    with use_backend(backend):
        out = tt.conv2d(x, weight, b, **options)
    np.testing.assert_allclose(out, tt.conv2d_loops(x, weight, b, **options), atol=1e-12)
    assert is_channels_last(out)


@BACKENDS
def test_conv2d_moves_with_what_it_sees(backend: str) -> None:
    x, weight = draw((1, 2, 8, 8), (3, 2, 3, 3))
    with use_backend(backend):
        moved = tt.conv2d(np.roll(x, (1, 2), (2, 3)), weight)
        np.testing.assert_allclose(moved[:, :, 1:, 2:], tt.conv2d(x, weight)[:, :, :-1, :-2])


@BACKENDS
@pytest.mark.parametrize(
    ("weight", "options"),
    [
        ((2, 4, 3, 3), {"padding": 1}),
        ((2, 4, 2, 3), {"stride": 2, "padding": "valid"}),
        ((2, 4, 2, 3), {"padding": "same", "dilation": 2}),
        ((4, 2, 3, 3), {"groups": 2, "stride": (2, 1)}),
        ((3, 4, 1, 1), {}),
    ],
)
def test_conv2d_passes_gradient_checks_of_first_and_second_order(
    weight: tuple[int, ...], options: dict[str, Any], backend: str
) -> None:
    x, w, b = draw((2, 4, 5, 6), weight, weight[:1])
    with use_backend(backend):
        check_gradients(lambda x, w, b: tt.conv2d(x, w, b, **options), x, w, b)
        check_gradients(lambda x, w: tt.conv2d(x, w, **options) ** 2, x, w)


@BACKENDS
def test_the_gradients_of_conv2d_are_operations_with_gradients(backend: str) -> None:
    x, w = draw((2, 2, 4, 5), (3, 2, 2, 3))
    at = tt.Window.over((4, 5), (2, 3), (1, 2), 1)
    (y,) = draw((2, 3, *at.output))
    with use_backend(backend):
        check_gradients(lambda y, w: tt.conv2d_input_gradient(y, w, size=(4, 5), at=at), y, w)
        check_gradients(lambda y, x: tt.conv2d_weight_gradient(y, x, at=at), y, x)


@pytest.mark.parametrize("options", [{"kernel_size": 2}, {"kernel_size": (3, 2), "stride": (1, 2), "dilation": (1, 2)}])
def test_windows_and_overlap_add_are_transposes_with_gradients(options: dict[str, Any]) -> None:
    (x,) = draw((2, 3, 5, 6))
    seen = tt.windows(x, **options)
    (values,) = draw(seen.shape)
    back = {key: value for key, value in options.items() if key != "kernel_size"}
    added = tt.overlap_add(values, size=(5, 6), **back)
    np.testing.assert_allclose((seen * values).sum(), (x * added).sum())
    check_gradients(lambda x: tt.windows(x, **options) ** 2, x)
    check_gradients(lambda v: tt.overlap_add(v, size=(5, 6), **back) ** 2, values)


def test_windows_hold_what_lies_under_them() -> None:
    x = np.arange(12.0).reshape(1, 1, 3, 4)
    np.testing.assert_array_equal(tt.windows(x, kernel_size=2)[0, 0, 1, 2], [[6, 7], [10, 11]])


POOLS: list[tuple[Any, dict[str, Any]]] = [
    (tt.max_pool2d, {"kernel_size": 2}),
    (tt.max_pool2d, {"kernel_size": (3, 2), "stride": 1, "padding": 1, "dilation": (1, 2)}),
    (tt.max_pool2d, {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    (tt.avg_pool2d, {"kernel_size": 2}),
    (tt.avg_pool2d, {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    (tt.avg_pool2d, {"kernel_size": (2, 3), "stride": (1, 2), "ceil_mode": True, "divisor_override": 5}),
]


@BACKENDS
@pytest.mark.parametrize(("pool", "options"), POOLS)
def test_pools_pass_gradient_checks_of_first_and_second_order(pool: Any, options: dict[str, Any], backend: str) -> None:
    with use_backend(backend):
        check_gradients(lambda x: pool(x, **options) ** 2, *draw((2, 3, 6, 5)))


@BACKENDS
def test_pools_give_the_largest_and_the_mean_of_each_window(backend: str) -> None:
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    with use_backend(backend):
        np.testing.assert_array_equal(tt.max_pool2d(x, kernel_size=2)[0, 0], [[5, 7], [13, 15]])
        np.testing.assert_array_equal(tt.avg_pool2d(x, kernel_size=2)[0, 0], [[2.5, 4.5], [10.5, 12.5]])


@BACKENDS
def test_of_equal_numbers_the_first_gets_the_gradient_of_a_max_pool(backend: str) -> None:
    x = Tensor(np.zeros((1, 1, 2, 4), np.float32), requires_grad=True)
    with use_backend(backend):
        tt.max_pool2d(relu(x), kernel_size=2).backward(np.ones((1, 1, 1, 2), np.float32))
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.data, np.zeros((1, 1, 2, 4)))  # relu's own gradient is 0 there
        y = Tensor(np.ones((1, 1, 2, 4), np.float32), requires_grad=True)
        tt.max_pool2d(y, kernel_size=2).backward(np.ones((1, 1, 1, 2), np.float32))
        assert y.grad is not None
        np.testing.assert_array_equal(y.grad.data[0, 0], [[1, 0, 1, 0], [0, 0, 0, 0]])


@BACKENDS
def test_a_max_pool_lets_nan_through(backend: str) -> None:
    x = np.zeros((1, 1, 2, 4), np.float32)
    x[0, 0, 1, 2] = np.nan
    with use_backend(backend):
        np.testing.assert_array_equal(tt.max_pool2d(x, kernel_size=2)[0, 0], [[0, np.nan]])


def test_a_layer_remembers_its_arguments_and_draws_its_weight_then_its_bias() -> None:
    one, two = (tt.Conv2d(3, 4, (3, 2), 2, 1, rng=np.random.default_rng(5)) for _ in range(2))
    assert one.bias is not None
    assert two.bias is not None
    np.testing.assert_array_equal(one.weight.data, two.weight.data)
    np.testing.assert_array_equal(one.bias.data, two.bias.data)
    x = Tensor(draw((2, 3, 8, 8), dtype=np.float32)[0])
    out = tt.conv2d(x, one.weight, one.bias, stride=2, padding=1)
    np.testing.assert_array_equal(one(x).data, out.data)
    assert repr(one) == "Conv2d(3, 4, kernel_size=(3, 2), stride=(2, 2), padding=1)"
    assert [*tt.Conv2d(3, 4, 3, bias=False).state_dict()] == ["weight"]
    assert tt.Conv2d(3, 4, 3, dtype=np.float64)(x.astype(np.float64)).dtype == np.float64
    np.testing.assert_array_equal(tt.MaxPool2d(2)(x).data, tt.max_pool2d(x, kernel_size=2).data)
    np.testing.assert_array_equal(tt.AvgPool2d(3, 1)(x).data, tt.avg_pool2d(x, kernel_size=3, stride=1).data)


IMAGE = np.ones((2, 3, 5, 5), np.float32)
SQUARE = np.ones((4, 3, 3, 3), np.float32)


@BACKENDS
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tt.conv2d(IMAGE[0], SQUARE), ValueError, r"conv2d needs x of shape \(N, C, H, W\)"),
        (lambda: tt.conv2d(IMAGE[:, :2], SQUARE), ValueError, r"x.shape\[1\] == groups \* weight.shape\[1\]"),
        (lambda: tt.conv2d(IMAGE, SQUARE[:, :1], groups=3), ValueError, r"divide weight.shape\[0\].* and 3 groups"),
        (lambda: tt.conv2d(IMAGE[:, :, :2], SQUARE), ValueError, r"does not fit an image of \(2, 5\)"),
        (lambda: tt.conv2d(IMAGE, SQUARE, padding="same", stride=2), ValueError, r"stride 1 only"),
        (lambda: tt.max_pool2d(IMAGE[0], kernel_size=2), ValueError, r"max_pool2d needs x of shape"),
        (lambda: tt.max_pool2d(IMAGE, kernel_size=2, padding=2), ValueError, r"at most half the window, got 2 for 2"),
        (lambda: tt.avg_pool2d(IMAGE, kernel_size=6), ValueError, r"does not fit"),
        (lambda: tt.Conv2d(3, 4, 3, groups=2), ValueError, r"that groups divide, got 3 -> 4 in 2 groups"),
        (lambda: tt.Conv2d(0, 4, 3), ValueError, r"channels of at least 1"),
        (lambda: tt.Conv2d(3, 4, 3, stride=0), ValueError, r"at least 1"),
        (lambda: tt.Conv2d(3, 4, 3)(Tensor(np.ones((2, 3, 5, 5)))), TypeError, r"x\.astype\(float32\)"),
    ],
)
def test_an_error_says_what_was_needed(call: Any, error: type[Exception], message: str, backend: str) -> None:
    with use_backend(backend), pytest.raises(error, match=message):
        call()
