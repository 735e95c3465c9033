"""The milestone of 2017 on a text as small as can be: it learns, repeats, is saved, and says what it copied."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tt_architectures.milestones import transformer_2017
from tt_architectures.milestones.transformer_2017 import (
    Corpus,
    Recipe,
    corpus,
    load_model,
    main,
    new_model,
    save_model,
    shares_seen,
    train,
    written,
)
from tt_architectures.tokenization import BPETokenizer, CharTokenizer
from tt_foundation import manual_seed

TEXT = "the cat sat on the mat. the dog sat on the log. " * 40
SMALL = Recipe(d_model=16, num_layers=1, num_heads=2, context=16, batch=8)


def little(name: str = "char") -> Corpus:
    tokenizer = CharTokenizer.train(TEXT) if name == "char" else BPETokenizer.train(TEXT, 270)
    return Corpus(TEXT[:1600], TEXT[1600:], tokenizer, "the ")


def trained(steps: int, name: str = "char") -> tuple[Any, Any]:
    manual_seed(0)
    data = little(name)
    model = new_model(SMALL, data)
    return model, train(model, data, SMALL, steps=steps, minutes=1, shows=2)


def test_it_learns_shows_what_it_writes_and_repeats(capsys: pytest.CaptureFixture[str]) -> None:
    model, result = trained(60)
    out = capsys.readouterr().out
    assert out.count("held-out loss") == 4  # before, twice on the way, and at the end
    assert "step 20, " in out
    assert result.loss < 1.5 < math.log(16)
    assert result.bits_per_byte == pytest.approx(result.loss / math.log(2))
    assert result.steps == 60
    again, same = trained(60)
    assert same.loss == result.loss
    assert all(np.array_equal(p.data, q.data) for p, q in zip(model.parameters(), again.parameters(), strict=True))


def test_a_token_of_several_bytes_is_counted_by_its_bytes() -> None:
    data = little("bpe")
    _, result = trained(3, "bpe")
    per_byte = len(data.tokenizer.encode(data.held_out_text)) / len(data.held_out_text.encode())
    assert per_byte < 0.7
    assert result.bits_per_byte == pytest.approx(result.loss / math.log(2) * per_byte)


def test_training_ends_when_the_time_is_up() -> None:
    model = new_model(SMALL, little())
    result = train(model, little(), SMALL, steps=None, minutes=0.02, shows=1)
    assert result.steps > 3


def test_the_same_seed_writes_the_same_text() -> None:
    model, data = new_model(SMALL, little()), little()
    assert written(model, data, 30, seed=1) == written(model, data, 30, seed=1) != written(model, data, 30, seed=2)
    assert written(model, data, 30, seed=1).startswith("the ")


def test_what_stands_in_the_training_text_is_counted() -> None:
    assert shares_seen("abcdefghij", "xx abcdefghi xx") == (2 / 3, 0.0)
    words = "one two three four five six seven eight nine"
    assert shares_seen(words, f"zero {words}") == (1.0, 1.0)
    assert shares_seen("short", "a long text") == (0.0, 0.0)


def test_a_saved_model_writes_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer_2017, "corpus", lambda name: little())
    model = new_model(SMALL, little())
    save_model(tmp_path / "model.safetensors", model, "shakespeare", SMALL)
    again, data, name = load_model(tmp_path / "model.safetensors")
    assert name == "shakespeare"
    assert written(again, data, 20, seed=0) == written(model, little(), 20, seed=0)


def test_the_command_trains_saves_samples_and_ends_with_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(transformer_2017, "corpus", lambda name: little())
    monkeypatch.setattr(transformer_2017, "recipe_for", lambda minutes: SMALL)
    file = str(tmp_path / "model.safetensors")
    main(["--steps", "2", "--save", file, "--json"])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last.keys() == {"loss", "bits_per_byte", "steps", "parameters", "seconds"}
    main(["--load", file, "--samples", "2"])
    out = capsys.readouterr().out
    assert "seed 0 (of its runs of 8 characters" in out
    assert "seed 1 (" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--minutes", "0"], "must be above 0"), (["--backend", "nubma"], "unknown backend 'nubma'")],
)
def test_wrong_arguments_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.data
def test_shakespeare_is_cut_by_character_and_holds_out_its_last_tenth() -> None:
    data = corpus("shakespeare")
    assert data.tokenizer.vocab_size == 65
    assert len(data.held_out_text) == pytest.approx(111_540, abs=2)
    assert isinstance(data.tokenizer, CharTokenizer)


@pytest.mark.data
@pytest.mark.slow
def test_stories_are_cut_into_byte_pairs() -> None:
    data = corpus("tinystories")
    assert data.tokenizer.vocab_size == 2048
    assert data.tokenizer.decode(data.tokenizer.encode(data.held_out_text[:500])) == data.held_out_text[:500]


def test_an_unknown_corpus_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match="there are shakespeare and tinystories, got 'bible'"):
        corpus("bible")
