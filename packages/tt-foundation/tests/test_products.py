"""Products of matrices against NumPy's, whatever their sizes and layout, with and without tiles and threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_foundation import products
from tt_foundation.layers import linear
from tt_foundation.machine import num_threads, set_num_threads
from tt_foundation.products import matrix_product
from tt_foundation.tensor import Tensor, matmul


@pytest.fixture(scope="module", autouse=True, params=[False, True], ids=["whole", "tiles"])
def small_bounds(request: pytest.FixtureRequest) -> Iterator[None]:
    """Bounds that small matrices reach, two threads, and a BLAS that packs or does not."""
    before = num_threads()
    set_num_threads(2)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"_UNPACKED": 512, "_ROWS": 16, "_COLUMNS": 8, "_FEW": 16, "_MANY": 48}.items():
            patch.setattr(products, name, value)
        patch.setattr(products, "PER_THREAD", 4000)
        patch.setattr(products, "_has_bound", lambda: request.param)
        yield
    set_num_threads(before)


def matrix(rng: np.random.Generator, rows: int, columns: int, layout: str, dtype: str) -> Any:
    if layout == "columns":
        return rng.normal(size=(columns, rows)).astype(dtype).T
    if layout == "part":
        return rng.normal(size=(rows, columns + 3)).astype(dtype)[:, 1 : columns + 1]
    return rng.normal(size=(rows, columns)).astype(dtype)


sizes = st.integers(1, 80)
layouts = st.sampled_from(["rows", "columns", "part"])


@given(sizes, sizes, sizes, layouts, layouts, st.sampled_from(["float32", "float64"]), st.booleans())
def test_a_product_is_numpys(m: int, k: int, n: int, x_lies: str, y_lies: str, dtype: str, is_given: bool) -> None:
    rng = np.random.default_rng(m * k * n)
    x, y = matrix(rng, m, k, x_lies, dtype), matrix(rng, k, n, y_lies, dtype)
    out = matrix(rng, m, n, "part", dtype) if is_given else None
    result = matrix_product(x, y, out)
    assert out is None or result is out
    assert result.dtype == dtype
    np.testing.assert_allclose(result, np.matmul(x, y), rtol=1e-4, atol=1e-4)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="mismatch"):
        matrix_product(np.ones((40, 40)), np.ones((30, 40)))
    with pytest.raises(ValueError, match=r"got \(40, 40\) @ \(30, 40\)"):
        matmul(np.ones((40, 40)), np.ones((30, 40)))


def test_rows_of_any_number_of_axes_times_a_matrix_are_one_product() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 40, 20)), rng.normal(size=(20, 30))
    np.testing.assert_allclose(matmul(Tensor(x), Tensor(y)).data, x @ y)


def test_an_empty_axis_between_gives_zeros() -> None:
    x = np.ones((2, 3, 0), "f")
    assert np.array_equal(matmul(x, np.ones((0, 4), "f")), np.zeros((2, 3, 4)))
    assert np.array_equal(linear(x, np.ones((4, 0), "f"), np.ones(4, "f")), np.ones((2, 3, 4)))
