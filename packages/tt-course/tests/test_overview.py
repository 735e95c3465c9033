"""How far a learner is, as data and as a page."""

from pathlib import Path

from tt_course.check import check
from tt_course.manifest import Tier
from tt_course.overview import overview, page
from tt_course.workspace import create


def test_points_exercises_and_hints_are_summed_up(chain: Tier, tmp_path: Path) -> None:
    ws = create(tmp_path / "mine", "explorer", [chain])
    module = ws.modules[0]
    ws.start(module)
    ws.progress.checked(check(module, {}, seed=1))
    ws.progress.hint(module.name, "1.1")
    content = overview(ws)
    assert (content["points"], content["total"], content["complete"], content["path"]) == (10, 25, 0, "explorer")
    first = content["modules"][0]
    assert (first["state"], first["passed"], first["exercises"], first["hints"]) == ("started", 3, 3, 1)
    assert content["modules"][1]["state"] == "to do"
    assert [c["passed"] for c in content["checkpoints"]] == [None, None]
    assert [s["figures"] for s in content["milestones"]] == [{}]


def test_the_page_shows_it_and_escapes_what_others_wrote(chain: Tier, tmp_path: Path) -> None:
    path = chain.folder / "02_lines" / "module.toml"
    path.write_text(path.read_text().replace('"What is straight?"', '"Is 1 < 2 & <b>straight</b>?"'))
    ws = create(tmp_path / "mine", "builder", [chain])
    ws.progress.reached("milestone", "ceres", True, {"slope": 3.0})
    written = page(overview(ws))
    assert "Is 1 &lt; 2 &amp; &lt;b&gt;straight&lt;/b&gt;?" in written
    assert "slope at least 2.9: 3.0" in written
    assert "0 of 3 modules are yours" in written
    assert "http" not in written
