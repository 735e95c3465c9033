"""Optimizers: how a gradient becomes a better parameter (module 06).

Sorted by complexity, starting with gradient descent itself. Each method is a procedure, the formula of one step over
lists of arrays, and a class that says which arrays the method keeps between steps; the bookkeeping that all share
stands in ``optimizer``. Knows tensors and their ``grad``; knows nothing of models, losses or where gradients come from.

A step writes parameters and kept arrays in place and leaves the gradients alone; ``step`` counts from 1. Classes,
arguments and arithmetic are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tt_foundation.optimizer import Optimizer, Params
from tt_foundation.primitive import Array, procedure, wrote
from tt_foundation.rows import numbers
from tt_foundation.sparse import rest_after_rows
from tt_foundation.tensor import Tensor

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Muon",
    "RMSprop",
    "adagrad_step",
    "adam_step",
    "clip_grad_norm",
    "clip_grad_value",
    "lion_step",
    "muon_step",
    "orthogonalized",
    "rmsprop_step",
    "sgd_step",
]

Arrays = list[Array]


@procedure("params", "momentum_buffers")
def sgd_step(
    params: Arrays,
    grads: Arrays,
    momentum_buffers: list[Array | None],
    *,
    step: int,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
) -> None:
    r"""One step of gradient descent, with momentum where a buffer is kept (the first gradient is not dampened).

    .. math:: b \leftarrow \mu b + (1 - \tau) g, \qquad p \leftarrow p - \eta\, b

    Weight decay :math:`\lambda` first adds :math:`\lambda p` to the gradient. ``nesterov`` moves by
    :math:`g + \mu b`, with the new :math:`b`. Without a buffer the gradient itself is what moves.
    """
    for p, g, buffer in zip(params, grads, momentum_buffers, strict=True):
        g = g + weight_decay * p
        if buffer is not None:
            buffer[...] = momentum * buffer + (1 - dampening if step > 1 else 1) * g
            g = g + momentum * buffer if nesterov else buffer
        p -= lr * g


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

    Robbins and Monro (1951), A Stochastic Approximation Method; Polyak (1964), Some Methods of Speeding up the
    Convergence of Iteration Methods; Sutskever, Martens, Dahl and Hinton (2013), On the Importance of Initialization
    and Momentum in Deep Learning (``nesterov``).
    """

    rule = sgd_step
    keeps = {"momentum_buffer": "momentum"}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov
        )

    def _check(self, group: Mapping[str, Any]) -> None:
        """As every optimizer, and refuse ``nesterov`` without momentum or with dampening."""
        super()._check(group)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError("SGD needs momentum > 0 and dampening == 0 for nesterov")

    def _move(self, params: list[Tensor], step: int, options: dict[str, Any]) -> None:
        if not (options["momentum"] or options["weight_decay"]):  # with either, rows without a gradient move too
            params = rest_after_rows(params, lr=options["lr"])
        if params:
            super()._move(params, step, options)


@procedure("params", "sums")
def adagrad_step(
    params: Arrays,
    grads: Arrays,
    sums: Arrays,
    *,
    step: int,
    lr: float,
    lr_decay: float,
    weight_decay: float,
    initial_accumulator_value: float,
    eps: float,
) -> None:
    r"""One step of Adagrad: a parameter that has moved much moves less.

    .. math:: s \leftarrow s + g^2, \qquad p \leftarrow p - \eta\, g / (\sqrt{s} + \epsilon)

    Weight decay adds to the gradient, as in :func:`sgd_step`. The rate falls as :math:`\eta / (1 + (t - 1) d)`, with
    ``lr_decay`` :math:`d` and ``step`` :math:`t`.
    """
    lr = lr / (1 + (step - 1) * lr_decay)
    for p, g, total in zip(params, grads, sums, strict=True):
        g = g + weight_decay * p
        total += g * g
        p -= lr * g / (np.sqrt(total) + eps)


class Adagrad(Optimizer):
    """Gradient descent with a rate of its own for every number, falling with the squares of its gradients.

    Duchi, Hazan and Singer (2011), Adaptive Subgradient Methods for Online Learning and Stochastic Optimization.
    """

    rule = adagrad_step
    keeps = {"sum": None}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )

    def _zeros(self, name: str, params: list[Tensor], group: Mapping[str, Any]) -> list[Any]:
        sums = super()._zeros(name, params, group)
        for total in sums:
            if total is not None:
                total += group["initial_accumulator_value"]
        return sums


