"""Activations: the functions that let a network bend (module 02).

A layer without one is a matrix; two layers without one are still a matrix. Everything here is elementwise or along
one axis, and right for any finite input, without a warning. Knows tensors and primitives; knows nothing of layers'
parameters or losses, nor how a gradient is worked out.

A ``@primitive`` is written in NumPy, and its rule stands in ``autograd``. A ``@fused`` function is written in
primitives alone, because its body runs on tensors too: its gradient is that of its body. So nothing inside one may be
infinite, not even where the result does not show it.
"""

from __future__ import annotations

import math

import numpy as np

from tt_foundation.array.elementwise import erf
from tt_foundation.module import Module
from tt_foundation.primitive import Array, fused, primitive
from tt_foundation.tensor import Tensor, exp, greater, log, max, maximum, minimum, sum, where

__all__ = [
    "ELU", "GELU", "SELU", "Hardswish", "LeakyReLU", "LogSoftmax", "Mish", "ReLU", "SiLU", "Sigmoid", "Softmax",
    "Softplus", "Tanh", "elu", "gelu", "hardswish", "leaky_relu", "log_softmax", "mish", "relu", "selu", "sigmoid",
    "silu", "softmax", "softplus", "tanh",
]  # fmt: skip


@primitive
def relu(x: Array) -> Array:
    """Rectified linear unit, ``max(x, 0)``: ``(*) -> (*)``.

    Nair and Hinton (2010), Rectified Linear Units Improve Restricted Boltzmann Machines.
    """
    return np.maximum(x, 0)


@primitive
def sigmoid(x: Array) -> Array:
    """Logistic function, ``1 / (1 + exp(-x))``: ``(*) -> (*)``, between 0 and 1.

    For ``x`` below 0 the same is ``exp(x) / (1 + exp(x))``: so ``exp`` need never see a positive number and overflow.
    """
    e = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1, e) / (1 + e)


@primitive
def tanh(x: Array) -> Array:
    """Hyperbolic tangent: ``(*) -> (*)``, between -1 and 1."""
    return np.tanh(x)


@primitive
def softplus(x: Array, *, beta: float = 1.0) -> Array:
    """A smooth :func:`relu`, ``log(1 + exp(beta x)) / beta``: ``(*) -> (*)``, finite for any finite ``x``."""
    return np.logaddexp(np.multiply(beta, x), 0) / beta


@fused
def leaky_relu(x: Tensor, *, negative_slope: float = 0.01) -> Tensor:
    """``x`` above 0 and ``negative_slope * x`` elsewhere, whatever the slope: ``(*) -> (*)``.

    Maas, Hannun and Ng (2013), Rectifier Nonlinearities Improve Neural Network Acoustic Models.
    """
    return where(greater(x, 0), x, negative_slope * x)


