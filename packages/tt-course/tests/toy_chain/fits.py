"""Fits: the third module, which needs lines."""

import numpy as np

from toy_chain.lines import Line
from toy_chain.numbers import total

__all__ = ["fitted"]


def fitted(x, y):
    """The line of least squares through points."""
    n = len(x)
    dx, dy = x - total(x) / n, y - total(y) / n
    slope = total(dx * dy) / total(np.square(dx))
    return Line(slope, total(y) / n - slope * total(x) / n)