@procedure("params", "square_avgs", "grad_avgs", "momentum_buffers")
def rmsprop_step(
    params: Arrays,
    grads: Arrays,
    square_avgs: Arrays,
    grad_avgs: list[Array | None],
    momentum_buffers: list[Array | None],
    *,
    step: int,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
) -> None:
    r"""One step of RMSprop: Adagrad that forgets.

    .. math:: v \leftarrow \alpha v + (1 - \alpha) g^2, \qquad p \leftarrow p - \eta\, g / (\sqrt{v} + \epsilon)

    Weight decay adds to the gradient, as in :func:`sgd_step`. Where a mean is kept (``centered``), it runs like
    :math:`v`, and its square is taken from :math:`v` before the root: what is left is the gradient's variance. Where a
    buffer is kept, :math:`b \leftarrow \mu b + g / (\sqrt{v} + \epsilon)` is what :math:`\eta` multiplies.
    """
    for p, g, v, mean, buffer in zip(params, grads, square_avgs, grad_avgs, momentum_buffers, strict=True):
        g = g + weight_decay * p
        v[...] = alpha * v + (1 - alpha) * g * g
        variance = v
        if mean is not None:
            mean[...] = alpha * mean + (1 - alpha) * g
            variance = v - mean * mean
        update = g / (np.sqrt(variance) + eps)
        if buffer is not None:
            buffer[...] = momentum * buffer + update
            update = buffer
        p -= lr * update


class RMSprop(Optimizer):
    """Gradient descent divided by a running root mean square of the gradient.

    Tieleman and Hinton (2012), Lecture 6.5: Divide the Gradient by a Running Average of Its Recent Magnitude;
    Graves (2013), Generating Sequences with Recurrent Neural Networks (``centered``).
    """

    rule = rmsprop_step
    keeps = {"square_avg": None, "grad_avg": "centered", "momentum_buffer": "momentum"}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered
        )


@procedure("params", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs")
def adam_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    exp_avg_sqs: Arrays,
    max_exp_avg_sqs: list[Array | None],
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    amsgrad: bool,
    decoupled_weight_decay: bool,
) -> None:
    r"""One step of Adam: momentum over RMSprop, each divided by what its zero start took from it.

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        p \leftarrow p - \eta\, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Decoupled weight decay shrinks the parameter itself, :math:`p \leftarrow (1 - \eta\lambda) p`, before it moves,
    instead of adding :math:`\lambda p` to its gradient. With ``amsgrad`` the largest :math:`v` so far divides.
    """
    beta1, beta2 = betas
    for p, g, m, v, largest in zip(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, strict=True):
        if decoupled_weight_decay:
            p *= 1 - lr * weight_decay
        else:
            g = g + weight_decay * p
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g * g
        second = v
        if largest is not None:
            largest[...] = second = np.maximum(largest, v)
        p -= lr * (m / (1 - beta1**step)) / (np.sqrt(second / (1 - beta2**step)) + eps)


class Adam(Optimizer):
    """Gradient descent with estimates of the gradient's mean and mean square.

    Kingma and Ba (2015), Adam: A Method for Stochastic Optimization; Reddi, Kale and Kumar (2018), On the Convergence
    of Adam and Beyond (``amsgrad``).
    """

    rule = adam_step
    keeps = {"exp_avg": None, "exp_avg_sq": None, "max_exp_avg_sq": "amsgrad"}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            decoupled_weight_decay=decoupled_weight_decay,
        )


