"""Every operation against PyTorch: value, gradient and second gradient, float32 and float64.

A newcomer adds an operation by adding its row.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import tt_foundation as tt

F = torch.nn.functional
EVERY = [(3, 4), (2, 3, 4), (), (0, 3), (5,)]
PAIRS = [[(3, 4), (3, 4)], [(3, 4), (4,)], [(2, 1, 4), (3, 1)], [(), (3,)], [(0, 3), (3,)]]


class Row(NamedTuple):
    """Ours, PyTorch's, the shapes to try them on, and the range that inputs are drawn from."""

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    shapes: list[Any] = EVERY
    low: float = -2.0
    high: float = 2.0


def matrix(n: int) -> list[list[tuple[int, ...]]]:
    return [[(3, 3)] * n, [(2, 3, 3)] * n]


ROWS = {
    "add": Row(tt.add, torch.add, PAIRS),
    "subtract": Row(tt.subtract, torch.subtract, PAIRS),
    "multiply": Row(tt.multiply, torch.multiply, PAIRS),
    "divide": Row(tt.divide, torch.divide, PAIRS, 0.5, 2),
    "pow": Row(tt.pow, torch.pow, PAIRS, 0.5, 2),
    "pow 3": Row(lambda x: x**3, lambda x: x**3),
    "maximum": Row(tt.maximum, torch.maximum, PAIRS),
    "minimum": Row(tt.minimum, torch.minimum, PAIRS),
    "atan2": Row(tt.atan2, torch.atan2, PAIRS, 0.5, 2),
    "where": Row(lambda x, y: tt.where(x > y, x * 2, y), lambda x, y: torch.where(x > y, x * 2, y), PAIRS),
    "negative": Row(tt.negative, torch.negative),
    "abs": Row(tt.abs, torch.abs),
    "exp": Row(tt.exp, torch.exp),
    "expm1": Row(tt.expm1, torch.expm1),
    "log": Row(tt.log, torch.log, EVERY, 0.2, 3),
    "log1p": Row(tt.log1p, torch.log1p, EVERY, -0.5, 3),
    "log2": Row(tt.log2, torch.log2, EVERY, 0.2, 3),
    "log10": Row(tt.log10, torch.log10, EVERY, 0.2, 3),
    "sqrt": Row(tt.sqrt, torch.sqrt, EVERY, 0.2, 3),
    "square": Row(tt.square, torch.square),
    "reciprocal": Row(tt.reciprocal, torch.reciprocal, EVERY, 0.5, 2),
    "sin": Row(tt.sin, torch.sin),
    "cos": Row(tt.cos, torch.cos),
    "tan": Row(tt.tan, torch.tan, EVERY, -1, 1),
    "asin": Row(tt.asin, torch.asin, EVERY, -0.9, 0.9),
    "acos": Row(tt.acos, torch.acos, EVERY, -0.9, 0.9),
    "atan": Row(tt.atan, torch.atan),
    "sinh": Row(tt.sinh, torch.sinh),
    "cosh": Row(tt.cosh, torch.cosh),
    "tanh": Row(tt.tanh, torch.tanh),
    "asinh": Row(tt.asinh, torch.asinh),
    "acosh": Row(tt.acosh, torch.acosh, EVERY, 1.2, 3),
    "atanh": Row(tt.atanh, torch.atanh, EVERY, -0.9, 0.9),
    "erf": Row(tt.erf, torch.erf),
    "clip": Row(lambda x: tt.clip(x, -0.5, 1), lambda x: torch.clip(x, -0.5, 1)),
    "relu": Row(tt.relu, torch.relu),
    "leaky_relu": Row(lambda x: tt.leaky_relu(x, negative_slope=0.1), lambda x: F.leaky_relu(x, 0.1)),
    "elu": Row(lambda x: tt.elu(x, alpha=1.3), lambda x: F.elu(x, 1.3)),
    "selu": Row(tt.selu, F.selu),
    "gelu": Row(tt.gelu, F.gelu),
    "gelu tanh": Row(lambda x: tt.gelu(x, approximate="tanh"), lambda x: F.gelu(x, approximate="tanh")),
    "silu": Row(tt.silu, F.silu),
    "mish": Row(tt.mish, F.mish),
    "sigmoid": Row(tt.sigmoid, torch.sigmoid),
    "softplus": Row(lambda x: tt.softplus(x, beta=2), lambda x: F.softplus(x, 2)),
    "hardswish": Row(tt.hardswish, F.hardswish),
    "softmax": Row(tt.softmax, lambda x: torch.softmax(x, -1), [(3, 4), (2, 3, 4), (0, 3), (5,)]),
    "softmax axis 0": Row(lambda x: tt.softmax(x, axis=0), lambda x: torch.softmax(x, 0), [(3, 4), (2, 3, 4)]),
    "log_softmax": Row(tt.log_softmax, lambda x: torch.log_softmax(x, -1), [(3, 4), (2, 3, 4), (0, 3), (5,)]),
    "sum": Row(tt.sum, torch.sum),
    "sum axis": Row(lambda x: tt.sum(x, axis=0), lambda x: x.sum(0), [(3, 4), (2, 3, 4), (0, 3)]),
    "sum axes keepdims": Row(
        lambda x: tt.sum(x, axis=(0, -1), keepdims=True), lambda x: x.sum((0, -1), keepdim=True), [(3, 4), (2, 3, 4)]
    ),
    "mean": Row(tt.mean, torch.mean, [(3, 4), (), (5,)]),
    "mean axis": Row(lambda x: tt.mean(x, axis=-1), lambda x: x.mean(-1), [(3, 4), (0, 3)]),
    "max": Row(lambda x: tt.max(x, axis=0), lambda x: torch.amax(x, 0), [(3, 4), (2, 3, 4)]),
    "min": Row(
        lambda x: tt.min(x, axis=-1, keepdims=True), lambda x: torch.amin(x, -1, keepdim=True), [(3, 4), (2, 3, 4)]
    ),
    "var": Row(lambda x: tt.var(x, axis=0), lambda x: x.var(0, correction=0), [(3, 4), (2, 3, 4)]),
    "std": Row(lambda x: tt.std(x, axis=-1, correction=1), lambda x: x.std(-1), [(3, 4), (2, 3, 4)]),
    "logsumexp": Row(lambda x: tt.logsumexp(x, axis=-1), lambda x: x.logsumexp(-1), [(3, 4), (2, 3, 4), (0, 3)]),
    "prod": Row(lambda x: tt.prod(x, axis=0), lambda x: x.prod(0), [(3, 4), (2, 3, 4)]),
    "cumulative_sum": Row(lambda x: tt.cumulative_sum(x, axis=0), lambda x: x.cumsum(0), [(3, 4), (0, 3)]),
    "cumulative_prod": Row(lambda x: tt.cumulative_prod(x, axis=-1), lambda x: x.cumprod(-1), [(3, 4), (2, 3, 4)]),
    "matmul": Row(
        tt.matmul,
        torch.matmul,
        [
            [(2, 3), (3, 4)],
            [(3,), (3,)],
            [(3,), (3, 4)],
            [(2, 3), (3,)],
            [(5, 2, 3), (3, 4)],
            [(5, 2, 3), (5, 3, 4)],
            [(2, 1, 2, 3), (5, 3, 2)],
            [(0, 3), (3, 2)],
            [(5, 2, 3), (3,)],
            [(3,), (5, 3, 2)],
        ],
    ),
    "vecdot": Row(tt.vecdot, torch.linalg.vecdot, [[(3, 4), (3, 4)], [(3, 4), (4,)]]),
    "outer": Row(tt.outer, torch.outer, [[(3,), (4,)]]),
    "einsum": Row(
        lambda x, y: tt.einsum("bij,bjk->bik", x, y),
        lambda x, y: torch.einsum("bij,bjk->bik", x, y),
        [[(2, 3, 4), (2, 4, 5)]],
    ),
    "einsum trace": Row(
        lambda x: tt.einsum("...ii->...", x), lambda x: torch.einsum("...ii->...", x), [(3, 3), (2, 3, 3)]
    ),
    "vector_norm": Row(
        lambda x: tt.vector_norm(x, axis=-1), lambda x: torch.linalg.vector_norm(x, dim=-1), [(3, 4), (5,)]
    ),
    "matrix_norm": Row(tt.matrix_norm, torch.linalg.matrix_norm, [(3, 4), (2, 3, 4)]),
    "trace": Row(tt.trace, torch.trace, [(3, 3), (3, 4)]),
    "diagonal": Row(lambda x: tt.diagonal(x, offset=-1), lambda x: torch.diagonal(x, -1, -2, -1), [(3, 3), (2, 4, 3)]),
    "tril": Row(tt.tril, torch.tril, [(3, 3), (2, 3, 4)]),
    "triu": Row(lambda x: tt.triu(x, k=1), lambda x: torch.triu(x, 1), [(3, 3), (2, 3, 4)]),
    "reshape": Row(lambda x: x.reshape(-1), lambda x: x.reshape(-1)),
    "permute_dims": Row(lambda x: tt.permute_dims(x, axes=(2, 0, 1)), lambda x: x.permute(2, 0, 1), [(2, 3, 4)]),
    "swapaxes": Row(lambda x: tt.swapaxes(x), lambda x: x.transpose(-1, -2), [(3, 4), (2, 3, 4)]),
    "broadcast_to": Row(
        lambda x: tt.broadcast_to(x, shape=(2, 3, 4)), lambda x: torch.broadcast_to(x, (2, 3, 4)), [(4,), (3, 1), ()]
    ),
    "squeeze": Row(tt.squeeze, torch.squeeze, [(3, 1, 4), (1,)]),
    "expand_dims": Row(lambda x: tt.expand_dims(x, 1), lambda x: x.unsqueeze(1), [(3, 4), (5,)]),
    "concat": Row(
        lambda x, y: tt.concat([x, y], axis=-1),
        lambda x, y: torch.cat([x, y], -1),
        [[(3, 4), (3, 2)], [(3, 0), (3, 2)]],
    ),
    "stack": Row(
        lambda x, y: tt.stack([x, y], axis=1), lambda x, y: torch.stack([x, y], 1), [[(3, 4), (3, 4)], [(5,), (5,)]]
    ),
    "flip": Row(lambda x: tt.flip(x, axis=0), lambda x: x.flip(0), [(3, 4), (5,)]),
    "roll": Row(lambda x: tt.roll(x, shift=2, axis=-1), lambda x: x.roll(2, -1), [(3, 4), (5,)]),
    "repeat": Row(lambda x: tt.repeat(x, 3, axis=0), lambda x: x.repeat_interleave(3, 0), [(3, 4), (5,)]),
    "tile": Row(lambda x: tt.tile(x, (2, 3)), lambda x: x.tile((2, 3)), [(3, 4), (5,)]),
    "pad": Row(lambda x: tt.pad(x, [(1, 2), (0, 3)], constant=7), lambda x: F.pad(x, (0, 3, 1, 2), value=7), [(3, 4)]),
    "getitem slices": Row(lambda x: x[1:, ::2], lambda x: x[1:, ::2], [(3, 4), (2, 3, 4)]),
    "getitem integers": Row(lambda x: x[np.array([0, 2, 0])], lambda x: x[[0, 2, 0]], [(3, 4), (5,)]),
    "getitem mask": Row(lambda x: x[x > 0], lambda x: x[x > 0], [(3, 4), (5,)]),
    "take": Row(
        lambda x: tt.take(x, np.array([1, 1]), axis=-1),
        lambda x: x.index_select(-1, torch.tensor([1, 1])),
        [(3, 4), (5,)],
    ),
    "sort": Row(lambda x: tt.sort(x, axis=0), lambda x: x.sort(0).values, [(3, 4), (5,)]),
    "topk": Row(lambda x: tt.topk(x, 2).values, lambda x: x.topk(2).values, [(3, 4), (5,)]),
    "masked_fill": Row(lambda x: tt.masked_fill(x, x > 0, 3.0), lambda x: x.masked_fill(x > 0, 3.0)),
}


