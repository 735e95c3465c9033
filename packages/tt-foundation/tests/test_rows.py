"""Rows: gradients of tables that cost what a batch touches."""

import copy
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_foundation import (
    SGD,
    Adam,
    Array,
    Rows,
    RowsGradient,
    SparseAdam,
    Tensor,
    anomaly_mode,
    clip_grad_norm,
    clip_grad_value,
    grad,
    gradient,
    no_grad,
    primitive,
    register_hook,
)


@primitive
def picked(table: Array, *, index: Array) -> Array:
    """Rows of a table."""
    return table[index]


@gradient(picked, "table")
def picked_wrt_table(g: Array, table_shape: tuple[int, ...], *, index: Array) -> Any:
    return Rows(index, g, table_shape[0])


INDEX = np.array([3, 1, 3, 0])


def table(dtype: Any = np.float64) -> Tensor:
    return Tensor(np.random.default_rng(0).normal(size=(5, 2)).astype(dtype), requires_grad=True)


def whole(index: Array, values: Array) -> Array:
    out = np.zeros((5, 2))
    np.add.at(out, index, values)
    return out


def of(tensor: Tensor) -> RowsGradient:
    assert isinstance(tensor.grad, RowsGradient)
    return tensor.grad


@given(st.lists(st.integers(0, 4), max_size=12))
def test_rows_are_summed_each_once_and_in_order(places: list[int]) -> None:
    index = np.array(places, np.int64)
    values = np.random.default_rng(1).normal(size=(len(index), 2))
    rows = Rows(index, values, 5)
    assert rows.shape == (5, 2)
    assert list(rows.summed().index) == sorted(set(places))
    for array in (rows.dense(), rows.summed().dense(), np.asarray(rows), rows.summed() + np.zeros((5, 2))):
        np.testing.assert_allclose(array, whole(index, values), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose((rows + rows).dense(), 2 * whole(index, values), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.ones((5, 2)) + rows, 1 + whole(index, values), rtol=1e-12, atol=1e-12)


def test_a_leaf_keeps_rows_until_somebody_looks_at_the_numbers() -> None:
    x = table(np.float32)
    g = np.arange(8, dtype=np.float32).reshape(4, 2)
    picked(x, index=INDEX).backward(g)
    kept = of(x)
    assert (kept.shape, kept.ndim, kept.size, kept.dtype) == ((5, 2), 2, 10, np.float32)
    assert kept.rows is not None
    assert kept.nbytes == kept.rows.nbytes < 60
    assert list(kept.rows.index) == [0, 1, 3]
    assert kept.tolist() == whole(INDEX, g).tolist()
    assert kept.rows is None
    assert (kept.shape, kept.dtype, kept.nbytes) == ((5, 2), np.float32, 40)
    kept *= 2
    assert kept.tolist() == (2 * whole(INDEX, g)).tolist()


def test_gradients_of_several_uses_and_several_walks_add_up() -> None:
    x, ones = table(), np.ones((4, 2))
    (picked(x, index=INDEX) + picked(x, index=INDEX[::-1])).backward(ones)
    assert of(x).rows is not None
    picked(x, index=INDEX).backward(ones)
    assert of(x).rows is not None
    np.testing.assert_allclose(of(x).data, 3 * whole(INDEX, ones))
    picked(x, index=INDEX).backward(ones)
    np.testing.assert_allclose(of(x).data, 4 * whole(INDEX, ones))
    (x * 1).sum().backward()
    np.testing.assert_allclose(of(x).data, 4 * whole(INDEX, ones) + 1)


@pytest.mark.parametrize("rows_first", [False, True])
def test_beside_a_whole_gradient_rows_become_whole(rows_first: bool) -> None:
    x = table()
    parts = [picked(x, index=INDEX).sum(), (x * 2).sum()]
    (parts[0] + parts[1] if rows_first else parts[1] + parts[0]).backward()
    assert type(x.grad) is Tensor
    np.testing.assert_allclose(x.grad.data, whole(INDEX, np.ones((4, 2))) + 2)


def test_grad_and_hooks_give_whole_arrays() -> None:
    x, ones = table(), np.ones((4, 2))
    (found,) = grad(picked(x, index=INDEX), [x], [ones])
    np.testing.assert_allclose(found.data, whole(INDEX, ones))
    seen: list[Tensor] = []
    remove = register_hook(x, lambda g: seen.append(g) or None)
    picked(x, index=INDEX).backward(ones)
    assert seen[0].tolist() == whole(INDEX, ones).tolist()
    assert of(x).rows is not None
    remove()
    x.grad = None
    register_hook(x, lambda g: g * 2)
    picked(x, index=INDEX).backward(ones)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, 2 * whole(INDEX, ones))  # type: ignore[unreachable]  # it is set again


