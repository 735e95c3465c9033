"""The diary of a learner."""

import sqlite3
from pathlib import Path

import pytest

from tt_course.check import check
from tt_course.errors import CourseError
from tt_course.manifest import Tier
from tt_course.progress import Progress


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    return Progress(tmp_path / ".tito" / "progress.db")


def test_nothing_is_written_by_looking(progress: Progress) -> None:
    assert progress.modules() == {}
    assert progress.exercises("01_numbers") == {}
    assert progress.all_reached("milestone") == {}
    assert not progress.path.exists()


def test_a_modules_way_is_noted(progress: Progress, chain: Tier) -> None:
    module = chain.modules[0]
    progress.start(module.name, "1.0")
    progress.checked(check(module, {}, seed=1))
    row = progress.modules()["01_numbers"]
    assert (row.points, row.total, row.checks, row.version) == (10, 10, 1, "1.0")
    assert row.started
    assert not row.completed
    assert {e.state for e in progress.exercises(module.name).values()} == {"passed"}
    progress.complete(module.name)
    assert progress.modules()["01_numbers"].completed
    progress.reset(module.name)
    row = progress.modules()["01_numbers"]
    assert (row.points, row.completed) == (0, "")
    exercises = progress.exercises(module.name)
    assert {e.state for e in exercises.values()} == {"to do"}
    assert all(e.passed for e in exercises.values())


def test_hints_are_counted(progress: Progress) -> None:
    assert [progress.hint("01_numbers", "1.1", 2) for _ in range(3)] == [1, 2, 2]
    assert progress.hint("01_numbers", "1.2") == 1
    assert progress.exercises("01_numbers")["1.1"].hints == 2


def test_a_milestone_that_was_passed_stays_passed(progress: Progress) -> None:
    progress.reached("milestone", "ceres", False, {"slope": 1.0})
    assert not progress.all_reached("milestone")["ceres"].passed
    progress.reached("milestone", "ceres", True, {"slope": 3.0})
    progress.reached("milestone", "ceres", False, {"slope": 2.0})
    last = progress.all_reached("milestone")["ceres"]
    assert (last.passed, last.figures) == (True, {"slope": 3.0})
    assert progress.all_reached("checkpoint") == {}


def test_a_damaged_file_is_told_with_what_to_do(progress: Progress) -> None:
    progress.path.parent.mkdir()
    progress.path.write_bytes(b"no database at all" * 100)
    for use in (progress.modules, lambda: progress.hint("01_numbers", "1.1")):
        with pytest.raises(CourseError, match=r"progress\.db is damaged") as caught:
            use()
        assert "mv " in caught.value.hint


def test_a_later_version_is_refused(progress: Progress) -> None:
    progress.hint("01_numbers", "1.1")
    connection = sqlite3.connect(progress.path)
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(CourseError, match="is of version 9; this tito reads version 1"):
        progress.modules()


def test_a_folder_that_cannot_be_written_is_told(progress: Progress) -> None:
    progress.path.mkdir(parents=True)
    with pytest.raises(CourseError, match="cannot use"):
        progress.hint("01_numbers", "1.1")
