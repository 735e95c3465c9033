"""Milestones and checkpoints on the learner's framework."""

from pathlib import Path

import pytest

from tt_course.errors import CourseError
from tt_course.manifest import Tier
from tt_course.reaching import lacking, reach, try_checkpoint
from tt_course.workspace import Workspace, create


@pytest.fixture
def ws(chain: Tier, tmp_path: Path) -> Workspace:
    """A workspace in which all modules are the reference's text, completed."""
    ws = create(tmp_path / "mine", "builder", [chain])
    for module in ws.modules:
        ws.start(module)
        ws.file(module).write_text(module.source.read_text())
        ws.complete(module)
    return ws


def test_a_milestone_runs_on_the_learners_files_and_is_noted(ws: Workspace) -> None:
    lines: list[str] = []
    ending = reach(ws, ws.tiers[0].manifest.milestone[0], ["--further"], show=lines.append)
    assert ending.passed
    assert ending.figures == {"slope": pytest.approx(3.0)}
    assert ending.origins == {name: str(path) for name, path in ws.files().items()}
    assert lines == ["found ['--quiet', '--further', '--json']"]
    assert ws.progress.all_reached("milestone")["ceres"].passed


def test_a_threshold_that_is_missed_is_missed(ws: Workspace) -> None:
    ending = reach(ws, ws.tiers[0].manifest.milestone[0], ["--worse"], show=lambda line: None)
    assert ending.missed == {"slope": 2.9}
    assert not ws.progress.all_reached("milestone")["ceres"].passed


def test_modules_that_are_not_complete_are_named(ws: Workspace) -> None:
    ws.reset(ws.modules[1])
    assert lacking(ws, [1, 2, 3]) == [ws.modules[1]]
    with pytest.raises(CourseError, match="the milestone of 1801 needs modules that are not complete: 02 Lines"):
        reach(ws, ws.tiers[0].manifest.milestone[0])
    with pytest.raises(CourseError, match="checkpoint 2 needs modules that are not complete: 02 Lines"):
        try_checkpoint(ws, ws.tiers[0], ws.tiers[0].manifest.checkpoint[1], 1)


def test_a_program_that_fails_or_prints_no_figures_is_told(ws: Workspace, chain: Tier) -> None:
    path = chain.folder.parent / "milestones" / "ceres_1801.py"
    text = path.read_text()
    path.write_text(text + "    raise SystemExit(3)\n")
    with pytest.raises(CourseError, match="did not end well"):
        reach(ws, ws.tiers[0].manifest.milestone[0], show=lambda line: None)
    path.write_text(text + "    print('done')\n")
    with pytest.raises(CourseError, match="printed no figures: its last line was 'done'"):
        reach(ws, ws.tiers[0].manifest.milestone[0], show=lambda line: None)


def test_a_program_that_does_not_run_on_the_learners_files_is_told(ws: Workspace, chain: Tier) -> None:
    path = chain.folder.parent / "milestones" / "ceres_1801.py"
    path.write_text(
        "import sys\nfrom pathlib import Path\nimport toy_chain\n"
        "toy_chain.numbers.__spec__.origin = str(Path(toy_chain.__file__).with_name('numbers.py'))\n"
        "print('{\"slope\": 3}')\n"
    )
    with pytest.raises(CourseError, match=r"did not run on your files: .*toy_chain\.numbers"):
        reach(ws, ws.tiers[0].manifest.milestone[0], show=lambda line: None)


def test_checkpoints_compare_with_the_reference(ws: Workspace) -> None:
    tier = ws.tiers[0]
    environment, lines = tier.manifest.checkpoint
    assert try_checkpoint(ws, tier, environment, 1) == (True, "")
    assert try_checkpoint(ws, tier, lines, 1) == (True, "")
    path = ws.file(ws.modules[1])
    path.write_text(path.read_text().replace("doubled(line.slope)", "line.slope"))
    passed, why = try_checkpoint(ws, tier, lines, 1)
    assert not passed
    assert why.startswith("height [0] is ")
    path.write_text("nothing here (")
    passed, why = try_checkpoint(ws, tier, lines, 1)
    assert not passed
    assert "SyntaxError" in why
