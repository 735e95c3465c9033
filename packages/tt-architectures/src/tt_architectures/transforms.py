"""Transforms: what happens to a batch of images on its way to the network.

Each takes images ``(batch, channels, height, width)`` and a generator and returns new images of the same shape, in the
memory layout they came in, channels first or last. All of a batch at once: a gather over strided views, no loop over
images. Knows nothing of data sets or loaders.
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
        scale, shift = (a.astype(dtype).reshape(-1, 1, 1) for a in (1 / (self.std * unit), -self.mean / self.std))
        out = np.multiply(x, scale, dtype=dtype)
        out += shift
        return out


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
        is_last = _is_channels_last(x)
        y, height, width = (x.transpose(0, 2, 3, 1), 1, 2) if is_last else (x, 2, 3)
        edges = [(pad, pad) if axis in (height, width) else (0, 0) for axis in range(4)]
        padded = np.pad(y, edges, self.padding_mode)
        windows = sliding_window_view(padded, x.shape[2:], axis=(height, width), writeable=False)
        if is_last:  # (N, 2p+1, 2p+1, C, H, W) -> (N, 2p+1, 2p+1, H, W, C)
            return windows.transpose(0, 1, 2, 4, 5, 3)[np.arange(len(x)), down, right].transpose(0, 3, 1, 2)
        return windows.transpose(0, 2, 3, 1, 4, 5)[np.arange(len(x)), down, right]


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
        out = x.copy(order="K")
        out[is_flipped] = x[is_flipped, ..., ::-1]
        return out


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
        is_cut = (down[:, :, None] & across[:, None, :])[:, None]
        out = x.copy(order="K")
        np.copyto(out, np.asarray(self.value, x.dtype), where=is_cut)
        return out

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


def _is_channels_last(x: Array) -> bool:
    """Whether neighbours in memory are the channels of a pixel."""
    return bool(x.strides[1] < x.strides[3])