class AdamW(Adam):
    """:class:`Adam` with decoupled weight decay.

    Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, decoupled_weight_decay=True)


@procedure("params", "exp_avgs")
def lion_step(
    params: Arrays,
    grads: Arrays,
    exp_avgs: Arrays,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    weight_decay: float,
) -> None:
    r"""One step of Lion: every number moves by the same amount, only the sign is learned.

    .. math:: p \leftarrow (1 - \eta\lambda) p - \eta\, \mathrm{sign}(\beta_1 m + (1 - \beta_1) g), \quad
        m \leftarrow \beta_2 m + (1 - \beta_2) g
    """
    beta1, beta2 = betas
    for p, g, m in zip(params, grads, exp_avgs, strict=True):
        p *= 1 - lr * weight_decay
        p -= lr * np.sign(beta1 * m + (1 - beta1) * g)
        m[...] = beta2 * m + (1 - beta2) * g


class Lion(Optimizer):
    """The sign of a momentum, with decoupled weight decay; wants a rate 3 to 10 times smaller than AdamW's.

    Chen et al. (2023), Symbolic Discovery of Optimization Algorithms.
    """

    rule = lion_step
    keeps = {"exp_avg": None}

    def __init__(
        self, params: Params, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)


@procedure("params", "momentum_buffers")
def muon_step(
    params: Arrays,
    grads: Arrays,
    momentum_buffers: Arrays,
    *,
    step: int,
    lr: float,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
    ns_coefficients: tuple[float, float, float],
    eps: float,
    ns_steps: int,
    adjust_lr_fn: str | None,
) -> None:
    r"""One step of Muon over matrices: a momentum whose singular values are all made about 1.

    .. math:: b \leftarrow \mu b + (1 - \mu) g, \qquad p \leftarrow (1 - \eta\lambda) p - \eta' \mathrm{orth}(b)

    ``nesterov`` orthogonalizes :math:`\mu b + (1 - \mu) g`, with the new :math:`b`. For a matrix of shape ``(n, m)``
    the rate is :math:`\eta' = \eta \sqrt{\max(1, n / m)}`, or :math:`0.2\, \eta \sqrt{\max(n, m)}` with
    ``adjust_lr_fn="match_rms_adamw"``.
    """
    for p, g, buffer in zip(params, grads, momentum_buffers, strict=True):
        buffer[...] = momentum * buffer + (1 - momentum) * g
        update = momentum * buffer + (1 - momentum) * g if nesterov else buffer
        rows, columns = p.shape
        if adjust_lr_fn == "match_rms_adamw":
            adjusted = lr * 0.2 * max(rows, columns) ** 0.5
        else:
            adjusted = lr * max(1, rows / columns) ** 0.5
        p *= 1 - lr * weight_decay
        p -= adjusted * orthogonalized(update, coefficients=ns_coefficients, eps=eps, steps=ns_steps)


def orthogonalized(x: Array, *, coefficients: tuple[float, float, float], eps: float, steps: int) -> Array:
    r"""A matrix with ``x``'s singular vectors and singular values of about 1: ``(n, m) -> (n, m)``.

    Newton-Schulz: every step is :math:`x \leftarrow a x + b (x x^\top) x + c (x x^\top)^2 x`, a polynomial of the
    singular values alone. Before the first one the matrix is divided by its norm, or by ``eps`` if that is larger, so
    that no singular value is above 1. A tall matrix goes through transposed: its products are then the smaller ones.
    """
    a, b, c = coefficients
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x
    x = x / max(float(np.linalg.norm(x)), eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if is_tall else x


class Muon(Optimizer):
    """Momentum, orthogonalized: for the weight matrices of hidden layers; give all else to :class:`AdamW`.

    Jordan et al. (2024), Muon: An Optimizer for Hidden Layers in Neural Networks; Liu et al. (2025), Muon is Scalable
    for LLM Training (``adjust_lr_fn="match_rms_adamw"``). PyTorch's computes the iteration in bfloat16.

    Raises:
        ValueError: a parameter is no matrix; and as :class:`Optimizer`.
    """

    rule = muon_step
    keeps = {"momentum_buffer": None}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_coefficients=ns_coefficients,
            eps=eps,
            ns_steps=ns_steps,
            adjust_lr_fn=adjust_lr_fn,
        )

    def _check(self, group: Mapping[str, Any]) -> None:
        """As every optimizer, and refuse parameters that are no matrices and adjustments that do not exist.

        ``adjust_lr_fn`` is None, ``"original"`` or ``"match_rms_adamw"``; the first two are the same.
        """
        super()._check(group)
        for i, p in enumerate(group["params"]):
            if p.ndim != 2:
                raise ValueError(f"Muon optimizes matrices, got shape {p.shape} at place {i}: give it to AdamW")
        choices = (None, "original", "match_rms_adamw")
        if group["adjust_lr_fn"] not in choices:
            raise ValueError(f"Muon needs adjust_lr_fn of {choices}, got {group['adjust_lr_fn']!r}")


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients together so that their norm, as of one long vector, is at most ``max_norm``.

    Larger ones are multiplied by ``max_norm / (norm + 1e-6)``, in place; parameters without a gradient do not count.
    Returns the norm before.

    Pascanu, Mikolov and Bengio (2013), On the Difficulty of Training Recurrent Neural Networks.

    Raises:
        ValueError: ``max_norm`` is not positive.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_grad_norm needs max_norm > 0, got {max_norm}")
    grads = [numbers(p.grad) for p in params if p.grad is not None]
    norm = float(np.linalg.norm([np.linalg.norm(g) for g in grads]))
    if norm > max_norm:
        for g in grads:
            g *= max_norm / (norm + 1e-6)
            wrote(g)
    return norm


def clip_grad_value(params: Iterable[Tensor], clip_value: float) -> None:
    """Bring every number of every gradient into ``[-clip_value, clip_value]``.

    Raises:
        ValueError: ``clip_value`` is not positive.
    """
    if not clip_value > 0:
        raise ValueError(f"clip_grad_value needs clip_value > 0, got {clip_value}")
    for p in params:
        if p.grad is not None:
            g = numbers(p.grad)
            np.clip(g, -clip_value, clip_value, out=g)
            wrote(g)
