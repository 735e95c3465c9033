"""Tokens on disk, and the windows of them that a language model learns from.

A token file may be larger than memory: it is mapped, and only what is looked at is read. Knows nothing of what the
tokens mean (``tokenization``).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from tt_architectures.data import DataLoader, Dataset, RandomSampler
from tt_architectures.layout import Indices
from tt_foundation import Array, DatasetError

__all__ = ["TokenFile", "TokenWindows", "token_windows"]

_MAGIC = b"TTTOKENS"
_HEADER = np.dtype([("magic", "S8"), ("dtype", "S8"), ("count", "<u8"), ("sha256", "V32"), ("unused", "V8")])
_DTYPES = ("|u1", "<u2", "<u4")


class TokenFile:
    """Tokens in a file: a header of 64 bytes (what it is, element type, count, SHA-256) and the numbers.

    Args:
        path: a file that :meth:`write` made.
        verify: whether the checksum is compared, which reads the whole file once.

    Attributes:
        tokens: all of them, ``(count,)``, mapped and read-only.

    Raises:
        FileNotFoundError: there is no such file.
        DatasetError: it is no token file, or damaged.
    """

    def __init__(self, path: str | Path, *, verify: bool = True) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise DatasetError(f"{path} is a folder, not a token file")
        with open(self.path, "rb") as file:
            start = file.read(_HEADER.itemsize)
            size = os.fstat(file.fileno()).st_size
        if len(start) < _HEADER.itemsize or not start.startswith(_MAGIC):
            raise DatasetError(f"{path} is no token file: it begins with {start[:8]!r}")
        header = np.frombuffer(start, _HEADER)[0]
        name = header["dtype"].decode("latin-1")
        if name not in _DTYPES:
            raise DatasetError(f"{path} announces tokens of type {name!r}; there are {', '.join(_DTYPES)}")
        dtype, count = np.dtype(name), int(header["count"])
        if _HEADER.itemsize + count * dtype.itemsize != size:
            raise DatasetError(
                f"{path} is damaged: header says {count:,} tokens of {dtype.itemsize} bytes, "
                f"file has {size - _HEADER.itemsize:,} bytes of them"
            )
        self.tokens: Array = np.zeros(0, dtype)
        if count:  # nothing cannot be mapped
            self.tokens = np.memmap(self.path, dtype, "r", _HEADER.itemsize, (count,))
        if verify and _checksum(hashlib.sha256(self.tokens.data), dtype, count) != header["sha256"].tobytes():
            raise DatasetError(f"{path} is damaged: its tokens do not have the checksum in its header")

    @classmethod
    def write(cls, path: str | Path, tokens: Array | Iterable[Array], *, dtype: npt.DTypeLike = np.uint16) -> TokenFile:
        """Write tokens, at once or piece by piece, and open the file, which is there as a whole or not at all.

        Args:
            path: where; what is there already is replaced.
            tokens: whole numbers, ``(count,)``, or several such arrays one after the other.
            dtype: uint8, uint16 or uint32.

        Raises:
            ValueError: a token does not fit ``dtype``, or that is another type.
        """
        path, kind = Path(path), np.dtype(dtype).newbyteorder("<")
        if kind.str not in _DTYPES:
            raise ValueError(f"a token file holds uint8, uint16 or uint32, got {kind}")
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        checksum, count = hashlib.sha256(), 0
        try:
            with open(beside, "wb") as file:
                file.seek(_HEADER.itemsize)
                for piece in [tokens] if isinstance(tokens, np.ndarray) else tokens:
                    part = _fitting(np.asarray(piece), kind)
                    checksum.update(part.data)
                    count += len(part)
                    part.tofile(file)
                header = np.array((_MAGIC, kind.str.encode(), count, _checksum(checksum, kind, count), b""), _HEADER)
                file.seek(0)
                file.write(header.tobytes())
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        return cls(path, verify=False)

    def __len__(self) -> int:
        return len(self.tokens)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.path,)


def _reopened(path: Path) -> TokenFile:
    return TokenFile(path, verify=False)


def _checksum(tokens: Any, dtype: np.dtype[Any], count: int) -> bytes:
    """The checksum of tokens that have been hashed, and of what the header says of them."""
    tokens.update(f"{dtype.str} {count}".encode())
    return tokens.digest()


def _fitting(tokens: Array, dtype: np.dtype[Any]) -> Array:
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise ValueError(f"tokens are a row of whole numbers, got {tokens.dtype} of shape {tokens.shape}")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() <= np.iinfo(dtype).max:
        raise ValueError(f"tokens from {tokens.min()} to {tokens.max()} do not fit {dtype.name}")
    return np.ascontiguousarray(tokens, dtype)


class TokenWindows(Dataset[tuple[Array, Array]]):
    """Pieces of a text and, for each of their tokens, the one after it: x and y, both int64 ``(seq,)``.

    Args:
        tokens: ``(count,)``, in memory or in a file.
        seq: how long a window is.
        stride: how far the next one begins after the one before; with ``stride=seq`` every token but the first is
            asked for once, as an evaluation wants it (what is left at the end is not).

    Raises:
        ValueError: there are fewer than ``seq + 1`` tokens, or an argument is below 1.
    """

    def __init__(self, tokens: Array | TokenFile, seq: int, *, stride: int = 1) -> None:
        if seq < 1 or stride < 1 or len(tokens) <= seq:
            raise ValueError(
                f"TokenWindows needs seq >= 1, stride >= 1 and more than seq tokens, "
                f"got {seq}, {stride} and {len(tokens)}"
            )
        self.tokens = tokens
        self.seq = seq
        self.stride = stride

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        x, y = self.__getitems__([index % len(self)])
        return x[0], y[0]

    def __getitems__(self, indices: Indices) -> tuple[Array, Array]:
        tokens = self.tokens.tokens if isinstance(self.tokens, TokenFile) else self.tokens
        windows = sliding_window_view(tokens, self.seq + 1)[:: self.stride][np.asarray(indices)]
        return windows[:, :-1].astype(np.int64), windows[:, 1:].astype(np.int64)

    def __len__(self) -> int:
        return (len(self.tokens) - self.seq - 1) // self.stride + 1


def token_windows(
    tokens: Array | TokenFile,
    seq: int,
    batch_size: int,
    batches: int,
    *,
    num_workers: int = 0,
    rng: np.random.Generator | None = None,
) -> DataLoader:
    """Batches of windows that begin anywhere: x and y int64 ``(batch_size, seq)``, ``batches`` of them each pass.

    Args:
        tokens: ``(count,)``, in memory or in a file.
        seq: how long a window is.
        batch_size: how many windows make a batch.
        batches: how many batches a pass has.
        num_workers: how many processes make them; a window is a copy, so one seldom pays.
        rng: draws where the windows begin.

    Raises:
        ValueError: there are not enough tokens, or a number is below 1.
    """
    windows = TokenWindows(tokens, seq)
    sampler = RandomSampler(windows, replacement=True, num_samples=batch_size * batches, rng=rng)
    return DataLoader(windows, batch_size, sampler=sampler, num_workers=num_workers, persistent_workers=True, rng=rng)
