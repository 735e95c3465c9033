"""ViT: images cut into patches, and what it tells apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tt_architectures.models.vit import ViT, ViTConfig, patches
from tt_foundation import Adam, Tensor, cross_entropy, grad

SIZES: dict[str, Any] = {"image_size": 8, "patch_size": 4, "d_model": 16, "num_heads": 2, "num_layers": 2}


def test_patches_are_squares_row_by_row() -> None:
    images = np.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    out = patches(Tensor(images), 2)
    assert out.shape == (2, 6, 12)
    for image in range(2):
        for place in range(6):
            row, column = divmod(place, 3)
            square = images[image, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert out.data[image, place].tolist() == square.reshape(-1).tolist()


def test_every_pixel_counts_and_channels_last_memory_changes_nothing() -> None:
    model = ViT(ViTConfig(**SIZES), rng=np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(np.float32)
    images = Tensor(x, requires_grad=True)
    out = model(images)
    assert out.shape == (2, 10)
    (slope,) = grad((out * out).sum(), [images])
    assert (slope.data != 0).mean() > 0.99
    last = Tensor(np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    np.testing.assert_allclose(model(last).data, out.data, rtol=1e-5, atol=1e-6)


def test_it_learns_to_tell_images_apart() -> None:
    model = ViT(ViTConfig(**SIZES, in_channels=1, num_classes=2), rng=np.random.default_rng(0))
    rng = np.random.default_rng(0)
    stripes = np.where(np.arange(8) % 2, 1, -1).astype(np.float32)
    optimizer = Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        y = rng.integers(0, 2, 32)
        x = rng.normal(size=(32, 1, 8, 8)).astype(np.float32)
        x += np.where(y[:, None, None, None] == 0, stripes, stripes[:, None])  # upright or lying
        logits = model(Tensor(x))
        loss = cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (logits.data.argmax(axis=1) == y).mean() > 0.9


def test_wrong_sizes_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="image_size % patch_size == 0, got 9 and 4"):
        ViTConfig(image_size=9)
    with pytest.raises(ValueError, match="patches of 3 do not cover images of 8 x 8"):
        patches(Tensor(np.zeros((1, 1, 8, 8))), 3)
    with pytest.raises(ValueError, match=r"ViT needs images of shape \(n, 3, 8, 8\), got \(2, 1, 8, 8\)"):
        ViT(ViTConfig(**SIZES))(Tensor(np.zeros((2, 1, 8, 8), np.float32)))
