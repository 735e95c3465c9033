"""Data sets of images and texts, read from ``TT_DATA`` or downloaded once and checked.

``TT_DATA`` names a folder laid out as torchvision's loaders keep theirs (``cifar-10-batches-py/data_batch_1``), with
texts under ``text``. Knows nothing of batches (``data``) or tokens (``tokens``).
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from pathlib import Path

import numpy as np

from tt_architectures.cifar import parse_cifar, read_cifar
from tt_foundation import Array, Data, DatasetError, data_file

__all__ = ["CIFAR10_CLASSES", "books", "cifar10", "first_names", "tiny_shakespeare", "tinystories"]

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""What the labels 0 to 9 of :func:`cifar10` mean."""

_CIFAR_FOLDER = "cifar-10-batches-py"
_CIFAR_TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
_CIFAR_TEST = "test_batch"

_LARGEST_TEXT_BYTES = 1 << 28

SOURCES: dict[str, tuple[str, str]] = {
    "cifar-10-python.tar.gz": (
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "md5:c58f30108f718f92721af3b95e74349a",
    ),
    "text/tinyshakespeare.txt": (
        "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
        "/data/tinyshakespeare/input.txt",
        "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "text/names.txt": (
        "https://raw.githubusercontent.com/karpathy/makemore/988aa59e4d8fefa526d06f3b453ad116258398d4/names.txt",
        "sha256:0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
    ),
    "text/tinystories/train-v1-2MiB.txt": (
        "https://raw.githubusercontent.com/gusjengis/toy-RNN/e4c7ff8bba4ff7989e69a3a816ebe4b14813b41e"
        "/data/tinystories_sample.txt",
        "sha256:5352b299dcb1a32898b2d779b145b5a05f3e1265953fd21c264c9f9f9c9ae33d",
    ),
    "text/tinystories/train-v2-10k-lines.txt": (
        "https://raw.githubusercontent.com/mines-opt-ml/decoding-gpt/79274e31fe66ed5cf23be815bf51dc63a4ca57a6"
        "/data/tinystories_10k.txt",
        "sha256:5a19b936d7b53bbdac1eea03230b00161dceca24ae272f5bd8e9dbbc2a883418",
    ),
    "text/tinystories/valid.txt": (
        "https://raw.githubusercontent.com/yuninxia/moe-routing-bench/bb9bb0bd461aa77cf6ab89423b758f586a6f75d1"
        "/data/tinystories_val.txt",
        "sha256:5fc1fb0113df62b567fb271806cd645ce8d75f59c58ca0b764c03d3b6ff34ca6",
    ),
}
"""Where each file is downloaded from, and its checksum."""


def cifar10(*, as_uint8: bool = False) -> Data:
    """Small colour photographs of ten kinds of things, 50,000 to train on and 10,000 to test with.

    x is float32 in [0, 1], ``(n, 3, 32, 32)`` with the channels last in memory, or uint8, a quarter of the size, with
    ``as_uint8``; y is int64 in 0 to 9, see :data:`CIFAR10_CLASSES`. The files are pickles; nothing in them is executed.

    Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images.

    Raises:
        FileNotFoundError: ``TT_DATA`` is set and lacks a file.
        DatasetError: a file is damaged.
        ImportError: it must be downloaded, and the extra ``[data]`` is missing.
    """
    batches = _cifar_batches()
    train_x = _pixels([batches[name][0] for name in _CIFAR_TRAIN], as_uint8)
    train_y = np.concatenate([batches[name][1] for name in _CIFAR_TRAIN])
    test_x, test_y = batches[_CIFAR_TEST]
    return Data(train_x, train_y, _pixels([test_x], as_uint8), test_y)


