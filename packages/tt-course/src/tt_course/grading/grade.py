"""Grading: what a submission's code returned in its sandbox, beside what the reference returned outside of it.

The same cases as a check, on a seed that nobody knows beforehand. Knows the engine's parts and puts them together;
knows nothing of screens and files of results.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tt_course.check import Verdict, judged, new_seed
from tt_course.compare import difference
from tt_course.errors import CourseError
from tt_course.grading.frames import DamagedError, Frame, failure, printable, values
from tt_course.grading.names import TO_DO, name_of_ending, name_of_failure, names_of_notes
from tt_course.grading.sandbox import Limits, Sandbox, filter_file
from tt_course.grading.session import Session
from tt_course.grading.stage import Stage
from tt_course.grading.submissions import Submission
from tt_course.manifest import Exercise, Module
from tt_course.runner import Failure, Result, Run, Variant, job_of, start

__all__ = ["ExerciseGrade", "Grade", "Grader"]

PRINTED = 2000
LONGEST_REASON = 400


@dataclass(frozen=True)
class ExerciseGrade:
    """An exercise's points and, where they are none, why: for whoever handed it in, so without expected values."""

    exercise: Exercise
    points: int
    case: str = ""
    reason: str = ""

    @property
    def is_to_do(self) -> bool:
        """Whether its body was left as the starter has it, which is no mistake."""
        return self.reason.startswith(TO_DO)


@dataclass(frozen=True)
class Grade:
    """What one submission earned, and what is to be said of it.

    ``problem`` says why no exercise was reached: there is no file, or it does not load.
    """

    submission: Submission
    exercises: tuple[ExerciseGrade, ...]
    problem: str = ""
    notes: tuple[str, ...] = ()
    printed: str = ""
    seconds: float = 0.0

    @property
    def points(self) -> int:
        return sum(e.points for e in self.exercises)

    @property
    def total(self) -> int:
        return sum(e.exercise.points for e in self.exercises)


@dataclass
class _Attempt:
    """What the sessions of one submission gave so far."""

    results: dict[str, Result]
    notes: list[tuple[str, str]]
    error: Failure | None = None
    printed: str = ""
    printed_bytes: int = 0


class _Listener:
    """Takes the frames of one session: results, in the order of the cases, go from ``todo`` into the attempt."""

    def __init__(self, todo: list[str], attempt: _Attempt) -> None:
        self.todo = todo
        self.attempt = attempt
        self.is_loaded = False
        self.has_begun = False

    def take(self, frame: Frame) -> None:
        content, todo = frame.content, self.todo
        if frame.kind == "note":
            self._note(content)
        elif frame.kind == "failed" and not self.is_loaded:
            self.attempt.error = failure(content.get("error")) or Failure("no data", "no error", "no error")
        elif frame.kind == "loaded" and not self.is_loaded:
            self.is_loaded = True
        elif frame.kind == "begin" and self.is_loaded and todo and content.get("name") == todo[0]:
            self.has_begun = True
        elif frame.kind == "result" and self.has_begun and todo and content.get("name") == todo[0]:
            error = failure(content.get("error"))
            self.attempt.results[todo[0]] = Result({} if error else values(frame), {}, error, 0.0)
            self.has_begun = False
            del todo[0]
        elif frame.kind != "done" or todo:
            raise DamagedError(f"{printable(frame.kind)!r} out of turn")

    def _note(self, content: dict[str, Any]) -> None:
        kind, detail = content.get("what"), content.get("detail")
        if isinstance(kind, str) and isinstance(detail, str) and len(self.attempt.notes) < 200:
            self.attempt.notes.append((kind, printable(detail[:200])))