@fused
def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Exponential linear unit, ``x`` above 0 and ``alpha (exp(x) - 1)`` below: ``(*) -> (*)``.

    ``exp`` is taken of nothing above 0, where it could overflow.

    Clevert, Unterthiner and Hochreiter (2016), Fast and Accurate Deep Network Learning by Exponential Linear Units.
    """
    return where(greater(x, 0), x, alpha * (exp(minimum(x, 0)) - 1))


@fused
def selu(x: Tensor) -> Tensor:
    """Scaled :func:`elu` that keeps mean 0 and variance 1: ``(*) -> (*)``.

    ``1.0507009873554805 elu(x)`` with ``alpha = 1.6732632423543772``.

    Klambauer, Unterthiner, Mayr and Hochreiter (2017), Self-Normalizing Neural Networks.
    """
    return 1.0507009873554805 * elu(x, alpha=1.6732632423543772)


@fused
def silu(x: Tensor) -> Tensor:
    """``x sigmoid(x)``, also called swish: ``(*) -> (*)``.

    Elfwing, Uchibe and Doya (2018), Sigmoid-Weighted Linear Units for Neural Network Function Approximation.
    """
    return x * sigmoid(x)


@fused
def mish(x: Tensor) -> Tensor:
    """``x tanh(softplus(x))``: ``(*) -> (*)``.

    Misra (2019), Mish: A Self Regularized Non-Monotonic Activation Function.
    """
    return x * tanh(softplus(x))


@fused
def hardswish(x: Tensor) -> Tensor:
    """``x clip(x + 3, 0, 6) / 6``, a :func:`silu` of straight pieces: ``(*) -> (*)``.

    Howard et al. (2019), Searching for MobileNetV3.
    """
    return x * minimum(maximum(x + 3, 0), 6) / 6


@fused
def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    r"""``x`` times the probability that a normal variable is below it: ``(*) -> (*)``.

    ``approximate="none"`` uses the error function, ``"tanh"`` the formula that GPT-2 was trained with:

    .. math:: x \tfrac12 (1 + \mathrm{erf}(x \sqrt{1/2}))
        \quad\text{or}\quad x \tfrac12 (1 + \tanh(\sqrt{2/\pi} (x + 0.044715 x^3)))

    Hendrycks and Gimpel (2016), Gaussian Error Linear Units.

    Raises:
        ValueError: ``approximate`` is neither; the message names it.
    """
    if approximate == "none":
        return x * (0.5 * (1 + erf(x * math.sqrt(0.5))))
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    raise ValueError(f"gelu knows approximate='none' and 'tanh', got {approximate!r}")


@fused
def softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    r"""Probabilities from scores along ``axis``: ``(*) -> (*)``, summing to 1 there.

    .. math:: \mathrm{softmax}(x)_i = \exp(x_i - m) / \textstyle\sum_j \exp(x_j - m), \quad m = \max_j x_j

    Taking ``m`` out changes nothing on paper and keeps ``exp`` from overflowing.

    Raises:
        IndexError: ``x`` has no such axis (NumPy's AxisError, which is one).
    """
    e = exp(x - max(x, axis=axis, keepdims=True))
    return e / sum(e, axis=axis, keepdims=True)


@fused
def log_softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    r"""Logarithm of :func:`softmax`, finite also where a probability is too small for a float: ``(*) -> (*)``.

    .. math:: \log \mathrm{softmax}(x)_i = x_i - m - \log \textstyle\sum_j \exp(x_j - m), \quad m = \max_j x_j

    Raises:
        IndexError: ``x`` has no such axis (NumPy's AxisError, which is one).
    """
    z = x - max(x, axis=axis, keepdims=True)
    return z - log(sum(exp(z), axis=axis, keepdims=True))


class ReLU(Module[[Tensor], Tensor]):
    """:func:`relu` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return relu(x)


class LeakyReLU(Module[[Tensor], Tensor]):
    """:func:`leaky_relu` as a layer."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(x, negative_slope=self.negative_slope)


class ELU(Module[[Tensor], Tensor]):
    """:func:`elu` as a layer."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        return elu(x, alpha=self.alpha)


class SELU(Module[[Tensor], Tensor]):
    """:func:`selu` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return selu(x)


class GELU(Module[[Tensor], Tensor]):
    """:func:`gelu` as a layer."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return gelu(x, approximate=self.approximate)


class SiLU(Module[[Tensor], Tensor]):
    """:func:`silu` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return silu(x)


class Mish(Module[[Tensor], Tensor]):
    """:func:`mish` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return mish(x)


class Sigmoid(Module[[Tensor], Tensor]):
    """:func:`sigmoid` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return sigmoid(x)


class Tanh(Module[[Tensor], Tensor]):
    """:func:`tanh` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return tanh(x)


class Softplus(Module[[Tensor], Tensor]):
    """:func:`softplus` as a layer."""

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        return softplus(x, beta=self.beta)


class Hardswish(Module[[Tensor], Tensor]):
    """:func:`hardswish` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return hardswish(x)


class Softmax(Module[[Tensor], Tensor]):
    """:func:`softmax` as a layer."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return softmax(x, axis=self.axis)


class LogSoftmax(Module[[Tensor], Tensor]):
    """:func:`log_softmax` as a layer."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return log_softmax(x, axis=self.axis)
