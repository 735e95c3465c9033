"""Manifests: tiers found without being imported, and broken data told in one sentence."""

import re
import sys
from pathlib import Path

import pytest

from tt_course import manifest
from tt_course.errors import CourseError
from tt_course.manifest import Module, Tier, find_module, load_tier


def test_a_tier_is_found_by_its_entry_point_and_not_imported(chain: Tier) -> None:
    before = set(sys.modules)
    assert [m.name for m in chain.modules] == ["01_numbers", "02_lines", "03_fits"]
    assert chain.version == "1.0"
    assert chain.modules[0].manifest.title == "Numbers"
    assert chain.modules[0].source == chain.folder.parent / "numbers.py"
    assert not {name for name in set(sys.modules) - before if name.startswith("toy_chain")}


@pytest.mark.parametrize("wanted", ["2", "02", "lines", "02_lines"])
def test_a_module_is_found_by_number_and_name(chain: Tier, wanted: str) -> None:
    assert find_module(wanted, (chain,)).name == "02_lines"


def test_what_is_not_there_is_told_with_what_is(chain: Tier) -> None:
    with pytest.raises(CourseError, match="no module '7'; there are: 01 numbers, 02 lines, 03 fits"):
        find_module("7", (chain,))
    with pytest.raises(CourseError, match="no tier 'other'; installed: chain"):
        load_tier("other")
    with pytest.raises(CourseError, match=r"module 01 has no exercise '1\.9'; it has 01\.1 to 01\.3"):
        chain.modules[0].exercise("1.9")


@pytest.mark.parametrize("wanted", ["1.2", "01.2", "2"])
def test_an_exercise_is_found_by_its_label(chain: Tier, wanted: str) -> None:
    assert chain.modules[0].exercise(wanted).title == "Sums"


def test_a_package_that_is_announced_and_not_there_is_named(chain: Tier) -> None:
    about = chain.folder.parents[1] / "toy_chain-1.0.dist-info" / "entry_points.txt"
    about.write_text("[tito.tiers]\nchain = toy_chain\nghost = toy_ghost\n")
    manifest.tiers.cache_clear()
    with pytest.raises(CourseError, match="the tier ghost names the package 'toy_ghost', which is not installed"):
        manifest.tiers()


BREAKS = [
    ('title = "Numbers"\n', "", "missing required field `title`"),
    ("points = 2", 'points = "two"', r"Expected `int`, got `str` - at `\$\.exercise\[1\]\.points`"),
    ("number = 1\n", "number = 1\nnumbre = 2\n", "unknown field `numbre`"),
    ("number = 1\n", "number = = 1\n", "Invalid"),
    ("number = 1\n", "number = 4\n", "number = 4 in the folder 01_numbers"),
    ('source = "toy_chain.numbers"', 'source = "other.numbers"', "'other.numbers' is no module of toy_chain"),
    ('"toyworld.core.numbers"', '"toyworld.core.5"', "cannot be imported"),
    ('id = "1.2"', 'id = "1.5"', r"exercise 2 has id '1\.5'; in working order it is '1\.2'"),
    ('hints = ["a", "b", "c"]', 'hints = ["a"]', r"exercise 1\.3 has 1 hints; there are to be three"),
    ("points = 2", "points = 0", r"exercise 1\.2 has 0 points"),
    ('definitions = ["total"]', "definitions = []", r"exercise 1\.2 lists no definitions"),
    ('definitions = ["total"]', 'definitions = ["halved"]', r"halved is listed by exercise 1\.1 and by 1\.2"),
    ('name = "half"', 'name = "twice"', "case name 'twice' is no function's name, or not the only one"),
    ('name = "sums"\nexercise = "1.2"', 'name = "sums"\nexercise = "1.8"', r"case sums names exercise '1\.8'"),
    ('needs = ["1.1", "1.2"]', 'needs = ["1.3"]', r"case sums of exercise 1\.2 needs a later one: 1\.3"),
    ('name = "sums"\nexercise = "1.2"', 'name = "sums"\nexercise = "1.3"', r"exercise 1\.2 has no case"),
    ('name = "sums"\n', 'name = "sums"\nrtol = -1.0\n', "case sums has a negative tolerance"),
    ('exercise = "1.2"\ndefinition = "total"', 'exercise = "1.3"\ndefinition = "total"', r"is in total, which 1\.2"),
    ('title = "How long a sum takes"', 'title = "x"\nscript = "none.py"', r"script none\.py is missing"),
    ("number = 1\n", "number = 1\nprerequisites = [1]\n", "each must be a module before 1"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), BREAKS, ids=[told for _, _, told in BREAKS])
def test_a_broken_manifest_is_told_in_one_sentence_with_its_file(chain: Tier, old: str, new: str, told: str) -> None:
    path = chain.folder / "01_numbers" / "module.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(CourseError) as caught:
        _ = Module(chain, "01_numbers").manifest
    assert str(path) in str(caught.value)
    assert re.search(told, f"{caught.value}\n{caught.value.hint}")


def test_a_missing_file_is_named(chain: Tier) -> None:
    (chain.folder / "01_numbers" / "module.toml").unlink()
    with pytest.raises(CourseError, match=r"module\.toml is missing"):
        _ = Module(chain, "01_numbers").manifest
    (chain.folder / "02_lines" / "cases.py").unlink()
    with pytest.raises(CourseError, match=r"there is no cases\.py beside it"):
        _ = Module(chain, "02_lines").manifest
    (chain.folder.parent / "fits.py").unlink()
    with pytest.raises(CourseError, match=r"toy_chain\.fits, which the tier chain names, has no file .*fits\.py"):
        _ = chain.modules[2].source


def test_a_module_without_a_number_is_refused(chain: Tier) -> None:
    path = chain.folder / "tier.toml"
    path.write_text(path.read_text().replace('"02_lines"', '"lines"'))
    with pytest.raises(CourseError, match="module 'lines' must start with its number"):
        _ = Tier("chain", chain.folder).manifest


def test_a_package_is_a_module_too(tmp_path: Path) -> None:
    (tmp_path / "pack" / "part").mkdir(parents=True)
    (tmp_path / "pack" / "part" / "__init__.py").touch()
    tier = Tier("pack", tmp_path / "pack" / "course")
    assert tier.source("pack.part") == tmp_path / "pack" / "part" / "__init__.py"
