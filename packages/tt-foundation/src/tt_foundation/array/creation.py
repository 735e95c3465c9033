"""Creation: tensors from nothing, and from chance.

Elements are float32 unless ``dtype`` says otherwise. What draws takes ``rng``, or uses the process's generator.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tt_foundation.primitive import Array, Scalar
from tt_foundation.random import default_rng
from tt_foundation.tensor import Tensor

__all__ = [
    "arange", "eye", "full", "full_like", "linspace", "normal", "ones", "ones_like", "permutation", "randint",
    "uniform", "zeros", "zeros_like",
]  # fmt: skip

Shape = int | tuple[int, ...]


def zeros(shape: Shape, *, dtype: npt.DTypeLike = np.float32, requires_grad: bool = False) -> Tensor:
    """Zeros of a shape."""
    return Tensor(np.zeros(shape, dtype), requires_grad=requires_grad)


def ones(shape: Shape, *, dtype: npt.DTypeLike = np.float32, requires_grad: bool = False) -> Tensor:
    """Ones of a shape."""
    return Tensor(np.ones(shape, dtype), requires_grad=requires_grad)


def full(
    shape: Shape, fill_value: Scalar, *, dtype: npt.DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """One value everywhere; a Python number gives the type that ``Tensor(number)`` has."""
    kind = Tensor(fill_value).dtype if dtype is None else dtype
    return Tensor(np.full(shape, fill_value, kind), requires_grad=requires_grad)


def zeros_like(x: Tensor, *, dtype: npt.DTypeLike | None = None) -> Tensor:
    """Zeros in the shape and type of another tensor."""
    return Tensor(np.zeros_like(x.data, dtype=dtype))


def ones_like(x: Tensor, *, dtype: npt.DTypeLike | None = None) -> Tensor:
    """Ones in the shape and type of another tensor."""
    return Tensor(np.ones_like(x.data, dtype=dtype))


def full_like(x: Tensor, fill_value: Scalar, *, dtype: npt.DTypeLike | None = None) -> Tensor:
    """One value in the shape and type of another tensor."""
    return Tensor(np.full_like(x.data, fill_value, dtype=dtype))


def arange(start: float, stop: float | None = None, step: float = 1, *, dtype: npt.DTypeLike | None = None) -> Tensor:
    """Numbers from ``start`` (or 0) up to, not including, ``stop``: int64 for whole arguments, else float32."""
    array = np.arange(start, stop, step) if stop is not None else np.arange(0, start, step)
    return Tensor(array.astype(dtype or (np.float32 if array.dtype.kind == "f" else np.int64)))


def linspace(
    start: float, stop: float, num: int, *, endpoint: bool = True, dtype: npt.DTypeLike = np.float32
) -> Tensor:
    """``num`` numbers evenly spaced from ``start`` to ``stop``."""
    return Tensor(np.linspace(start, stop, num, endpoint=endpoint).astype(dtype))


def eye(n_rows: int, n_cols: int | None = None, *, k: int = 0, dtype: npt.DTypeLike = np.float32) -> Tensor:
    """Ones on diagonal ``k``, zeros elsewhere: ``(n_rows, n_cols)``, square by default."""
    return Tensor(np.eye(n_rows, n_cols, k, dtype))


def normal(
    shape: Shape,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    rng: np.random.Generator | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> Tensor:
    """Normally distributed numbers, by one ``rng.normal``."""
    return Tensor(np.asarray(default_rng(rng).normal(mean, std, shape)).astype(dtype))


def uniform(
    shape: Shape,
    *,
    low: float = 0.0,
    high: float = 1.0,
    rng: np.random.Generator | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> Tensor:
    """Uniformly distributed numbers in ``[low, high)``, by one ``rng.uniform``."""
    return Tensor(np.asarray(default_rng(rng).uniform(low, high, shape)).astype(dtype))


def randint(low: int, high: int, shape: Shape, *, rng: np.random.Generator | None = None) -> Tensor:
    """Whole numbers in ``[low, high)``, int64, by one ``rng.integers``."""
    values: Array = np.asarray(default_rng(rng).integers(low, high, shape))
    return Tensor(values)


def permutation(n: int, *, rng: np.random.Generator | None = None) -> Tensor:
    """The whole numbers below ``n`` in random order, int64: ``(n,)``."""
    return Tensor(default_rng(rng).permutation(n))
