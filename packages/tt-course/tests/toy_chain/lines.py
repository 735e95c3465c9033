"""Lines: the second module, which needs numbers."""

from toy_chain.numbers import doubled, total

__all__ = ["Line", "steep"]


class Line:
    """A straight line."""

    def __init__(self, slope, offset):
        self.slope, self.offset = slope, offset

    def __call__(self, x):
        """Its height at ``x``."""
        return self.slope * x + self.offset


def steep(line):
    """A line of twice the slope and the same offset."""
    return Line(doubled(line.slope), line.offset)


def _sum_of_heights(line, x):
    return total(line(x))
