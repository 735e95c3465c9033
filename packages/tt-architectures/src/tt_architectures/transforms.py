"""Transforms: what happens to a batch of images on its way to the network.

Each takes images ``(batch, channels, height, width)`` and a generator and returns new images of the same shape, in the
memory layout they came in, channels first or last. All of a batch at once: a gather over strided views, no loop over
images; channels that lie side by side are treated as a wider row. Knows nothing of data sets or loaders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tt_foundation import Array, default_rng

__all__ = ["Compose", "Cutout", "Normalize", "RandomCrop", "RandomHorizontalFlip", "Transform"]

Transform = Callable[[Array, np.random.Generator], Array]


class Compose:
    """Several transforms, one after the other.

    Args:
        transforms: each gets what the one before it returned, and the same generator.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = tuple(transforms)

    def __call__(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        rng = default_rng(rng)
        for transform in self.transforms:
            x = transform(x, rng)
        return x


class Normalize:
    """Every channel less its mean, over its standard deviation: ``(N, C, H, W) -> (N, C, H, W)``, float32 or float64.

    Bytes (uint8) are taken as 255ths, so that the means of images in [0, 1] hold for both.

    Args:
        mean: of each channel.
        std: of each channel, above 0.

    Raises:
        ValueError: there are not as many deviations as means, one is not above 0, or the images have other channels.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        if len(mean) != len(std) or not len(mean) or not all(s > 0 for s in std):
            raise ValueError(f"Normalize needs a mean and a std > 0 of each channel, got {mean} and {std}")
        self.mean = np.array(mean, np.float64)
        self.std = np.array(std, np.float64)

    def __call__(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        _check(self, x, channels=len(self.mean))
        unit = 255 if x.dtype == np.uint8 else 1
        dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)
        rows, values = _by_rows(x)
        scale, shift = (a.astype(dtype) for a in (1 / (self.std * unit), -self.mean / self.std))
        if values == 1:  # (C,) -> (C, 1, 1)
            scale, shift = scale[:, None, None], shift[:, None, None]
        else:  # (C,) -> (W * C,)
            scale, shift = np.tile(scale, x.shape[3]), np.tile(shift, x.shape[3])
        out = np.multiply(rows, scale, dtype=dtype)
        out += shift
        return _as_images(out, x.shape)


class RandomCrop:
    """Each image padded on all sides and cropped to its size again at a place drawn for it: a shift.

    Args:
        padding: pixels on each side.
        padding_mode: ``reflect`` repeats the image mirrored at its edge, ``constant`` puts zeros.

    Raises:
        ValueError: an argument out of range, or images too small to reflect.
    """

    def __init__(self, padding: int = 4, padding_mode: Literal["reflect", "constant"] = "reflect") -> None:
        if padding < 0:
            raise ValueError(f"RandomCrop needs padding >= 0, got {padding}")
        if padding_mode not in ("reflect", "constant"):
            raise ValueError(f"RandomCrop needs padding_mode of reflect or constant, got {padding_mode!r}")
        self.padding = padding
        self.padding_mode = padding_mode

    def __call__(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """Draws ``rng.integers(2 * padding + 1, size=(2, N))``: how far down and how far right each crop begins."""
        _check(self, x)
        pad = self.padding
        if self.padding_mode == "reflect" and pad >= min(x.shape[2:]):
            raise ValueError(f"RandomCrop(padding={pad}) cannot reflect images of {x.shape[2]} x {x.shape[3]} pixels")
        down, right = default_rng(rng).integers(2 * pad + 1, size=(2, len(x)))
        batch, _, height, width = x.shape
        rows, values = _by_rows(x)
        pixels = rows.reshape(*rows.shape[:3], width, values)
        padded = np.pad(pixels, [(0, 0), (0, 0), (pad, pad), (pad, pad), (0, 0)], self.padding_mode)
        wide = padded.reshape(*padded.shape[:3], padded.shape[3] * values)
        places = sliding_window_view(wide, (height, width * values), axis=(2, 3))
        return _as_images(places[np.arange(batch), :, down, right * values], x.shape)


class RandomHorizontalFlip:
    """Each image mirrored left to right, or not.

    Args:
        p: how likely it is.

    Raises:
        ValueError: ``p`` is no probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"RandomHorizontalFlip needs 0 <= p <= 1, got {p}")
        self.p = p

    def __call__(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """Draws ``rng.random(N)``: an image is flipped where it is below ``p``."""
        _check(self, x)
        is_flipped = default_rng(rng).random(len(x)) < self.p
        rows, values = _by_rows(x)
        mirrored = np.arange(x.shape[3] * values).reshape(-1, values)[::-1].ravel()
        out = rows.copy()
        out[is_flipped] = rows[is_flipped].take(mirrored, axis=3)
        return _as_images(out, x.shape)


class Cutout:
    """A square of each image set to a value, its middle drawn anywhere in the image.

    Near the edge the square reaches over it, so less is cut.

    DeVries and Taylor (2017), Improved Regularization of Convolutional Neural Networks with Cutout.

    Args:
        size: pixels along a side.
        value: what is put there; 0 is the mean of normalised images.

    Raises:
        ValueError: ``size`` is below 1.
    """

    def __init__(self, size: int, value: float = 0) -> None:
        if size < 1:
            raise ValueError(f"Cutout needs size >= 1, got {size}")
        self.size = size
        self.value = value

    def __call__(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        """Draws ``rng.integers(H, size=N)``, then ``rng.integers(W, size=N)``: the middles."""
        _check(self, x)
        rng = default_rng(rng)
        down, across = (self._is_cut(rng.integers(n, size=len(x)), n) for n in x.shape[2:])
        rows, values = _by_rows(x)
        out = rows.copy()
        is_cut = down[:, None, :, None] & across.repeat(values, axis=1)[:, None, None, :]
        np.copyto(out, np.asarray(self.value, x.dtype), where=is_cut)
        return _as_images(out, x.shape)

    def _is_cut(self, middle: Array, length: int) -> Array:
        """Which of the places along an axis are within the square: ``(N,) -> (N, length)``."""
        start = (middle - self.size // 2)[:, None]
        places = np.arange(length)
        return (places >= start) & (places < start + self.size)


def _check(transform: object, x: Array, channels: int | None = None) -> None:
    name = type(transform).__name__
    if x.ndim != 4:
        raise ValueError(f"{name} needs images of shape (batch, channels, height, width), got {x.shape}")
    if channels is not None and x.shape[1] != channels:
        raise ValueError(f"{name} of {channels} channels got images of shape {x.shape}")


def _by_rows(x: Array) -> tuple[Array, int]:
    """The images as rows that lie in one piece, and how many values of a pixel stand side by side in a row.

    ``(N, C, H, W) -> (N, C, H, W), 1``, or ``(N, 1, H, W * C), C`` if neighbours in memory are a pixel's channels.
    """
    batch, channels, height, width = x.shape
    if x.strides[1] >= x.strides[3]:
        return np.ascontiguousarray(x), 1
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(batch, 1, height, width * channels), channels


def _as_images(rows: Array, shape: tuple[int, ...]) -> Array:
    """What :func:`_by_rows` made of images of this shape, as images again."""
    if rows.shape == shape:
        return rows
    batch, channels, height, width = shape
    return rows.reshape(batch, height, width, channels).transpose(0, 3, 1, 2)
