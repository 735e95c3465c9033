"""CIFAR's batch files: pickles, read without executing anything that stands in them.

A pickle is a program for a small stack machine, two of whose instructions import and call what the file names. The
machine here knows only the instructions that these files are written with, imports nothing and calls nothing: it
notes what *would* be called, and that must be exactly what a batch of images needs. Knows nothing of where files lie.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tt_foundation import Array, DatasetError

__all__ = ["parse_cifar", "read_cifar"]

_LARGEST_BYTES = 1 << 26
_MOST_INSTRUCTIONS = 200_000
"""About twice the size, and six times the instructions, of the files there are: what else claims to be one is refused
before it costs memory."""

_PIXELS = 3 * 32 * 32


class _Name(NamedTuple):
    """What the file would import."""

    module: bytes
    name: bytes


class _Call(NamedTuple):
    """What the file would call, and the state it would give to the result."""

    function: Any
    arguments: Any
    state: Any = None


class _Refused(Exception):  # noqa: N818 - it never leaves this file
    """What is wrong with a file, without its name."""


_UINT8 = _Call(_Name(b"numpy", b"dtype"), (b"u1", 0, 1), (3, b"|", None, None, None, -1, -1, 0))
_ARRAY = (_Name(b"numpy.core.multiarray", b"_reconstruct"), (_Name(b"numpy", b"ndarray"), (0,), b"b"))


def read_cifar(path: str | Path) -> tuple[Array, Array]:
    """Images and labels of a file of CIFAR-10's Python version: uint8 ``(n, 3, 32, 32)`` and int64 ``(n,)``.

    The images lie channels-last in memory.

    Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images.

    Raises:
        FileNotFoundError: there is no such file.
        DatasetError: it is no such file, or damaged. Nothing in it was executed.
    """
    path = Path(path)
    if path.is_dir():
        raise DatasetError(f"{path} is a folder, not a batch of CIFAR-10")
    with open(path, "rb") as file:
        return parse_cifar(file.read(_LARGEST_BYTES + 1), str(path))


def parse_cifar(content: bytes, name: str) -> tuple[Array, Array]:
    """What :func:`read_cifar` returns, from the content of a file that errors call ``name``.

    Raises:
        DatasetError: it is no batch, or damaged.
    """
    try:
        if len(content) > _LARGEST_BYTES:
            raise _Refused(f"more than {_LARGEST_BYTES:,} bytes")
        return _batch(_value(content))
    except _Refused as error:
        raise DatasetError(f"{name} is no batch of CIFAR-10: {error}") from None


def _batch(value: Any) -> tuple[Array, Array]:
    """Images and labels in what a file holds, if that has the form of a batch."""
    if not isinstance(value, dict) or not {b"data", b"labels"} <= value.keys():
        raise _Refused("it holds no dictionary with data and labels")
    match value[b"data"]:
        case _Call(function, arguments, (1, (int(n), int(width)), dtype, False, bytes(pixels))):
            is_bytes = (function, arguments) == _ARRAY and dtype == _UINT8
        case _:
            raise _Refused("its data are no array")
    labels = value[b"labels"]
    if not is_bytes or width != _PIXELS:
        raise _Refused(f"its data are not rows of {_PIXELS:,} bytes")
    if n < 1 or len(pixels) != n * _PIXELS:
        raise _Refused(f"{n:,} images announced, {len(pixels):,} bytes of them there")
    if not isinstance(labels, list) or len(labels) != n:
        raise _Refused(f"it has {n:,} images and not as many labels")
    if not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise _Refused("a label is not a number from 0 to 9")
    planes = np.frombuffer(pixels, np.uint8).reshape(n, 3, 32, 32)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return images, np.array(labels, np.int64)


def _value(content: bytes) -> Any:
    """What the program of a pickle leaves on its stack; what it would import and call is only noted.

    The instructions are those of protocol 2; ``pickletools`` in the standard library describes each.
    """
    stack: list[Any] = []
    marks: list[int] = []
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        piece = content[at : at + count]
        if count < 0 or len(piece) != count:
            raise _Refused(f"it ends within an instruction, at byte {len(content):,}")
        at += count
        return piece

    def number(size: int, *, signed: bool = False) -> int:
        return int.from_bytes(take(size), "little", signed=signed)

    def line() -> bytes:
        end = content.find(b"\n", at, at + 256)
        return take(end + 1 - at)[:-1] if end >= 0 else take(-1)

    def popped(count: int) -> tuple[Any, ...]:
        if len(stack) < count:
            raise _Refused(f"an instruction at byte {at:,} finds too little on the stack")
        items = tuple(stack[len(stack) - count :])
        del stack[len(stack) - count :]
        return items

    def marked() -> tuple[Any, ...]:
        if not marks or marks[-1] > len(stack):
            raise _Refused(f"an instruction at byte {at:,} finds no mark on the stack")
        return popped(len(stack) - marks.pop())

    for _ in range(_MOST_INSTRUCTIONS):
        match take(1):
            case b"q":  # BINPUT and LONG_BINPUT number a value for later, and nothing here is fetched again
                take(1)
            case b"r":
                take(4)
            case b"K":
                stack.append(number(1))
            case b"M":
                stack.append(number(2))
            case b"J":
                stack.append(number(4, signed=True))
            case b"U":
                stack.append(take(number(1)))
            case b"T":
                stack.append(take(number(4, signed=True)))
            case b"N":
                stack.append(None)
            case b"\x89":
                stack.append(False)
            case b"}":
                stack.append({})
            case b"]":
                stack.append([])
            case b"(":
                marks.append(len(stack))
            case b"t":
                stack.append(marked())
            case b"\x85":
                stack.append(popped(1))
            case b"\x86":
                stack.append(popped(2))
            case b"\x87":
                stack.append(popped(3))
            case b"e":
                items = marked()
                if not stack or not isinstance(stack[-1], list):
                    raise _Refused(f"an instruction at byte {at:,} appends to what is no list")
                stack[-1].extend(items)
            case b"u":
                items = marked()
                if not stack or not isinstance(stack[-1], dict) or len(items) % 2:
                    raise _Refused(f"an instruction at byte {at:,} puts items into what is no dictionary")
                if not all(isinstance(key, bytes) for key in items[::2]):
                    raise _Refused("a key of its dictionary is no string")
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case b"c":
                stack.append(_Name(line(), line()))
            case b"R":
                stack.append(_Call(*popped(2)))
            case b"b":
                call, state = popped(2)
                if not isinstance(call, _Call):
                    raise _Refused(f"an instruction at byte {at:,} sets the state of what is no object")
                stack.append(call._replace(state=state))
            case b"\x80":
                if (version := number(1)) != 2:
                    raise _Refused(f"it is a pickle of protocol {version}, not 2")
            case b".":
                if at != len(content) or len(stack) != 1:
                    raise _Refused(f"its program ends at byte {at:,} of {len(content):,}")
                return stack[0]
            case other:
                raise _Refused(f"its instruction {other!r} at byte {at - 1:,} is none that such a file needs")
    raise _Refused(f"more than {_MOST_INSTRUCTIONS:,} instructions")
