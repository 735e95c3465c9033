"""Checking: each exercise's verdict, the first difference, and the common mistake that explains it."""

from pathlib import Path

import pytest

from tt_course.check import Check, blanked, check, new_seed
from tt_course.errors import CourseError
from tt_course.manifest import Module, Tier
from tt_course.starter import with_bodies


def checked(tier: Tier, tmp_path: Path, typed: dict[str, str], seed: int | None = 5) -> Check:
    """The check of a learner who typed these bodies into the first module's starter."""
    module = tier.modules[0]
    path = tmp_path / "numbers.py"
    path.write_text(with_bodies(blanked(module, module.manifest.exercise), typed))
    return check(module, {"toy_chain.numbers": path}, seed=seed)


RIGHT = {
    "doubled": "return 2 * np.asarray(x)",
    "halved": "if np.size(x) == 0:\n    raise ValueError(f'no half of {np.shape(x)}')\nreturn x / 2",
    "total": "return float(np.sum(x))",
    "noise": "return settings.generator.normal(size=n)",
    "Counter.add": "self.count = self.count + n\nreturn self.count",
}


def test_an_empty_starter_has_no_points_and_everything_is_to_do(chain: Tier, tmp_path: Path) -> None:
    found = checked(chain, tmp_path, {})
    assert (found.points, found.total, found.passed) == (0, 10, False)
    assert [v.state for v in found.verdicts] == ["to do"] * 3
    assert found.message == ""


def test_another_right_answer_than_the_references_gets_all_points(chain: Tier, tmp_path: Path) -> None:
    found = checked(chain, tmp_path, RIGHT, seed=None)
    assert found.passed, found
    assert (found.points, found.total) == (10, 10)
    assert found.at_hand is None


@pytest.mark.parametrize(("done", "points"), [(2, 3), (3, 5), (5, 10)])
def test_the_first_exercises_get_exactly_their_points(chain: Tier, tmp_path: Path, done: int, points: int) -> None:
    found = checked(chain, tmp_path, dict(list(RIGHT.items())[:done]))
    assert found.points == points


def test_the_first_difference_is_told_with_the_inputs(chain: Tier, tmp_path: Path) -> None:
    found = checked(chain, tmp_path, RIGHT | {"doubled": "return 3 * np.asarray(x)"})
    assert found.at_hand is not None
    assert found.at_hand.exercise.id == "1.1"
    failure = found.at_hand.first_failure
    assert failure is not None
    assert failure.case.name == "twice"
    assert failure.difference is not None
    assert failure.difference.name == "doubled"
    assert failure.difference.what.startswith("[0, 0] is ")
    assert list(failure.expected.shown) == ["x"]
    assert found.message == ""


def test_a_common_mistake_is_known_by_what_it_returns(chain: Tier, tmp_path: Path) -> None:
    found = checked(chain, tmp_path, RIGHT | {"doubled": "y = np.asarray(x)\nreturn y * y"})
    assert found.message == "That is the square: twice is two times."
    found = checked(chain, tmp_path, RIGHT | {"halved": "return x / 2"})
    assert found.message == "Say which shape has no element."


def test_a_file_that_does_not_load_fails_as_a_whole(chain: Tier, tmp_path: Path) -> None:
    found = checked(chain, tmp_path, RIGHT | {"total": "pass"})
    assert found.error is None
    path = tmp_path / "numbers.py"
    path.write_text(path.read_text() + "\nraise KeyError('top')\n")
    found = check(chain.modules[0], {"toy_chain.numbers": path})
    assert found.error is not None
    assert found.error.text == "KeyError: 'top'"
    assert (found.points, found.passed) == (0, False)


def test_only_the_wanted_exercises_are_checked(chain: Tier, tmp_path: Path) -> None:
    path = tmp_path / "numbers.py"
    path.write_text(chain.modules[0].source.read_text())
    module = chain.modules[0]
    found = check(module, {"toy_chain.numbers": path}, only=[module.exercise("1.2")])
    assert [v.exercise.id for v in found.verdicts] == ["1.2"]
    assert found.passed


def test_learners_earlier_modules_run_in_the_check_of_a_later_one(chain: Tier, tmp_path: Path) -> None:
    numbers, lines = chain.modules[:2]
    path = tmp_path / "numbers.py"
    path.write_text(with_bodies(numbers.source.read_text(), {"doubled": "return 3 * x"}))
    found = check(lines, {"toy_chain.numbers": path, "toy_chain.lines": lines.source}, learners=[numbers])
    assert [v.state for v in found.verdicts] == ["passed", "failed"]


def test_a_case_that_fails_on_the_reference_is_the_courses_fault(chain: Tier, tmp_path: Path) -> None:
    cases = chain.folder / "01_numbers" / "cases.py"
    cases.write_text(cases.read_text().replace("tt.total(", "tt.sum("))
    with pytest.raises(CourseError, match="the case sums fails on the reference: AttributeError"):
        checked(chain, tmp_path, RIGHT)


def test_seeds_differ() -> None:
    assert len({new_seed() for _ in range(10)}) > 1


def test_blanked_keeps_what_is_not_named(chain: Tier) -> None:
    module: Module = chain.modules[0]
    text = blanked(module, module.manifest.exercise, ["total"])
    assert text.count("NotImplementedError") == 1
    assert 'raise NotImplementedError("01.2 Sums")' in text
