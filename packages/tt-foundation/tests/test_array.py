# ruff: noqa: E501 - a row of a table, or a line of a program in a string, is one line
"""The array library: values against NumPy, gradients of first and second order against differences."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import tt_foundation as tt
from tt_foundation.testing import check_gradients

rng = np.random.default_rng(0)
A, B, P = rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.uniform(0.3, 0.8, size=(3, 4))
C, V, Z = rng.normal(size=(2, 3, 3)), rng.normal(size=5), np.array([[1.5, 0.0, -2.0], [0.0, 3.0, 0.0], [1.0, 2.0, 3.0]])
I = np.array([[0, 2, 1], [1, 1, 0], [3, 0, 3]])  # noqa: E741


class Row(NamedTuple):
    """A function of ours, NumPy's, and where to try them."""

    ours: Callable[..., tt.Tensor]
    theirs: Callable[..., Any]
    inputs: tuple[Any, ...]
    order: int = 2


ROWS = {
    "square": Row(tt.square, np.square, (A,)),
    "reciprocal": Row(tt.reciprocal, np.reciprocal, (P,)),
    "expm1": Row(tt.expm1, np.expm1, (A,)),
    "log1p": Row(tt.log1p, np.log1p, (P,)),
    "log2": Row(tt.log2, np.log2, (P,)),
    "log10": Row(tt.log10, np.log10, (P,)),
    "sin": Row(tt.sin, np.sin, (A,)),
    "cos": Row(tt.cos, np.cos, (A,)),
    "tan": Row(tt.tan, np.tan, (P,)),
    "asin": Row(tt.asin, np.arcsin, (P,)),
    "acos": Row(tt.acos, np.arccos, (P,)),
    "atan": Row(tt.atan, np.arctan, (A,)),
    "atan2": Row(tt.atan2, np.arctan2, (A, B)),
    "sinh": Row(tt.sinh, np.sinh, (A,)),
    "cosh": Row(tt.cosh, np.cosh, (A,)),
    "asinh": Row(tt.asinh, np.arcsinh, (A,)),
    "acosh": Row(tt.acosh, np.arccosh, (P + 1,)),
    "atanh": Row(tt.atanh, np.arctanh, (P,)),
    "clip": Row(lambda x: tt.clip(x, -0.5, 0.5), lambda x: np.clip(x, -0.5, 0.5), (A,)),
    "clip by arrays": Row(lambda x, a: tt.clip(x, max=a), lambda x, a: np.minimum(x, a), (A, B)),
    "var": Row(lambda x: tt.var(x, axis=1, correction=1), lambda x: np.var(x, axis=1, ddof=1), (A,)),
    "std": Row(lambda x: tt.std(x, keepdims=True), lambda x: np.std(x, keepdims=True), (A,)),
    "logsumexp": Row(lambda x: tt.logsumexp(x, axis=0), lambda x: np.log(np.exp(x).sum(0)), (A,)),
    "prod": Row(tt.prod, np.prod, (P,)),
    "prod with zeros": Row(lambda x: tt.prod(x, axis=0), lambda x: np.prod(x, axis=0), (Z,)),
    "prod of a row with zeros": Row(lambda x: tt.prod(x, axis=1, keepdims=True), lambda x: x.prod(1, keepdims=True), (Z,)),
    "cumulative_sum": Row(lambda x: tt.cumulative_sum(x, axis=0), lambda x: np.cumsum(x, 0), (A,)),
    "cumulative_prod": Row(lambda x: tt.cumulative_prod(x, axis=1), lambda x: np.cumprod(x, 1), (P,)),
    "cumulative_prod with zeros": Row(lambda x: tt.cumulative_prod(x, axis=0), lambda x: np.cumprod(x, 0), (Z,)),
    "vecdot": Row(tt.vecdot, lambda x, y: (x * y).sum(-1), (A, B)),
    "outer": Row(tt.outer, np.outer, (V, V[:3])),
    "einsum ij,kj->ik": Row(lambda x, y: tt.einsum("ij,kj->ik", x, y), lambda x, y: x @ y.T, (A, B)),
    "einsum ...ij->...i": Row(lambda x: tt.einsum("...ij->...i", x), lambda x: x.sum(-1), (C,)),
    "einsum ii->i": Row(lambda x: tt.einsum("ii->i", x), np.diag, (Z,)),
    "einsum of three": Row(
        lambda x, y, z: tt.einsum("ij,jk,k->i", x, y, z), lambda x, y, z: x @ y @ z, (A, B.T.copy(), V[:3])
    ),
    "einsum implicit": Row(lambda x, y: tt.einsum("ij,jk", x, y), lambda x, y: x @ y, (A, B.T.copy())),
    "vector_norm": Row(lambda x: tt.vector_norm(x, axis=1), lambda x: np.linalg.norm(x, axis=1), (A,)),
    "vector_norm 3": Row(lambda x: tt.vector_norm(x, ord=3), lambda x: (np.abs(x) ** 3).sum() ** (1 / 3), (A,)),
    "vector_norm inf": Row(lambda x: tt.vector_norm(x, ord=np.inf), lambda x: np.abs(x).max(), (A,)),
    "matrix_norm": Row(tt.matrix_norm, lambda x: np.linalg.norm(x, axis=(-2, -1)), (C,)),
    "trace": Row(tt.trace, lambda x: np.trace(x, axis1=-2, axis2=-1), (C,)),
    "diagonal": Row(lambda x: tt.diagonal(x, offset=1), lambda x: np.diagonal(x, 1, -2, -1), (C,)),
    "tril": Row(lambda x: tt.tril(x, k=-1), lambda x: np.tril(x, -1), (C,)),
    "triu": Row(tt.triu, np.triu, (C,)),
    "matrix_transpose": Row(tt.matrix_transpose, lambda x: x.swapaxes(-1, -2), (C,)),
    "squeeze": Row(tt.squeeze, np.squeeze, (A[:, None],)),
    "expand_dims": Row(lambda x: tt.expand_dims(x, -1), lambda x: x[..., None], (A,)),
    "flatten": Row(lambda x: tt.flatten(x, 1), lambda x: x.reshape(2, -1), (C,)),
    "concat": Row(lambda x, y: tt.concat([x, y, x], axis=1), lambda x, y: np.concatenate([x, y, x], 1), (A, B)),
    "stack": Row(lambda x, y: tt.stack([x, y], axis=-1), lambda x, y: np.stack([x, y], -1), (A, B)),
    "unstack": Row(lambda x: tt.unstack(x, 1)[2], lambda x: x[:, 2], (A,)),
    "split": Row(lambda x: tt.split(x, 2, axis=1)[1], lambda x: np.split(x, 2, 1)[1], (A,)),
    "split at": Row(lambda x: tt.split(x, [1, 3], axis=1)[1], lambda x: x[:, 1:3], (A,)),
    "flip": Row(lambda x: tt.flip(x, axis=0), lambda x: x[::-1], (A,)),
    "roll": Row(lambda x: tt.roll(x, shift=2, axis=1), lambda x: np.roll(x, 2, 1), (A,)),
    "repeat": Row(lambda x: tt.repeat(x, 2, axis=1), lambda x: np.repeat(x, 2, 1), (A,)),
    "tile": Row(lambda x: tt.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), (A,)),
    "pad": Row(lambda x: tt.pad(x, [(1, 0), (2, 1)], constant=2), lambda x: np.pad(x, [(1, 0), (2, 1)], constant_values=2), (A,)),
    "pad reflect": Row(lambda x: tt.pad(x, [(1, 2), (2, 1)], mode="reflect"), lambda x: np.pad(x, [(1, 2), (2, 1)], "reflect"), (A,)),
    "pad edge": Row(lambda x: tt.pad(x, [(1, 2), (0, 0)], mode="edge"), lambda x: np.pad(x, [(1, 2), (0, 0)], "edge"), (A,)),
    "take": Row(lambda x: tt.take(x, I[0], axis=1), lambda x: np.take(x, I[0], 1), (A,)),
    "take_along_axis": Row(lambda x: tt.take_along_axis(x, I, axis=1), lambda x: np.take_along_axis(x, I, 1), (A,)),
    "sort": Row(lambda x: tt.sort(x, axis=0), lambda x: np.sort(x, 0), (A,)),
    "sort descending": Row(lambda x: tt.sort(x, descending=True), lambda x: -np.sort(-x), (A,)),
    "topk": Row(lambda x: tt.topk(x, 2).values, lambda x: -np.sort(-x)[:, :2], (A,)),
    "masked_fill": Row(lambda x: tt.masked_fill(x, A > 0, 5.0), lambda x: np.where(A > 0, 5.0, x), (A,)),
    "scatter_add": Row(
        lambda x: tt.scatter_add(x, index=(np.array([0, 0, 1]),), shape=(2, 4)),
        lambda x: np.stack([x[0] + x[1], x[2]]), (A,),
    ),
    "erf": Row(tt.erf, lambda x: np.vectorize(__import__("math").erf)(x), (A,)),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_value_is_numpys_and_gradients_are_derivatives(name: str) -> None:
    row = ROWS[name]
    out = row.ours(*map(tt.Tensor, row.inputs))
    np.testing.assert_allclose(out.data, row.theirs(*row.inputs), rtol=1e-10, atol=1e-12)
    assert out.dtype == np.float64
    check_gradients(row.ours, *row.inputs, order=row.order)


