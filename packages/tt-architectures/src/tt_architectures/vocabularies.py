"""Vocabularies as files: GPT-2's and BERT's published ones, and this library's own.

A saved tokenizer is one JSON file, readable, with a checksum, written whole or not at all. Knows formats; knows nothing
of how text becomes tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tt_foundation import write_text

__all__ = ["BytePairs", "TokenizerError", "read_bert", "read_gpt2", "read_tokenizer", "write_gpt2", "write_tokenizer"]

BYTE_ORDER = bytes([*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)])
"""All bytes in the order of GPT-2's vocabulary: those that Latin-1 prints, then the others."""

BYTE_ORDER += bytes(b for b in range(256) if b not in BYTE_ORDER)

_PRINTED = {b: chr(b if i < 188 else 256 + i - 188) for i, b in enumerate(BYTE_ORDER)}
_BYTES = {character: b for b, character in _PRINTED.items()}


class TokenizerError(ValueError):
    """A file that is no tokenizer or vocabulary, or a damaged one."""


class BytePairs(NamedTuple):
    """A byte-pair vocabulary: the bytes of each token by its id, and which pairs of ids are merged, in order."""

    tokens: list[bytes]
    merges: list[tuple[int, int]]


def printable(token: bytes) -> str:
    """Bytes as characters that print, one for each, as GPT-2's files have them: a space is ``Ġ``."""
    return "".join(_PRINTED[b] for b in token)


def bytes_of(text: str) -> bytes:
    """The bytes that :func:`printable` wrote.

    Raises:
        ValueError: a character stands for no byte.
    """
    try:
        return bytes(_BYTES[character] for character in text)
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} in {text!r} stands for no byte") from None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path} is damaged: no UTF-8 at byte {error.start}") from None


def _json(path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a name stands twice")
        return table

    try:
        content = json.loads(_text(path), object_pairs_hook=unique)
        if not isinstance(content, dict):
            raise ValueError("it is no table")
    except TokenizerError:
        raise
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{path} is damaged or no JSON file: {error}") from None
    return content


def _one_of(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} has {'neither' if len(names) > 1 else 'no'} {' nor '.join(names)}")


def _by_id(path: Path, ids: Mapping[str, Any]) -> list[str]:
    """Tokens in the order of their ids, which are the numbers from 0 on, each once."""
    places = {i: token for token, i in ids.items() if type(i) is int}
    if len(places) != len(ids) or any(i not in places for i in range(len(ids))):
        raise TokenizerError(f"{path} is damaged: the ids of its {len(ids)} tokens are not 0 to {len(ids) - 1}")
    return [places[i] for i in range(len(places))]


def pairs_of(lines: Sequence[str], ids: Mapping[str, int]) -> list[tuple[int, int]]:
    """Merges, two tokens with a space between, as pairs of ids.

    Raises:
        ValueError: one is no pair of tokens, or makes what is none.
    """
    pairs = []
    for number, line in enumerate(lines, 1):
        first, _, second = line.partition(" ")
        if first not in ids or second not in ids or first + second not in ids:
            raise ValueError(f"merge {number}, {line!r}, is no pair of tokens that makes a token")
        pairs.append((ids[first], ids[second]))
    return pairs


def read_gpt2(folder: str | Path, special_tokens: Sequence[str]) -> BytePairs:
    """A vocabulary as GPT-2's: ``encoder.json`` and ``vocab.bpe``, or ``vocab.json`` and ``merges.txt``.

    Raises:
        FileNotFoundError: a file is missing.
        TokenizerError: one is damaged, or they do not belong together.
    """
    folder = Path(folder)
    vocabulary, merges = _one_of(folder, "encoder.json", "vocab.json"), _one_of(folder, "vocab.bpe", "merges.txt")
    ids = _json(vocabulary)
    names = _by_id(vocabulary, ids)
    lines = _text(merges).split("\n")
    lines = [line for line in (lines[1:] if lines[0].startswith("#version") else lines) if line]
    try:
        tokens = [name.encode() if name in special_tokens else bytes_of(name) for name in names]
    except ValueError as error:
        raise TokenizerError(f"{vocabulary} is damaged: {error}") from None
    try:
        return BytePairs(tokens, pairs_of(lines, ids))
    except ValueError as error:
        raise TokenizerError(f"{merges} is damaged, or does not belong to {vocabulary.name}: {error}") from None


def write_gpt2(folder: str | Path, ids: Mapping[str, int], merges: Sequence[str]) -> None:
    """Write ``vocab.json`` and ``merges.txt``, each whole or not at all.

    Raises:
        OSError: the folder is missing or cannot be written to.
    """
    write_text(Path(folder, "vocab.json"), json.dumps(ids, ensure_ascii=False))
    write_text(Path(folder, "merges.txt"), "\n".join(["#version: 0.2", *merges, ""]))


def read_bert(folder: str | Path) -> list[str]:
    """A vocabulary as BERT's: the lines of ``vocab.txt``.

    Raises:
        FileNotFoundError: there is no such file.
        TokenizerError: it is damaged, or a token stands twice.
    """
    path = _one_of(Path(folder), "vocab.txt")
    lines = _text(path).removesuffix("\n").split("\n")
    tokens = [line.removesuffix("\r") for line in lines]
    twice = [token for token, count in Counter(tokens).items() if count > 1]
    if twice:
        raise TokenizerError(f"{path} is damaged: {twice[0]!r} stands twice")
    return tokens


def _checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def write_tokenizer(path: str | Path, content: Mapping[str, Any]) -> None:
    """Save plain data as a tokenizer's file, whole or not at all.

    Raises:
        OSError: the folder is missing or cannot be written to.
    """
    lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items()]
    lines.append(f' "checksum": "{_checksum(content)}"')
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_tokenizer(path: str | Path) -> dict[str, Any]:
    """The plain data that :func:`write_tokenizer` saved.

    Raises:
        FileNotFoundError: there is no such file.
        TokenizerError: it is damaged, or something else.
    """
    path = Path(path)
    content = _json(path)
    checksum = content.pop("checksum", None)
    if checksum is None or "kind" not in content:
        raise TokenizerError(f"{path} is no saved tokenizer: it has no {'kind' if checksum else 'checksum'}")
    if checksum != _checksum(content):
        raise TokenizerError(f"{path} is damaged: its checksum is not that of its content")
    return content
