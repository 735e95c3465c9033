"""TinyTorch's architectures: vision and language on top of ``tt_foundation``.

Every public name of every module is importable from here.
"""

from tt_architectures import attention as _attention
from tt_architectures import attention_kernels as _attention_kernels  # noqa: F401 - registers its kernels
from tt_architectures import byte_pairs as _byte_pairs
from tt_architectures import cifar as _cifar
from tt_architectures import data as _data
from tt_architectures import datasets as _datasets
from tt_architectures import embeddings as _embeddings
from tt_architectures import generation as _generation
from tt_architectures import layout as _layout
from tt_architectures import normalization as _normalization
from tt_architectures import normalization_kernels as _normalization_kernels  # noqa: F401 - registers its kernels
from tt_architectures import plots as _plots
from tt_architectures import pretokenization as _pretokenization
from tt_architectures import samplers as _samplers
from tt_architectures import spatial as _spatial
from tt_architectures import spatial_kernels as _spatial_kernels  # noqa: F401 - registers its kernels
from tt_architectures import spatial_variants as _spatial_variants
from tt_architectures import tokenization as _tokenization
from tt_architectures import tokenizer as _tokenizer
from tt_architectures import tokens as _tokens
from tt_architectures import transformers as _transformers
from tt_architectures import transforms as _transforms
from tt_architectures import vocabularies as _vocabularies
from tt_architectures import window as _window
from tt_architectures import word_vectors as _word_vectors
from tt_architectures import workers as _workers
from tt_architectures._version import __version__
from tt_architectures.attention import *  # noqa: F403
from tt_architectures.byte_pairs import *  # noqa: F403
from tt_architectures.cifar import *  # noqa: F403
from tt_architectures.data import *  # noqa: F403
from tt_architectures.datasets import *  # noqa: F403
from tt_architectures.embeddings import *  # noqa: F403
from tt_architectures.generation import *  # noqa: F403
from tt_architectures.layout import *  # noqa: F403
from tt_architectures.models import bert as _bert
from tt_architectures.models import cost as _cost
from tt_architectures.models import encoder_decoder as _encoder_decoder
from tt_architectures.models import gpt as _gpt
from tt_architectures.models import gpt2 as _gpt2
from tt_architectures.models import lenet as _lenet
from tt_architectures.models import resnet as _resnet
from tt_architectures.models import vgg as _vgg
from tt_architectures.models import vit as _vit
from tt_architectures.models.bert import *  # noqa: F403
from tt_architectures.models.cost import *  # noqa: F403
from tt_architectures.models.encoder_decoder import *  # noqa: F403
from tt_architectures.models.gpt import *  # noqa: F403
from tt_architectures.models.gpt2 import *  # noqa: F403
from tt_architectures.models.lenet import *  # noqa: F403
from tt_architectures.models.resnet import *  # noqa: F403
from tt_architectures.models.vgg import *  # noqa: F403
from tt_architectures.models.vit import *  # noqa: F403
from tt_architectures.normalization import *  # noqa: F403
from tt_architectures.plots import *  # noqa: F403
from tt_architectures.pretokenization import *  # noqa: F403
from tt_architectures.samplers import *  # noqa: F403
from tt_architectures.spatial import *  # noqa: F403
from tt_architectures.spatial_variants import *  # noqa: F403
from tt_architectures.tokenization import *  # noqa: F403
from tt_architectures.tokenizer import *  # noqa: F403
from tt_architectures.tokens import *  # noqa: F403
from tt_architectures.transformers import *  # noqa: F403
from tt_architectures.transforms import *  # noqa: F403
from tt_architectures.vocabularies import *  # noqa: F403
from tt_architectures.window import *  # noqa: F403
from tt_architectures.word_vectors import *  # noqa: F403
from tt_architectures.workers import *  # noqa: F403

__all__: list[str] = ["__version__"]
__all__ += _attention.__all__
__all__ += _bert.__all__
__all__ += _byte_pairs.__all__
__all__ += _cifar.__all__
__all__ += _cost.__all__
__all__ += _data.__all__
__all__ += _datasets.__all__
__all__ += _embeddings.__all__
__all__ += _encoder_decoder.__all__
__all__ += _generation.__all__
__all__ += _gpt.__all__
__all__ += _gpt2.__all__
__all__ += _layout.__all__
__all__ += _lenet.__all__
__all__ += _normalization.__all__
__all__ += _plots.__all__
__all__ += _pretokenization.__all__
__all__ += _resnet.__all__
__all__ += _samplers.__all__
__all__ += _spatial.__all__
__all__ += _spatial_variants.__all__
__all__ += _tokenization.__all__
__all__ += _tokenizer.__all__
__all__ += _tokens.__all__
__all__ += _transformers.__all__
__all__ += _transforms.__all__
__all__ += _vgg.__all__
__all__ += _vit.__all__
__all__ += _vocabularies.__all__
__all__ += _window.__all__
__all__ += _word_vectors.__all__
__all__ += _workers.__all__