@pytest.mark.parametrize("name", ROWS)
def test_float32_stays_float32(name: str) -> None:
    row = ROWS[name]
    leaves = [tt.Tensor(x.astype(np.float32), requires_grad=True) for x in row.inputs]
    out = row.ours(*leaves)
    out.backward(np.ones(out.shape, np.float32))
    assert out.dtype == np.float32
    assert all(leaf.grad is not None and leaf.grad.dtype == np.float32 for leaf in leaves)


@pytest.mark.parametrize("op", [tt.round, tt.floor, tt.ceil, tt.trunc, tt.sign])
def test_steps_have_gradient_zero(op: Any) -> None:
    x = tt.Tensor([0.4, -1.6], requires_grad=True)
    op(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0]


def test_logic_and_counts_are_numpys() -> None:
    x, y = tt.Tensor([True, False, True]), tt.Tensor([True, True, False])
    assert tt.logical_and(x, y).tolist() == [True, False, False]
    assert tt.logical_or(x, y).tolist() == [True, True, True]
    assert tt.logical_xor(x, y).tolist() == [False, True, True]
    assert tt.any(x).item()
    assert not tt.all(x).item()
    assert tt.count_nonzero(x).item() == 2
    assert tt.isnan(tt.Tensor([np.nan, 1.0])).tolist() == [True, False]
    assert tt.argmin(tt.Tensor([3.0, 1.0])).item() == 1
    assert [i.tolist() for i in tt.nonzero(tt.Tensor([0.0, 2.0]))] == [[1]]


