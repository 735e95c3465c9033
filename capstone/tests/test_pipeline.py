"""The pipeline from end to end, on the digits that scikit-learn carries and the text that Python does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tt_capstone import Config, Outcome, run
from tt_capstone.__main__ import main
from tt_foundation import load


def small(folder: Path, **options: Any) -> Outcome:
    """A short run on what is at hand everywhere."""
    return run(Config(**{"data": "digits", "text": "python", "folder": str(folder), "progress": False, **options}))


@pytest.mark.slow
def test_a_run_learns_saves_reloads_and_reports(tmp_path: Path) -> None:
    outcome = small(tmp_path, epochs=4, steps=40)
    assert [reader.model for reader in outcome.images] == ["mlp", "cnn"]
    page = Path(outcome.report_path).read_text()
    for reader in outcome.images:
        assert reader.test_accuracy > 0.85
        assert reader.reloaded_accuracy == reader.test_accuracy
        assert load(reader.path).metadata["data"] == "digits"
        assert f"{100 * reader.test_accuracy:.2f} %" in page
    assert outcome.text is not None
    assert outcome.text.validation_loss < 3.2
    assert outcome.text.reloaded_loss == outcome.text.validation_loss
    assert len(outcome.text.sample) > 100
    assert page.count("data:image/png;base64,") == 7
    files = sorted(p.name for p in tmp_path.iterdir())
    assert files == ["cnn.safetensors", "gpt.safetensors", "mlp.safetensors", "report.html"]


@pytest.mark.parametrize("model", ["mlp", "cnn", "gpt"])
def test_the_same_seed_gives_the_same_bits(model: Any, tmp_path: Path) -> None:
    weights = []
    for name in ("a", "b"):
        small(tmp_path / name, models=(model,), epochs=1, steps=3)
        weights.append(load(tmp_path / name / f"{model}.safetensors").arrays)
    assert all(np.array_equal(w, weights[1][name]) for name, w in weights[0].items())


def test_the_command_prints_json(tmp_path: Path) -> None:
    options = ["--model", "mlp", "--data", "digits", "--epochs", "1", "--folder", str(tmp_path), "--json"]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0
    assert json.loads(result.output)["images"][0]["model"] == "mlp"


def test_missing_data_is_a_sentence_not_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TT_DATA", str(tmp_path))
    result = CliRunner().invoke(main, ["--data", "mnist", "--folder", str(tmp_path)])
    assert result.exit_code == 1
    assert "tt-capstone: TT_DATA is" in result.output


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"steps": 0}, {"batch_size": 0}, {"lr": 0.0}, {"models": ()}])
def test_options_out_of_range_are_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a run needs models, epochs, steps"):
        small(tmp_path, **wrong)


@pytest.mark.data
@pytest.mark.slow
def test_what_is_at_hand_is_taken_where_it_lies(tmp_path: Path) -> None:
    outcome = run(Config(models=("mlp", "gpt"), epochs=1, steps=5, folder=str(tmp_path), progress=False))
    assert outcome.data == "mnist"
    assert outcome.images[0].test_accuracy > 0.93
    assert outcome.text is not None
    assert outcome.text.text == "shakespeare"
