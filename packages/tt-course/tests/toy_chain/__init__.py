"""A toy framework of three modules, for the tests of the course engine."""

from toy_chain import fast, fits, lines, numbers, settings
from toy_chain.fits import *  # noqa: F403
from toy_chain.lines import *  # noqa: F403
from toy_chain.numbers import *  # noqa: F403

__all__ = ["fast", "lines", "numbers", "settings"]
__all__ += fits.__all__
__all__ += lines.__all__
__all__ += numbers.__all__
