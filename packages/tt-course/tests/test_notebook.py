"""Notebooks: tagged cells make the module."""

import json
from pathlib import Path

import pytest

from tt_course.errors import CourseError
from tt_course.manifest import Tier
from tt_course.notebook import notebook_of, pieces, text_of
from tt_course.workspace import create, starter_of


def test_pieces_joined_are_the_file(chain: Tier) -> None:
    for module in chain.modules:
        text = module.source.read_text()
        cut = pieces(text)
        assert "".join(cut) == text
    cut = pieces(chain.modules[0].source.read_text())
    assert [piece.split("(")[0].split("\n")[0] for piece in cut[1:]] == [
        *["def doubled", "def halved", "def total", "def noise", "class Counter:"]
    ]


def test_a_notebook_made_of_a_file_makes_that_file(chain: Tier, tmp_path: Path) -> None:
    module = chain.modules[0]
    text = starter_of(module, "builder")
    path = tmp_path / "numbers.ipynb"
    path.write_text(notebook_of(module, text))
    assert text_of(path) == text
    book = json.loads(path.read_text())
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    cells = ["".join(cell["source"]) for cell in book["cells"]]
    assert "What can be done with a number?" in cells[0]
    assert "import toyworld" in cells[1]
    assert cells[-1] == "!tito module check 01"


def test_cells_without_the_tag_are_the_learners_to_try_things(chain: Tier, tmp_path: Path) -> None:
    module = chain.modules[0]
    path = tmp_path / "numbers.ipynb"
    book = json.loads(notebook_of(module, starter_of(module, "builder")))
    book["cells"].append({**book["cells"][1], "source": "print('trying')", "id": "other"})
    path.write_text(json.dumps(book))
    assert "trying" not in text_of(path)


@pytest.mark.parametrize("text", ["{", "[]", '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'])
def test_what_is_no_notebook_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text(text)
    with pytest.raises(CourseError, match=r"x\.ipynb"):
        text_of(path)


def test_the_file_is_made_anew_from_the_notebook_and_the_old_one_kept(chain: Tier, tmp_path: Path) -> None:
    ws = create(tmp_path / "mine", "builder", [chain])
    module = ws.modules[0]
    ws.start(module, notebook=True)
    book = json.loads(ws.notebook(module).read_text())
    for cell in book["cells"]:
        cell["source"] = "".join(cell["source"]).replace(
            'raise NotImplementedError("01.2 Sums")', "return float(np.sum(x))"
        )
    ws.notebook(module).write_text(json.dumps(book))
    before = ws.file(module).read_text()
    ws.refresh(module)
    assert "return float(np.sum(x))" in ws.file(module).read_text()
    kept = list((ws.root / ".tito" / "backups").glob("*/numbers.py"))
    assert [path.read_text() for path in kept] == [before]
    ws.refresh(module)
    assert len(list((ws.root / ".tito" / "backups").iterdir())) == 1
