"""TinyTorch's architectures: vision and language on top of ``tt_foundation``.

Every public name of every module is importable from here.
"""

from tt_architectures import embeddings as _embeddings
from tt_architectures._version import __version__
from tt_architectures.embeddings import *  # noqa: F403

__all__: list[str] = ["__version__"]
__all__ += _embeddings.__all__
