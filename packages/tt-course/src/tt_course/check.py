"""Checking: what the learner's code returned beside what the reference returned, exercise by exercise.

The verdict is made here, in the process that ran neither. Knows manifests and the runner; knows nothing of workspaces,
screens or grades.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tt_course.compare import Difference, difference
from tt_course.errors import CourseError
from tt_course.manifest import Case, Exercise, Mistake, Module
from tt_course.runner import Failure, Result, Run, Variant, job_of, run, start
from tt_course.starter import stub, with_bodies

__all__ = [
    "Check",
    "Outcome",
    "State",
    "Verdict",
    "blanked",
    "check",
    "diagnosis",
    "judged",
    "matching",
    "mistaken",
    "new_seed",
    "verdicts",
]

State = Literal["passed", "failed", "to do"]


@dataclass(frozen=True)
class Outcome:
    """One case: what the learner's code did, what the reference did, and where they part."""

    case: Case
    yours: Result
    expected: Result
    difference: Difference | None

    @property
    def passed(self) -> bool:
        return self.difference is None and self.yours.error is None


@dataclass(frozen=True)
class Verdict:
    """One exercise: its state, and its cases in order."""

    exercise: Exercise
    outcomes: tuple[Outcome, ...]

    @property
    def first_failure(self) -> Outcome | None:
        return next((outcome for outcome in self.outcomes if not outcome.passed), None)

    @property
    def state(self) -> State:
        failure = self.first_failure
        if failure is None:
            return "passed"
        is_to_do = failure.yours.error is not None and failure.yours.error.kind == "NotImplementedError"
        return "to do" if is_to_do else "failed"

    @property
    def points(self) -> int:
        """The exercise's points where all its cases pass, else none."""
        return self.exercise.points if self.state == "passed" else 0


@dataclass(frozen=True)
class Check:
    """A module as it was checked: each exercise's verdict, or why the learner's file did not load."""

    module: Module
    seed: int
    error: Failure | None
    verdicts: tuple[Verdict, ...]
    printed: str
    message: str = ""

    @property
    def passed(self) -> bool:
        return self.error is None and all(v.state == "passed" for v in self.verdicts)

    @property
    def points(self) -> int:
        return sum(v.points for v in self.verdicts)

    @property
    def total(self) -> int:
        return sum(e.points for e in self.module.manifest.exercise)

    @property
    def at_hand(self) -> Verdict | None:
        """The first exercise in working order that does not pass."""
        return next((v for v in self.verdicts if v.state != "passed"), None)


def new_seed() -> int:
    """A seed nobody knows beforehand."""
    return secrets.randbelow(2**31)


def blanked(module: Module, exercises: Sequence[Exercise], definitions: Sequence[str] | None = None) -> str:
    """The reference file with the bodies of some exercises taken out; of all their definitions, or of those named."""
    bodies = {
        name: stub(f"{exercise.label} {exercise.title}")
        for exercise in exercises
        for name in exercise.definitions
        if definitions is None or name in definitions
    }
    return with_bodies(module.source.read_text(encoding="utf-8"), bodies, str(module.source))


def judged(case: Case, yours: Result, expected: Result) -> Outcome:
    """A case's outcome.

    Raises:
        CourseError: the reference itself failed, so there is nothing to compare with.
    """
    if expected.error is not None:
        raise CourseError(f"the case {case.name} fails on the reference: {expected.error.text}")
    return Outcome(case, yours, expected, _difference(case, yours, expected))


def _difference(case: Case, yours: Result, expected: Result) -> Difference | None:
    return difference(yours.values, expected.values, rtol=case.rtol, atol=case.atol)


