"""The public API as a stranger would use it, for mypy --strict: run by nobody, read by the type checker."""

from __future__ import annotations

import numpy as np

import tt_foundation as tt


class Residual(tt.Module[[tt.Tensor], tt.Tensor]):
    """A layer of the stranger's own."""

    def __init__(self, size: int) -> None:
        self.inner = tt.Sequential([tt.Linear(size, size), tt.ReLU()])
        self.scale = tt.Parameter(np.ones(size, np.float32))

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return x + self.inner(x) * self.scale


@tt.primitive
def cube(x: tt.Array) -> tt.Array:
    """``x ** 3``."""
    return np.power(x, 3)


@tt.gradient(cube, "x")
def cube_wrt_x(g: tt.Array, x: tt.Array) -> tt.Array:
    return g * 3 * x * x


@tt.fused
def scaled(
    x: tt.Tensor, weight: tt.Tensor | None = None, bias: tt.Tensor | None = None, *, by: float = 1.0
) -> tt.Tensor:
    """``by x weight + bias``, either of them left out."""
    out = x * by if weight is None else x * by * weight
    return out if bias is None else out + bias


@tt.kernel(scaled, "numpy")
def scaled_fast(
    x: tt.Array, weight: tt.Array | None = None, bias: tt.Array | None = None, *, by: float = 1.0
) -> object:
    """It declines."""
    return NotImplemented


def train(x: tt.Array, y: tt.Array) -> float:
    """A few epochs."""
    model = Residual(4)
    optimizer = tt.AdamW(model.parameters(), lr=0.01)
    loss: tt.Tensor = tt.zeros(())
    for batch in tt.batches(x, y, 8, np.random.default_rng(0)):
        output: tt.Tensor = model(batch.x)
        loss = tt.CrossEntropyLoss()(output, batch.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    total: float = loss.item()
    return total


def compute() -> tuple[tt.Tensor, tt.Array]:
    """Tensors stay tensors and arrays stay arrays."""
    t: tt.Tensor = tt.exp(tt.normal((2, 3))) @ tt.ones((3, 2))
    a: tt.Array = tt.exp(np.ones(3))
    t = cube(tt.sum(t, axis=0, keepdims=True))
    tt.sum(t, axes=0)  # type: ignore[call-overload]  # a misspelt keyword is an error
    with tt.no_grad(), tt.use_backend("reference"):
        t = scaled(t, None, tt.ones((3, 2)), by=2.0)
        t = tt.softmax(t, axis=-1) * 2
    return t, a