def _cifar_batches() -> dict[str, tuple[Array, Array]]:
    """Images and labels of each file, from the folder of them, else from the archive they are published in."""
    names = (*_CIFAR_TRAIN, _CIFAR_TEST)
    if (root := os.environ.get("TT_DATA")) and Path(root, _CIFAR_FOLDER).is_dir():
        return {name: read_cifar(Path(root, _CIFAR_FOLDER, name)) for name in names}
    archive = data_file("cifar-10-python.tar.gz", *SOURCES["cifar-10-python.tar.gz"])
    batches = {}
    try:
        with tarfile.open(archive, "r|gz") as members:
            for member in members:
                name = member.name.removeprefix(f"{_CIFAR_FOLDER}/")
                if name in names and (file := members.extractfile(member)) is not None:
                    batches[name] = parse_cifar(file.read(), f"{name} in {archive}")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DatasetError(f"{archive} is damaged: {error}") from None
    if missing := set(names) - batches.keys():
        raise DatasetError(f"{archive} has no {', '.join(sorted(missing))}")
    return batches


def _pixels(images: list[Array], as_uint8: bool) -> Array:
    """All images in one array with channels last in memory: uint8 as they are, or float32 in [0, 1]."""
    whole = np.concatenate([batch.transpose(0, 2, 3, 1) for batch in images])
    return (whole if as_uint8 else whole / np.float32(255)).transpose(0, 3, 1, 2)


def tiny_shakespeare() -> str:
    """A million characters of Shakespeare's plays, 65 different ones.

    Karpathy (2015), The Unreasonable Effectiveness of Recurrent Neural Networks.

    Raises:
        FileNotFoundError, DatasetError, ImportError: as for :func:`cifar10`.
    """
    return _text("text/tinyshakespeare.txt")


def tinystories(*, separator: str = "\n\n") -> tuple[str, str]:
    """Excerpts of TinyStories: about 4,000 stories to train on, and text of others, held out.

    Between two stories to train on stands ``separator``. The text held out does not mark where a story ends, there are
    blank lines between paragraphs as between stories, so the default makes both alike.

    Eldan and Li (2023), TinyStories: How Small Can Language Models Be and Still Speak Coherent English?

    Raises:
        FileNotFoundError, DatasetError, ImportError: as for :func:`cifar10`.
    """
    stories: list[str] = []
    for name in ("train-v1-2MiB", "train-v2-10k-lines"):
        parts = _text(f"text/tinystories/{name}.txt").split("<|endoftext|>")
        stories += [part.strip() for part in parts[:-1]]  # the last of a file is cut off somewhere
    return separator.join(story for story in stories if story), _text("text/tinystories/valid.txt").strip()


def first_names() -> list[str]:
    """32,033 first names in small letters, the most frequent ones first.

    Karpathy (2022), makemore.

    Raises:
        FileNotFoundError, DatasetError, ImportError: as for :func:`cifar10`.
    """
    return _text("text/names.txt").split()


def books() -> dict[str, str]:
    """Novels and fairy tales by title, one text for each file ``text/gutenberg/00011-A-Title.txt`` under ``TT_DATA``.

    They are not downloaded: what Project Gutenberg publishes begins and ends with terms that must be cut off first.

    Raises:
        FileNotFoundError: ``TT_DATA`` is not set or has no books.
        DatasetError: a file is no text.
    """
    folder = Path(os.environ.get("TT_DATA", ""), "text", "gutenberg")
    paths = sorted(folder.glob("*.txt")) if os.environ.get("TT_DATA") else []
    if not paths:
        raise FileNotFoundError(f"books needs texts in $TT_DATA/text/gutenberg, and there is none in {folder}")
    titles = [path.stem.partition("-")[2].replace("-s-", "'s-").replace("-", " ") for path in paths]
    return {title: _read_text(path) for title, path in zip(titles, paths, strict=True)}


def _text(name: str) -> str:
    return _read_text(data_file(name, *SOURCES[name]))


def _read_text(path: Path) -> str:
    """A whole text file, gzipped or plain, that must be UTF-8; its line ends stay as they are."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            content = file.read(_LARGEST_TEXT_BYTES + 1)
        if len(content) > _LARGEST_TEXT_BYTES:
            raise DatasetError(f"{path} has more than {_LARGEST_TEXT_BYTES:,} bytes: refused")
        return content.decode()
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is no text: {error}") from None
