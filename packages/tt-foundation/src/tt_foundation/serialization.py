"""Serialization: arrays and state in safetensors files that are whole or not there.

A file is written beside its place, forced to disk and renamed, so that a process killed at any moment leaves the old
file or the new one. A checksum of what was saved stands in the metadata. Nothing loaded is ever executed.
"""

from __future__ import annotations

import glob
import json
import os
import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tt_foundation.primitive import Array

__all__ = ["CHECKSUM_KEY", "Checkpoint", "CheckpointError", "load", "load_state", "save", "save_state", "write_text"]

CHECKSUM_KEY = "tt_foundation.blake2b"
"""The metadata entry with the checksum: BLAKE2b, 16 bytes, of all arrays (name, type, shape, bytes) and the text."""

_STATE_KEY = "tt_foundation.state"
_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4", "I32": "<i4",
    "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip
_LARGEST_HEADER = 100_000_000


class CheckpointError(ValueError):
    """A file that is no checkpoint, or a damaged one."""


class Checkpoint(NamedTuple):
    """What a file holds: arrays by name, and text about them."""

    arrays: dict[str, Array]
    metadata: dict[str, str]


def _write(path: Path, content: bytes) -> None:
    """Write beside, force to disk, rename; what killed runs left beside is cleared away."""
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        if not _is_running(stale.name.rsplit(".", 2)[1].partition("-")[0]):
            stale.unlink(missing_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, UTF-8, whole or not at all.

    Raises:
        OSError: the folder is missing or cannot be written to.
    """
    _write(Path(path), text.encode())


def _checksum(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> str:
    from hashlib import blake2b

    digest = blake2b(digest_size=16)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{len(name)}:{name} {array.dtype.str} {array.shape}\n".encode(errors="surrogatepass"))
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    digest.update(json.dumps(metadata, sort_keys=True).encode())
    return digest.hexdigest()


def save(path: str | Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Save arrays by name, with text about them, as a safetensors file.

    Raises:
        TypeError: an array is neither of floats, integers nor booleans.
        OSError: the folder is missing or cannot be written to.
    """
    plain: dict[str, Array] = {}
    for name, array in arrays.items():
        array = np.asarray(array)
        if name == "__metadata__":
            raise ValueError("an array cannot be called __metadata__: the format keeps that name for itself")
        if array.dtype.newbyteorder("<") not in map(np.dtype, _DTYPES.values()):
            raise TypeError(f"a checkpoint holds floats, integers and booleans, {name} is {array.dtype}")
        plain[name] = np.array(array, dtype=array.dtype.newbyteorder("<"), order="C", copy=True)
    _write(Path(path), _safetensors(plain, {**(metadata or {}), CHECKSUM_KEY: _checksum(plain, metadata or {})}))


def _safetensors(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """The file: the length of a header in JSON, the header, the arrays. The same content gives the same bytes, which
    the safetensors library does not promise: it writes metadata in an order of its own.
    """
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
    return b"".join([struct.pack("<Q", len(text)), text, *(array.tobytes() for _, array in ordered)])


def load(path: str | Path) -> Checkpoint:
    """The arrays, writable and owned, and the metadata of a safetensors file; another program's has no checksum.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is something else, truncated, altered, or holds a type that NumPy has not.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"checkpoint {path.name} is a folder")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        header, start = _header(path.name, file.read(8), size, file)
        entries = {name: _entry(path.name, name, value) for name, value in header.items()}
        total = max((end for *_, end in entries.values()), default=0)
        if total != size - start:
            word = "truncated" if total > size - start else "too long"
            raise CheckpointError(
                f"checkpoint {path.name} is {word}: header says {total:,} bytes of data, file has {size - start:,}"
            )
        content = file.read()
    arrays, reached = {}, 0
    for name, (dtype, shape, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != reached:
            raise CheckpointError(f"checkpoint {path.name} is damaged: {name} begins at {begin}, not at {reached}")
        reached = end
        arrays[name] = np.frombuffer(content, dtype, offset=begin, count=(end - begin) // dtype.itemsize)
        try:
            arrays[name] = arrays[name].reshape(shape).astype(dtype.newbyteorder("="), copy=True)
        except ValueError:
            raise CheckpointError(f"checkpoint {path.name} is damaged: no array has shape {list(shape)}") from None
    metadata = _metadata(path.name, header)
    checksum = metadata.pop(CHECKSUM_KEY, None)
    if checksum is not None and checksum != _checksum(arrays, metadata):
        raise CheckpointError(f"checkpoint {path.name} is damaged: its checksum is not that of its content")
    return Checkpoint(arrays, metadata)


class _Header(dict[str, Any]):
    """The entries of a header; ``metadata`` is what it says besides."""

    metadata: Any = None


def _header(name: str, first: bytes, size: int, file: Any) -> tuple[_Header, int]:
    if len(first) < 8:
        raise CheckpointError(f"checkpoint {name} is no safetensors file: it has {size} bytes")
    (length,) = struct.unpack("<Q", first)
    if length > min(size - 8, _LARGEST_HEADER):
        raise CheckpointError(
            f"checkpoint {name} is truncated or no safetensors file: a header of {length:,} bytes in a file of {size:,}"
        )

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name stands twice")
        return dict(pairs)

    try:
        header = json.loads(file.read(length).decode(), object_pairs_hook=unique)
        if not isinstance(header, dict):
            raise ValueError("the header is no table")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"checkpoint {name} is damaged or no safetensors file: {error}") from None
    entries = _Header(header)
    entries.metadata = entries.pop("__metadata__", {})
    return entries, 8 + length


def _entry(file: str, name: str, value: Any) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """Type, shape, first and last byte of an array, if they are what they should be and agree."""

    def is_count(n: Any) -> bool:
        return type(n) is int and 0 <= n < 1 << 62

    try:
        kind, shape, (begin, end) = value["dtype"], value["shape"], value["data_offsets"]
        is_sound = len(value) == 3 and isinstance(shape, list) and len(shape) <= 64
        is_sound = is_sound and all(map(is_count, [*shape, begin, end])) and begin <= end
    except (KeyError, TypeError, ValueError):
        is_sound = False
    if not is_sound:
        raise CheckpointError(f"checkpoint {file} is damaged: {name} has no sound type, shape and place")
    if not isinstance(kind, str) or kind not in _DTYPES:
        raise CheckpointError(f"checkpoint {file} has {name} as {kind}, which NumPy has not")
    dtype = np.dtype(_DTYPES[kind])
    nbytes = dtype.itemsize
    for n in shape:
        nbytes *= n
    if nbytes != end - begin:
        raise CheckpointError(f"checkpoint {file} is damaged: {name} is {kind} {shape} in {end - begin:,} bytes")
    return dtype, tuple(shape), begin, end


def _metadata(file: str, header: _Header) -> dict[str, str]:
    found = header.metadata
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise CheckpointError(f"checkpoint {file} is damaged: its metadata is no table of text")
    return dict(found)


def save_state(path: str | Path, state: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
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
    arrays, metadata = load(path)
    if _STATE_KEY not in metadata:
        raise CheckpointError(f"checkpoint {Path(path).name} holds arrays, not the state of a run")

    def restored(value: Any) -> Any:
        if isinstance(value, dict):
            ((kind, inner),) = value.items()
            if kind == "array":
                return arrays[inner]
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
