"""Serialization: arrays and state in safetensors files that are whole or not there.

A file is written beside its place, forced to disk and renamed, so that a process killed at any moment leaves the old
file or the new one. A checksum of what was saved stands in the metadata. Nothing loaded is ever executed.
"""

from __future__ import annotations

import glob
import json
import os
import secrets
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np

from tt_foundation.primitive import Array

__all__ = [
    "CHECKSUM_KEY", "Checkpoint", "CheckpointError", "State", "load", "load_state", "read_metadata", "save",
    "save_state", "write_text",
]  # fmt: skip

State: TypeAlias = "Array | Mapping[str, State] | Sequence[State] | str | bool | int | float | None"
"""What :func:`save_state` can save; integers of any size."""

CHECKSUM_KEY = "tt_foundation.blake2b"
"""The metadata entry with the checksum (BLAKE2b, 16 bytes) of every array's name, type, shape and bytes, and of the
other metadata.
"""

_STATE_KEY = "tt_foundation.state"
_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4", "I32": "<i4",
    "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip
_LARGEST_HEADER = 100_000_000
"""The format's own limit, in bytes."""

_partials: set[str] = set()
"""Names of the unfinished files that this process is writing."""


class CheckpointError(ValueError):
    """A file that is no checkpoint, or a damaged one."""


class Checkpoint(NamedTuple):
    """What a file holds: arrays by name, and text about them."""

    arrays: dict[str, Array]
    metadata: dict[str, str]


def _write(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write beside, force to disk, rename; what killed runs left beside is cleared away."""
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        if not _is_being_written(stale.name):
            stale.unlink(missing_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    _partials.add(partial.name)
    try:
        with open(partial, "xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        _partials.discard(partial.name)
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_being_written(partial: str) -> bool:
    """Whether the process that began a partial file, whose number its name has, is still at it."""
    if partial in _partials:
        return True
    try:
        pid = int(partial.split(".")[-3])
        if pid == os.getpid():  # the number was another process's: in a container all runs may have the same
            return False
        if os.name == "posix":  # elsewhere signal 0 is not harmless
            os.kill(pid, 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, UTF-8, whole or not at all.

    Raises:
        OSError: the folder is missing or cannot be written to.
    """
    _write(Path(path), [text.encode()])


def _bytes(array: Array) -> memoryview:
    """The memory of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data


def _checksum(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> str:
    from hashlib import blake2b

    digest = blake2b(digest_size=16)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{json.dumps(name)} {array.dtype.str} {array.shape}\n".encode())
        digest.update(_bytes(array))
    digest.update(json.dumps(metadata, sort_keys=True).encode())
    return digest.hexdigest()


def save(path: str | Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Save arrays by name, with text about them, as a safetensors file.

    Raises:
        TypeError: an array is neither of floats, integers nor booleans, or the metadata is not text.
        ValueError: an array is called ``__metadata__``, or names and metadata take more than 100 MB.
        OSError: the folder is missing or cannot be written to.
    """
    plain: dict[str, Array] = {}
    for name, array in arrays.items():
        if not isinstance(name, str):
            raise TypeError(f"a checkpoint's arrays have names, got {name!r}")
        array = np.asarray(array)
        little_endian = array.dtype.newbyteorder("<")
        if little_endian not in map(np.dtype, _DTYPES.values()):
            raise TypeError(f"a checkpoint holds floats, integers and booleans, {name} is {array.dtype}")
        plain[name] = np.asarray(array, dtype=little_endian, order="C")
    about = {key: text for key, text in (metadata or {}).items() if key != CHECKSUM_KEY}
    for key, text in about.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"a checkpoint's metadata is text by name, got {key!r}: {text!r}")
    _write(Path(path), _safetensors(plain, {**about, CHECKSUM_KEY: _checksum(plain, about)}))


