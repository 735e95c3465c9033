"""ViT: an image is a sequence of patches.

Dosovitskiy et al. (2021), An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tt_architectures.embeddings import LearnedPositions
from tt_architectures.transformers import TransformerBlock, TransformerConfig, initialize_transformer
from tt_foundation import Dropout, Linear, Module, Parameter, Tensor, broadcast_to, concat, permute_dims, reshape

__all__ = ["ViT", "ViTConfig", "patches"]


@dataclass(frozen=True, kw_only=True)
class ViTConfig(TransformerConfig):
    """A :class:`TransformerConfig` with ViT's choices, and what it adds.

    Attributes:
        image_size: height and width of the images.
        patch_size: height and width of a patch, a divisor of it.
        in_channels: of the images.
        num_classes: what there is to tell apart.

    Raises:
        ValueError: the patches do not cover the image; and as :class:`TransformerConfig`.
    """

    image_size: int = 32
    patch_size: int = 4
    in_channels: int = 3
    num_classes: int = 10
    activation: Literal["relu", "gelu", "gelu_tanh", "swiglu"] = "gelu"
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_size % self.patch_size:
            raise ValueError(
                f"ViTConfig needs image_size % patch_size == 0, got {self.image_size} and {self.patch_size}"
            )


def patches(images: Tensor, size: int) -> Tensor:
    """Squares of an image, row by row, each as one vector, channel by channel.

    ``(n, channels, height, width) -> (n, (height / size) (width / size), channels size^2)``.

    Raises:
        ValueError: ``size`` does not divide height and width.
    """
    n, channels, height, width = images.shape
    if height % size or width % size:
        raise ValueError(f"patches of {size} do not cover images of {height} x {width}")
    rows, columns = height // size, width // size
    parts = reshape(images, shape=(n, channels, rows, size, columns, size))
    parts = permute_dims(parts, axes=(0, 2, 4, 1, 3, 5))  # (n, rows, columns, channels, size, size)
    return reshape(parts, shape=(n, rows * columns, channels * size * size))


class ViT(Module[[Tensor], Tensor]):
    """Scores of classes from images: ``(n, channels, image_size, image_size) -> (n, num_classes)``.

    A vector of its own is put before the patches; what the last block makes of it is the answer.

    Args:
        config: sizes and choices.
        rng: draws the weights (see :func:`initialize_transformer`) and the dropout.
    """

    def __init__(self, config: ViTConfig, *, rng: np.random.Generator | None = None) -> None:
        self.config = config
        count = (config.image_size // config.patch_size) ** 2
        self.patch_projection = Linear(config.in_channels * config.patch_size**2, config.d_model, rng=rng)
        self.class_token = Parameter(np.zeros((1, 1, config.d_model), np.float32))
        self.positions = LearnedPositions(count + 1, config.d_model, rng=rng)
        self.dropout = Dropout(config.dropout, rng=rng)
        self.blocks = [TransformerBlock(config, rng=rng) for _ in range(config.num_layers)]
        self.norm = config.new_norm()
        self.head = Linear(config.d_model, config.num_classes, rng=rng)
        initialize_transformer(self, rng=rng)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of every class.

        Raises:
            ValueError: images of another shape.
        """
        config = self.config
        expected = (config.in_channels, config.image_size, config.image_size)
        if images.ndim != 4 or images.shape[1:] != expected:
            raise ValueError(f"ViT needs images of shape (n, {', '.join(map(str, expected))}), got {images.shape}")
        x = self.patch_projection(patches(images, config.patch_size))
        first = broadcast_to(self.class_token, shape=(len(x), 1, config.d_model))
        x = self.dropout(self.positions(concat([first, x], axis=1)))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])