def verdicts(module: Module, yours: Run, expected: Run, only: Sequence[Exercise] | None = None) -> tuple[Verdict, ...]:
    """The verdict on each exercise, from the run of the learner's code and that of the reference.

    Raises:
        CourseError: the reference failed.
    """
    if expected.error is not None:
        raise CourseError(f"the reference of module {module.label} does not load: {expected.error.text}")
    chosen = module.manifest.exercise if only is None else only
    if yours.error is not None:
        nothing = Result({}, {}, yours.error, 0.0)
        results: Mapping[str, Result] = dict.fromkeys(expected.results, nothing)
    else:
        results = yours.results
    return tuple(
        Verdict(e, tuple(judged(c, results[c.name], expected.results[c.name]) for c in module.cases_of(e)))
        for e in chosen
    )


def check(
    module: Module,
    files: Mapping[str, Path],
    *,
    seed: int | None = None,
    only: Sequence[Exercise] | None = None,
    learners: Sequence[Module] = (),
    limit_s: float = 60.0,
) -> Check:
    """Check a learner's module.

    Args:
        module: the module at hand.
        files: the learner's file for it, and for each module that they completed, by full module name.
        seed: of the inputs; without one they are new.
        only: exercises to check; all by default.
        learners: the modules behind ``files`` other than this one.
        limit_s: after so long the learner's process is ended.

    Raises:
        CourseError: the course itself is at fault.
    """
    seed = new_seed() if seed is None else seed
    exercises = list(module.manifest.exercise if only is None else only)
    names = [case.name for exercise in exercises for case in module.cases_of(exercise)]
    job = job_of(module, names, seed, others=learners)
    learner = start(job, [Variant(files)], limit_s=limit_s)
    reference = start(job, [Variant()], limit_s=max(limit_s, 60.0))
    expected, yours = reference.wait()[0], learner.wait()[0]
    found = verdicts(module, yours, expected, exercises)
    message = ""
    failing = next((v for v in found if v.state != "passed"), None)
    if yours.error is None and failing is not None and failing.state == "failed":
        message = diagnosis(module, failing, seed)
    return Check(module, seed, yours.error, found, yours.printed, message)


def diagnosis(module: Module, failing: Verdict, seed: int) -> str:
    """The message of the common mistake that returns just what the learner's code returned; empty if there is none."""
    mistakes = [m for m in module.manifest.mistake if m.exercise == failing.exercise.id]
    if not mistakes:
        return ""
    names = [outcome.case.name for outcome in failing.outcomes]
    with tempfile.TemporaryDirectory(prefix="tito-") as folder:
        variants = [mistaken(module, mistake, Path(folder) / str(i)) for i, mistake in enumerate(mistakes)]
        runs = run(job_of(module, names, seed), variants)
    best = matching(failing.outcomes, runs)
    return "" if best is None else mistakes[best].message


def mistaken(module: Module, mistake: Mistake, folder: Path) -> Variant:
    """The reference with a mistake in it, written into a folder of its own."""
    text = with_bodies(module.source.read_text(encoding="utf-8"), {mistake.definition: mistake.body})
    folder.mkdir()
    path = folder / module.file_name
    path.write_text(text, encoding="utf-8")
    return Variant({module.manifest.source: path})


def matching(outcomes: Sequence[Outcome], runs: Sequence[Run]) -> int | None:
    """Which of the mistakes' runs does what the learner's code did, on most of the failing cases; None if none does."""
    failing = [outcome for outcome in outcomes if not outcome.passed]
    best, most = None, 0
    for i, run_ in enumerate(runs):
        count = sum(
            _is_same(o.case, o.yours, run_.results[o.case.name]) for o in failing if o.case.name in run_.results
        )
        if count > most:
            best, most = i, count
    return best


def _is_same(case: Case, yours: Result, mistaken: Result) -> bool:
    """Whether two results are the same: the same values, or the same error."""
    if yours.error is None or mistaken.error is None:
        return yours.error is mistaken.error and _difference(case, yours, mistaken) is None
    return (yours.error.kind, yours.error.message) == (mistaken.error.kind, mistaken.error.message)
