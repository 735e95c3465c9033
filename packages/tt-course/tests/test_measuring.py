"""A module's measurement, on the learner's framework."""

from pathlib import Path

import pytest

from tt_course.errors import CourseError
from tt_course.manifest import Tier
from tt_course.measuring import measured
from tt_course.workspace import Workspace, create


@pytest.fixture
def ws(chain: Tier, tmp_path: Path) -> Workspace:
    ws = create(tmp_path / "mine", "builder", [chain])
    ws.start(ws.modules[0])
    return ws


def test_it_runs_on_the_file_at_hand_which_is_prepared(ws: Workspace) -> None:
    module = ws.modules[0]
    script = module.folder / "measure.py"
    script.write_text(
        "import numpy as np\n"
        "def main(tt, folder):\n"
        "    (folder / 'plot.png').write_bytes(b'')\n"
        "    return {'file': tt.numbers.__file__, 'prepared': tt.settings.prepared, 'figures': np.arange(2)}\n"
    )
    folder = ws.folder(module) / "measure"
    figures = measured(ws, module, folder)
    assert figures == {"file": str(ws.file(module)), "prepared": ["toy_chain.numbers"], "figures": [0, 1]}
    assert sorted(path.name for path in folder.iterdir()) == ["measurement.json", "plot.png"]


def test_a_failure_is_told_and_leaves_no_old_figures(ws: Workspace, capfd: pytest.CaptureFixture[str]) -> None:
    module = ws.modules[0]
    folder = ws.folder(module) / "measure"
    folder.mkdir()
    (folder / "measurement.json").write_text("{}")
    with pytest.raises(CourseError, match="the measurement of 01 did not end well; above is why"):
        measured(ws, module, folder)
    told = capfd.readouterr().err
    assert "NotImplementedError: 01.2 Sums" in told
    assert "tt_course" not in told
    assert not (folder / "measurement.json").exists()
