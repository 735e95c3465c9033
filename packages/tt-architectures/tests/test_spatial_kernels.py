"""Spatial kernels: the same as the bodies whatever the sizes, layouts and threads, and in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tt_architectures as tt
from tt_foundation import Tensor, check_kernel, num_threads, set_num_threads, sum, use_backend


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """That many threads."""
    before = num_threads()
    set_num_threads(request.param)
    yield request.param
    set_num_threads(before)


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((5, 3, 7, 6), (4, 3, 3, 3), {"padding": 1}),
    ((40, 16, 12, 12), (24, 16, 3, 3), {"padding": 1}),  # several images a block
    ((3, 24, 40, 37), (16, 24, 3, 3), {"padding": 1}),  # several blocks an image
    ((9, 16, 21, 20), (8, 16, 3, 3), {"padding": (1, 2), "stride": 2}),
    ((9, 16, 16, 16), (8, 16, 1, 1), {}),
    ((9, 16, 16, 16), (8, 16, 1, 1), {"stride": 2}),
    ((9, 16, 16, 16), (8, 16, 3, 3), {"padding": "same", "dilation": 2}),
    ((9, 4, 16, 16), (8, 4, 2, 2), {"padding": 3}),
    ((2, 8, 8, 8), (6, 4, 3, 3), {"groups": 2}),  # declined: the body answers
]


@pytest.mark.parametrize("layout", ["channels first", "channels last", "every second row"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("image", "weight", "options"), CONVOLUTIONS)
def test_convolutions_are_those_of_the_bodies(
    image: tuple[int, ...], weight: tuple[int, ...], options: dict[str, Any], dtype: Any, layout: str, threads: int
) -> None:
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=shape).astype(dtype) for shape in (image, weight, weight[:1]))
    if layout == "channels last":
        x = np.array(tt.channels_last(x))
    elif layout == "every second row":
        x = np.repeat(x, 2, axis=2)[:, :, ::2]
    check_kernel(tt.conv2d, "numpy", x, w, b, **options)
    check_kernel(tt.conv2d, "numpy", x, w, None, **options)


@pytest.mark.parametrize("layout", ["channels first", "channels last"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 3, 6, 7), (30, 32, 16, 16), (2, 16, 90, 70)])
@pytest.mark.parametrize(
    ("pool", "options"),
    [
        (tt.max_pool2d, {"kernel_size": 2}),
        (tt.max_pool2d, {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
        (tt.max_pool2d, {"kernel_size": (2, 3), "stride": 1, "dilation": (2, 1)}),
        (tt.avg_pool2d, {"kernel_size": 2}),
        (tt.avg_pool2d, {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
        (tt.avg_pool2d, {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "divisor_override": 2}),
    ],
)
def test_pools_are_those_of_the_bodies(
    pool: Any, options: dict[str, Any], shape: tuple[int, ...], dtype: Any, layout: str, threads: int
) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    check_kernel(pool, "numpy", np.array(tt.channels_last(x)) if layout == "channels last" else x, **options)


def test_a_convolution_gives_the_same_bits_every_time(threads: int) -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=shape).astype(np.float32) for shape in ((33, 16, 12, 12), (8, 16, 3, 3)))
    first: list[Any] = []
    for _ in range(3):
        tensors = [Tensor(a, requires_grad=True) for a in (x, w)]
        sum(tt.conv2d(*tensors, padding=1) ** 2).backward()
        gradients = [t.grad.data for t in tensors if t.grad is not None]
        first = first or gradients
        for a, b in zip(first, gradients, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_convolution_does_not_lay_out_what_every_window_sees() -> None:
    x, w = np.ones((16, 32, 32, 32), np.float32), np.ones((32, 32, 3, 3), np.float32)
    peaks = {}
    for backend in ("reference", "numpy"):
        with use_backend(backend):
            tensors = [Tensor(tt.channels_last(x), requires_grad=True), Tensor(w, requires_grad=True)]
            sum(tt.conv2d(*tensors, padding=1)).backward()
            tracemalloc.start()
            out = tt.conv2d(*tensors, padding=1)
            out.backward(np.ones(out.shape, np.float32))
            peaks[backend] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert peaks["reference"] > 9 * x.nbytes
    assert peaks["numpy"] < 6 * x.nbytes
