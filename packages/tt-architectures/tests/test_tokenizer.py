"""What all tokenizers share: files that are whole or refused, and the words met before."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from tt_architectures.tokenization import BPETokenizer, CharTokenizer, WordPieceTokenizer
from tt_architectures.tokenizer import Tokenizer, WordCache
from tt_architectures.vocabularies import TokenizerError, write_tokenizer

TEXT = 'the cat sat "on" the mat\\ über 日本語 🙂 [UNK] '

TOKENIZERS: list[Tokenizer] = [
    CharTokenizer.train(TEXT, ["<s>", "[UNK]"], "[UNK]"),
    BPETokenizer.train(TEXT, 270, ["<ß>", "[UNK]"]),
    WordPieceTokenizer.train(TEXT, 60),
]


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: type(t).__name__)
def test_what_is_saved_is_loaded(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    for loaded in (Tokenizer.load(path), type(tokenizer).load(path)):
        assert type(loaded) is type(tokenizer)
        assert loaded.content() == tokenizer.content()
        assert loaded.encode(TEXT) == tokenizer.encode(TEXT)
    first = path.read_bytes()
    Tokenizer.load(path).save(path)
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer.json"]


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: type(t).__name__)
def test_tokenizers_go_to_other_processes(tokenizer: Tokenizer) -> None:
    tokenizer.encode(TEXT)
    for twin in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert twin.encode(TEXT) == tokenizer.encode(TEXT)


def test_a_tokenizer_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    TOKENIZERS[0].save(path)
    with pytest.raises(TokenizerError, match="holds a CharTokenizer, not a BPETokenizer"):
        BPETokenizer.load(path)
    write_tokenizer(path, {"kind": "Morse"})
    with pytest.raises(TokenizerError, match="holds a tokenizer unknown here: Morse"):
        Tokenizer.load(path)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: type(t).__name__)
def test_a_damaged_file_is_refused_wherever_it_is_damaged(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    tokenizer.save(path)
    whole = path.read_bytes()
    for size in [*range(0, len(whole) - 2, 97), len(whole) - 3]:
        path.write_bytes(whole[:size])
        with pytest.raises(TokenizerError, match=r"t\.json"):
            Tokenizer.load(path)
    for place in range(2, len(whole), 61):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(TokenizerError, match=r"t\.json"):
            Tokenizer.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"merges": ["a b c"]}, "merge 1, 'a b c', is no pair of tokens that makes a token"),
        ({"merges": 3}, "is damaged"),
        ({"tokens": ["[UNK]", "<ß>", "a"], "merges": []}, "a byte has no token"),
        ({"tokens": None}, "is damaged"),
        ({"special_tokens": ["<no>"]}, "special token '<no>' is not among the tokens"),
        ({"special_tokens": None}, "is damaged"),
    ],
)
def test_a_file_with_content_that_makes_no_sense_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_tokenizer(tmp_path / "t.json", {"kind": "BPETokenizer", **TOKENIZERS[1].content(), **change})
    with pytest.raises(TokenizerError, match=message):
        Tokenizer.load(tmp_path / "t.json")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    with pytest.raises(FileNotFoundError):
        Tokenizer.load(path)
    for content in ("{}", "[]", "no", json.dumps({"checksum": "", "kind": "x"}), '{"a": 1, "a": 2}', "[" * 100_000):
        path.write_text(content)
        with pytest.raises(TokenizerError):
            Tokenizer.load(path)


def test_words_are_encoded_once_and_long_ones_every_time() -> None:
    asked: list[str] = []

    def encode(word: str) -> list[int]:
        asked.append(word)
        return [len(word)]

    words = WordCache(encode)
    for word in ("a", "a", "b" * 100, "b" * 100):
        assert words[word] == [len(word)]
    assert asked == ["a", "b" * 100, "b" * 100]
