"""The command that trains word vectors on books."""

from pathlib import Path

import pytest

from tt_architectures.word2vec import GROUPS, main

TEXT = "the dog eats meat and the king wears a crown . " * 20


def test_the_words_to_draw_are_each_in_one_group() -> None:
    words = [word for group in GROUPS.values() for word in group]
    assert all(word.islower() for word in words)
    assert len(set(words)) == len(words)


def test_the_command_trains_prints_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "text" / "gutenberg"
    folder.mkdir(parents=True)
    (folder / "00001-A-Book.txt").write_text(TEXT + " red blue green" * 20)
    monkeypatch.setenv("TT_DATA", str(tmp_path))
    main(["--epochs", "1", "--nearest", "dog", "zebra", "--plot", str(tmp_path / "words.png")])
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith("different ones that stand at least 20 times")
    assert out[1].startswith("epoch 1: loss")
    assert out[2].startswith("dog: ")
    assert out[-1] == "zebra: is too rare in these books"
    assert (tmp_path / "words.png").stat().st_size > 1000
