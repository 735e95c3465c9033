"""Elementwise operations beyond those of module 01: each looks at one element at a time.

Every primitive here stands with its rules.
"""

from __future__ import annotations

import math

import numpy as np

from tt_foundation.primitive import Array, gradient, primitive
from tt_foundation.tensor import (
    Operand,
    Tensor,
    divide,
    exp,
    greater_equal,
    less_equal,
    sqrt,
    where,
)  # fmt: skip

__all__ = [
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "clip", "cos", "cosh", "erf", "expm1", "floor",
    "isfinite", "isinf", "isnan", "log1p", "log2", "log10", "logical_and", "logical_or", "logical_xor", "reciprocal",
    "round", "sign", "sin", "sinh", "square", "tan", "trunc",
]  # fmt: skip


@primitive
def square(x: Array) -> Array:
    """``x * x``: ``(*) -> (*)``."""
    return np.square(x)


@gradient(square, "x")
def square_wrt_x(g: Array, x: Array) -> Array:
    return g * 2 * x


@primitive
def reciprocal(x: Array) -> Array:
    """``1 / x``: ``(*) -> (*)``; infinite at 0."""
    with np.errstate(divide="ignore"):
        return np.divide(1, x)


@gradient(reciprocal, "x")
def reciprocal_wrt_x(g: Array, out: Array) -> Array:
    return -g * out * out


@primitive
def expm1(x: Array) -> Array:
    """``exp(x) - 1`` without its rounding near 0: ``(*) -> (*)``."""
    with np.errstate(over="ignore"):
        return np.expm1(x)


@gradient(expm1, "x")
def expm1_wrt_x(g: Array, out: Array) -> Array:
    return g * (out + 1)


@primitive
def log1p(x: Array) -> Array:
    """``log(1 + x)`` without its rounding near 0: ``(*) -> (*)``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log1p(x)


@gradient(log1p, "x")
def log1p_wrt_x(g: Array, x: Array) -> Array:
    return divide(g, 1 + x)


@primitive
def log2(x: Array) -> Array:
    """Logarithm to base 2: ``(*) -> (*)``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log2(x)


@gradient(log2, "x")
def log2_wrt_x(g: Array, x: Array) -> Array:
    return divide(g, x * math.log(2))


@primitive
def log10(x: Array) -> Array:
    """Logarithm to base 10: ``(*) -> (*)``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(x)


@gradient(log10, "x")
def log10_wrt_x(g: Array, x: Array) -> Array:
    return divide(g, x * math.log(10))


@primitive
def sin(x: Array) -> Array:
    """Sine of an angle in radians: ``(*) -> (*)``."""
    return np.sin(x)


@primitive
def cos(x: Array) -> Array:
    """Cosine of an angle in radians: ``(*) -> (*)``."""
    return np.cos(x)


@gradient(sin, "x")
def sin_wrt_x(g: Array, x: Array) -> Array:
    return g * cos(x)


@gradient(cos, "x")
def cos_wrt_x(g: Array, x: Array) -> Array:
    return -g * sin(x)


@primitive
def tan(x: Array) -> Array:
    """Tangent of an angle in radians: ``(*) -> (*)``."""
    return np.tan(x)


@gradient(tan, "x")
def tan_wrt_x(g: Array, out: Array) -> Array:
    return g * (1 + out * out)


@primitive
def asin(x: Array) -> Array:
    """Inverse sine, in radians: ``(*) -> (*)``; NaN outside [-1, 1]."""
    with np.errstate(invalid="ignore"):
        return np.arcsin(x)


@gradient(asin, "x")
def asin_wrt_x(g: Array, x: Array) -> Array:
    return divide(g, sqrt(1 - x * x))


@primitive
def acos(x: Array) -> Array:
    """Inverse cosine, in radians: ``(*) -> (*)``; NaN outside [-1, 1]."""
    with np.errstate(invalid="ignore"):
        return np.arccos(x)


@gradient(acos, "x")
def acos_wrt_x(g: Array, x: Array) -> Array:
    return divide(-g, sqrt(1 - x * x))


@primitive
def atan(x: Array) -> Array:
    """Inverse tangent, in radians: ``(*) -> (*)``."""
    return np.arctan(x)


@gradient(atan, "x")
def atan_wrt_x(g: Array, x: Array) -> Array:
    return divide(g, 1 + x * x)


@primitive
def atan2(x: Array, y: Array) -> Array:
    """Angle of the point ``(y, x)``, in radians, in the right quadrant: ``(*), (*) -> (*)`` with broadcasting."""
    return np.arctan2(x, y)


@gradient(atan2, "x")
def atan2_wrt_x(g: Array, x: Array, y: Array) -> Array:
    return divide(g * y, x * x + y * y)


@gradient(atan2, "y")
def atan2_wrt_y(g: Array, x: Array, y: Array) -> Array:
    return divide(-g * x, x * x + y * y)


@primitive
def sinh(x: Array) -> Array:
    """Hyperbolic sine: ``(*) -> (*)``."""
    with np.errstate(over="ignore"):
        return np.sinh(x)


@primitive
def cosh(x: Array) -> Array:
    """Hyperbolic cosine: ``(*) -> (*)``."""
    with np.errstate(over="ignore"):
        return np.cosh(x)


@gradient(sinh, "x")
def sinh_wrt_x(g: Array, x: Array) -> Array:
    return g * cosh(x)


@gradient(cosh, "x")
def cosh_wrt_x(g: Array, x: Array) -> Array:
    return g * sinh(x)


@primitive
def asinh(x: Array) -> Array:
    """Inverse hyperbolic sine: ``(*) -> (*)``."""
    return np.arcsinh(x)


@gradient(asinh, "x")
def asinh_wrt_x(g: Array, x: Array) -> Array:
    return divide(g, sqrt(x * x + 1))


@primitive
def acosh(x: Array) -> Array:
    """Inverse hyperbolic cosine: ``(*) -> (*)``; NaN below 1."""
    with np.errstate(invalid="ignore"):
        return np.arccosh(x)


@gradient(acosh, "x")
def acosh_wrt_x(g: Array, x: Array) -> Array:
    return divide(g, sqrt(x - 1) * sqrt(x + 1))


@primitive
def atanh(x: Array) -> Array:
    """Inverse hyperbolic tangent: ``(*) -> (*)``; NaN outside [-1, 1]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.arctanh(x)


