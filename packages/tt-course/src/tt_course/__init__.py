"""The course engine: turns the source of an installed tier into exercises, checks and grades them.

Knows no tier by name: tiers announce themselves by the entry-point group ``tito.tiers``.
"""

from tt_course._version import __version__

__all__: list[str] = ["__version__"]
