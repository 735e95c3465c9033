"""TinyTorch's architectures: vision and language on top of ``tt_foundation``.

Every public name of every module is importable from here.
"""

from tt_architectures._version import __version__

__all__: list[str] = ["__version__"]