def test_rows_are_a_leafs_own() -> None:
    x, g = table(), np.ones((1, 2))
    picked(x, index=INDEX[:1]).backward(g)
    clip_grad_value([x], 0.5)
    assert g.tolist() == [[1, 1]]


def test_anomaly_mode_sees_what_is_not_a_number_in_rows() -> None:
    @primitive
    def broken(table: Array) -> Array:
        return table[:1]

    @gradient(broken, "table")
    def broken_wrt_table(g: Array, table_shape: tuple[int, ...]) -> Any:
        return Rows(np.array([0]), g * np.nan, table_shape[0])

    with anomaly_mode(), pytest.raises(FloatingPointError, match="broken"):
        broken(table()).sum().backward()


@pytest.mark.parametrize("clip", [lambda p: clip_grad_norm(p, 0.5), lambda p: clip_grad_value(p, 0.5)])
def test_clipping_rows_is_clipping_the_whole(clip: Any) -> None:
    g = np.random.default_rng(2).normal(size=(4, 2))
    x, y = table(), table()
    picked(x, index=INDEX).backward(g)
    y.grad = Tensor(whole(INDEX, g))
    before, expected = clip([x]), clip([y])
    assert before == (expected if expected is None else pytest.approx(expected))
    assert of(x).rows is not None
    np.testing.assert_allclose(of(x).data, y.grad.data, rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: SGD(p, 0.1),
        lambda p: SGD(p, 0.1, momentum=0.9),
        lambda p: SGD(p, 0.1, weight_decay=0.1),
        lambda p: Adam(p, 0.1),
    ],
)
def test_every_optimizer_does_with_rows_what_it_does_with_the_whole(make: Any) -> None:
    x, y, beside = table(), table(), [Tensor(np.ones(3), requires_grad=True) for _ in range(2)]
    optimizers = [make([x, beside[0]]), make([beside[1], y])]
    rng = np.random.default_rng(3)
    for _ in range(4):
        index, g = rng.integers(0, 5, 4), rng.normal(size=(4, 2))
        for optimizer in optimizers:
            optimizer.zero_grad()
        picked(x, index=index).backward(g)
        y.grad = Tensor(whole(index, g))
        for b in beside:
            b.grad = Tensor(np.ones(3))
        for optimizer in optimizers:
            optimizer.step()
        np.testing.assert_allclose(x.data, y.data, rtol=1e-12)
        np.testing.assert_allclose(beside[0].data, beside[1].data, rtol=1e-12)


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1), lambda p: SparseAdam(p, 0.1)])
def test_a_step_costs_what_it_touches(make: Any) -> None:
    x = Tensor(np.zeros((200_000, 16), np.float32), requires_grad=True)
    optimizer = make([x])
    index = np.arange(0, 200_000, 20_000)

    def step() -> None:
        optimizer.zero_grad()
        picked(x, index=index).backward(np.ones((10, 16), np.float32))
        optimizer.step()

    step()
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
    assert optimizer.bytes_per_parameter()["gradient"] < 0.001


def test_rows_gradients_go_to_other_processes() -> None:
    x = table()
    picked(x, index=INDEX).sum().backward()
    for twin in (copy.deepcopy(of(x)), pickle.loads(pickle.dumps(of(x)))):
        assert twin.tolist() == of(x).tolist()


def test_writing_to_the_table_after_the_step_is_seen() -> None:
    x = table()
    out = (x * x).sum()
    picked(x, index=INDEX).sum().backward()
    with no_grad():
        SGD([x], 0.1).step()
    with pytest.raises(RuntimeError, match="written in place"):
        out.backward()


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one row of values for each index, got \(3, 2\) for \(4,\)"):
        Rows(INDEX, np.ones((3, 2)), 5)
    assert repr(Rows(INDEX, np.ones((4, 2)), 5)) == "Rows(4 of shape (5, 2))"