def _safetensors(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> list[bytes | memoryview]:
    """The file: the length of a header in JSON, the header, the arrays. The same content gives the same bytes, which
    the safetensors library does not promise: it writes metadata in an order of its own.
    """
    if "__metadata__" in arrays:
        raise ValueError("a checkpoint's array cannot be called __metadata__: the format keeps the name for itself")
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    names = {np.dtype(dtype): kind for kind, dtype in _DTYPES.items()}
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0]))
    begin = 0
    for name, array in ordered:
        end = begin + array.nbytes
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _LARGEST_HEADER:
        raise ValueError(f"a checkpoint's names and metadata take at most {_LARGEST_HEADER:,} bytes, got {len(text):,}")
    return [struct.pack("<Q", len(text)), text, *(_bytes(array) for _, array in ordered)]


def load(path: str | Path) -> Checkpoint:
    """The arrays, writable and owned, and the metadata of a safetensors file; another program's has no checksum.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is something else, truncated, altered, or holds a type that is not known here.
    """
    return _load(Path(path))[0]


def read_metadata(path: str | Path) -> dict[str, str]:
    """The metadata of a safetensors file, from its header alone: arrays are neither read nor checked.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is something else, truncated, or its header is damaged.
    """
    path = Path(path)
    with _open(path) as file:
        metadata = _header(file, path.name)[1]
    metadata.pop(CHECKSUM_KEY, None)
    return metadata


def _load(path: Path) -> tuple[Checkpoint, bool]:
    """What a file holds, and whether a checksum said so."""
    arrays = {}
    with _open(path) as file:
        entries, metadata = _header(file, path.name)
        for name, entry in entries.items():
            try:
                array = arrays[name] = np.empty(entry.shape, entry.dtype)
            except ValueError:
                raise CheckpointError(
                    f"checkpoint {path.name} is damaged: no array has shape {list(entry.shape)}"
                ) from None
            if file.readinto(_bytes(array)) != array.nbytes:  # type: ignore[attr-defined]  # BinaryIO lacks it
                raise CheckpointError(f"checkpoint {path.name} became shorter while it was read")
            if array.dtype == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
                raise CheckpointError(f"checkpoint {path.name} is damaged: {name} has booleans that are not 0 or 1")
    checksum = metadata.pop(CHECKSUM_KEY, None)
    if checksum is not None and checksum != _checksum(arrays, metadata):
        raise CheckpointError(f"checkpoint {path.name} is damaged: its checksum is not that of its content")
    native = {name: array.astype(array.dtype.newbyteorder("="), copy=False) for name, array in arrays.items()}
    return Checkpoint(native, metadata), checksum is not None


