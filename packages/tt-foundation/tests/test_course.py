"""The course beside the code is data: here it is held against the source that it speaks of.

Whether the cases pass, and catch what they must, is verified by the course engine (`tito system verify foundation`).
"""

import ast
import importlib.metadata
import importlib.util
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tt_foundation

PACKAGE = Path(tt_foundation.__file__).parent
TIER: dict[str, Any] = tomllib.loads((PACKAGE / "course" / "tier.toml").read_text())
MODULES: dict[str, dict[str, Any]] = {
    name: tomllib.loads((PACKAGE / "course" / name / "module.toml").read_text()) for name in TIER["modules"]
}
each_module = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)


def names_of(path: Path) -> set[str]:
    """The functions of a file, and the methods of its classes by qualified name."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


def test_the_tier_is_announced_by_its_package_without_being_imported() -> None:
    (entry,) = [e for e in importlib.metadata.entry_points(group="tito.tiers") if e.name == TIER["name"]]
    assert entry.value == TIER["package"] == "tt_foundation"


def test_modules_are_numbered_in_course_order() -> None:
    assert [module["number"] for module in MODULES.values()] == list(range(1, 8))
    assert all(int(name[:2]) == module["number"] for name, module in MODULES.items())


@each_module
def test_every_definition_of_an_exercise_is_in_the_source(module: dict[str, Any]) -> None:
    source = PACKAGE / f"{module['source'].removeprefix('tt_foundation.')}.py"
    wanted = [name for exercise in module["exercise"] for name in exercise["definitions"]]
    assert set(wanted) <= names_of(source)
    assert len(wanted) == len(set(wanted))


@each_module
def test_points_sum_to_a_hundred_over_five_to_fifteen_exercises_of_three_hints(module: dict[str, Any]) -> None:
    exercises = module["exercise"]
    assert 5 <= len(exercises) <= 15
    assert sum(exercise["points"] for exercise in exercises) == 100
    assert all(len(exercise["hints"]) == 3 and all(exercise["hints"]) for exercise in exercises)


@each_module
def test_there_are_cases_mistakes_questions_and_a_measurement(module: dict[str, Any]) -> None:
    folder = PACKAGE / "course" / next(name for name, other in MODULES.items() if other is module)
    assert {case["name"] for case in module["case"]} <= names_of(folder / "cases.py")
    assert len(module["case"]) >= 15
    assert len(module["mistake"]) >= 5
    assert len(module["reflection"]) == 3
    assert "main" in names_of(folder / module["measurement"]["script"])


def test_checkpoints_and_milestones_need_modules_that_there_are_and_name_programs_that_exist() -> None:
    numbers = {module["number"] for module in MODULES.values()}
    assert [point["number"] for point in TIER["checkpoint"]] == list(range(8))
    assert {point["name"] for point in TIER["checkpoint"]} <= names_of(PACKAGE / "course" / "checkpoints.py")
    assert all(set(point.get("modules", [])) <= numbers for point in TIER["checkpoint"])
    for milestone in TIER["milestone"]:
        assert set(milestone["needs"]) <= numbers
        assert importlib.util.find_spec(milestone["module"]) is not None
        assert milestone["thresholds"]


@pytest.mark.parametrize("name", [point["name"] for point in TIER["checkpoint"]])
def test_a_checkpoint_returns_the_same_for_the_same_numbers_and_something_else_for_others(name: str) -> None:
    spec = importlib.util.spec_from_file_location("checkpoints", PACKAGE / "course" / "checkpoints.py")
    assert spec is not None
    assert spec.loader is not None
    programs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(programs)
    one, again, other = (
        getattr(programs, name)(np.random.default_rng(seed), tt_foundation, lambda **inputs: None) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(np.asarray(one[key]), np.asarray(again[key])) for key in one)
    assert any(not np.array_equal(np.asarray(one[key]), np.asarray(other[key])) for key in one)
