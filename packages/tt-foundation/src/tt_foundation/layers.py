"""Layers: functions with parameters, and how to put them together (module 03).

A layer is a module whose ``forward`` takes a tensor and gives one, made by operations on it. Knows tensors,
activations and modules; knows nothing of losses or of how parameters learn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from tt_foundation.activations import ReLU, relu
from tt_foundation.module import Module, Parameter
from tt_foundation.primitive import fused, observers, wrote
from tt_foundation.random import default_rng
from tt_foundation.tensor import Tensor, matmul, multiply, reshape, swapaxes

__all__ = [
    "Dropout",
    "Flatten",
    "Identity",
    "Linear",
    "ModuleList",
    "Sequential",
    "dropout",
    "kaiming_normal",
    "kaiming_uniform",
    "linear",
    "orthogonal",
    "xavier_normal",
    "xavier_uniform",
]

Layer = Module[[Tensor], Tensor]


@fused
def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: Literal["none", "relu"] = "none"
) -> Tensor:
    """Affine map, ``x weight^T + bias``, perhaps with a relu of that: ``(..., in), (out, in), (out) -> (..., out)``.

    Raises:
        ValueError: the last axis of ``x`` is not ``in``, or the activation is unknown; the message names the shape of
            ``x``, or the activation.
    """
    if activation not in ("none", "relu"):
        raise ValueError(f"linear knows activation='none' and 'relu', got {activation!r}")
    out = matmul(x, swapaxes(weight))
    if bias is not None:
        out = out + bias
    return relu(out) if activation == "relu" else out


@fused
def dropout(x: Tensor, mask: Tensor, *, p: float) -> Tensor:
    """``x`` where the mask is true and 0 elsewhere, divided by the share ``1 - p`` that stays: ``(*), (*) -> (*)``.

    Where ``p`` is 1 nothing stays: all is 0.
    """
    return multiply(multiply(x, mask), 1 / (1 - p) if p < 1 else 0.0)


def _fans(weight: Tensor) -> tuple[int, int]:
    """How many inputs and outputs a weight of shape ``(out, in, ...)`` has.

    ``in`` and ``out``, each times the sizes of the further axes: a convolution's window, whose every place counts.

    Raises:
        ValueError: it has fewer than two axes; the message names its shape.
    """
    if weight.ndim < 2:
        raise ValueError(f"fans need a weight of two axes or more, got shape {weight.shape}")
    field = math.prod(weight.shape[2:])
    return weight.shape[1] * field, weight.shape[0] * field


def _fill(weight: Tensor, values: Any) -> None:
    """Write into the weight's memory, in its element type, and enter that in the log of writes."""
    weight.data[...] = values
    wrote(weight.data)


def xavier_uniform(weight: Tensor, *, gain: float = 1.0, rng: np.random.Generator | None = None) -> None:
    """Fill with uniform numbers of variance ``gain^2 2 / (in + out)``.

    Uniform within a bound has a third of its square as variance. The draw is one ``rng.uniform(-bound, bound, shape)``
    of the weight's shape.

    Glorot and Bengio (2010), Understanding the Difficulty of Training Deep Feedforward Neural Networks.
    """
    bound = gain * math.sqrt(6 / sum(_fans(weight)))
    _fill(weight, default_rng(rng).uniform(-bound, bound, weight.shape))


def xavier_normal(weight: Tensor, *, gain: float = 1.0, rng: np.random.Generator | None = None) -> None:
    """Fill with normal numbers of variance ``gain^2 2 / (in + out)``: one ``rng.normal(0, std, shape)``."""
    _fill(weight, default_rng(rng).normal(0, gain * math.sqrt(2 / sum(_fans(weight))), weight.shape))


def kaiming_uniform(weight: Tensor, *, gain: float = math.sqrt(2), rng: np.random.Generator | None = None) -> None:
    """Fill with uniform numbers of variance ``gain^2 / in``: one ``rng.uniform(-bound, bound, shape)``.

    A weight of no inputs counts as one of one.

    He, Zhang, Ren and Sun (2015), Delving Deep into Rectifiers.
    """
    bound = gain * math.sqrt(3 / max(_fans(weight)[0], 1))
    _fill(weight, default_rng(rng).uniform(-bound, bound, weight.shape))


def kaiming_normal(weight: Tensor, *, gain: float = math.sqrt(2), rng: np.random.Generator | None = None) -> None:
    """Fill with normal numbers of variance ``gain^2 / in``: one ``rng.normal(0, std, shape)``."""
    _fill(weight, default_rng(rng).normal(0, gain / math.sqrt(max(_fans(weight)[0], 1)), weight.shape))


