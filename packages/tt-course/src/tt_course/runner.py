"""The runner: starts workers, waits for them, reads what they wrote. Nothing of a verdict.

A job is cases and the framework to run them on; a variant is that framework with some files in place of its own. The
learner's and the reference's variants are different processes that share nothing but the seed. ``wrap`` lets a caller
start them in a sandbox.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tt_course.hook import STARTUP, WORKSPACE
from tt_course.manifest import Module
from tt_course.values import Values, read_bytes, records
from tt_course.worker import OUT_OF_TIME, PATIENCE

__all__ = ["Failure", "Job", "Result", "Run", "Started", "Variant", "job_of", "run", "start", "worker_environment"]

Wrap = Callable[[list[str], Path], list[str]]
PRINTED = 20_000
ENDED = "ended the process before it was done"


@dataclass(frozen=True)
class Job:
    """What to run: a package, a file of cases, their names in order, and what the tier wants done around them.

    ``prepare`` gives, for the full name of a module at hand, the function to call with it.
    """

    package: str
    cases: Path
    names: tuple[str, ...]
    seed: int
    withheld: tuple[str, ...] = ()
    prepare: Mapping[str, str] = field(default_factory=dict)
    reseed: str | None = None
    case_s: float = 10.0
    load_s: float = 20.0


@dataclass(frozen=True)
class Variant:
    """The framework with some files in place of its own; perhaps fewer cases than the job's, or another seed."""

    files: Mapping[str, Path] = field(default_factory=dict)
    names: tuple[str, ...] | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Failure:
    """An error that a worker met: its type, message and last line, and ``(file, line, function)`` of what led there."""

    kind: str
    message: str
    text: str
    frames: tuple[tuple[str, int, str], ...] = ()


@dataclass(frozen=True)
class Result:
    """What one case did: the values it returned, the inputs it showed, or how it failed."""

    values: Values
    shown: Values
    error: Failure | None
    seconds: float


@dataclass(frozen=True)
class Run:
    """What one variant did: a result for each case that ended, what was printed, and why it could not start."""

    error: Failure | None
    results: Mapping[str, Result]
    printed: str
    load_s: float = 0.0


def job_of(module: Module, names: Sequence[str], seed: int, *, others: Sequence[Module] = ()) -> Job:
    """The job of some cases of a module; ``others`` are further modules that may be the learner's."""
    tier = module.tier.manifest
    prepare = {m.manifest.source: m.tier.manifest.prepare for m in [module, *others]}
    return Job(
        package=tier.package,
        cases=module.cases,
        names=tuple(names),
        seed=seed,
        withheld=tuple(tier.withheld),
        prepare={name: function for name, function in prepare.items() if function},
        reseed=tier.reseed,
    )


def worker_environment() -> dict[str, str]:
    """This process's environment for a worker: one BLAS thread, no windows, no hook of a workspace."""
    left_out = {"PYTHONPATH", WORKSPACE, "PYTHONSTARTUP"}
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    path = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != str(STARTUP)]
    if path:
        environment["PYTHONPATH"] = os.pathsep.join(path)
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return environment | threads | {"MPLBACKEND": "Agg", "PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8"}


