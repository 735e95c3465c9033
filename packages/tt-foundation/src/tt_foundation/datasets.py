"""Data sets: real ones, checked as they are read, and the batches that training goes through.

``TT_DATA`` names a folder laid out as torchvision's loaders keep theirs (``MNIST/raw/train-images-idx3-ubyte.gz``);
without it, files are downloaded once into the user's cache and checked against their published checksums.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from tt_foundation.primitive import Array
from tt_foundation.tensor import Tensor

if TYPE_CHECKING:
    import gzip

__all__ = [
    "Batch",
    "Batches",
    "Data",
    "DatasetError",
    "batches",
    "data_file",
    "digits",
    "fashion_mnist",
    "mnist",
    "read_idx",
]

_LARGEST = 1 << 28
"""Bytes that an IDX file may unpack to: five times the largest of those read here."""

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_FILES = {
    "train_x": "train-images-idx3-ubyte",
    "train_y": "train-labels-idx1-ubyte",
    "test_x": "t10k-images-idx3-ubyte",
    "test_y": "t10k-labels-idx1-ubyte",
}

SOURCES: dict[str, tuple[str, dict[str, str]]] = {
    "MNIST": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train_x": "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train_y": "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "test_x": "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "test_y": "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "FashionMNIST": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train_x": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train_y": "md5:25c81989df183df01b3e8a0aad5dffbe",
            "test_x": "md5:bef4ecab320f06d8554ea6380940ec79",
            "test_y": "md5:bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
}
"""Where each set is downloaded from, and the checksums of its files."""


class DatasetError(ValueError):
    """A data file that is not what it says."""


class Batch(NamedTuple):
    """Some examples: inputs ``(batch, ...)`` and targets ``(batch, ...)``."""

    x: Tensor
    y: Tensor


class Data(NamedTuple):
    """A data set: inputs and targets to train on, and others to test with."""

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array


class Batches:
    """Batches of ``size`` examples, drawn in a fresh order from ``rng`` every time they are gone through."""

    def __init__(self, x: Array, y: Array, size: int, rng: np.random.Generator | None = None) -> None:
        if len(x) != len(y):
            raise ValueError(f"batches needs as many inputs as targets, got {len(x)} and {len(y)}")
        if not len(x):
            raise ValueError("batches needs examples, got none")
        if size < 1:
            raise ValueError(f"batches needs size >= 1, got {size}")
        self.x, self.y, self.size, self.rng = x, y, size, rng

    def __len__(self) -> int:
        return -(-len(self.x) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        order = None if self.rng is None else self.rng.permutation(len(self.x))
        for start in range(0, len(self.x), self.size):
            part: Array | slice = slice(start, start + self.size)
            if order is not None:
                part = order[part]
            yield Batch(Tensor(self.x[part]), Tensor(self.y[part]))


def batches(x: Array, y: Array, size: int, rng: np.random.Generator | None = None) -> Batches:
    """Batches of ``size`` examples (the last may be smaller): shuffled by ``rng`` each time, in order without one.

    Raises:
        ValueError: as many inputs as targets are needed, at least one, and a size of at least 1.
    """
    return Batches(x, y, size, rng)


def read_idx(path: str | Path) -> Array:
    """The array in an IDX file, gzipped or plain, in the machine's byte order.

    LeCun, Cortes and Burges (1998), The MNIST Database of Handwritten Digits.

    Raises:
        FileNotFoundError: there is no such file.
        DatasetError: it is no IDX file, is damaged, or does not hold what its header says.
    """
    path = Path(path)
    content = _unpacked(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise DatasetError(f"{path} is no IDX file: it begins with {content[:4].hex(' ') or 'nothing'}")
    dtype, ndim = np.dtype(_IDX_TYPES[content[2]]), content[3]
    start = 4 + 4 * ndim
    if len(content) < start:
        raise DatasetError(f"{path} is truncated: {ndim} axes announced, the file ends within their sizes")
    shape = struct.unpack(f">{ndim}I", content[4:start])
    expected = dtype.itemsize
    for size in shape:
        expected *= size
    if expected != len(content) - start:
        is_short = expected > len(content) - start
        raise DatasetError(
            f"{path} is {'truncated' if is_short else 'too long'}: header says {expected:,} bytes of data for shape "
            f"{shape}, file has {len(content) - start:,}"
        )
    try:
        array = np.frombuffer(content, dtype, offset=start).reshape(shape)
    except ValueError as error:
        raise DatasetError(f"{path} announces a shape that no array has: {error}") from None
    return array.astype(dtype.newbyteorder("="))


def _unpacked(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is gzipped, no more than the largest allowed."""
    if path.is_dir():
        raise DatasetError(f"{path} is a folder, not an IDX file")
    with open(path, "rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not is_gzip:
            return _read(file, path)
        import gzip
        import zlib

        try:
            with gzip.GzipFile(fileobj=file) as unpacker:
                return _read(unpacker, path)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DatasetError(f"{path} is damaged: {error}") from None


def _read(file: BinaryIO | gzip.GzipFile, path: Path) -> bytes:
    """All of a file piece by piece, so that one that has no end takes no more memory than is allowed."""
    pieces, size = [], 0
    while piece := file.read(1 << 20):
        pieces.append(piece)
        size += len(piece)
        if size > _LARGEST:
            raise DatasetError(f"{path} unpacks to more than {_LARGEST:,} bytes: refused")
    return b"".join(pieces)


def data_file(name: str, url: str, checksum: str) -> Path:
    """Where a file of a data set lies: under ``TT_DATA`` where that is set, else in the cache, downloaded if need be.

    Args:
        name: its place in the layout, such as ``MNIST/raw/train-images-idx3-ubyte``; under ``TT_DATA`` it may also be
            gzipped, with ``.gz`` added.
        url: its public home; if that ends in ``.gz``, so does its name in the cache.
        checksum: of what is downloaded, as ``sha256:...`` or ``md5:...``.

    Raises:
        FileNotFoundError: ``TT_DATA`` is set and lacks it.
        ImportError: it must be downloaded, and the extra ``[data]`` is missing.
        ValueError: what was downloaded has another checksum.
    """
    if root := os.environ.get("TT_DATA"):
        path = Path(root, name)
        for candidate in (path, path.with_name(f"{path.name}.gz")):
            if candidate.exists():
                return candidate
        raise FileNotFoundError(f"TT_DATA is {root}, but there is no {path} or {path.name}.gz")
    try:
        import pooch  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise ImportError("downloading needs pooch: pip install 'tt-foundation[data]', or set TT_DATA") from None
    target = Path(pooch.os_cache("tinytorch"), name)
    if url.endswith(".gz") and target.suffix != ".gz":
        target = target.with_name(f"{target.name}.gz")
    return Path(pooch.retrieve(url, checksum, fname=target.name, path=target.parent, progressbar=False))


def _file(dataset: str, part: str) -> Path:
    url, checksums = SOURCES[dataset]
    return data_file(f"{dataset}/raw/{_FILES[part]}", f"{url}{_FILES[part]}.gz", checksums[part])


def _idx_data(dataset: str, as_images: bool) -> Data:
    arrays = {part: read_idx(_file(dataset, part)) for part in _FILES}
    for half in ("train", "test"):
        x, y = arrays[f"{half}_x"], arrays[f"{half}_y"]
        if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
            raise DatasetError(f"{dataset} {half}: images of shape {x.shape} do not go with labels of {y.shape}")
        if y.size and not 0 <= int(y.min()) <= int(y.max()) <= 9:
            raise DatasetError(f"{dataset} {half}: labels go from {y.min()} to {y.max()}, not from 0 to 9")
    return Data(
        _scaled(arrays["train_x"], 255, as_images),
        arrays["train_y"].astype(np.int64),
        _scaled(arrays["test_x"], 255, as_images),
        arrays["test_y"].astype(np.int64),
    )


def _scaled(images: Array, largest: float, as_images: bool) -> Array:
    """Grey values as float32 in [0, 1]: ``(n, height, width) -> (n, 1, height, width)`` or ``(n, features)``."""
    x = images.astype(np.float32) / np.float32(largest)
    return x[:, None] if as_images else x.reshape(len(x), -1)


def mnist(*, as_images: bool = False) -> Data:
    """Handwritten digits, 60,000 to train on and 10,000 to test with: x float32 in [0, 1], y int64 in 0 to 9.

    x is ``(n, 784)``, or ``(n, 1, 28, 28)`` with ``as_images``.

    LeCun, Bottou, Bengio and Haffner (1998), Gradient-Based Learning Applied to Document Recognition.

    Raises:
        FileNotFoundError: ``TT_DATA`` is set and lacks a file.
        DatasetError: a file is damaged.
        ImportError: it must be downloaded, and the extra ``[data]`` is missing.
    """
    return _idx_data("MNIST", as_images)


def fashion_mnist(*, as_images: bool = False) -> Data:
    """Pictures of clothes, in the format and with the errors of :func:`mnist`.

    Xiao, Rasul and Vollgraf (2017), Fashion-MNIST.
    """
    return _idx_data("FashionMNIST", as_images)


def digits(*, as_images: bool = False) -> Data:
    """Small handwritten digits that scikit-learn carries, 1,437 and 360: x float32 in [0, 1], y int64 in 0 to 9.

    x is ``(n, 64)``, or ``(n, 1, 8, 8)`` with ``as_images``. Split after ``default_rng(0).permutation``.

    Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits.

    Raises:
        ImportError: the extra ``[data]`` is missing.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ImportError("digits needs scikit-learn: pip install 'tt-foundation[data]'") from None
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    x = _scaled(images[order].reshape(-1, 8, 8), 16, as_images)
    y = labels[order].astype(np.int64)
    split = len(x) * 4 // 5
    return Data(x[:split], y[:split], x[split:], y[split:])
