"""The pipeline from end to end, on the digits that scikit-learn carries."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tt_capstone import Config, run
from tt_capstone.__main__ import main
from tt_foundation import load


def test_a_run_learns_saves_reloads_and_reports(tmp_path: Path) -> None:
    outcome = run(Config(data="digits", epochs=8, folder=str(tmp_path), progress=False))
    assert outcome.test_accuracy > 0.9
    assert outcome.reloaded_accuracy == outcome.test_accuracy
    assert load(outcome.model_path).metadata["data"] == "digits"
    page = Path(outcome.report_path).read_text()
    assert page.count("data:image/png;base64,") == 3
    assert f"{100 * outcome.test_accuracy:.2f} %" in page
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.safetensors", "report.html"]


def test_the_same_seed_gives_the_same_bits(tmp_path: Path) -> None:
    weights = []
    for name in ("a", "b"):
        outcome = run(Config(data="digits", epochs=1, folder=str(tmp_path / name), progress=False))
        weights.append(load(outcome.model_path).arrays)
    assert all(np.array_equal(w, weights[1][name]) for name, w in weights[0].items())


def test_the_command_prints_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--data", "digits", "--epochs", "1", "--folder", str(tmp_path), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.output)["data"] == "digits"


def test_missing_data_is_a_sentence_not_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TT_DATA", str(tmp_path))
    result = CliRunner().invoke(main, ["--data", "mnist", "--folder", str(tmp_path)])
    assert result.exit_code == 1
    assert "tt-capstone: TT_DATA is" in result.output


def test_options_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a run needs epochs >= 1"):
        run(Config(epochs=0, folder=str(tmp_path)))


@pytest.mark.data
@pytest.mark.slow
def test_mnist_is_taken_where_it_lies(tmp_path: Path) -> None:
    outcome = run(Config(epochs=1, folder=str(tmp_path), progress=False))
    assert outcome.data == "mnist"
    assert outcome.test_accuracy > 0.93
