"""Frames: what comes out of a sandbox, read as if an enemy wrote it, since one may have.

A frame is a line of JSON and then the arrays that the line announces, each the bytes of a ``.npy`` file. Everything is
measured before memory is taken for it, nothing is unpickled, and what is not as it should be raises
``DamagedError``. Knows nothing of where the bytes come from and of what they mean.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tt_course.runner import Failure
from tt_course.values import Array, Other, Value, Values

__all__ = ["DamagedError", "Frame", "Reader", "TooMuchError", "failure", "printable", "values"]

LONGEST_LINE = 256 << 10
MOST_VALUES = 1000
LONGEST_TEXT = 10_000
_HEADER = re.compile(
    r"\{'descr': '([<>|=][biufcSU]\d{1,6})', 'fortran_order': (True|False), 'shape': (\([\d, ]{0,400}\)), \}\s*"
)


class DamagedError(Exception):
    """What arrived is no frame, or no value."""


class TooMuchError(DamagedError):
    """More arrived, or is announced, than is allowed."""


@dataclass(frozen=True)
class Frame:
    """A line's content and the arrays behind it."""

    kind: str
    content: dict[str, Any]
    arrays: list[bytes]


class Reader:
    """Takes bytes as they arrive and gives the frames that are whole; refuses more than ``largest`` bytes in all."""

    def __init__(self, largest: int) -> None:
        self.left = largest
        self._held = bytearray()
        self._line: dict[str, Any] | None = None
        self._sizes: list[int] = []

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that ``data`` completes.

        Raises:
            DamagedError: what arrived is no frame, or too much.
        """
        self.left -= len(data)
        if self.left < 0:
            raise TooMuchError
        self._held += data
        while True:
            if self._line is None:
                end = self._held.find(b"\n", 0, LONGEST_LINE)
                if end < 0:
                    if len(self._held) >= LONGEST_LINE:
                        raise DamagedError("a line that does not end")
                    return
                self._line = _object(bytes(self._held[:end]))
                del self._held[: end + 1]
                self._sizes = _sizes(self._line, self.left + len(self._held))
            total = sum(self._sizes)
            if len(self._held) < total:
                return
            arrays, at = [], 0
            for size in self._sizes:
                arrays.append(bytes(self._held[at : at + size]))
                at += size
            del self._held[:total]
            line, self._line = self._line, None
            yield Frame(str(line.get("kind"))[:20], line, arrays)


def _object(line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError, MemoryError):
        raise DamagedError("a line that is no JSON") from None
    if not isinstance(content, dict):
        raise DamagedError("a line that is no object")
    return content


def _sizes(line: dict[str, Any], most: int) -> list[int]:
    sizes = line.get("sizes", [])
    is_list = isinstance(sizes, list) and len(sizes) <= MOST_VALUES
    if not is_list or not all(type(n) is int and n >= 0 for n in sizes):
        raise DamagedError("arrays of impossible sizes")
    if sum(sizes) > most:
        raise TooMuchError
    return sizes


def values(frame: Frame) -> Values:
    """The values of a frame of results.

    Raises:
        DamagedError: they are none.
    """
    table = frame.content.get("values")
    if not isinstance(table, list) or len(table) > MOST_VALUES:
        raise DamagedError("no table of values")
    out: Values = {}
    for row in table:
        if not (isinstance(row, list) and len(row) == 3 and isinstance(row[0], str)):
            raise DamagedError("a row that is no value")
        out[row[0][:200]] = _value(row[1], row[2], frame.arrays)
    return out


def _value(kind: Any, value: Any, arrays: list[bytes]) -> Value:
    if kind == "array" and type(value) is int and 0 <= value < len(arrays):
        return _array(arrays[value])
    if kind == "other" and isinstance(value, str):
        return Other(value[:200])
    if kind == "plain":
        if isinstance(value, str):
            return value if len(value) <= LONGEST_TEXT else Other("very long text")
        if type(value) is int and abs(value) >= 2**63:
            return Other("very large int")
        if value is None or isinstance(value, bool | int | float):
            return value
    raise DamagedError("a value that is none")


def _array(data: bytes) -> Array:
    """The array in the bytes of a ``.npy`` file, as a view of them."""
    if data[:8] != b"\x93NUMPY\x01\x00":
        raise DamagedError("an array that is no .npy of version 1")
    length = int.from_bytes(data[8:10], "little")
    match = _HEADER.fullmatch(data[10 : 10 + length].decode("latin-1"))
    if match is None or len(data) < 10 + length:
        raise DamagedError("an array with a damaged header")
    try:
        shape = ast.literal_eval(match[3])
        dtype = np.dtype(match[1])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise DamagedError("an array with a damaged header") from None
    if not (isinstance(shape, tuple) and len(shape) <= 32 and all(type(n) is int and n < 2**40 for n in shape)):
        raise DamagedError("an array of an impossible shape")
    if dtype.itemsize * math.prod(shape) != len(data) - 10 - length or not (dtype.itemsize or not math.prod(shape)):
        raise DamagedError("an array whose bytes are not those of its shape")
    try:
        flat: Array = np.frombuffer(data, dtype, offset=10 + length) if math.prod(shape) else np.empty(0, dtype)
        return flat.reshape(shape, order="F" if match[2] == "True" else "C")
    except (ValueError, OverflowError):
        raise DamagedError("an array of an impossible shape") from None


def failure(content: Any) -> Failure | None:
    """An error as it was described inside; None where there was none.

    Raises:
        DamagedError: it is no description of an error.
    """
    if content is None:
        return None
    if not isinstance(content, dict):
        raise DamagedError("an error that is none")

    def text(name: str, most: int) -> str:
        value = content.get(name)
        if not isinstance(value, str):
            raise DamagedError("an error that is none")
        return printable(value[:most])

    frames = content.get("frames")
    if not isinstance(frames, list) or len(frames) > 100:
        raise DamagedError("an error that is none")
    places = []
    for row in frames:
        if not (
            isinstance(row, list)
            and len(row) == 3
            and isinstance(row[0], str)
            and isinstance(row[2], str)
            and type(row[1]) is int
        ):
            raise DamagedError("an error that is none")
        places.append((printable(row[0][:300]), row[1], printable(row[2][:100])))
    return Failure(text("type", 100), text("message", 1000), text("text", 1500), tuple(places))


def printable(text: str) -> str:
    """Text without what steers a terminal or hides in a page."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
