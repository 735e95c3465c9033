"""Normalization: what it computes, its gradients of both orders, its kernels, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tt_architectures import LayerNorm, RMSNorm, layer_norm, rms_norm
from tt_foundation import Tensor, check_gradients, check_kernel, use_backend

SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((2, 5), (5,)), ((2, 3, 4), (4,)), ((3, 2, 3), (2, 3))]


def draw(*shapes: tuple[int, ...], seed: int = 0, dtype: Any = np.float64) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize(("shape", "over"), SHAPES)
def test_layer_norm_passes_gradient_checks_of_first_and_second_order(
    shape: tuple[int, ...], over: tuple[int, ...], backend: str
) -> None:
    with use_backend(backend):
        check_gradients(lambda x: layer_norm(x, normalized_shape=over), *draw(shape))
        check_gradients(lambda x, w: layer_norm(x, w, normalized_shape=over), *draw(shape, over))
        check_gradients(lambda x, w, b: layer_norm(x, w, b, normalized_shape=over), *draw(shape, over, over))
        check_gradients(lambda x, b: layer_norm(x, None, b, normalized_shape=over), *draw(shape, over))


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize(("shape", "over"), SHAPES)
def test_rms_norm_passes_gradient_checks_of_first_and_second_order(
    shape: tuple[int, ...], over: tuple[int, ...], backend: str
) -> None:
    with use_backend(backend):
        check_gradients(lambda x: rms_norm(x, normalized_shape=over), *draw(shape))
        check_gradients(lambda x, w: rms_norm(x, w, normalized_shape=over, eps=1e-3), *draw(shape, over))


@pytest.mark.parametrize(("shape", "over"), [*SHAPES, ((700, 130), (130,)), ((2, 100_000), (100_000,))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_kernels_compute_what_the_bodies_say(shape: tuple[int, ...], over: tuple[int, ...], dtype: Any) -> None:
    x, w, b = draw(shape, over, over, dtype=dtype)
    check_kernel(layer_norm, "numpy", 3 * x + 50, w, b, normalized_shape=over)
    check_kernel(layer_norm, "numpy", x, w, None, normalized_shape=over, eps=0.1)
    check_kernel(layer_norm, "numpy", x, None, None, normalized_shape=over)
    check_kernel(rms_norm, "numpy", 3 * x + 50, w, normalized_shape=over)
    check_kernel(rms_norm, "numpy", x, None, normalized_shape=over, eps=0.1)


def test_the_kernels_take_what_lies_in_another_order_in_memory() -> None:
    x, w, b = draw((6, 5), (5,), (5,), dtype=np.float32)
    check_kernel(layer_norm, "numpy", np.asfortranarray(x), w, b, normalized_shape=(5,))
    check_kernel(rms_norm, "numpy", np.asfortranarray(x), w, normalized_shape=(5,))


@pytest.mark.parametrize("backend", ["reference", "numpy"])
def test_nothing_in_gives_nothing_out(backend: str) -> None:
    with use_backend(backend):
        assert LayerNorm(3)(Tensor(np.zeros((0, 3), np.float32))).shape == (0, 3)
        assert RMSNorm(3)(Tensor(np.zeros((2, 0, 3), np.float32))).shape == (2, 0, 3)


def test_layer_norm_gives_each_position_mean_0_and_variance_1() -> None:
    x = Tensor(draw((4, 64))[0] * 5 + 7)
    out = layer_norm(x, normalized_shape=(64,)).data
    np.testing.assert_allclose(out.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(out.var(axis=1), 1, atol=1e-6)


def test_rms_norm_gives_each_position_mean_square_1_and_keeps_its_direction() -> None:
    x = draw((4, 64))[0] * 5 + 7
    out = rms_norm(Tensor(x), normalized_shape=(64,)).data
    np.testing.assert_allclose((out**2).mean(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(out / out[:, :1], x / x[:, :1])


def test_layers_start_as_plain_normalization_and_name_their_state_as_pytorch_does() -> None:
    x = Tensor(draw((2, 3, 4), dtype=np.float32)[0])
    layer, rms = LayerNorm((3, 4)), RMSNorm(4)
    assert [*layer.state_dict()] == ["weight", "bias"]
    assert [*LayerNorm(4, bias=False).state_dict()] == [*rms.state_dict()] == ["weight"]
    assert not LayerNorm(4, elementwise_affine=False).state_dict()
    assert not RMSNorm(4, elementwise_affine=False).state_dict()
    np.testing.assert_array_equal(layer(x).data, layer_norm(x, normalized_shape=(3, 4)).data)
    np.testing.assert_array_equal(rms(x).data, rms_norm(x, normalized_shape=(4,)).data)
    assert repr(layer) == "LayerNorm((3, 4), eps=1e-05)"
    assert repr(rms) == "RMSNorm((4,), eps=None)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LayerNorm(0), ValueError, r"LayerNorm needs sizes of at least 1, got 0"),
        (lambda: RMSNorm(()), ValueError, r"RMSNorm needs sizes of at least 1, got \(\)"),
        (lambda: LayerNorm(3)(Tensor(np.ones((2, 4), "f"))), ValueError, r"layer_norm .* \(3,\), got shape \(2, 4\)"),
        (lambda: RMSNorm(3)(Tensor(np.ones(4, "f"))), ValueError, r"rms_norm needs .* \(3,\), got shape \(4,\)"),
        (lambda: LayerNorm(3)(Tensor(np.ones(3))), TypeError, r"float32 weights and got a float64 input"),
        (lambda: RMSNorm(3)(Tensor(np.ones(3))), TypeError, r"x\.astype\(float32\)"),
    ],
)
def test_an_error_says_what_was_needed(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
