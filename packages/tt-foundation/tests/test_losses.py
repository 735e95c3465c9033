"""Losses: values that can be checked by hand, the ends of the number line, and calls that are wrong."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tt_foundation import losses
from tt_foundation.autograd import grad
from tt_foundation.losses import (
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    MSELoss,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
)
from tt_foundation.primitive import Array, use_backend
from tt_foundation.tensor import Tensor
from tt_foundation.testing import check_gradients

BY_HAND = [
    (mse_loss, [1.0, 3.0], [0.0, 1.0], {}, 2.5),
    (l1_loss, [1.0, 3.0], [0.0, 1.0], {}, 1.5),
    (huber_loss, [0.5, 3.0], [0.0, 0.0], {}, (0.125 + 2.5) / 2),
    (huber_loss, [0.5, 3.0], [0.0, 0.0], {"delta": 2.0, "reduction": "sum"}, 0.125 + 4),
    (hinge_loss, [0.25, -2.0, 5.0], [1.0, 1.0, 1.0], {}, (0.75 + 3) / 3),
    (binary_cross_entropy, [0.5, 0.25], [1.0, 0.0], {}, (math.log(2) - math.log(0.75)) / 2),
    (binary_cross_entropy_with_logits, [0.0, 0.0], [1.0, 0.0], {}, math.log(2)),
    (kl_div, [math.log(0.5), math.log(0.5)], [1.0, 0.0], {"reduction": "sum"}, math.log(2)),
    (cross_entropy, [[0.0, 0.0], [0.0, 0.0]], [0, 1], {}, math.log(2)),
    (nll_loss, [[-1.0, -2.0], [-3.0, -4.0]], [0, 1], {}, 2.5),
    (nll_loss, [[-1.0, -2.0], [-3.0, -4.0]], [0, -100], {"reduction": "sum"}, 1.0),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("loss", "x", "target", "options", "expected"), BY_HAND)
def test_values_by_hand(
    loss: Callable[..., Tensor], x: Any, target: Any, options: dict[str, Any], expected: float, dtype: type
) -> None:
    wanted = np.asarray(target)
    out = loss(
        Tensor(np.asarray(x, dtype)), Tensor(wanted if wanted.dtype.kind == "i" else wanted.astype(dtype)), **options
    )
    assert out.dtype == dtype
    assert math.isclose(out.item(), expected, rel_tol=1e-6)


@pytest.mark.parametrize("loss", ["MSELoss", "L1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss", "KLDivLoss",
                                  "HingeLoss"])  # fmt: skip
def test_reductions_of_the_elementwise_losses(loss: str) -> None:
    rng = np.random.default_rng(0)
    x, target = Tensor(rng.uniform(0.1, 0.9, (3, 4))), Tensor(rng.uniform(0.1, 0.9, (3, 4)))
    make = getattr(losses, loss)
    each = make(reduction="none")(x, target)
    assert each.shape == (3, 4)
    assert math.isclose(make(reduction="sum")(x, target).item(), each.data.sum())
    assert math.isclose(make()(x, target).item(), each.data.mean())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_of_scores_far_apart_is_finite_with_finite_gradients(dtype: type) -> None:
    logits = Tensor(np.array([[1e4, -1e4, 0], [-1e4, 1e4, 0]], dtype), requires_grad=True)
    out = cross_entropy(logits, np.array([0, 0]), reduction="none")
    assert out.tolist() == [0, 2e4]
    assert grad(out.sum(), [logits])[0].tolist() == [[0, 0, 0], [-1, 1, 0]]


def test_binary_cross_entropy_with_logits_far_apart_is_finite_with_finite_gradients() -> None:
    x = Tensor(np.array([1e4, -1e4, 1e4], np.float32), requires_grad=True)
    out = binary_cross_entropy_with_logits(x, Tensor(np.array([1, 0, 0], np.float32)), reduction="none")
    assert out.tolist() == [0, 0, 1e4]
    assert grad(out.sum(), [x])[0].tolist() == [0, 0, 1]


def test_binary_cross_entropy_of_sure_probabilities_is_at_most_100_with_finite_gradients() -> None:
    p = Tensor(np.array([0.0, 1.0, 0.0, 1.0]), requires_grad=True)
    out = binary_cross_entropy(p, Tensor(np.array([0.0, 1.0, 1.0, 0.0])), reduction="none")
    assert out.tolist() == [0, 0, 100, 100]
    assert np.isfinite(grad(out.sum(), [p])[0].data).all()


@pytest.mark.parametrize("loss", [mse_loss, l1_loss, huber_loss, hinge_loss, binary_cross_entropy, kl_div])
def test_the_mean_over_nothing_is_nan(loss: Callable[..., Tensor]) -> None:
    empty = Tensor(np.zeros((0, 3), np.float32))
    assert math.isnan(loss(empty, empty).item())
    assert loss(empty, empty, reduction="sum").item() == 0
    assert loss(empty, empty, reduction="none").shape == (0, 3)


def test_cross_entropy_over_nothing_is_nan() -> None:
    logits = Tensor(np.zeros((0, 3), np.float32))
    ids: Array = np.zeros(0, np.int64)
    assert math.isnan(cross_entropy(logits, ids).item())
    assert math.isnan(cross_entropy(logits, logits).item())
    assert math.isnan(nll_loss(logits, ids).item())
    assert cross_entropy(logits, ids, reduction="sum").item() == 0
    assert math.isnan(cross_entropy(Tensor(np.zeros((2, 3))), np.array([-100, -100])).item())


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_class_ids_may_be_any_integers_in_arrays_or_tensors(dtype: type) -> None:
    logits = Tensor(np.random.default_rng(0).normal(size=(4, 3)))
    ids: Array = np.array([0, 1, 2, 1], dtype)
    assert cross_entropy(logits, ids).item() == cross_entropy(logits, Tensor(ids)).item()


def test_ids_and_their_one_hot_probabilities_agree() -> None:
    logits = Tensor(np.random.default_rng(0).normal(size=(4, 3)))
    ids = np.array([0, 2, 1, 1])
    for smoothing in (0.0, 0.2):
        by_id = cross_entropy(logits, ids, label_smoothing=smoothing)
        by_share = cross_entropy(logits, Tensor(np.eye(3)[ids]), label_smoothing=smoothing)
        assert math.isclose(by_id.item(), by_share.item())


def test_ignored_examples_get_no_gradient() -> None:
    logits = Tensor(np.random.default_rng(0).normal(size=(3, 4)), requires_grad=True)
    part = grad(cross_entropy(logits, np.array([1, -1, 2]), ignore_index=-1, label_smoothing=0.1), [logits])[0]
    assert not part.data[1].any()
    assert part.data[0].any()


SCORES = Tensor(np.zeros((2, 3), np.float32))
IDS = np.array([0, 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mse_loss(SCORES, SCORES[0]), ValueError, r"mse_loss needs .* one shape, got \(2, 3\) and \(3,\)"),
        (lambda: huber_loss(SCORES, SCORES, delta=0), ValueError, "delta > 0, got 0"),
        (lambda: cross_entropy(SCORES, np.array([0, 3])), ValueError, "cross_entropy has 3 classes, got class id 3"),
        (lambda: cross_entropy(SCORES, np.array([-1, 0])), ValueError, "got class id -1"),
        (lambda: cross_entropy(SCORES, np.array([0])), ValueError, r"class ids of shape \(2,\), got \(1,\)"),
        (lambda: cross_entropy(SCORES, np.zeros(2)), TypeError, "integer class ids, or probabilities .* got float64"),
        (lambda: cross_entropy(SCORES, IDS, Tensor([1.0])), ValueError, r"a weight for each class .* got \(1,\)"),
        (lambda: cross_entropy(SCORES, IDS, label_smoothing=2), ValueError, "label_smoothing <= 1, got 2"),
        (lambda: cross_entropy(SCORES, IDS, reduction="average"), ValueError, "got 'average'"),  # type: ignore[arg-type]
        (lambda: cross_entropy(Tensor(1.0), IDS), ValueError, "got a 0-d tensor"),
        (lambda: nll_loss(SCORES, np.array([9, 0])), ValueError, "nll_loss has 3 classes, got class id 9"),
        (lambda: nll_loss(SCORES, np.zeros(2)), TypeError, "nll_loss takes integer class ids, got float64"),
        (lambda: nll_loss(SCORES, IDS, Tensor([1.0])), ValueError, "a weight for each class"),
        (lambda: nll_loss(SCORES[0], IDS), ValueError, r"got \(3,\)"),
        (lambda: binary_cross_entropy(SCORES + 2, SCORES), ValueError, r"probabilities in \[0, 1\]"),
        (lambda: MSELoss("avg"), ValueError, "reduction is 'mean', 'sum' or 'none', got 'avg'"),  # type: ignore[arg-type]
        (lambda: KLDivLoss("avg"), ValueError, "'batchmean'.* got 'avg'"),  # type: ignore[arg-type]
        (lambda: mse_loss(SCORES, SCORES, reduction="avg"), ValueError, "got 'avg'"),  # type: ignore[arg-type]
    ],
)
def test_wrong_calls_say_what_is_wrong(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_classes_pass_their_options_on() -> None:
    rng = np.random.default_rng(0)
    logits, ids, weight = Tensor(rng.normal(size=(4, 3))), np.array([0, 1, 2, -1]), Tensor(rng.uniform(1, 2, 3))
    module = CrossEntropyLoss(weight, ignore_index=-1, reduction="sum", label_smoothing=0.1)
    expected = cross_entropy(logits, ids, weight, ignore_index=-1, reduction="sum", label_smoothing=0.1)
    assert module(logits, Tensor(ids)).item() == expected.item()
    assert HuberLoss(delta=2.0)(logits, logits + 3).item() == 4
    p = Tensor(rng.uniform(0.1, 1, (4, 3)))
    assert math.isclose(KLDivLoss("batchmean")(logits, p).item(), KLDivLoss("sum")(logits, p).item() / 4)
    assert repr(HuberLoss(delta=2.0)) == "HuberLoss(reduction='mean', delta=2.0)"


def test_kl_div_has_finite_gradients_where_the_target_is_zero() -> None:
    log_p, target = Tensor(np.array([-1.0, -2.0]), requires_grad=True), Tensor(np.array([0.0, 1.0]), requires_grad=True)
    parts = grad(kl_div(log_p, target, reduction="sum"), [log_p, target])
    assert parts[0].tolist() == [0, -1]
    assert parts[1].tolist() == [1, 3]


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}, {"ignore_index": 1}, {"reduction": "none"}])
def test_first_and_second_derivatives_of_cross_entropy_are_right(options: dict[str, Any], backend: str) -> None:
    rng = np.random.default_rng(0)
    logits, weight, ids = rng.normal(size=(4, 3, 2)), rng.uniform(1, 2, 3), rng.integers(0, 3, (4, 2))
    with use_backend(backend):
        check_gradients(lambda x: cross_entropy(x, ids, **options), logits)
        check_gradients(lambda x, w: cross_entropy(x, ids, w, **options), logits, weight)
