"""Spatial variants: what they compute, their gradients, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tt_architectures as tt
from tt_foundation import Tensor, check_gradients, use_backend

BACKENDS = pytest.mark.parametrize("backend", ["reference", "numpy"])


def draw(*shapes: tuple[int, ...], dtype: Any = np.float64) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@BACKENDS
def test_conv1d_slides_along_a_sequence(backend: str) -> None:
    x, w = Tensor(np.arange(6.0).reshape(1, 1, 6)), Tensor(np.array([[[1.0, 0, -1]]]))
    with use_backend(backend):
        np.testing.assert_array_equal(tt.conv1d(x, w).data, [[[-2, -2, -2, -2]]])
        np.testing.assert_array_equal(tt.conv1d(x, w, stride=3).data, [[[-2, -2]]])
        assert tt.conv1d(x, w, padding="same").shape == (1, 1, 6)
        check_gradients(lambda x, w, b: tt.conv1d(x, w, b, padding=1, dilation=2), *draw((2, 3, 7), (4, 3, 2), (4,)))


@BACKENDS
@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1, "output_padding": 1}, {"dilation": 2, "output_padding": (1, 0)}]
)
def test_conv_transpose2d_is_the_transpose_of_conv2d(options: dict[str, Any], backend: str) -> None:
    y, w, b = draw((2, 3, 4, 5), (3, 2, 3, 2), (2,))
    with use_backend(backend):
        out = tt.conv_transpose2d(Tensor(y), Tensor(w), **options).data
        (x,) = draw(out.shape)
        forward = {key: value for key, value in options.items() if key != "output_padding"}
        seen = tt.conv2d(x, w, **forward)[:, :, : y.shape[2], : y.shape[3]]
        np.testing.assert_allclose((seen * y).sum(), (x * out).sum())
        check_gradients(lambda y, w, b: tt.conv_transpose2d(y, w, b, **options) ** 2, y, w, b, tolerance=1e-4)


@BACKENDS
@pytest.mark.parametrize("size", [1, 3, (2, 4), (7, 7)])
@pytest.mark.parametrize("pool", [tt.adaptive_avg_pool2d, tt.adaptive_max_pool2d])
def test_adaptive_pools_give_the_size_that_was_asked_for(pool: Any, size: Any, backend: str) -> None:
    (x,) = draw((2, 3, 6, 5))
    with use_backend(backend):
        assert pool(Tensor(x), size).shape == (2, 3, *tt.pair(size))
        check_gradients(lambda x: pool(x, size) ** 2, x)


def test_global_pooling_is_the_mean_of_each_channel() -> None:
    (x,) = draw((2, 3, 4, 5))
    np.testing.assert_allclose(tt.global_avg_pool2d(Tensor(x)).data, x.mean(axis=(2, 3)))
    np.testing.assert_allclose(tt.GlobalAvgPool2d()(Tensor(x)).data, x.mean(axis=(2, 3)))
    check_gradients(tt.global_avg_pool2d, x)


@BACKENDS
@pytest.mark.parametrize(
    "options",
    [
        {"scale_factor": 2},
        {"size": (3, 7)},
        {"size": 5, "mode": "bilinear"},
        {"scale_factor": 1.5, "mode": "bilinear", "align_corners": True},
    ],
)
def test_upsample_passes_gradient_checks(options: dict[str, Any], backend: str) -> None:
    with use_backend(backend):
        check_gradients(lambda x: tt.upsample(x, **options) ** 2, *draw((2, 3, 4, 5)))


def test_upsample_repeats_pixels_or_mixes_neighbours() -> None:
    x = Tensor(np.array([[[[0.0, 4.0]]]]))
    np.testing.assert_array_equal(tt.upsample(x, scale_factor=2).data, [[[[0, 0, 4, 4]] * 2]])
    mixed = tt.upsample(x, size=(1, 4), mode="bilinear")
    np.testing.assert_array_equal(mixed.data, [[[[0, 1, 3, 4]]]])
    aligned = tt.upsample(x, size=(1, 5), mode="bilinear", align_corners=True)
    np.testing.assert_array_equal(aligned.data, [[[[0, 1, 2, 3, 4]]]])


@BACKENDS
def test_dropout2d_drops_whole_channels_while_training(backend: str) -> None:
    x = Tensor(np.ones((40, 50, 3, 2), np.float32), requires_grad=True)
    layer = tt.Dropout2d(0.25, rng=np.random.default_rng(3))
    with use_backend(backend):
        out = layer(x)
        values = out.data.reshape(2000, 6)
        assert (values == values[:, :1]).all()
        assert set(np.unique(values)) == {0, np.float32(1 / 0.75)}
        assert abs((values[:, 0] == 0).mean() - 0.25) < 0.03
        keep = np.random.default_rng(3).random((40, 50, 1, 1)) >= 0.25
        np.testing.assert_array_equal(out.data > 0, np.broadcast_to(keep, out.shape))
        out.backward(np.ones(out.shape, np.float32))
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.data, out.data)
        layer.eval()
        assert layer(x) is x


def test_layers_are_their_functions() -> None:
    x = Tensor(draw((2, 4, 6, 6), dtype=np.float32)[0])
    np.testing.assert_array_equal(tt.AdaptiveAvgPool2d(2)(x).data, tt.adaptive_avg_pool2d(x, 2).data)
    np.testing.assert_array_equal(tt.AdaptiveMaxPool2d(4)(x).data, tt.adaptive_max_pool2d(x, 4).data)
    up = tt.Upsample(scale_factor=2, mode="bilinear")
    np.testing.assert_array_equal(up(x).data, tt.upsample(x, scale_factor=2, mode="bilinear").data)
    transposed = tt.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2)
    assert transposed.weight.shape == (4, 3, 3, 3)
    assert transposed(x).shape == (2, 6, 12, 12)
    assert tt.Conv1d(4, 6, 3, padding="same", groups=2)(x[:, :, 0]).shape == (2, 6, 6)


IMAGE = Tensor(np.ones((2, 3, 5, 5), np.float32))
SQUARE = Tensor(np.ones((3, 4, 3, 3), np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tt.conv1d(IMAGE, SQUARE), r"conv1d needs x of shape \(N, C, L\)"),
        (lambda: tt.conv_transpose2d(IMAGE[0], SQUARE), r"conv_transpose2d needs x of shape \(N, C, H, W\)"),
        (
            lambda: tt.conv_transpose2d(IMAGE, SQUARE, output_padding=1),
            r"must be below stride or dilation, got \(1, 1\)",
        ),
        (lambda: tt.adaptive_avg_pool2d(IMAGE, 0), r"adaptive_avg_pool2d needs sizes of at least 1, got \(0, 0\)"),
        (lambda: tt.adaptive_max_pool2d(IMAGE[0], 1), r"adaptive_max_pool2d needs x of shape \(N, C, H, W\)"),
        (lambda: tt.global_avg_pool2d(IMAGE[0]), r"global_avg_pool2d needs x of shape"),
        (lambda: tt.upsample(IMAGE), r"either size or scale_factor, got None and None"),
        (lambda: tt.upsample(IMAGE, size=4, scale_factor=2), r"either size or scale_factor, got 4 and 2"),
        (lambda: tt.upsample(IMAGE, size=4, mode="cubic"), r"nearest and bilinear, got 'cubic'"),
        (lambda: tt.upsample(IMAGE, size=4, align_corners=True), r"align_corners is for mode='bilinear'"),
        (lambda: tt.upsample(IMAGE, scale_factor=0.1), r"would leave no pixel of \(2, 3, 5, 5\): \[0, 0\]"),
        (lambda: tt.dropout2d(IMAGE, 1.5), r"dropout2d needs 0 <= p <= 1, got 1.5"),
        (lambda: tt.Dropout2d(-1), r"Dropout2d needs 0 <= p <= 1, got -1"),
        (lambda: tt.Conv1d(3, 4, 3, groups=2), r"Conv1d needs channels of at least 1 that groups divide"),
        (lambda: tt.ConvTranspose2d(3, 4, 3, stride=0), r"at least 1"),
    ],
)
def test_an_error_says_what_was_needed(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
