"""Published vocabularies: read in the layouts that they come in, and refused where they are damaged."""

import json
from pathlib import Path

import pytest

from tt_architectures.vocabularies import (
    BYTE_ORDER,
    TokenizerError,
    bytes_of,
    pairs_of,
    printable,
    read_bert,
    read_gpt2,
    write_gpt2,
)


def gpt2(folder: Path, ids: object, merges: str, names: tuple[str, str] = ("encoder.json", "vocab.bpe")) -> Path:
    (folder / names[0]).write_text(ids if isinstance(ids, str) else json.dumps(ids), encoding="utf-8")
    (folder / names[1]).write_text(merges, encoding="utf-8")
    return folder


def test_every_byte_has_a_character_that_prints() -> None:
    every = bytes(range(256))
    text = printable(every)
    assert len(set(text)) == 256
    assert all(c.isprintable() and not c.isspace() for c in text)
    assert bytes_of(text) == every
    assert printable(b" the\n") == "ĠtheĊ"
    assert sorted(BYTE_ORDER) == list(every)
    assert "".join(sorted(text)) == printable(BYTE_ORDER)
    with pytest.raises(ValueError, match="'日' in 'a日' stands for no byte"):
        bytes_of("a日")


@pytest.mark.parametrize("names", [("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt")])
@pytest.mark.parametrize("head", ["#version: 0.2\n", ""])
def test_gpt2_files_are_read_under_either_name(tmp_path: Path, names: tuple[str, str], head: str) -> None:
    folder = gpt2(tmp_path, {"Ġ": 1, "a": 0, "Ġa": 2, "日": 3}, head + "Ġ a\n", names)
    tokens, merges = read_gpt2(folder, ["日"])
    assert tokens == [b"a", b" ", b" a", "日".encode()]
    assert merges == [(1, 0)]


@pytest.mark.parametrize(
    ("ids", "merges", "message"),
    [
        ({"a": 0, "b": 2}, "", "the ids of its 2 tokens are not 0 to 1"),
        ({"a": 0, "b": 0}, "", "the ids of its 2 tokens"),
        ({"a": 0, "b": "1"}, "", "the ids of its 2 tokens"),
        ({"a": 0, "日": 1}, "", "encoder.json is damaged: '日' in '日' stands for no byte"),
        ({"a": 0, "b": 1}, "a b\n", "vocab.bpe is damaged, or does not belong to encoder.json: merge 1, 'a b'"),
        ({"a": 0, "aa": 1}, "a a\na\n", "merge 2, 'a', is no pair"),
        (["a"], "", "no JSON file: it is no table"),
        ('{"a": 0', "", "damaged or no JSON file"),
        ('{"a": 0, "a": 1}', "", "a name stands twice"),
    ],
)
def test_damaged_gpt2_files_are_refused(tmp_path: Path, ids: object, merges: str, message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        read_gpt2(gpt2(tmp_path, ids, merges), [])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has neither encoder\.json nor vocab\.json"):
        read_gpt2(tmp_path, [])
    with pytest.raises(FileNotFoundError, match=r"has no vocab\.txt"):
        read_bert(tmp_path)


def test_gpt2_files_are_written_as_they_are_read(tmp_path: Path) -> None:
    write_gpt2(tmp_path, {"a": 0, "Ġ": 1, "Ġa": 2}, ["Ġ a"])
    assert read_gpt2(tmp_path, []).merges == [(1, 0)]
    assert (tmp_path / "merges.txt").read_text("utf-8") == "#version: 0.2\nĠ a\n"


def test_bert_files_are_lines(tmp_path: Path) -> None:
    for content in ("[UNK]\na\n##b\n", "[UNK]\r\na\r\n##b"):
        (tmp_path / "vocab.txt").write_bytes(content.encode())
        assert read_bert(tmp_path) == ["[UNK]", "a", "##b"]
    for content, message in ((b"a\nb\na\n", "'a' stands twice"), (b"a\n\xff", "no UTF-8 at byte 2")):
        (tmp_path / "vocab.txt").write_bytes(content)
        with pytest.raises(TokenizerError, match=message):
            read_bert(tmp_path)


def test_merges_are_pairs_of_ids() -> None:
    assert pairs_of(["a b", "ab a"], {"a": 0, "b": 1, "ab": 2, "aba": 3}) == [(0, 1), (2, 0)]
