"""The first difference between two results, in words."""

from typing import Any

import numpy as np
import pytest

from tt_course.compare import difference
from tt_course.values import Other

SAME: list[Any] = [
    np.array([1.0, np.nan, np.inf]),
    np.empty((0, 2)),
    np.array(["a"]),
    np.array(True),
    1,
    2.5,
    float("nan"),
    "text",
    None,
    True,
    Other("Linear"),
]


@pytest.mark.parametrize("value", SAME, ids=repr)
def test_equal_values_have_no_difference(value: Any) -> None:
    assert difference({"x": value}, {"x": value}) is None


@pytest.mark.parametrize(
    ("yours", "expected", "what"),
    [
        (np.zeros(2), np.zeros(3), "has shape (2,), expected (3,)"),
        (np.zeros(2), np.zeros(2, np.float32), "has element type float64, expected float32"),
        (3.0, np.zeros(2), "is 3.0, expected an array of float64 and shape (2,)"),
        (np.zeros(2), 3.0, "is an array of float64 and shape (2,), expected 3.0"),
        (np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]]), "[0, 1] is 2, expected 3 (1 of 2 elements differ)"),
        (np.array(1.0), np.array(2.0), "is 1, expected 2"),
        (np.array([1, 2]), np.array([2, 2]), "[0] is 1, expected 2 (1 of 2 elements differ)"),
        (np.array([np.nan]), np.array([1.0]), "[0] is nan, expected 1"),
        (1.0, 1.1, "is 1.0, expected 1.1"),
        (True, 1, "is True, expected 1"),
        ("a", "b", "is 'a', expected 'b'"),
        (None, 1, "is None, expected 1"),
        (Other("NoneType"), "a", "is <NoneType>, expected 'a'"),
    ],
)
def test_a_difference_says_where_and_what(yours: Any, expected: Any, what: str) -> None:
    found = difference({"x": yours}, {"x": expected})
    assert found is not None
    assert (found.name, found.what) == ("x", what)


def test_small_differences_are_none_and_tolerances_are_the_cases() -> None:
    yours, expected = {"x": np.array([1.0])}, {"x": np.array([1.001])}
    assert difference(yours, expected) is not None
    assert difference(yours, expected, rtol=1e-2) is None
    assert difference({"x": 1.0}, {"x": 1.000001}) is None


def test_missing_and_further_values_are_named_the_first_difference_first() -> None:
    assert difference({}, {"x": 1})._asdict() == {"name": "x", "yours": None, "expected": 1, "what": "is missing"}  # type: ignore[union-attr]
    found = difference({"x": 1, "y": 2}, {"x": 1})
    assert found is not None
    assert (found.name, found.what) == ("y", "is not expected at all")
    found = difference({"b": 0, "a": 0}, {"a": 1, "b": 1})
    assert found is not None
    assert found.name == "a"
