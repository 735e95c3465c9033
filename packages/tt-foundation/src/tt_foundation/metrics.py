"""Metrics: how good outputs are, as numbers to read (no gradients).

Everything takes tensors or arrays. Knows outputs and targets; knows nothing of models or training.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tt_foundation.primitive import Array
from tt_foundation.tensor import Tensor

__all__ = ["accuracy", "confusion_matrix", "perplexity", "top_k_accuracy"]


def accuracy(output: Tensor | Array, target: Tensor | Array) -> float:
    """The share of samples whose highest score is at the target: ``(..., classes), (...) -> float``; NaN for none.

    Raises:
        ValueError: the shapes do not fit.
    """
    return top_k_accuracy(output, target, 1)


def top_k_accuracy(output: Tensor | Array, target: Tensor | Array, k: int = 5) -> float:
    """The share of samples whose target has one of the ``k`` highest scores: ``(..., classes), (...) -> float``.

    Of equal scores those of the first classes count as higher. NaN for no samples.

    Raises:
        ValueError: the shapes do not fit, a target is no class, or ``k`` is not in 1..classes.
    """
    scores, classes = _array(output), _class_ids(target)
    if scores.ndim < 1 or scores.shape[:-1] != classes.shape:
        raise ValueError(f"accuracy needs output.shape[:-1] == target.shape, got {scores.shape} and {classes.shape}")
    count = scores.shape[-1]
    if not 1 <= k <= count:
        raise ValueError(f"top_k_accuracy needs 1 <= k <= {count} classes, got {k}")
    _check_range(classes, count)
    if not classes.size:
        return math.nan
    own = np.take_along_axis(scores, classes[..., None], axis=-1)
    is_before = np.arange(count) < classes[..., None]
    rank = (scores > own).sum(axis=-1) + ((scores == own) & is_before).sum(axis=-1)
    return float(((rank < k) & ~np.isnan(own[..., 0])).mean())


def confusion_matrix(output: Tensor | Array, target: Tensor | Array, num_classes: int | None = None) -> Array:
    """How often a target (row) was taken for a class (column): ``(n, classes) or (n,), (n,) -> (classes, classes)``.

    Args:
        output: scores, or the predicted classes themselves.
        target: the true classes.
        num_classes: how many there are; by default as many as scores, or one more than the largest.

    Raises:
        ValueError: the shapes do not fit, or there is a class outside ``0..num_classes - 1``.
    """
    predicted, true = _array(output), _class_ids(target)
    if predicted.ndim == true.ndim + 1:
        num_classes = predicted.shape[-1] if num_classes is None else num_classes
        predicted = predicted.argmax(axis=-1)
    predicted = _class_ids(predicted)
    if predicted.shape != true.shape:
        raise ValueError(f"confusion_matrix needs a prediction per target, got {predicted.shape} and {true.shape}")
    if num_classes is None:
        num_classes = int(max(predicted.max(initial=-1), true.max(initial=-1))) + 1
    _check_range(true, num_classes)
    _check_range(predicted, num_classes)
    flat = true.ravel() * num_classes + predicted.ravel()
    return np.bincount(flat, minlength=num_classes**2).reshape(num_classes, num_classes)


def perplexity(output: Tensor | Array, target: Tensor | Array) -> float:
    """``exp`` of the mean negative log-likelihood: ``(..., classes) logits, (...) -> float``; NaN for no samples.

    A model that is always as unsure as between n equally likely classes has perplexity n.

    Raises:
        ValueError: the shapes do not fit, or a target is no class.
    """
    logits, classes = _array(output).astype(np.float64), _class_ids(target)
    if logits.ndim < 1 or logits.shape[:-1] != classes.shape:
        raise ValueError(f"perplexity needs output.shape[:-1] == target.shape, got {logits.shape} and {classes.shape}")
    _check_range(classes, logits.shape[-1])
    if not classes.size:
        return math.nan
    logits = logits - logits.max(axis=-1, keepdims=True)
    own = np.take_along_axis(logits, classes[..., None], axis=-1)[..., 0]
    mean = float((np.log(np.exp(logits).sum(axis=-1)) - own).mean())
    return math.exp(mean) if mean < 709 else math.inf


def _array(x: Any) -> Array:
    return x.data if isinstance(x, Tensor) else np.asarray(x)


def _class_ids(x: Any) -> Array:
    """Classes as integers."""
    ids = _array(x)
    if ids.dtype.kind not in "iu":
        raise ValueError(f"targets need to be class ids, integers, got {ids.dtype}")
    return ids.astype(np.int64)


def _check_range(ids: Array, num_classes: int) -> None:
    if ids.size and not 0 <= ids.min() <= ids.max() < num_classes:
        raise ValueError(f"classes need to be in 0..{num_classes - 1}, got {ids.min()}..{ids.max()}")
