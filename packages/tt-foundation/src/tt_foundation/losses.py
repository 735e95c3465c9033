"""Losses: one number for how wrong a prediction is (module 04).

All are composites of tensor operations; their gradients are those of their bodies, or of faster kernels: so nothing
inside one may be infinite, not even where the result does not show it. ``reduction`` is ``"mean"`` (over all elements),
``"sum"`` or ``"none"``. Knows tensors and activations; knows nothing of how parameters learn.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from tt_foundation.activations import log_softmax, softplus
from tt_foundation.module import Module
from tt_foundation.primitive import Array, fused
from tt_foundation.tensor import (
    Tensor,
    abs,
    divide,
    equal,
    exp,
    getitem,
    greater,
    less,
    log,
    maximum,
    mean,
    multiply,
    sum,
    where,
)  # fmt: skip

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "HingeLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss",
    "NLLLoss", "Reduction", "binary_cross_entropy", "binary_cross_entropy_with_logits", "class_cross_entropy",
    "cross_entropy", "hinge_loss", "huber_loss", "kl_div", "l1_loss", "mse_loss", "nll_loss",
]  # fmt: skip

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def _reduced(losses: Tensor, reduction: Reduction) -> Tensor:
    """The losses of all elements made one number, or left.

    Raises:
        ValueError: no such reduction; the message names it.
    """
    if reduction == "mean":
        return mean(losses)
    if reduction == "sum":
        return sum(losses)
    if reduction == "none":
        return losses
    raise ValueError(f"reduction is 'mean', 'sum' or 'none', got {reduction!r}")


def _check_shapes(name: str, x: Tensor, target: Tensor) -> None:
    """Refuse shapes that differ: they would broadcast, and the loss be that of pairs nobody meant.

    Raises:
        ValueError: they do; the message has the loss's name and both shapes.
    """
    if x.shape != target.shape:
        raise ValueError(f"{name} needs predictions and targets of one shape, got {x.shape} and {target.shape}")


def mse_loss(x: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Squared error, ``(x - target)^2``: ``(*), (*) -> ()``.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes("mse_loss", x, target)
    difference = x - target
    return _reduced(difference * difference, reduction)


def l1_loss(x: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Absolute error, ``|x - target|``: ``(*), (*) -> ()``.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes("l1_loss", x, target)
    return _reduced(abs(x - target), reduction)


def huber_loss(x: Tensor, target: Tensor, *, delta: float = 1.0, reduction: Reduction = "mean") -> Tensor:
    """Squared near 0 and absolute beyond ``delta``, so that outliers pull no harder: ``(*), (*) -> ()``.

    An error ``e = |x - target|`` costs ``e^2 / 2`` below ``delta``, and ``delta (e - delta / 2)`` from there on.

    Huber (1964), Robust Estimation of a Location Parameter.

    Raises:
        ValueError: the shapes differ, or ``delta`` is not positive; the message names them, or it.
    """
    _check_shapes("huber_loss", x, target)
    if delta <= 0:
        raise ValueError(f"huber_loss needs delta > 0, got {delta}")
    error = abs(x - target)
    return _reduced(where(less(error, delta), 0.5 * error * error, delta * (error - 0.5 * delta)), reduction)


def _ids(target: Any, classes: int, shape: tuple[int, ...], ignore_index: int, name: str) -> Array:
    """Class ids as an array, checked; ``shape`` is what theirs must be, ``name`` the loss that asks.

    Raises:
        TypeError: they are no integers; the message names their type and shape.
        ValueError: another shape, the message names both; or an id that is neither ``ignore_index`` nor a class, the
            message names the number of classes and the first such id.
    """
    ids = np.asarray(target.data if isinstance(target, Tensor) else target)
    if ids.dtype.kind not in "iu":
        probabilities = ", or probabilities of the shape of its scores" if name == "cross_entropy" else ""
        raise TypeError(f"{name} takes integer class ids{probabilities}, got {ids.dtype} of shape {ids.shape}")
    if ids.shape != shape:
        raise ValueError(f"{name} needs class ids of shape {shape}, got {ids.shape}")
    # Without a sign a negative number is larger than any class: one reduction finds all that is out of range.
    if ids.size and np.maximum.reduce(ids.astype(np.uintp, copy=False), axis=None) >= classes:
        wrong = (ids != ignore_index) & ((ids < 0) | (ids >= classes))
        if wrong.any():
            raise ValueError(f"{name} has {classes} classes, got class id {ids[wrong][0]}")
    return ids


def _check_class_weight(name: str, scores: Tensor, weight: Tensor | None) -> None:
    """Refuse a weight that is not one number for each class of ``scores``, ``(batch, classes, *)`` or ``(classes,)``.

    Raises:
        ValueError: it is not; the message names both shapes.
    """
    if weight is not None and weight.shape != (scores.shape[min(1, scores.ndim - 1)],):
        raise ValueError(f"{name} needs a weight for each class of {scores.shape}, got {weight.shape}")


def _at_class(scores: Tensor, ids: Any) -> Tensor:
    """The score of the class named by each id: ``(batch, classes, *), (batch, *) -> (batch, *)``."""
    places = [np.arange(n).reshape([-1 if i == j else 1 for j in range(ids.ndim)]) for i, n in enumerate(ids.shape)]
    return getitem(scores, index=(places[0], ids, *places[1:]))


@fused
def class_cross_entropy(
    logits: Tensor,
    ids: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """:func:`cross_entropy` of class ids that were checked: ``(batch, classes, *), (batch, *), (classes) -> ()``.

    With ``p`` the softmax of the logits over the classes and ``s`` the label smoothing, an example of class ``t`` costs

        ``(1 - s) weight[t] (-log p[t]) + s / classes sum_c weight[c] (-log p[c])``

    where every weight is 1 if none are given. One whose id is ``ignore_index`` costs 0. The mean is the sum over the
    sum of ``weight[t]`` of the examples that count; NaN where none does.
    """
    at = np.asarray(ids)
    keep = np.not_equal(at, ignore_index)
    safe = np.where(keep, at, 0)
    log_p = log_softmax(logits, axis=1)
    kept = keep.astype(log_p.dtype)
    share = kept if weight is None else multiply(getitem(weight, index=safe), kept)
    losses = -_at_class(log_p, safe) * share
    if label_smoothing:
        across = log_p if weight is None else log_p * _per_class(weight, log_p)
        even = -sum(across, axis=1) * kept
        losses = (1 - label_smoothing) * losses + (label_smoothing / log_p.shape[1]) * even
    return divide(sum(losses), sum(share)) if reduction == "mean" else _reduced(losses, reduction)


def _per_class(weight: Any, like: Tensor) -> Any:
    """Class weights, shaped to stand along axis 1 of something with the axes of ``like``."""
    return weight.reshape((1, -1) + (1,) * (len(like.shape) - 2))


def cross_entropy(
    logits: Tensor,
    target: Tensor | Array,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Minus the logarithm of the probability that the scores give to the right class: ``-log softmax(logits)[target]``.

    Args:
        logits: scores, ``(batch, classes, *)``, or ``(classes,)`` for one example.
        target: class ids ``(batch, *)``, or probabilities of the shape of ``logits``.
        weight: of each class, ``(classes,)``; the mean over class ids is then weighted (see
            :func:`class_cross_entropy`).
        ignore_index: the id of examples that do not count.
        label_smoothing: the share of the target that is spread evenly over all classes.

    With probabilities ``q``, smoothed where asked, an example costs ``sum_c weight[c] q[c] (-log p[c])``, and the mean
    is over the examples.

    Raises:
        ValueError: the logits are 0-d, shapes do not fit, an id is no class, or a share is outside 0 to 1; the message
            names what it is about.
        TypeError: the target is neither integers nor floats of the logits' shape.

    Szegedy et al. (2016), Rethinking the Inception Architecture (label smoothing).
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy needs 0 <= label_smoothing <= 1, got {label_smoothing}")
    if logits.ndim == 0:
        raise ValueError("cross_entropy needs logits of shape (batch, classes, ...), got a 0-d tensor")
    _check_class_weight("cross_entropy", logits, weight)
    if logits.ndim == 1:
        one = cross_entropy(
            logits.reshape(1, -1),
            target.reshape(1, *target.shape),
            weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            reduction=reduction,
        )
        return one.reshape(()) if reduction == "none" else one
    if target.dtype.kind == "f" and target.shape == logits.shape:
        classes = logits.shape[1]
        target = target * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else target
        terms = log_softmax(logits, axis=1) * target
        losses = -sum(terms if weight is None else terms * _per_class(weight, logits), axis=1)
        return _reduced(losses, reduction)
    shape = (logits.shape[0], *logits.shape[2:])
    ids = _ids(target, logits.shape[1], shape, ignore_index, "cross_entropy")
    return class_cross_entropy(
        logits, ids, weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )


def nll_loss(
    log_p: Tensor,
    target: Tensor | Array,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """Minus the log-probability of the right class: ``(batch, classes, *), (batch, *) -> ()``.

    As :func:`class_cross_entropy` of the same weights, without label smoothing, for who has ``log p`` already.

    Raises:
        ValueError, TypeError: as :func:`cross_entropy`.
    """
    if log_p.ndim < 2:
        raise ValueError(f"nll_loss needs log-probabilities of shape (batch, classes, ...), got {log_p.shape}")
    _check_class_weight("nll_loss", log_p, weight)
    ids = _ids(target, log_p.shape[1], (log_p.shape[0], *log_p.shape[2:]), ignore_index, "nll_loss")
    keep = np.not_equal(ids, ignore_index)
    safe = np.where(keep, ids, 0)
    kept = Tensor(keep.astype(log_p.dtype))
    share = kept if weight is None else getitem(weight, index=safe) * kept
    losses = -_at_class(log_p, safe) * share
    return divide(sum(losses), sum(share)) if reduction == "mean" else _reduced(losses, reduction)


def _bounded_log(p: Tensor) -> Tensor:
    """The logarithm, -100 where it is less; its gradient at 0 is 0, not the NaN of ``0 / 0``.

    So the logarithm itself must never see a 0: hand it something harmless there.
    """
    is_positive = greater(p, 0)
    return where(is_positive, maximum(log(where(is_positive, p, 1.0)), -100.0), -100.0)


def binary_cross_entropy(
    p: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy of probabilities of a yes: ``(*), (*) -> ()``; logarithms are held above -100.

    ``-(target log p + (1 - target) log(1 - p))``, times ``weight`` where there is one.

    Raises:
        ValueError: the shapes differ, the message names both; or a probability is outside 0 to 1.
    """
    _check_shapes("binary_cross_entropy", p, target)
    if p.size and not (p.data.min() >= 0 and p.data.max() <= 1):
        raise ValueError("binary_cross_entropy needs probabilities in [0, 1]: for scores use the one with logits")
    losses = -(target * _bounded_log(p) + (1 - target) * _bounded_log(1 - p))
    return _reduced(losses if weight is None else losses * weight, reduction)


