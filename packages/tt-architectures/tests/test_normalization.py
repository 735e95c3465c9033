"""Normalization: what it computes, its gradients of both orders, its kernels, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tt_architectures import (
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    LayerNorm,
    RMSNorm,
    batch_norm,
    batch_statistics,
    channels_last,
    group_norm,
    layer_norm,
    rms_norm,
)
from tt_foundation import ReLU, Tensor, check_gradients, check_kernel, num_threads, set_num_threads, sum, use_backend

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


ANY: Any = "tanh"
IMAGES: list[tuple[int, ...]] = [(3, 2, 2, 3), (4, 3), (2, 3, 4)]


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("shape", IMAGES)
def test_batch_norm_passes_gradient_checks_of_first_and_second_order(shape: tuple[int, ...], backend: str) -> None:
    c = shape[1]
    x, w, b, m, v = draw(shape, (c,), (c,), (c,), (c,))
    v = v * v + 0.5
    stats: Any = batch_stats(x)
    with use_backend(backend):
        check_gradients(lambda x: batch_norm(x, None, None, *batch_stats(x.data), training=True), x)
        check_gradients(lambda x, w, b: batch_norm(x, w, b, *batch_stats(x.data), training=True), x, w, b)
        check_gradients(lambda x, w, b, m, v: batch_norm(x, w, b, m, v, training=False), x, w, b, m, v)
        far = batch_norm(Tensor(x), w, b + 9, *stats, training=True, activation="relu").data
        assert (far > 0).any(axis=tuple(i for i in range(len(shape)) if i != 1)).all()
        check_gradients(lambda x: batch_norm(x, w, b + 9, *batch_stats(x.data), training=True, activation="relu"), x)


def batch_stats(x: Any) -> Any:
    mean, variance = np.empty((2, x.shape[1]), x.dtype)
    batch_statistics(x, mean, variance)
    return mean, variance


@pytest.mark.parametrize("shape", [(3, 4, 2, 3), (4, 6), (2, 4, 3)])
def test_group_norm_passes_gradient_checks_of_first_and_second_order(shape: tuple[int, ...]) -> None:
    c = shape[1]
    check_gradients(lambda x: group_norm(x, num_groups=2), *draw(shape))
    check_gradients(lambda x, w, b: group_norm(x, w, b, num_groups=2), *draw(shape, (c,), (c,)))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("layout", ["channels first", "channels last"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (40, 32, 16, 16), (50, 48, 30, 9), (7, 130), (3, 1, 1, 1), (5, 6, 11)])
def test_the_batch_norm_kernel_computes_what_the_body_says(
    shape: tuple[int, ...], dtype: Any, layout: str, threads: int
) -> None:
    c = shape[1]
    x, w, b = draw(shape, (c,), (c,), dtype=dtype)
    x = 2 * x + 3
    if layout == "channels last" and x.ndim == 4:
        x = np.array(channels_last(x))
    before = num_threads()
    set_num_threads(threads)
    try:
        means = {}
        for backend in ("reference", "numpy"):
            with use_backend(backend):
                means[backend] = batch_stats(x)
        for a, e in zip(means["numpy"], means["reference"], strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-5 if dtype is np.float32 else 1e-12)
        for activation in ("none", "relu"):
            options: Any = {"activation": activation}
            check_kernel(batch_norm, "numpy", x, w, b, *means["numpy"], training=True, **options)
            check_kernel(batch_norm, "numpy", x, w, b, *means["numpy"], training=False, eps=0.1, **options)
            check_kernel(batch_norm, "numpy", x, None, b, *means["numpy"], training=False, **options)
            check_kernel(batch_norm, "numpy", x, w, None, *means["numpy"], training=True, **options)
    finally:
        set_num_threads(before)


def test_batch_statistics_keep_their_digits_far_from_zero() -> None:
    x = np.random.default_rng(0).normal(1000, 0.1, (64, 8, 16, 16)).astype(np.float32)
    exact = x.astype(np.float64)
    mean, variance = batch_stats(x)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2, 3)), rtol=1e-7)
    np.testing.assert_allclose(variance, exact.var(axis=(0, 2, 3)), rtol=1e-4)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
def test_batch_norm_learns_the_statistics_it_uses_after_training(backend: str) -> None:
    rng = np.random.default_rng(0)
    layer = BatchNorm2d(3, momentum=None)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    with use_backend(backend):
        batches = rng.normal(5, 2, (20, 8, 3, 4, 4)).astype(np.float32)
        for x in batches:
            out = layer(Tensor(x)).data
            np.testing.assert_allclose(out.mean(axis=(0, 2, 3)), 0, atol=1e-5)
        np.testing.assert_allclose(layer.running_mean.data, batches.mean(axis=(0, 1, 3, 4)), rtol=1e-5)
        np.testing.assert_allclose(layer.running_var.data, batches.var(axis=(1, 3, 4), ddof=0).mean(axis=0), rtol=0.05)
        layer.eval()
        before = layer.state_dict()
        one = layer(Tensor(batches[0, :1])).data
        np.testing.assert_allclose(one, layer(Tensor(batches[0])).data[:1], atol=1e-6)  # alone or among others
        for name, array in layer.state_dict().items():
            np.testing.assert_array_equal(array, before[name])


def test_batch_norm_followed_by_relu_is_the_same_as_one_operation() -> None:
    x = Tensor(draw((6, 3, 4, 4), dtype=np.float32)[0], requires_grad=True)
    layer = BatchNorm2d(3)
    sum(ReLU()(layer(x))).backward()
    assert x.grad is not None
    apart, x.grad = x.grad.data, None
    sum(layer.activated(x, "relu")).backward()
    np.testing.assert_allclose(x.grad.data, apart, atol=1e-6)


def test_batch_norm_names_its_state_as_pytorch_does() -> None:
    names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [*BatchNorm1d(3).state_dict()] == names
    assert [*BatchNorm2d(3, affine=False).state_dict()] == names[2:]
    assert [*BatchNorm2d(3, track_running_stats=False).state_dict()] == names[:2]
    assert repr(BatchNorm2d(3)) == "BatchNorm2d(3, eps=1e-05, momentum=0.1)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LayerNorm(0), ValueError, r"LayerNorm needs sizes of at least 1, got 0"),
        (lambda: RMSNorm(()), ValueError, r"RMSNorm needs sizes of at least 1, got \(\)"),
        (lambda: LayerNorm(3)(Tensor(np.ones((2, 4), "f"))), ValueError, r"layer_norm .* \(3,\), got shape \(2, 4\)"),
        (lambda: RMSNorm(3)(Tensor(np.ones(4, "f"))), ValueError, r"rms_norm needs .* \(3,\), got shape \(4,\)"),
        (lambda: LayerNorm(3)(Tensor(np.ones(3))), TypeError, r"float32 weights and got a float64 input"),
        (lambda: RMSNorm(3)(Tensor(np.ones(3))), TypeError, r"x\.astype\(float32\)"),
        (lambda: BatchNorm2d(0), ValueError, r"BatchNorm2d needs at least one channel, got 0"),
        (lambda: BatchNorm2d(3)(Tensor(np.ones((2, 3), "f"))), ValueError, r"axes, 3 channels, got \(2, 3\)"),
        (lambda: BatchNorm1d(3)(Tensor(np.ones((2, 4), "f"))), ValueError, r"BatchNorm1d\(3, .* got \(2, 4\)"),
        (lambda: BatchNorm1d(3)(Tensor(np.ones((1, 3), "f"))), ValueError, r"more than one number a channel"),
        (lambda: BatchNorm1d(3)(Tensor(np.ones((2, 3)))), TypeError, r"float32 weights and got a float64"),
        (lambda: BatchNorm1d(3).activated(Tensor(np.ones((2, 3), "f")), ANY), ValueError, r"knows activation='none'"),
        (lambda: GroupNorm(2, 3), ValueError, r"num_groups to divide num_channels, got 2 and 3"),
        (lambda: GroupNorm(2, 4)(Tensor(np.ones((2, 3), "f"))), ValueError, r"4 channels, got \(2, 3\)"),
        (lambda: group_norm(Tensor(np.ones((2, 3), "f")), num_groups=2), ValueError, r"with 2 dividing C"),
    ],
)
def test_an_error_says_what_was_needed(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
