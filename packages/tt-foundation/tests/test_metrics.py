"""Metrics by hand and against scikit-learn's definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tt_foundation.metrics import accuracy, confusion_matrix, perplexity, top_k_accuracy
from tt_foundation.tensor import Tensor

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.9, 0.05, 0.05]])
TARGET = np.array([1, 1, 2, 2])


def test_accuracy_is_the_share_of_right_answers() -> None:
    assert accuracy(SCORES, TARGET) == 0.5
    assert accuracy(Tensor(SCORES), Tensor(TARGET)) == 0.5
    assert accuracy(SCORES.reshape(2, 2, 3), TARGET.reshape(2, 2)) == 0.5


def test_top_k_accuracy_grows_to_one() -> None:
    assert [top_k_accuracy(SCORES, TARGET, k) for k in (1, 2, 3)] == [0.5, 0.75, 1.0]


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=st.integers(-2, 2)))
def test_top_1_accuracy_takes_the_class_that_argmax_takes(scores: Any) -> None:
    target = np.arange(len(scores)) % scores.shape[1]
    assert accuracy(scores.astype(float), target) == pytest.approx((scores.argmax(axis=1) == target).mean())


def test_outputs_that_are_not_numbers_are_never_right() -> None:
    assert top_k_accuracy(np.full((4, 3), np.nan), TARGET, 3) == 0


def test_confusion_matrix_counts_rows_of_the_truth() -> None:
    expected = [[0, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert confusion_matrix(SCORES, TARGET).tolist() == expected
    assert confusion_matrix(SCORES.argmax(axis=1), Tensor(TARGET)).tolist() == expected
    assert confusion_matrix(SCORES, TARGET, num_classes=4).shape == (4, 4)
    assert confusion_matrix(np.array([], int), np.array([], int)).shape == (0, 0)


def test_perplexity_of_the_undecided_is_the_number_of_classes() -> None:
    assert perplexity(np.full((5, 7), 3.0), np.arange(5)) == pytest.approx(7)
    assert perplexity(np.zeros((2, 3, 4), np.float32), np.zeros((2, 3), int)) == pytest.approx(4)


def test_perplexity_of_large_logits_is_finite_or_infinite_as_it_should() -> None:
    assert perplexity(np.array([[1e4, 0.0]]), np.array([0])) == pytest.approx(1)
    assert perplexity(np.array([[1e4, 0.0]]), np.array([1])) == math.inf


def test_metrics_of_nothing_are_not_a_number() -> None:
    assert math.isnan(accuracy(np.zeros((0, 3)), np.zeros(0, int)))
    assert math.isnan(perplexity(np.zeros((0, 3)), np.zeros(0, int)))


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: accuracy(SCORES, TARGET[:2]), r"output.shape\[:-1\] == target.shape, got \(4, 3\) and \(2,\)"),
    (lambda: accuracy(SCORES, TARGET * 1.0), "class ids, integers, got float64"),
    (lambda: accuracy(SCORES, TARGET + 1), r"in 0\.\.2, got 2\.\.3"),
    (lambda: top_k_accuracy(SCORES, TARGET, 4), "1 <= k <= 3 classes, got 4"),
    (lambda: confusion_matrix(SCORES[:3], TARGET), "a prediction per target"),
    (lambda: confusion_matrix(SCORES, TARGET, num_classes=2), r"in 0\.\.1"),
    (lambda: confusion_matrix(TARGET - 2, TARGET), "classes need to be"),
    (lambda: perplexity(SCORES, TARGET - 2), "got -1"),
    (lambda: perplexity(SCORES, TARGET[None]), r"output.shape\[:-1\]"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_what_does_not_fit_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
