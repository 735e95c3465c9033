"""Testing: is a gradient the derivative of what it says it is?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tt_foundation.autograd import backward, grad
from tt_foundation.primitive import Array, Primitive, use_backend
from tt_foundation.tensor import Tensor, sum

__all__ = ["check_gradients", "check_kernel"]


def check_gradients(
    function: Callable[..., Tensor],
    *inputs: Array | Tensor,
    order: int = 2,
    rng: np.random.Generator | None = None,
    eps: float = 1e-5,
    tolerance: float = 1e-5,
) -> None:
    """Compare gradients with central differences, in float64, along random directions.

    Args:
        function: takes as many tensors as there are inputs, gives one; smooth around them.
        inputs: floating-point arrays of any shape.
        order: 1 for gradients, 2 also for the gradients of gradients.
        rng: draws the directions.
        eps: the step of the differences.
        tolerance: the largest difference, relative to the size of what is compared (at least 1).

    Raises:
        AssertionError: one differs; the message says which order and argument, and both numbers.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    points = [np.array(x, np.float64) for x in inputs]
    weights = rng.normal(size=function(*map(Tensor, points)).shape)
    directions = [rng.normal(size=p.shape) for p in points]

    def value(arrays: Sequence[Array]) -> float:
        return float((function(*map(Tensor, arrays)).data * weights).sum())

    def slopes(arrays: Sequence[Array], create_graph: bool) -> tuple[list[Tensor], list[Tensor]]:
        leaves = [Tensor(a, requires_grad=True) for a in arrays]
        out = sum(function(*leaves) * weights)
        if not out.requires_grad:
            raise AssertionError("the function gave something that no gradient flows through")
        return leaves, grad(out, leaves, create_graph=create_graph)

    def slope(arrays: Sequence[Array]) -> float:
        _, gradients = slopes(arrays, False)
        return float(np.sum([(g.data**2).sum() for g in gradients]))

    _, first = slopes(points, False)
    _compare(1, value, points, directions, [g.data for g in first], eps, tolerance)
    if order > 1:
        leaves, gradients = slopes(points, True)
        total = sum(gradients[0] * gradients[0])
        for g in gradients[1:]:
            total = total + sum(g * g)
        second = grad(total, leaves) if total.requires_grad else [Tensor(np.zeros_like(p)) for p in points]
        _compare(2, slope, points, directions, [g.data for g in second], eps, tolerance)


def _compare(
    order: int,
    value: Callable[[Sequence[Array]], float],
    points: Sequence[Array],
    directions: Sequence[Array],
    gradients: Sequence[Array],
    eps: float,
    tolerance: float,
) -> None:
    """One argument at a time: the difference along its direction against the gradient's share."""
    for i, (point, direction, gradient) in enumerate(zip(points, directions, gradients, strict=True)):
        ends = [value([*points[:i], point + s * eps * direction, *points[i + 1 :]]) for s in (1, -1)]
        expected, got = (ends[0] - ends[1]) / (2 * eps), float((gradient * direction).sum())
        if not abs(got - expected) <= tolerance * max(1.0, abs(expected)):
            raise AssertionError(
                f"gradient of order {order} with respect to argument {i}: rules give {got:.10g}, "
                f"differences give {expected:.10g}"
            )


def check_kernel(op: Any, backend: str, *arrays: Array | None, **params: Any) -> None:
    """Compare a backend's output and gradients with the reference's, within the kernel's declared tolerance.

    Raises:
        AssertionError: they differ, or the backend has no kernel of ``op``.
    """
    assert isinstance(op, Primitive)
    if backend not in op.kernels:
        raise AssertionError(f"backend {backend} has no kernel of {op.name}")
    results = []
    for name in ("reference", backend):
        with use_backend(name):
            tensors = [None if a is None else Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
            out = op(*tensors, **params)
            backward(out, np.random.default_rng(0).normal(size=out.shape).astype(out.dtype))
            results.append([out.data, *(t.grad.data for t in tensors if t is not None and t.grad is not None)])
    for expected, got in zip(*results, strict=True):
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        np.testing.assert_allclose(got, expected, rtol=0, atol=op.kernels[backend].tolerance * scale)
        assert got.dtype == expected.dtype