class Grader:
    """Grades submissions of one module; a context manager, since it keeps files while it is open.

    Args:
        module: the module that is graded.
        sandbox: where submissions run; None runs them unprotected, for code that is trusted.
        seed: of the inputs; without one they are new.
        limits: for each submission.

    Raises:
        CourseError: the course is at fault: the reference itself fails.
    """

    def __init__(
        self, module: Module, sandbox: Sandbox | None, *, seed: int | None = None, limits: Limits | None = None
    ) -> None:
        self.module = module
        self.sandbox = sandbox
        self.seed = new_seed() if seed is None else seed
        self.limits = limits or Limits()
        self.names = [case.name for exercise in module.manifest.exercise for case in module.cases_of(exercise)]
        self._count = itertools.count()
        self._sessions: set[Session] = set()
        self._is_stopped = False
        self._folder = tempfile.TemporaryDirectory(prefix="tito-grade-", ignore_cleanup_errors=True)
        try:
            reference = start(
                job_of(module, self.names, self.seed), [Variant(seed=self.seed + i) for i in range(3)], limit_s=300
            )
            try:
                self.stage = Stage(module, Path(self._folder.name) / "stage")
            finally:
                runs = reference.wait()
            self.expected, self.varying = self._answers(runs)
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def _answers(self, runs: Sequence[Run]) -> tuple[Run, set[str]]:
        """What the reference returned on the seed, and the cases where it returned something else on the others."""
        for done in runs:
            failed = done.error or next((r.error for r in done.results.values() if r.error), None)
            if failed is not None:
                raise CourseError(f"module {self.module.label} fails on its own reference: {failed.text}")
        expected, *others = runs
        varying = set()
        for case in self.module.manifest.case:
            values = expected.results[case.name].values
            changed = (o.results[case.name].values for o in others)
            if any(difference(other, values, rtol=case.rtol, atol=case.atol) for other in changed):
                varying.add(case.name)
        return expected, varying

    @property
    def warnings(self) -> list[str]:
        """What the instructor should know of the module itself."""
        return [
            f"exercise {exercise.label} earns no points: none of its cases changes with the seed"
            for exercise in self.module.manifest.exercise
            if not any(case.name in self.varying for case in self.module.cases_of(exercise))
        ]

    def prove(self) -> None:
        """Grade the reference as if somebody had handed it in, so that nobody is graded where it would not pass.

        Raises:
            CourseError: it does not earn all that can be earned; the message says why.
        """
        grade = self.grade(Submission("the reference", self.module.source, self.module.source.read_bytes()))
        for e in grade.exercises:
            if e.case or grade.problem:
                raise CourseError(
                    f"nothing is graded: here even the reference fails exercise {e.exercise.label}: {e.reason}",
                    "What runs submissions may lack something that the tier needs.",
                )

    def grade_all(self, submissions: Sequence[Submission], jobs: int = 1) -> Iterator[Grade]:
        """The grades in the order of the submissions, ``jobs`` of them made at a time."""
        pool = ThreadPoolExecutor(jobs)
        try:
            yield from pool.map(self.grade, submissions)
        except BaseException:  # interrupted, or nobody wants the rest
            self._is_stopped = True
            for session in list(self._sessions):
                session.kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def grade(self, submission: Submission) -> Grade:
        """Grade one submission."""
        started = time.monotonic()
        attempt = _Attempt({}, [])
        if submission.problem:
            attempt.error = Failure("no file", submission.problem, submission.problem)
        else:
            with tempfile.TemporaryDirectory(prefix="submission-", dir=self._folder.name) as folder:
                os.chmod(folder, 0o755)
                path = Path(folder) / self.module.file_name
                path.write_bytes(submission.content)
                path.chmod(0o644)
                self._attempt(path, attempt, started + self.limits.wall_s)
        exercises = tuple(self._exercise(exercise, attempt) for exercise in self.module.manifest.exercise)
        more = []
        if attempt.printed_bytes:
            more.append(f"printed {attempt.printed_bytes:,} bytes; what is printed counts for nothing")
        notes = tuple(names_of_notes(attempt.notes, more))
        problem = self._reason(attempt.error) if attempt.error and not attempt.results else ""
        return Grade(submission, exercises, problem, notes, attempt.printed, time.monotonic() - started)

    def _attempt(self, path: Path, attempt: _Attempt, deadline: float) -> None:
        """Run the cases; where the process ends on the way, go on behind the case that ended it."""
        todo = list(self.names)
        while todo and attempt.error is None and not self._is_stopped:
            listener = _Listener(todo, attempt)
            session = self._session(path, todo, deadline)
            self._sessions.add(session)
            if self._is_stopped:
                session.kill()
            try:
                ending = session.watch(listener.take)
            finally:
                self._sessions.discard(session)
            attempt.printed = (attempt.printed + printable(ending.printed))[:PRINTED]
            attempt.printed_bytes += ending.printed_bytes
            if not todo or attempt.error is not None:
                break
            text = name_of_ending(ending, self.limits)
            if not listener.is_loaded or ending.stopped == "wall":  # while loading, or there is no time left
                attempt.error = Failure("ended", text, text)
            else:  # between two cases nothing is at hand: what ends there, ends the next one
                attempt.results[todo[0]] = Result({}, {}, Failure("ended", text, text), 0.0)
                del todo[0]

    def _cores(self) -> list[int]:
        """Two cores for one process, the next two for the next: pools of threads stay small on large machines."""
        if not hasattr(os, "sched_getaffinity"):
            return []
        cores = sorted(os.sched_getaffinity(0))
        i = next(self._count)
        return [cores[(2 * i + k) % len(cores)] for k in range(2)]

    def _session(self, path: Path, names: list[str], deadline: float) -> Session:
        limits, stage = self.limits, self.stage
        source = self.module.manifest.source
        job = job_of(self.module, names, self.seed)
        content: dict[str, Any] = {
            "package": job.package,
            "names": names,
            "seed": job.seed,
            "withheld": list(job.withheld),
            "prepare": dict(job.prepare),
            "reseed": job.reseed,
            "case_s": limits.case_s,
            "absent": stage.absent,
            "user": 0,
            "cores": self._cores(),
            "limits": {
                "RLIMIT_AS": limits.memory_bytes,
                "RLIMIT_CPU": limits.cpu_s,
                "RLIMIT_NOFILE": limits.open_files,
                "RLIMIT_FSIZE": limits.file_bytes,
                "RLIMIT_CORE": 1,  # not 0, which a collector of crashes would be started for all the same
            },
        }
        environment = {
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "Agg",
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
        }
        if self.sandbox is None:
            others = dict.fromkeys(str(place.parent) for place in stage.others.values())
            content |= {
                "path": [str(stage.engine), str(stage.site), *others],
                "cases": str(stage.cases),
                "files": {source: str(path)},
            }
            command = [sys.executable, "-I", "-S", str(stage.engine / "inside.py")]
            return Session(command, content, limits, deadline, environment=environment)
        inner = f"/submission/{path.name}"
        content |= {
            "path": ["/engine", "/site", "/others"],
            "cases": "/cases/cases.py",
            "files": {source: inner},
            "user": self.sandbox.outside_user(),
        }
        content["limits"]["RLIMIT_NPROC"] = self.sandbox.process_limit(limits)
        shown = {"/engine": stage.engine, "/site": stage.site, "/cases": stage.cases.parent, "/submission": path.parent}
        shown |= {f"/others/{name}": place for name, place in stage.others.items()}
        filter_fd = filter_file()
        try:
            command = self.sandbox.command(["-I", "-S", "/engine/inside.py"], shown, environment, limits, filter_fd)
            return Session(command, content, limits, deadline, pass_fds=[filter_fd] if filter_fd >= 0 else [])
        finally:
            if filter_fd >= 0:
                os.close(filter_fd)

    def _exercise(self, exercise: Exercise, attempt: _Attempt) -> ExerciseGrade:
        outcomes = []
        for case in self.module.cases_of(exercise):
            missing = attempt.error or Failure("ended", "was not reached", "was not reached")
            yours = attempt.results.get(case.name, Result({}, {}, missing, 0.0))
            try:
                outcomes.append(judged(case, yours, self.expected.results[case.name]))
            except (ValueError, TypeError, OverflowError, MemoryError) as error:
                odd = f"cannot be compared: {printable(str(error))[:200]}"
                outcomes.append(
                    judged(case, Result({}, {}, Failure("no data", odd, odd), 0.0), self.expected.results[case.name])
                )
        verdict = Verdict(exercise, tuple(outcomes))
        failing = verdict.first_failure
        if failing is None:
            does_vary = any(outcome.case.name in self.varying for outcome in outcomes)
            reason = "" if does_vary else "none of its cases changes with the seed, so it earns nothing"
            return ExerciseGrade(exercise, exercise.points if does_vary else 0, reason=reason)
        if failing.yours.error is not None:
            reason = self._reason(failing.yours.error)
            name = "" if failing.yours.error is attempt.error else failing.case.name
        else:
            assert failing.difference is not None
            reason = _without_values(failing.difference.name, failing.difference.what)
            name = failing.case.name
        return ExerciseGrade(exercise, 0, name, reason)

    def _reason(self, error: Failure) -> str:
        if error.kind in ("ended", "no file", "no data"):
            return error.message
        text = name_of_failure(error, self.limits, self.module.manifest.source, self.stage.absent)
        text = " ".join(text.replace("/submission/", "").split())
        text = text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} …"
        own = [line for file, line, _ in error.frames if file.endswith(f"/{self.module.file_name}")]
        return f"{text} (line {own[-1]})" if own and error.kind != "NotImplementedError" else text


def _without_values(name: str, what: str) -> str:
    """A difference as a learner may read it: shapes and types, but no value that is expected on this seed."""
    is_about_kind = what.startswith(("has shape", "has element type", "is missing", "is not expected"))
    return f"{name} {what}" if is_about_kind else f"{name} is not what the reference returns"
