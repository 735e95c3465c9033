"""Reaching: milestones and checkpoints, run on the learner's framework."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tt_course.errors import CourseError
from tt_course.hook import ORIGINS
from tt_course.manifest import Case, Checkpoint, Milestone, Module, Tier
from tt_course.workspace import Workspace

__all__ = ["Ending", "lacking", "reach", "try_checkpoint"]


@dataclass(frozen=True)
class Ending:
    """How a milestone ended: its figures, which thresholds they reach, and which of the learner's files it ran on."""

    milestone: Milestone
    figures: dict[str, Any]
    missed: dict[str, float]
    origins: dict[str, str]
    seconds: float

    @property
    def passed(self) -> bool:
        return not self.missed


def lacking(workspace: Workspace, numbers: Sequence[int]) -> list[Module]:
    """Which of these modules are not complete."""
    return [m for m in workspace.modules if m.number in numbers and not workspace.is_complete(m)]


def _refuse_incomplete(workspace: Workspace, numbers: Sequence[int], what: str) -> None:
    missing = lacking(workspace, numbers)
    if missing:
        names = ", ".join(f"{m.label} {m.manifest.title}" for m in missing)
        raise CourseError(f"{what} needs modules that are not complete: {names}", "tito module list")


def reach(
    workspace: Workspace, milestone: Milestone, arguments: Sequence[str] = (), *, show: Callable[[str], None] = print
) -> Ending:
    """Run a milestone's program on the learner's files; ``arguments`` follow its own, ``show`` gets its lines.

    Raises:
        CourseError: modules it needs are not complete, it failed, or it did not run on the learner's files.
    """
    what = f"the milestone of {milestone.year}"
    _refuse_incomplete(workspace, milestone.needs, what)
    files = workspace.files()
    with tempfile.TemporaryDirectory(prefix="tito-") as folder:
        left = Path(folder) / "origins.json"
        command = [sys.executable, "-m", milestone.module, *milestone.arguments, *arguments, "--json"]
        started = time.perf_counter()
        last = ""
        with subprocess.Popen(
            command,
            cwd=workspace.root,
            env=workspace.environment() | {ORIGINS: str(left), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if last:
                    show(last)
                last = line.rstrip("\n")
        seconds = time.perf_counter() - started
        if process.returncode:
            if last:
                show(last)
            raise CourseError(f"{what} did not end well; above is why")
        origins = json.loads(left.read_text(encoding="utf-8")) if left.is_file() else {}
    try:
        figures = {name: value for name, value in json.loads(last).items() if isinstance(value, int | float)}
    except (ValueError, AttributeError):
        raise CourseError(f"{what} printed no figures: its last line was {last[:200]!r}") from None
    strangers = {name: path for name, path in origins.items() if path != str(files[name])}
    if strangers or (files and not origins):
        raise CourseError(f"{what} did not run on your files: {strangers or 'none of them was loaded'}")
    missed = {n: least for n, least in milestone.thresholds.items() if not float(figures.get(n, -1.0)) >= least}
    ending = Ending(milestone, figures, missed, origins, seconds)
    workspace.progress.reached("milestone", milestone.name, ending.passed, figures)
    return ending


def try_checkpoint(workspace: Workspace, tier: Tier, checkpoint: Checkpoint, seed: int) -> tuple[bool, str]:
    """Run a checkpoint's program on the learner's framework and on the reference; whether they agree, and where not.

    Raises:
        CourseError: modules that it needs are not complete, or the reference failed.
    """
    from tt_course.check import judged
    from tt_course.runner import Job, Result, Variant, start

    _refuse_incomplete(workspace, checkpoint.modules, f"checkpoint {checkpoint.number}")
    manifest = tier.manifest
    prepare = {m.manifest.source: m.tier.manifest.prepare for m in workspace.learners()}
    job = Job(
        package=manifest.package,
        cases=tier.folder / "checkpoints.py",
        names=(checkpoint.name,),
        seed=seed,
        withheld=tuple(manifest.withheld),
        prepare={name: function for name, function in prepare.items() if function},
        reseed=manifest.reseed,
        case_s=120.0,
    )
    learner, reference = (start(job, [Variant(files)], limit_s=300) for files in (workspace.files(), {}))
    expected, yours = reference.wait()[0], learner.wait()[0]
    if expected.error is not None:
        raise CourseError(f"checkpoint {checkpoint.number} does not load on the reference: {expected.error.text}")
    case = Case(name=checkpoint.name, exercise="", rtol=checkpoint.rtol, atol=checkpoint.atol)
    nothing = Result({}, {}, yours.error, 0.0)
    outcome = judged(case, yours.results.get(checkpoint.name, nothing), expected.results[checkpoint.name])
    error, found = outcome.yours.error, outcome.difference
    why = error.text if error else f"{found.name} {found.what}" if found else ""
    workspace.progress.reached("checkpoint", checkpoint.name, outcome.passed, {})
    return outcome.passed, why
