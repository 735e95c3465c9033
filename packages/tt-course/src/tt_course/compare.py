"""Comparing what a case returned with what the reference returned: the first difference, in words.

Knows values; knows nothing of who made them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tt_course.values import Array, Value, Values

__all__ = ["Difference", "difference"]


class Difference(NamedTuple):
    """Where two results part: the value's name, both values (None where there is none), and how they differ."""

    name: str
    yours: Value
    expected: Value
    what: str


def difference(yours: Values, expected: Values, *, rtol: float = 1e-5, atol: float = 1e-6) -> Difference | None:
    """The first value, in the order of ``expected``, that is not as expected; None where all are."""
    for name, value in expected.items():
        if name not in yours:
            return Difference(name, None, value, "is missing")
        what = _how(yours[name], value, rtol, atol)
        if what:
            return Difference(name, yours[name], value, what)
    for name, value in yours.items():
        if name not in expected:
            return Difference(name, value, None, "is not expected at all")
    return None


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _how(yours: Value, expected: Value, rtol: float, atol: float) -> str:
    """How a value differs from the expected one; empty where it does not."""
    if isinstance(expected, np.ndarray):
        if not isinstance(yours, np.ndarray):
            return f"is {_kind(yours)}, expected {_kind(expected)}"
        if yours.shape != expected.shape:
            return f"has shape {yours.shape}, expected {expected.shape}"
        if yours.dtype != expected.dtype:
            return f"has element type {yours.dtype}, expected {expected.dtype}"
        return _elements(yours, expected, rtol, atol)
    if _is_number(expected) and _is_number(yours):
        is_close = np.isclose(yours, expected, rtol, atol, equal_nan=True)  # type: ignore[arg-type]  # both numbers
        return "" if is_close else f"is {yours!r}, expected {expected!r}"
    if isinstance(yours, np.ndarray) or type(yours) is not type(expected) or yours != expected:
        return f"is {_kind(yours)}, expected {_kind(expected)}"
    return ""


def _elements(yours: Array, expected: Array, rtol: float, atol: float) -> str:
    if expected.dtype.kind in "fc":
        with np.errstate(all="ignore"):
            differs = ~np.isclose(yours, expected, rtol, atol, equal_nan=True)
    else:
        differs = np.asarray(yours != expected)
    count = int(differs.sum())
    if not count:
        return ""
    first = tuple(int(i) for i in np.unravel_index(int(differs.argmax()), differs.shape))
    where = f"[{', '.join(map(str, first))}]" if first else ""
    mine, theirs = _number(yours[first]), _number(expected[first])
    of = f" ({count} of {differs.size} elements differ)" if differs.size > 1 else ""
    return f"{where} is {mine}, expected {theirs}{of}".strip()


def _number(value: object) -> str:
    return f"{value:.7g}" if isinstance(value, float | np.floating) else str(value)


def _kind(value: Value) -> str:
    """A value in a few words: an array by its kind, the rest by itself."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and shape {value.shape}"
    return repr(value) if not isinstance(value, str) else repr(value[:200])
