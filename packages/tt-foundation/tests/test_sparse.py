"""Optimizers that take rows."""

import math

import numpy as np
import pytest

from tt_foundation import Rows, RowsGradient, SparseAdam, Tensor


def test_sparse_adam_moves_and_remembers_only_the_rows_that_have_a_gradient() -> None:
    start = np.random.default_rng(0).normal(size=(4, 2))
    x = Tensor(start.copy(), requires_grad=True)
    optimizer = SparseAdam([x], lr=0.1, betas=(0.8, 0.9), eps=1e-3)
    m, v, p = np.zeros((4, 2)), np.zeros((4, 2)), start.copy()
    for t, row in enumerate([1, 3, 1], 1):
        g = np.array([[0.5, -2.0]]) * t
        x.grad = RowsGradient(Rows(np.array([row]), g, 4))
        optimizer.step()
        m[row] = 0.8 * m[row] + 0.2 * g[0]
        v[row] = 0.9 * v[row] + 0.1 * g[0] ** 2
        p[row] -= 0.1 * math.sqrt(1 - 0.9**t) / (1 - 0.8**t) * m[row] / (np.sqrt(v[row]) + 1e-3)
        np.testing.assert_allclose(x.data, p, rtol=1e-12)
    assert np.array_equal(x.data[[0, 2]], start[[0, 2]])
    kept = optimizer.state[x]
    assert not kept["exp_avg"][[0, 2]].any()


def test_sparse_adam_takes_a_whole_gradient_as_that_of_every_row() -> None:
    g = np.random.default_rng(1).normal(size=(4, 2))
    both = [Tensor(np.ones((4, 2)), requires_grad=True) for _ in range(2)]
    optimizer = SparseAdam(both, lr=0.1)
    for _ in range(3):
        both[0].grad = RowsGradient(Rows(np.arange(4), g, 4))
        both[1].grad = Tensor(g.copy())
        optimizer.step()
    np.testing.assert_allclose(both[0].data, both[1].data, rtol=1e-12)


def test_sparse_adam_goes_on_from_its_state() -> None:
    def optimizers() -> tuple[Tensor, SparseAdam]:
        x = Tensor(np.ones((4, 2)), requires_grad=True)
        return x, SparseAdam([x], lr=0.1)

    (x, one), (y, two) = optimizers(), optimizers()
    x.grad = RowsGradient(Rows(np.array([2]), np.ones((1, 2)), 4))
    one.step()
    two.load_state_dict(one.state_dict())
    y.data[...] = x.data
    for p, optimizer in ((x, one), (y, two)):
        p.grad = RowsGradient(Rows(np.array([2, 0]), np.ones((2, 2)), 4))
        optimizer.step()
    assert np.array_equal(x.data, y.data)


def test_sparse_adam_refuses_options_out_of_range() -> None:
    with pytest.raises(ValueError, match="SparseAdam needs 0 <= betas < 1"):
        SparseAdam([Tensor(np.ones(2), requires_grad=True)], betas=(1.0, 0.9))
