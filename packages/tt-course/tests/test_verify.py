"""Verifying a course: each promise that its data may break is told."""

import pytest

from tt_course.manifest import Module, Tier
from tt_course.verify import Report, verify


def verified(chain: Tier, file: str, *changes: tuple[str, str]) -> Report:
    """The report on the first module with something changed in one of its files."""
    path = chain.folder / "01_numbers" / file
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    return verify(Module(chain, "01_numbers"), seed=1)


def test_a_good_course_has_no_problem_and_no_warning(chain: Tier) -> None:
    for module in chain.modules:
        report = verify(module)
        assert (report.problems, report.warnings) == ([], [])


CHANGES = [
    ("module.toml", '"noise"]', '"nose"]', "numbers.py does not define nose"),
    ("module.toml", "return np.square(x)", "return 2 * np.asarray(x)", "mistake 1 (1.1 doubled) is caught by no case"),
    ("module.toml", "return np.square(x)", "return np.square(", "mistake 1 (doubled): "),
    ("module.toml", "return np.square(x)", "raise NotImplementedError", "(1.1 doubled) raises NotImplementedError"),
    ("cases.py", "tt.halved(x)", "tt.third(x)", "case half fails on the reference: AttributeError"),
    ("cases.py", "tt.doubled(x), ", "tt.doubled(x), 'by exercise 2': tt.total(x), ", "01.1 does not pass: case twice"),
    ("cases.py", '{"total": tt.total(tt.doubled(x))}', '{"x": x}', "01.2 passes"),
]


@pytest.mark.parametrize(("file", "old", "new", "told"), CHANGES, ids=[told for *_, told in CHANGES])
def test_a_broken_promise_is_told(chain: Tier, file: str, old: str, new: str, told: str) -> None:
    report = verified(chain, file, (old, new))
    assert any(told in problem for problem in report.problems), report.problems


def test_mistakes_that_cannot_be_told_apart_are_named(chain: Tier) -> None:
    twin = "[measurement]"
    body = '[[mistake]]\nexercise = "1.1"\ndefinition = "doubled"\nbody = "return x * x"\nmessage = "Other."\n\n'
    report = verified(chain, "module.toml", (twin, body + twin), ("1.1", "1.1"))
    assert any("cannot be told from mistake 1" in problem for problem in report.problems), report.problems


def test_a_case_that_is_always_the_same_is_warned_of(chain: Tier) -> None:
    report = verified(chain, "cases.py", ("x = rng.normal(size=4)", "x = np.ones(4)"))
    assert report.problems == []
    assert report.warnings == [
        "case sums returns the same with every seed",
        "exercise 01.2 has only cases that return the same with every seed",
    ]


def test_a_case_that_never_returns_the_same_is_warned_of(chain: Tier) -> None:
    report = verified(chain, "cases.py", ("x = rng.normal(size=4)", "x = np.random.default_rng().normal(size=4)"))
    assert "case sums returns something else at every run with the same seed" in report.warnings