def _open(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():  # a pipe would wait for ever
        raise CheckpointError(f"checkpoint {path.name} is {'a folder' if path.is_dir() else 'no regular file'}")
    return open(path, "rb")


class _Entry(NamedTuple):
    """What an array is, and where its bytes begin and end in the data."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def _header(file: BinaryIO, name: str) -> tuple[dict[str, _Entry], dict[str, str]]:
    """Entries in the order of their data, and metadata; that the file holds just this data is certain."""
    size = os.fstat(file.fileno()).st_size
    first = file.read(8)
    if len(first) < 8:
        raise CheckpointError(f"checkpoint {name} is no safetensors file: it has {size} bytes")
    (length,) = struct.unpack("<Q", first)
    if length > min(size - 8, _LARGEST_HEADER):
        raise CheckpointError(
            f"checkpoint {name} is truncated or no safetensors file: a header of {length:,} bytes in a file of {size:,}"
        )

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a name stands twice")
        return table

    try:
        header = json.loads(file.read(length).decode(), object_pairs_hook=unique)
        if not isinstance(header, dict):
            raise ValueError("the header is no table")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"checkpoint {name} is damaged or no safetensors file: {error}") from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise CheckpointError(f"checkpoint {name} is damaged: its metadata is no table of text")
    entries = {key: _entry(name, key, value) for key, value in header.items()}
    entries = dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)))
    total, found = max((entry.end for entry in entries.values()), default=0), size - 8 - length
    if total != found:
        word = "truncated" if total > found else "too long"
        raise CheckpointError(f"checkpoint {name} is {word}: header says {total:,} bytes of data, file has {found:,}")
    reached = 0
    for key, entry in entries.items():
        if entry.begin != reached:
            raise CheckpointError(f"checkpoint {name} is damaged: {key} begins at {entry.begin}, not at {reached}")
        reached = entry.end
    return entries, metadata


def _entry(file: str, name: str, value: Any) -> _Entry:
    """Type, shape, first and last byte of an array, if they are what they should be and agree."""

    def is_count(n: Any) -> bool:
        return type(n) is int and 0 <= n < 1 << 62

    try:
        kind, shape, (begin, end) = value["dtype"], value["shape"], value["data_offsets"]
        is_sound = len(value) == 3 and isinstance(kind, str) and isinstance(shape, list) and len(shape) <= 64
        is_sound = is_sound and all(map(is_count, [*shape, begin, end])) and begin <= end
    except (KeyError, TypeError, ValueError):
        is_sound = False
    if not is_sound:
        raise CheckpointError(f"checkpoint {file} is damaged: {name} has no sound type, shape and place")
    if kind not in _DTYPES:
        raise CheckpointError(f"checkpoint {file} holds {name} as {kind}; types known here: {', '.join(_DTYPES)}")
    dtype = np.dtype(_DTYPES[kind])
    nbytes = dtype.itemsize
    for n in shape:
        nbytes *= n
    if nbytes != end - begin:
        raise CheckpointError(f"checkpoint {file} is damaged: {name} is {kind} {shape} in {end - begin:,} bytes")
    return _Entry(dtype, tuple(shape), begin, end)


def save_state(path: str | Path, state: Mapping[str, State], metadata: Mapping[str, str] | None = None) -> None:
    """Save nested dicts and lists of arrays, numbers, text, booleans and None: exactly, integers of any size.

    Raises:
        TypeError: something else is in it.
        OSError: the folder is missing or cannot be written to.
    """
    arrays: dict[str, Array] = {}

    def plain(value: Any, path: str) -> Any:
        if isinstance(value, np.ndarray):
            name = path
            while name in arrays:  # {"a.b": x, "a": {"b": y}}
                name += "'"
            arrays[name] = value
            return {"array": name}
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, Mapping):
            if not all(isinstance(k, str) for k in value):
                raise TypeError(
                    f"a state's keys are text, got {[k for k in value if not isinstance(k, str)]} in {path}"
                )
            return {"dict": {k: plain(v, f"{path}.{k}" if path else k) for k, v in value.items()}}
        if isinstance(value, list | tuple):
            items = [plain(v, f"{path}.{i}") for i, v in enumerate(value)]
            return {"tuple" if isinstance(value, tuple) else "list": items}
        if isinstance(value, int) and value.bit_length() > 64:  # in decimal Python limits their length
            return {"hex": hex(value)}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise TypeError(f"a state holds arrays, numbers, text, booleans and None, {path} is a {type(value).__name__}")

    text = json.dumps(plain(state, ""))
    save(path, arrays, {**(metadata or {}), _STATE_KEY: text})


def load_state(path: str | Path) -> dict[str, Any]:
    """What :func:`save_state` saved.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, or holds arrays only.
    """
    (arrays, metadata), is_certain = _load(Path(path))
    if _STATE_KEY not in metadata or not is_certain:
        raise CheckpointError(f"checkpoint {Path(path).name} holds arrays, not the state of a run")

    def restored(value: Any) -> Any:
        if isinstance(value, dict):
            ((kind, inner),) = value.items()
            if kind == "array":
                return arrays[inner]
            if kind == "hex":
                return int(inner, 16)
            if kind == "dict":
                return {k: restored(v) for k, v in inner.items()}
            items = [restored(v) for v in inner]
            return tuple(items) if kind == "tuple" else items
        return value

    try:
        state = restored(json.loads(metadata[_STATE_KEY]))
        if not isinstance(state, dict):
            raise TypeError("no table")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"checkpoint {Path(path).name} is damaged: its state cannot be read ({error})") from None
    return state