def orthogonal(weight: Tensor, *, gain: float = 1.0, rng: np.random.Generator | None = None) -> None:
    """Fill with a matrix of orthonormal rows or columns, whichever are fewer, times ``gain``.

    Axes after the first are taken together. The draw is one ``rng.normal(size=(larger, smaller))`` of the two sizes;
    the matrix is Q of its QR decomposition, where R is the one whose diagonal is not negative, transposed if the
    weight is wider than high.

    Saxe, McClelland and Ganguli (2014), Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear Networks.
    """
    _fans(weight)
    rows, columns = weight.shape[0], math.prod(weight.shape[1:])
    q, r = np.linalg.qr(default_rng(rng).normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.where(np.diag(r) < 0, -1, 1)
    _fill(weight, gain * (q if rows >= columns else q.T).reshape(weight.shape))


class Linear(Layer):
    """:func:`linear` with a weight and bias that learn, drawn uniformly within ``1 / sqrt(in_features)``.

    The weight, ``(out_features, in_features)``, is :func:`kaiming_uniform` with a gain of ``1 / sqrt(3)``; then the
    bias, ``(out_features,)``, is one ``rng.uniform(-bound, bound, out_features)``. Both are a ``Parameter``; without
    one, ``bias`` is None.

    Args:
        in_features: the size of the last axis that comes in.
        out_features: the size of the last axis that goes out.
        bias: whether to add one.
        rng: draws the weight, then the bias.
        dtype: of the parameters.

    Raises:
        ValueError: a size below 1, the message names both; in the call: another last axis than ``in_features``, the
            message names that and the shape of ``x``.
        TypeError: in the call: another element type than the weight's; the message names both.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if in_features < 1 or out_features < 1:
            raise ValueError(f"Linear needs sizes of at least 1, got {in_features} -> {out_features}")
        self.in_features, self.out_features = in_features, out_features
        rng = default_rng(rng)
        # In memory (in, out): `x @ weight.T` then reads it row by row, about a fifth faster for small batches.
        self.weight = Parameter(np.empty((in_features, out_features), dtype).T)
        kaiming_uniform(self.weight, gain=1 / math.sqrt(3), rng=rng)
        bound = 1 / math.sqrt(in_features)
        self.bias = Parameter(rng.uniform(-bound, bound, out_features).astype(dtype)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return self.activated(x)

    def activated(self, x: Tensor, activation: Literal["none", "relu"] = "none") -> Tensor:
        """The layer followed by an activation, as one operation."""
        weight = self.weight
        if x.data.shape[-1:] != (self.in_features,):
            raise ValueError(f"{self} needs x.shape[-1] == {self.in_features}, got {x.shape}")
        if x.data.dtype != weight.data.dtype:
            raise TypeError(f"{self} takes {weight.dtype} weights and got a {x.dtype} input: x.astype({weight.dtype})?")
        return linear(x, weight, self.bias, activation=activation)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias is not None else ", bias=False")


class Dropout(Layer):
    """While training, zeroes each element with probability ``p`` and scales the rest to keep the mean.

    The mask of what stays is ``rng.random(x.shape) >= p``. When it does not train, or ``p`` is 0, it gives ``x`` itself
    and draws nothing.

    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), Dropout: A Simple Way to Prevent Neural
    Networks from Overfitting.

    Raises:
        ValueError: ``p`` is no probability; the message names it.
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout needs 0 <= p <= 1, got {p}")
        self.p = p
        self.rng = rng

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return dropout(x, default_rng(self.rng).random(x.shape) >= self.p, p=self.p)


class Flatten(Layer):
    """All axes after the first made one: ``(batch, ...) -> (batch, features)``; the batch may be empty."""

    def forward(self, x: Tensor) -> Tensor:
        return reshape(x, shape=(x.shape[0], math.prod(x.shape[1:])))


class Identity(Layer):
    """Gives what it got."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class ModuleList(Module[..., Any]):
    """A list of modules, for a model to run in its own way."""

    def __init__(self, modules: Iterable[Module[..., Any]] = ()) -> None:
        self.items = list(modules)

    def append(self, module: Module[..., Any]) -> None:
        """Add a module at the end."""
        self.items.append(module)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Module[..., Any]]:
        return iter(self.items)

    def __getitem__(self, index: int) -> Module[..., Any]:
        return self.items[index]


class Sequential(Layer):
    """Layers run one after another, given as a list or one by one; an index gives a layer, a slice a Sequential.

    A layer followed by a :class:`ReLU` runs as one operation, which changes nothing but the time, if its class has a
    method ``activated(x, activation)`` of its own, as :class:`Linear` has. All other layers, and all while somebody
    observes, are called one by one.

    Raises:
        TypeError: something among them is no module; the message names its type and its place, from 0.
    """

    def __init__(self, *layers: Layer | Iterable[Layer]) -> None:
        if len(layers) == 1 and not isinstance(layers[0], Module):
            layers = tuple(layers[0])
        self.layers: list[Layer] = []
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential takes layers, got a {type(layer).__name__} at place {i}")
            self.layers.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        is_watched = bool(observers())
        layers = self.layers
        at = 0
        while at < len(layers):
            layer = layers[at]
            is_before_relu = at + 1 < len(layers) and type(layers[at + 1]) is ReLU
            if is_before_relu and "activated" in vars(type(layer)) and not is_watched:
                x = layer.activated(x, "relu")  # type: ignore[attr-defined]  # it was just found there
                at += 2
            else:
                x = layer(x)
                at += 1
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Layer | Sequential:
        return Sequential(self.layers[index]) if isinstance(index, slice) else self.layers[index]
