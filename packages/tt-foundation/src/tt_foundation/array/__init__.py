"""The rest of the array library, a file per family; names follow the Python array API standard."""

from tt_foundation.array import creation, elementwise, indexing, linalg, manipulation, reductions
from tt_foundation.array.creation import *  # noqa: F403
from tt_foundation.array.elementwise import *  # noqa: F403
from tt_foundation.array.indexing import *  # noqa: F403
from tt_foundation.array.linalg import *  # noqa: F403
from tt_foundation.array.manipulation import *  # noqa: F403
from tt_foundation.array.reductions import *  # noqa: F403

__all__: list[str] = []
__all__ += creation.__all__
__all__ += elementwise.__all__
__all__ += indexing.__all__
__all__ += linalg.__all__
__all__ += manipulation.__all__
__all__ += reductions.__all__
