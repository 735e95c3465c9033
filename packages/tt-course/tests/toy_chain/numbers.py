"""Numbers: the first module."""

import numpy as np

from toy_chain import settings

__all__ = ["Counter", "doubled", "halved", "noise", "total"]


def doubled(x):
    """Twice ``x``: ``(*) -> (*)``."""
    # Two is enough.
    return np.multiply(x, 2)


def halved(x):
    """Half of ``x``: ``(*) -> (*)``.

    Raises:
        ValueError: ``x`` has no element.
    """
    if np.size(x) == 0:
        raise ValueError(f"halved needs an element, got shape {np.shape(x)}")
    return np.divide(x, 2)  # the inverse of doubled


def total(x):
    """The sum of all elements: ``(*) -> ()``."""
    result = 0.0
    for element in np.ravel(x):
        result += float(element)
    return result


def noise(n):
    """``n`` normal numbers, one draw of that size from the tier's generator."""
    return settings.generator.normal(size=n)


class Counter:
    """Counts."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, n: int = 1) -> int:
        """Count ``n`` more; the count."""
        self.count += n
        return self.count
