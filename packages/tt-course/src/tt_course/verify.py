"""Verifying a course: that what its author wrote keeps what the engine promises its learners.

For each module: every definition is there, the starter loads, every exercise turns from failing to passing when its
bodies are typed in and stays passed, the reference gets all points and the starter none, every common mistake is caught
and told by its message, and every case's result changes with the seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tt_course.check import blanked, matching, mistaken, new_seed, verdicts
from tt_course.compare import difference
from tt_course.errors import CourseError
from tt_course.manifest import Module
from tt_course.runner import Run, Variant, job_of, run
from tt_course.starter import definitions

__all__ = ["Report", "verify"]


@dataclass
class Report:
    """What was found of one module: ``problems`` break a promise, ``warnings`` may be meant."""

    module: Module
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    case_s: dict[str, float] = field(default_factory=dict)


def verify(module: Module, seed: int | None = None) -> Report:
    """Verify one module; its author's mistakes end up in the report.

    Raises:
        CourseError: the manifest cannot be read.
    """
    report = Report(module)
    manifest = module.manifest
    exercises = manifest.exercise
    text = module.source.read_text(encoding="utf-8")
    known = definitions(text, str(module.source))
    missing = [name for e in exercises for name in e.definitions if name not in known]
    if missing:
        report.problems.append(f"{module.source.name} does not define {', '.join(missing)}")
        return report
    seed = new_seed() if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="tito-") as folder:
        walk = []
        for k in range(len(exercises) + 1):
            path = Path(folder) / f"walk-{k}" / module.file_name
            path.parent.mkdir()
            path.write_text(blanked(module, exercises[k:]), encoding="utf-8")
            walk.append(Variant({manifest.source: path}))
        mistakes = []
        for i, mistake in enumerate(manifest.mistake):
            names = tuple(case.name for case in manifest.case if case.exercise == mistake.exercise)
            try:
                variant = mistaken(module, mistake, Path(folder) / f"mistake-{i}")
            except CourseError as error:
                report.problems.append(f"mistake {i + 1} ({mistake.definition}): {error}")
                return report
            mistakes.append(Variant(variant.files, names=names))
        job = job_of(module, [case.name for case in manifest.case], seed)
        same, other = Variant(), Variant(seed=seed + 1)
        runs = run(job, [Variant(), same, other, *walk, *mistakes], limit_s=600)
    reference, again, otherwise, *rest = runs
    try:
        if reference.error is not None:
            raise CourseError(f"the reference does not load: {reference.error.text}")
        for case in manifest.case:
            failure = reference.results[case.name].error
            if failure is not None:
                where = "".join(f" ({Path(file).name}, line {line})" for file, line, _ in failure.frames[-1:])
                report.problems.append(f"case {case.name} fails on the reference: {failure.text}{where}")
        if report.problems:
            return report
        report.problems += _walked(module, reference, rest[: len(walk)])
        report.problems += _mistakes(module, reference, rest[len(walk) :])
        report.warnings += _seeds(module, reference, again, otherwise)
    except CourseError as error:
        report.problems.append(str(error))
    report.case_s = {name: result.seconds for name, result in reference.results.items()}
    slow = [name for name, seconds in report.case_s.items() if seconds > 0.3]
    report.warnings += [f"case {name} takes {report.case_s[name]:.1f} s" for name in slow]
    return report


def _walked(module: Module, reference: Run, walk: list[Run]) -> Iterator[str]:
    exercises = module.manifest.exercise
    for k, step in enumerate(walk):
        done = "nothing" if not k else f"exercises up to {exercises[k - 1].label}"
        if step.error is not None:
            lines = "".join(f" {Path(file).name}:{line}" for file, line, _ in step.error.frames[-2:])
            yield f"with {done} typed in the file does not load: {step.error.text}{lines}"
            continue
        for i, verdict in enumerate(verdicts(module, step, reference)):
            label = verdict.exercise.label
            if i < k and verdict.state != "passed":
                failure = verdict.first_failure
                assert failure is not None
                error = failure.yours.error
                difference = failure.difference
                what = error.text if error else f"{difference.name} {difference.what}" if difference else ""
                yield f"with {done} typed in, {label} does not pass: case {failure.case.name}: {what}"
            elif i >= k and verdict.state == "passed" and i == k:
                yield f"{label} passes before it is typed in: with {done} typed in"
            elif i >= k and k == 0 and verdict.state == "passed":
                yield f"{label} passes on the starter"


def _mistakes(module: Module, reference: Run, runs: list[Run]) -> Iterator[str]:
    mistakes = module.manifest.mistake
    exercises = {exercise.id: exercise for exercise in module.manifest.exercise}
    for i, (mistake, done) in enumerate(zip(mistakes, runs, strict=True)):
        what = f"mistake {i + 1} ({mistake.exercise} {mistake.definition})"
        verdict = verdicts(module, done, reference, [exercises[mistake.exercise]])[0]
        if done.error is not None:
            yield f"{what} keeps the file from loading: {done.error.text}"
        elif verdict.state == "passed":
            yield f"{what} is caught by no case of its exercise"
        elif verdict.state == "to do":
            yield f"{what} raises NotImplementedError"
        else:
            rivals = [j for j, m in enumerate(mistakes) if m.exercise == mistake.exercise]
            found = matching(verdict.outcomes, [runs[j] for j in rivals])
            told = None if found is None else rivals[found]
            if told is None:
                yield f"{what} does something else at every run, so that it cannot be told"
            elif mistakes[told].message != mistake.message:
                yield f"{what} cannot be told from mistake {told + 1}: all failing cases return the same"


def _seeds(module: Module, reference: Run, again: Run, otherwise: Run) -> Iterator[str]:
    varying = set()
    for case in module.manifest.case:
        a, b, c = (r.results[case.name] for r in (reference, again, otherwise))
        if difference(a.values, b.values, rtol=case.rtol, atol=case.atol) is not None:
            yield f"case {case.name} returns something else at every run with the same seed"
        if c.error is not None:
            yield f"case {case.name} fails on the reference with another seed: {c.error.text}"
        elif difference(a.values, c.values, rtol=case.rtol, atol=case.atol) is None:
            yield f"case {case.name} returns the same with every seed"
        else:
            varying.add(case.name)
    for exercise in module.manifest.exercise:
        if not any(case.name in varying for case in module.cases_of(exercise)):
            yield f"exercise {exercise.label} has only cases that return the same with every seed"