class Started:
    """Workers at work; :meth:`wait` gives what they did."""

    def __init__(self, job: Job, variants: Sequence[Variant], limit_s: float, wrap: Wrap | None) -> None:
        self.job = job
        self.variants = variants
        self.limit_s = limit_s
        self._folder = tempfile.TemporaryDirectory(prefix="tito-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        self.outs = [folder / str(i) for i in range(len(variants))]
        entries = []
        for out, variant in zip(self.outs, variants, strict=True):
            out.mkdir()
            entry: dict[str, Any] = {
                "out": str(out),
                "files": {name: str(path) for name, path in variant.files.items()},
            }
            if variant.names is not None:
                entry["names"] = list(variant.names)
            if variant.seed is not None:
                entry["seed"] = variant.seed
            entries.append(entry)
        can_fork = hasattr(os, "fork")
        batches = [entries] if can_fork else [[entry] for entry in entries]
        self._processes = [self._started(i, batch, folder, wrap) for i, batch in enumerate(batches)]

    def _started(
        self, i: int, entries: list[dict[str, Any]], folder: Path, wrap: Wrap | None
    ) -> subprocess.Popen[bytes]:
        job = self.job
        content = {
            "package": job.package,
            "cases": str(job.cases),
            "names": list(job.names),
            "seed": job.seed,
            "withheld": list(job.withheld),
            "prepare": dict(job.prepare),
            "reseed": job.reseed,
            "case_s": job.case_s,
            "load_s": job.load_s,
            "processes": min(2, os.cpu_count() or 1),
            "variants": entries,
        }
        path = folder / f"job-{i}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "tt_course.worker", str(path)]
        return subprocess.Popen(
            wrap(command, folder) if wrap else command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=worker_environment(),
            start_new_session=True,
        )

    def wait(self) -> list[Run]:
        """Wait until all is done, or the time is up and the workers are ended; a run for each variant."""
        deadline = time.monotonic() + self.limit_s
        complaints = []
        for process in self._processes:
            try:
                _, complaint = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _end(process)
                _, complaint = process.communicate()
                complaint = b"out of time"
            complaints.append(complaint.decode(errors="replace"))
        why = next((c for c in complaints if c), "").strip()
        with self._folder:
            return [self._read(out, variant, why) for out, variant in zip(self.outs, self.variants, strict=True)]

    def _read(self, out: Path, variant: Variant, complaint: str) -> Run:
        try:
            with (out / "printed.txt").open("rb") as file:
                printed = file.read(PRINTED).decode(errors="replace")
        except OSError:
            printed = ""
        results: dict[str, Result] = {}
        loaded: dict[str, Any] | None = None
        ending = Failure("no result", complaint or "ended the process", complaint or ENDED)
        try:
            for content, tables in records(read_bytes(out / "results")):
                failure = _failure(content.get("error"))
                if loaded is None:
                    loaded = content
                    if failure is not None:
                        return Run(failure, {}, printed)
                else:
                    result = Result(tables["values"], tables["shown"], failure, float(content["seconds"]))
                    results[str(content["name"])] = result
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, AttributeError) as broken:
            ending = Failure("no data", str(broken), f"what it wrote is no data: {broken}")
        if loaded is None:
            text = complaint or "the process ended while the framework was loaded"
            return Run(Failure("no start", text, text), {}, printed)
        late = sum(1 for r in results.values() if r.error is not None and r.error.kind == OUT_OF_TIME)
        if late >= PATIENCE:
            text = f"was not run, as {late} cases before it ran out of time"
            ending = Failure("no result", text, text)
        names = variant.names or self.job.names
        for name in names:
            if name not in results:
                results[name] = Result({}, {}, ending, 0.0)
                ending = Failure("no result", "was not reached", "was not reached")
        return Run(None, {name: results[name] for name in names}, printed, float(loaded.get("seconds", 0.0)))


def _failure(content: Any) -> Failure | None:
    if content is None:
        return None
    frames = tuple((str(file), int(line), str(function)) for file, line, function in content["frames"])
    return Failure(str(content["type"]), str(content["message"]), str(content["text"]), frames)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a worker and all that it started."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def start(job: Job, variants: Sequence[Variant], *, limit_s: float = 60.0, wrap: Wrap | None = None) -> Started:
    """Start workers for all variants and come back at once.

    Args:
        job: what to run.
        variants: each in a process of its own.
        limit_s: after so long whatever still runs is ended.
        wrap: turns a worker's command, and the folder that it writes into, into the command to start.
    """
    return Started(job, variants, limit_s, wrap)


def run(job: Job, variants: Sequence[Variant], *, limit_s: float = 60.0, wrap: Wrap | None = None) -> list[Run]:
    """Start workers for all variants and wait for what they did."""
    return start(job, variants, limit_s=limit_s, wrap=wrap).wait()