def binary_cross_entropy_with_logits(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    pos_weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy of the scores of a yes, stable for any score: ``(*), (*) -> ()``.

    The probability is ``sigmoid(x)``, and ``-log sigmoid(x)`` is ``softplus(-x)``. ``pos_weight`` multiplies the loss
    of the yeses, ``weight`` all of it.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes("binary_cross_entropy_with_logits", x, target)
    yes = target if pos_weight is None else target * pos_weight
    losses = yes * softplus(-x) + (1 - target) * softplus(x)
    return _reduced(losses if weight is None else losses * weight, reduction)


def kl_div(
    log_p: Tensor,
    target: Tensor,
    *,
    reduction: Reduction | Literal["batchmean"] = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence of the predicted from the target distribution: ``(*), (*) -> ()``.

    ``log_p`` holds log-probabilities, ``target`` probabilities (or logarithms too, with ``log_target``); an element
    costs ``target (log target - log_p)``, which is 0 where ``target`` is 0. ``"batchmean"`` is the mathematical one:
    the sum over the size of the first axis.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes("kl_div", log_p, target)
    if log_target:
        losses = exp(target) * (target - log_p)
    else:
        positive = where(equal(target, 0), 1.0, target)
        losses = target * (log(positive) - log_p)
    if reduction == "batchmean":
        return sum(losses) / log_p.shape[0]
    return _reduced(losses, reduction)


def hinge_loss(x: Tensor, target: Tensor, *, margin: float = 1.0, reduction: Reduction = "mean") -> Tensor:
    """``max(0, margin - target x)`` for targets of -1 and 1: ``(*), (*) -> ()``.

    Cortes and Vapnik (1995), Support-Vector Networks.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes("hinge_loss", x, target)
    return _reduced(maximum(margin - target * x, 0.0), reduction)


class _Loss(Module[[Tensor, Tensor], Tensor]):
    """A loss that keeps how it is reduced.

    Raises:
        ValueError: no such reduction; the message names it.
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is 'mean', 'sum' or 'none', got {reduction!r}")
        self.reduction: Reduction = reduction


class MSELoss(_Loss):
    """:func:`mse_loss` as a module."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return mse_loss(x, target, reduction=self.reduction)


class L1Loss(_Loss):
    """:func:`l1_loss` as a module."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return l1_loss(x, target, reduction=self.reduction)


class HuberLoss(_Loss):
    """:func:`huber_loss` as a module."""

    def __init__(self, reduction: Reduction = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return huber_loss(x, target, delta=self.delta, reduction=self.reduction)


class CrossEntropyLoss(_Loss):
    """:func:`cross_entropy` as a module."""

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.weight, self.ignore_index, self.label_smoothing = weight, ignore_index, label_smoothing

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(
            x,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
        )


class NLLLoss(_Loss):
    """:func:`nll_loss` as a module."""

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.weight, self.ignore_index = weight, ignore_index

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return nll_loss(x, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class BCELoss(_Loss):
    """:func:`binary_cross_entropy` as a module."""

    def __init__(self, weight: Tensor | None = None, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.weight = weight

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy(x, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """:func:`binary_cross_entropy_with_logits` as a module."""

    def __init__(
        self, weight: Tensor | None = None, reduction: Reduction = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__(reduction)
        self.weight, self.pos_weight = weight, pos_weight

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(
            x, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class KLDivLoss(Module[[Tensor, Tensor], Tensor]):
    """:func:`kl_div` as a module."""

    def __init__(self, reduction: Reduction | Literal["batchmean"] = "mean", log_target: bool = False) -> None:
        if reduction not in ("mean", "sum", "none", "batchmean"):
            raise ValueError(f"reduction is 'mean', 'batchmean', 'sum' or 'none', got {reduction!r}")
        self.reduction: Reduction | Literal["batchmean"] = reduction
        self.log_target = log_target

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return kl_div(x, target, reduction=self.reduction, log_target=self.log_target)


class HingeLoss(_Loss):
    """:func:`hinge_loss` as a module."""

    def __init__(self, margin: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return hinge_loss(x, target, margin=self.margin, reduction=self.reduction)
