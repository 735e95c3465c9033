"""Values that pass between processes: arrays as ``.npy``, the rest as plain JSON. No pickle.

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

__all__ = ["LARGEST_FILE", "Array", "Other", "Value", "Values", "flat", "read_bytes", "record", "records"]

Array: TypeAlias = npt.NDArray[Any]
Value: TypeAlias = "Array | bool | int | float | str | Other | None"
Values: TypeAlias = dict[str, Value]
LARGEST_FILE = 256 << 20
"""How many bytes a file of results, or of what was printed, may have."""


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


def record(content: Mapping[str, Any], **tables: Mapping[str, Value]) -> bytes:
    """Some content and tables of values as bytes: a line of JSON, then the arrays that it announces, as ``.npy``."""
    blobs: list[bytes] = []
    line: dict[str, Any] = {"content": content, "tables": {}}
    for table, values in tables.items():
        entries: dict[str, Any] = {}
        line["tables"][table] = entries
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                file = io.BytesIO()
                np.save(file, value, allow_pickle=False)
                blobs.append(file.getvalue())
                entries[name] = {"array": len(blobs[-1])}
            elif isinstance(value, Other):
                entries[name] = {"other": value.kind}
            else:
                entries[name] = {"plain": value}
    return b"".join([json.dumps(line).encode(), b"\n", *blobs])


def records(data: bytes) -> Iterator[tuple[dict[str, Any], dict[str, Values]]]:
    """The content and tables of each whole record of :func:`record`, one after another.

    Raises:
        ValueError: what comes next is no record.
    """
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        if end < 0:
            return  # its writer was ended before it was whole
        try:
            line = json.loads(data[at:end])
            content, tables = line["content"], line["tables"]
            sizes = [entry["array"] for table in tables.values() for entry in table.values() if "array" in entry]
        except (RecursionError, KeyError, TypeError, AttributeError):
            raise ValueError("what was written is no record of values") from None
        if not isinstance(content, dict) or not all(type(size) is int and size >= 0 for size in sizes):
            raise ValueError("what was written is no record of values")
        at = end + 1
        if at + sum(sizes) > len(data):
            return
        found: dict[str, Values] = {}
        for table, entries in tables.items():
            found[table] = {}
            for name, entry in entries.items():
                size = entry.get("array", 0)
                found[table][name] = _value(name, entry, data[at : at + size])
                at += size
        yield content, found


def _value(name: str, entry: Mapping[str, Any], blob: bytes) -> Value:
    kind, value = next(iter(entry.items())) if len(entry) == 1 else ("", None)
    if kind == "array":
        return _array(blob)
    if kind == "other" and isinstance(value, str):
        return Other(value[:200])
    if kind == "plain" and (value is None or isinstance(value, bool | int | float | str)):
        return value
    raise ValueError(f"{name!r} is no value")


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
