"""Values that pass between processes: arrays as ``.npy`` files, the rest as plain JSON. No pickle.

What is read back is data whoever wrote it: nothing in it is run, and its size is bounded.
"""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Other", "Value", "Values", "flat", "read", "read_bytes", "read_json", "write"]

Array: TypeAlias = npt.NDArray[Any]
Value: TypeAlias = "Array | bool | int | float | str | Other | None"
Values: TypeAlias = dict[str, Value]
LARGEST_FILE = 256 << 20


class Other:
    """Something that is no data, by the name of its type."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Other) and other.kind == self.kind

    def __hash__(self) -> int:
        return hash(self.kind)

    def __repr__(self) -> str:
        return f"<{self.kind}>"


def flat(name: str, value: Any) -> Iterator[tuple[str, Value]]:
    """A value as named pieces: tensors unwrapped, lists and dictionaries taken apart, NumPy scalars made numbers."""
    data = getattr(value, "data", None)
    if isinstance(data, np.ndarray) and not isinstance(value, np.ndarray):
        value = data
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        yield name, np.array(value) if value.dtype.kind in "biufcSU" else Other(f"array of {value.dtype}")
    elif value is None or isinstance(value, bool | int | float | str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from flat(f"{name}[{key!r}]", item)
    elif isinstance(value, list | tuple) and type(value) in (list, tuple):
        numbers = [item for item in value if isinstance(item, bool | int | float)]
        if value and len(numbers) == len(value) and len({type(n) for n in numbers}) == 1:
            yield name, np.array(value)
        elif not value:
            yield name, "()" if isinstance(value, tuple) else "[]"
        else:
            for i, item in enumerate(value):
                yield from flat(f"{name}[{i}]", item)
    else:
        yield name, Other(type(value).__name__)


def write(folder: Path, stem: str, values: Mapping[str, Value]) -> dict[str, Any]:
    """Write the arrays among ``values`` beside each other; the rest of them as JSON that names those files."""
    out: dict[str, Any] = {}
    for i, (name, value) in enumerate(values.items()):
        if isinstance(value, np.ndarray):
            file = f"{stem}.{i}.npy"
            np.save(folder / file, value, allow_pickle=False)
            out[name] = {"array": file}
        elif isinstance(value, Other):
            out[name] = {"other": value.kind}
        else:
            out[name] = {"plain": value}
    return out


def read(folder: Path, written: Any) -> Values:
    """What :func:`write` wrote.

    Raises:
        ValueError: it is not what that function writes.
    """
    if not isinstance(written, dict):
        raise ValueError("results are no table of values")
    out: Values = {}
    for name, entry in written.items():
        kind, value = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else ("", None)
        if kind == "array" and isinstance(value, str) and Path(value).name == value:
            out[name] = _array(read_bytes(folder / value))
        elif kind == "other" and isinstance(value, str):
            out[name] = Other(value[:200])
        elif kind == "plain" and (value is None or isinstance(value, bool | int | float | str)):
            out[name] = value
        else:
            raise ValueError(f"{name!r} is no value")
    return out


def _array(data: bytes) -> Array:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = header(file)
    rest = memoryview(data)[file.tell() :]
    count = 1
    for n in shape:
        count *= n
    if dtype.kind not in "biufcSU" or count < 0 or count * dtype.itemsize != len(rest):
        raise ValueError(f"an array of {dtype} and shape {shape} is not in {len(rest)} bytes")
    array: Array = np.frombuffer(rest, dtype) if len(rest) else np.empty(0, dtype)
    return array.reshape(shape, order="F" if is_fortran else "C")


def read_bytes(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """The bytes of a plain file.

    Raises:
        ValueError: it is none (a link, a pipe), or too large.
        FileNotFoundError: there is none.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path.name} is no plain file: {error.strerror}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > largest:
        os.close(descriptor)
        raise ValueError(f"{path.name} is no plain file of at most {largest:,} bytes")
    with os.fdopen(descriptor, "rb") as file:
        return file.read(largest)


def read_json(path: Path, largest: int = 8 << 20) -> Any:
    """A JSON file.

    Raises:
        ValueError: it is none.
        FileNotFoundError: there is none.
    """
    try:
        return json.loads(read_bytes(path, largest))
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None