def cases() -> list[Any]:
    return [
        pytest.param(
            row,
            shapes if isinstance(shapes, list) else [shapes],
            dtype,
            strided,
            id=f"{name}-{shapes}-{dtype}{'-strided' if strided else ''}",
        )
        for name, row in ROWS.items()
        for shapes in row.shapes
        for dtype, strided in (("float64", False), ("float32", False), ("float64", True))
    ]


@pytest.mark.parametrize(("row", "shapes", "dtype", "strided"), cases())
def test_value_and_first_and_second_gradient_are_pytorchs(
    row: Row, shapes: list[tuple[int, ...]], dtype: str, strided: bool
) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(row.low, row.high, s).astype(dtype) for s in shapes]
    if strided:
        arrays = [np.asfortranarray(a) for a in arrays]
    ours = [tt.Tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    tolerance = 1e-9 if dtype == "float64" else 2e-4

    def close(a: Any, b: torch.Tensor) -> None:
        assert a.shape == tuple(b.shape)
        assert str(a.dtype) == dtype
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=tolerance, atol=tolerance)

    a, b = row.ours(*ours), row.theirs(*theirs)
    close(a, b)
    weights = rng.normal(size=a.shape).astype(dtype)
    first = tt.grad((a * weights * a).sum(), ours, create_graph=True)
    expected = torch.autograd.grad((b * torch.tensor(weights) * b).sum(), theirs, create_graph=True, allow_unused=True)
    for g, e, x in zip(first, expected, theirs, strict=True):
        close(g, torch.zeros_like(x) if e is None else e)
    total = first[0].sum() * 0.0
    other = torch.zeros((), dtype=b.dtype)
    for g, e in zip(first, expected, strict=True):
        total = total + (g * g).sum()
        other = other + (e * e).sum() if e is not None else other
    second = torch.autograd.grad(other, theirs, allow_unused=True) if other.requires_grad else [None] * len(theirs)
    for g, e, x in zip(tt.grad(total, ours) if total.requires_grad else first, second, theirs, strict=True):
        if total.requires_grad:
            close(g, torch.zeros_like(x) if e is None else e)


@pytest.mark.parametrize(
    "name",
    [
        "relu",
        "leaky_relu",
        "elu",
        "selu",
        "gelu",
        "gelu tanh",
        "silu",
        "mish",
        "sigmoid",
        "tanh",
        "softplus",
        "hardswish",
        "softmax",
        "log_softmax",
    ],
)
def test_activations_are_stable_at_ten_thousand(name: str) -> None:
    values = np.array([-1e4, -100.0, 0.5, 100.0, 1e4], np.float32)
    x, t = tt.Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    row = ROWS[name]
    y, z = row.ours(x), row.theirs(t)
    y.sum().backward()
    z.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(x.grad.data, t.grad.numpy(), rtol=1e-4, atol=1e-6)
    assert math.isfinite(float(np.abs(x.grad.data).max()))
