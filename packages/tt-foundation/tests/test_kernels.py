"""Kernels of the numpy backend where they part from their primitive's body: large arrays, over threads."""

from typing import Any

import numpy as np
import pytest

from tt_foundation.layers import linear
from tt_foundation.machine import num_threads, set_num_threads
from tt_foundation.testing import check_kernel


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(300, 130), (5, 60, 130)])
@pytest.mark.parametrize("activation", ["none", "relu"])
def test_large_products_over_threads_are_linear(activation: Any, shape: tuple[int, ...], threads: int) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.normal(size=s).astype(np.float32) for s in (shape, (257, 130), (257,)))
    before = num_threads()
    set_num_threads(threads)
    try:
        for w in (weight, np.asfortranarray(weight)):
            check_kernel(linear, "numpy", x, w, bias, activation=activation)
            check_kernel(linear, "numpy", x, w, activation=activation)
    finally:
        set_num_threads(before)
