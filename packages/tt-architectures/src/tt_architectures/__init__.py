"""TinyTorch's architectures: vision and language on top of ``tt_foundation``.

Every public name of every module is importable from here.
"""

from tt_architectures import normalization as _normalization
from tt_architectures import normalization_kernels as _normalization_kernels  # noqa: F401 - registers its kernels
from tt_architectures._version import __version__
from tt_architectures.normalization import *  # noqa: F403

__all__: list[str] = ["__version__"]
__all__ += _normalization.__all__