def test_creation_gives_shapes_types_and_seeded_draws() -> None:
    assert tt.zeros((2, 3)).dtype == np.float32
    assert tt.full((2,), 3).tolist() == [3, 3]
    assert tt.arange(3).dtype == np.int64
    assert tt.arange(0, 1, 0.5).tolist() == [0.0, 0.5]
    assert tt.linspace(0, 1, 3).tolist() == [0.0, 0.5, 1.0]
    assert tt.eye(2).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert tt.ones_like(tt.zeros(2)).tolist() == [1.0, 1.0]
    draws = [tt.normal((3,), rng=np.random.default_rng(7)).tolist() for _ in range(2)]
    assert draws[0] == draws[1]
    tt.manual_seed(1)
    first = tt.uniform((2,)).tolist(), tt.randint(0, 9, 4).tolist(), tt.permutation(5).tolist()
    tt.manual_seed(1)
    assert first == (tt.uniform((2,)).tolist(), tt.randint(0, 9, 4).tolist(), tt.permutation(5).tolist())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tt.clip(tt.zeros(2)), "clip needs min, max or both"),
        (lambda: tt.squeeze(tt.zeros((2, 3)), 0), "squeeze needs axes of size 1"),
        (lambda: tt.split(tt.zeros(5), 2), "split cannot cut an axis of size 5 into 2"),
        (lambda: tt.stack([tt.zeros(2), tt.zeros(3)]), "stack needs tensors of one shape"),
        (lambda: tt.einsum("ij,jk->ik", tt.zeros((2, 2))), "names 2 tensors, got 1"),
        (lambda: tt.outer(tt.zeros((2, 2)), tt.zeros(2)), "outer needs two vectors"),
        (lambda: tt.topk(tt.zeros(3), 4), "topk needs 0 <= k <= 3, got 4"),
        (lambda: tt.one_hot(np.array([3]), 3), "one_hot of 3 classes got indices from 3 to 3"),
        (lambda: tt.pad(tt.zeros(3), [(1, 1), (0, 0)]), "pad needs a pair of widths"),
        (lambda: tt.take_along_axis(tt.zeros((2, 2)), np.array([0])), "indices need as many axes"),
    ],
)
def test_a_wrong_call_says_what_is_needed(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_empty_and_0d_arrays_pass() -> None:
    empty = tt.Tensor(np.zeros((0, 3)), requires_grad=True)
    tt.concat([tt.cumulative_sum(empty, axis=0), tt.square(empty)]).sum().backward()
    assert empty.grad is not None
    assert empty.grad.shape == (0, 3)
    assert tt.prod(tt.zeros(0)).item() == 1
    assert tt.sin(tt.Tensor(0.0)).shape == ()
