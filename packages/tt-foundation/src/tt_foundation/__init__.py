"""TinyTorch's foundation: tensors, autograd, layers, losses, optimizers and training.

Every public name of every module is importable from here.
"""

from tt_foundation import activations as _activations
from tt_foundation import autograd as _autograd
from tt_foundation import callbacks as _callbacks
from tt_foundation import datasets as _datasets
from tt_foundation import debugging as _debugging
from tt_foundation import kernels as _kernels  # noqa: F401 - registers the numpy backend
from tt_foundation import layers as _layers
from tt_foundation import losses as _losses
from tt_foundation import machine as _machine
from tt_foundation import metrics as _metrics
from tt_foundation import module as _module
from tt_foundation import optim as _optim
from tt_foundation import optimizer as _optimizer
from tt_foundation import plots as _plots
from tt_foundation import primitive as _primitive
from tt_foundation import products as _products
from tt_foundation import random as _random
from tt_foundation import rows as _rows
from tt_foundation import schedules as _schedules
from tt_foundation import serialization as _serialization
from tt_foundation import sparse as _sparse
from tt_foundation import tensor as _tensor
from tt_foundation import testing as _testing
from tt_foundation import training as _training
from tt_foundation._version import __version__
from tt_foundation.activations import *  # noqa: F403
from tt_foundation.array import creation as _creation
from tt_foundation.array import elementwise as _elementwise
from tt_foundation.array import indexing as _indexing
from tt_foundation.array import linalg as _linalg
from tt_foundation.array import manipulation as _manipulation
from tt_foundation.array import reductions as _reductions
from tt_foundation.array.creation import *  # noqa: F403
from tt_foundation.array.elementwise import *  # noqa: F403
from tt_foundation.array.indexing import *  # noqa: F403
from tt_foundation.array.linalg import *  # noqa: F403
from tt_foundation.array.manipulation import *  # noqa: F403
from tt_foundation.array.reductions import *  # noqa: F403
from tt_foundation.autograd import *  # noqa: F403
from tt_foundation.callbacks import *  # noqa: F403
from tt_foundation.datasets import *  # noqa: F403
from tt_foundation.debugging import *  # noqa: F403
from tt_foundation.layers import *  # noqa: F403
from tt_foundation.losses import *  # noqa: F403
from tt_foundation.machine import *  # noqa: F403
from tt_foundation.metrics import *  # noqa: F403
from tt_foundation.module import *  # noqa: F403
from tt_foundation.optim import *  # noqa: F403
from tt_foundation.optimizer import *  # noqa: F403
from tt_foundation.plots import *  # noqa: F403
from tt_foundation.primitive import *  # noqa: F403
from tt_foundation.products import *  # noqa: F403
from tt_foundation.random import *  # noqa: F403
from tt_foundation.rows import *  # noqa: F403
from tt_foundation.schedules import *  # noqa: F403
from tt_foundation.serialization import *  # noqa: F403
from tt_foundation.sparse import *  # noqa: F403
from tt_foundation.tensor import *  # noqa: F403
from tt_foundation.testing import *  # noqa: F403
from tt_foundation.training import *  # noqa: F403

__all__: list[str] = ["__version__"]
__all__ += _activations.__all__
__all__ += _autograd.__all__
__all__ += _callbacks.__all__
__all__ += _creation.__all__
__all__ += _datasets.__all__
__all__ += _debugging.__all__
__all__ += _elementwise.__all__
__all__ += _indexing.__all__
__all__ += _layers.__all__
__all__ += _linalg.__all__
__all__ += _losses.__all__
__all__ += _machine.__all__
__all__ += _manipulation.__all__
__all__ += _metrics.__all__
__all__ += _module.__all__
__all__ += _optim.__all__
__all__ += _optimizer.__all__
__all__ += _plots.__all__
__all__ += _primitive.__all__
__all__ += _products.__all__
__all__ += _random.__all__
__all__ += _reductions.__all__
__all__ += _rows.__all__
__all__ += _schedules.__all__
__all__ += _serialization.__all__
__all__ += _sparse.__all__
__all__ += _tensor.__all__
__all__ += _testing.__all__
__all__ += _training.__all__
