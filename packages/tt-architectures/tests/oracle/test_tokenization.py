"""Tokenizers against Hugging Face's: the same ids, the same merges, the same words."""

from __future__ import annotations

import json
import os
import string
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers, trainers

from tt_architectures.pretokenization import bert_words, gpt2_words
from tt_architectures.tokenization import BPETokenizer, WordPieceTokenizer

pytestmark = pytest.mark.data

ROOT = Path(os.environ.get("TT_DATA", "/nowhere"))
TEXTS = [str(p.relative_to(ROOT / "text")) for p in sorted((ROOT / "text").rglob("*.txt"))]

CHARACTERS = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]
OLD = [c for c in CHARACTERS if unicodedata.category(c) == unicodedata.ucd_3_2_0.category(c) != "Cn"]
"""The characters whose category has been the same since Unicode 3.2, so that it is in all tables, however old."""

old_text = st.text(st.sampled_from(OLD)) | st.text(string.printable)


@pytest.fixture(scope="module")
def gpt2() -> tuple[BPETokenizer, Any]:
    folder = ROOT / "tokenizers" / "gpt2"
    theirs = tokenizers.ByteLevelBPETokenizer(str(folder / "encoder.json"), str(folder / "vocab.bpe"))
    theirs.add_special_tokens(["<|endoftext|>"])
    return BPETokenizer.from_gpt2(folder), theirs


@pytest.fixture(scope="module")
def bert() -> tuple[WordPieceTokenizer, Any]:
    folder = ROOT / "tokenizers" / "bert-base-uncased"
    return WordPieceTokenizer.from_bert(folder), tokenizers.BertWordPieceTokenizer(str(folder / "vocab.txt"))


def read(name: str) -> str:
    return (ROOT / "text" / name).read_bytes().decode()


def theirs_of(tokenizer: Any, text: str) -> list[int]:
    """Their ids, without the places that each came from, which take half of the time."""
    ids: list[int] = tokenizer._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids
    return ids


def test_there_are_texts_to_compare_on() -> None:
    assert len(TEXTS) >= 45


@pytest.mark.parametrize("name", TEXTS)
def test_gpt2_ids_are_the_same(name: str, gpt2: tuple[BPETokenizer, Any]) -> None:
    text = read(name)
    ids = gpt2[0].encode(text)
    assert ids == theirs_of(gpt2[1], text)
    assert gpt2[0].decode(ids) == text


@pytest.mark.parametrize("name", TEXTS)
def test_bert_ids_are_the_same(name: str, bert: tuple[WordPieceTokenizer, Any]) -> None:
    text = read(name)
    assert bert[0].encode(text) == theirs_of(bert[1], text)


@given(old_text)
@settings(deadline=None, max_examples=500)
def test_gpt2_ids_are_the_same_on_any_text(gpt2: tuple[BPETokenizer, Any], text: str) -> None:
    assert gpt2[0].encode(text) == gpt2[1].encode(text).ids


@given(old_text)
@settings(deadline=None, max_examples=500)
def test_bert_ids_are_the_same_on_any_text(bert: tuple[WordPieceTokenizer, Any], text: str) -> None:
    assert bert[0].encode(text) == bert[1].encode(text, add_special_tokens=False).ids


@given(st.lists(st.sampled_from(["<|endoftext|>", "[MASK]", "[SEP]", "a", " ", "\n", "it's", "##x", "Ġ", "<|end"])))
@settings(deadline=None)
def test_special_tokens_are_found_in_the_same_places(
    gpt2: tuple[BPETokenizer, Any], bert: tuple[WordPieceTokenizer, Any], parts: list[str]
) -> None:
    text = "".join(parts)
    assert gpt2[0].encode(text) == gpt2[1].encode(text).ids
    assert bert[0].encode(text) == bert[1].encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("length", [100, 130, 5000])
def test_long_words_are_merged_in_the_same_order(length: int, gpt2: tuple[BPETokenizer, Any]) -> None:
    text = ("antidisestablishmentarianism" * 200)[:length]
    assert gpt2[0].encode(text) == gpt2[1].encode(text).ids
    assert gpt2[0].encode("e" * length) == gpt2[1].encode("e" * length).ids


def test_every_character_is_of_the_same_class_for_gpt2() -> None:
    theirs = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for c in (c for c in CHARACTERS if unicodedata.category(c) != "Cn"):
        text = f"a{c}a{c}1{c}1 {c}{c}"
        ends = [end for _, (_, end) in theirs.pre_tokenize_str(text)]
        words = gpt2_words(text)
        assert [len("".join(words[: i + 1])) for i in range(len(words))] == ends, hex(ord(c))


def test_every_character_is_of_the_same_class_for_bert() -> None:
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    for c in OLD:
        text = f"x{c}Y"
        expected = [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))]
        assert bert_words(text) == expected, hex(ord(c))


@pytest.mark.parametrize(
    ("name", "size"), [("tinyshakespeare.txt", 4096), ("names.txt", 3000), ("tinystories/valid.txt", 4096)]
)
def test_training_learns_the_same_merges(name: str, size: int) -> None:
    text = read(name)
    theirs = tokenizers.Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    theirs.train_from_iterator([text], trainer)
    model = json.loads(theirs.to_str())["model"]
    ours = BPETokenizer.train(text, size)
    assert ours.ids == model["vocab"]
    assert ours.content()["merges"] == [" ".join(merge) for merge in model["merges"]]


def test_what_is_saved_in_gpt2_format_loads_in_theirs(tmp_path: Path) -> None:
    text = read("tinystories/valid.txt")[:100_000]
    ours = BPETokenizer.train(text, 1000, ["<|endoftext|>"])
    ours.save_gpt2(tmp_path)
    theirs = tokenizers.ByteLevelBPETokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    theirs.add_special_tokens(["<|endoftext|>"])
    assert ours.encode(text) == theirs.encode(text).ids