@gradient(atanh, "x")
def atanh_wrt_x(g: Array, x: Array) -> Array:
    return divide(g, 1 - x * x)


_NEAR = [1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2,
         3.20937758913846947e3]  # fmt: skip
_NEAR_BELOW = [1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3]
_MIDDLE = [2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
           2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
           1.23033935479799725e3]  # fmt: skip
_MIDDLE_BELOW = [1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
                 3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3,
                 1.23033935480374942e3]  # fmt: skip
_FAR = [-1.63153871373020978e-2, -3.05326634961232344e-1, -3.60344899949804439e-1, -1.25781726111229246e-1,
        -1.60837851487422766e-2, -6.58749161529837803e-4]  # fmt: skip
_FAR_BELOW = [1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
              2.33520497626869185e-3]  # fmt: skip


@primitive
def erf(x: Array) -> Array:
    """Error function, twice the probability that a normal variable of variance 1/2 is in [0, x]: ``(*) -> (*)``.

    Quotients of polynomials on three intervals: Cody (1969), Rational Chebyshev Approximations for the Error Function.
    """
    x = np.asarray(x)
    a = np.minimum(np.abs(x.astype(np.float64)), 6.0)
    near = a * np.polyval(_NEAR, a * a) / np.polyval(_NEAR_BELOW, a * a)
    tail = np.exp(-a * a)
    middle = 1 - tail * np.polyval(_MIDDLE, a) / np.polyval(_MIDDLE_BELOW, a)
    z = 1 / np.maximum(a * a, 1.0)
    far = 1 - tail * np.sqrt(z) * (1 / math.sqrt(math.pi) + z * np.polyval(_FAR, z) / np.polyval(_FAR_BELOW, z))
    size = np.where(a <= 0.46875, near, np.where(a <= 4, middle, far))
    return np.copysign(size, x).astype(x.dtype if x.dtype.kind == "f" else np.float64)


@gradient(erf, "x")
def erf_wrt_x(g: Array, x: Array) -> Array:
    return g * (2 / math.sqrt(math.pi)) * exp(-x * x)


@primitive
def sign(x: Array) -> Array:
    """-1, 0 or 1: ``(*) -> (*)``; its gradient is zero."""
    return np.sign(x)


@primitive
def floor(x: Array) -> Array:
    """The largest whole number not above: ``(*) -> (*)``; its gradient is zero."""
    return np.floor(x)


@primitive
def ceil(x: Array) -> Array:
    """The smallest whole number not below: ``(*) -> (*)``; its gradient is zero."""
    return np.ceil(x)


@primitive
def round(x: Array) -> Array:
    """The nearest whole number, halves to even: ``(*) -> (*)``; its gradient is zero."""
    return np.round(x)


@primitive
def trunc(x: Array) -> Array:
    """The whole number towards zero: ``(*) -> (*)``; its gradient is zero."""
    return np.trunc(x)


def _zero(g: Array) -> Array:
    return g * 0


for _op in (sign, floor, ceil, round, trunc):
    gradient(_op, "x")(_zero)


@primitive
def logical_and(x: Array, y: Array) -> Array:
    """Whether both are true: ``(*), (*) -> (*)`` of booleans."""
    return np.logical_and(x, y)


@primitive
def logical_or(x: Array, y: Array) -> Array:
    """Whether one is true: ``(*), (*) -> (*)`` of booleans."""
    return np.logical_or(x, y)


@primitive
def logical_xor(x: Array, y: Array) -> Array:
    """Whether exactly one is true: ``(*), (*) -> (*)`` of booleans."""
    return np.logical_xor(x, y)


@primitive
def isnan(x: Array) -> Array:
    """Whether an element is not a number: ``(*) -> (*)`` of booleans."""
    return np.isnan(x)


@primitive
def isinf(x: Array) -> Array:
    """Whether an element is infinite: ``(*) -> (*)`` of booleans."""
    return np.isinf(x)


@primitive
def isfinite(x: Array) -> Array:
    """Whether an element is neither infinite nor NaN: ``(*) -> (*)`` of booleans."""
    return np.isfinite(x)


@primitive
def _clip(x: Array, low: Array, high: Array) -> Array:
    return np.clip(x, low, high)


def clip(x: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """Elements below ``min`` or above ``max`` brought there, with broadcasting: ``(*) -> (*)``.

    An element on a bound passes its gradient on.

    Raises:
        ValueError: neither bound is given.
    """
    if min is None and max is None:
        raise ValueError("clip needs min, max or both")
    return _clip(x, -math.inf if min is None else min, math.inf if max is None else max)


@gradient(_clip, "x")
def clip_wrt_x(g: Array, x: Array, low: Array, high: Array) -> Array:
    return g * greater_equal(x, low) * less_equal(x, high)


@gradient(_clip, "low")
def clip_wrt_low(g: Array, x: Array, low: Array) -> Array:
    return where(greater_equal(x, low), 0, g)


@gradient(_clip, "high")
def clip_wrt_high(g: Array, x: Array, high: Array) -> Array:
    return where(less_equal(x, high), 0, g)
