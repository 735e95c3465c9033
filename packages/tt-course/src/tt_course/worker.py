"""The worker: runs cases on one version of a framework and writes down what they return.

``python -m tt_course.worker JOB`` reads the job, a JSON file, and for each of its variants loads the framework with
some files in place of the package's own, in a process of its own. It holds no answers and gives no verdict: a job
names files, cases and a seed. What runs here may do what it likes to this process; it can only write data.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import random
import re
import signal
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from tt_course import hook, values

__all__ = ["OUT_OF_TIME", "PATIENCE", "Show", "answer", "described", "load", "main", "run_variant"]

OWN = Path(__file__).parent
OUT_OF_TIME = "out of time"
PATIENCE = 2
"""After so many cases that ran out of time no further ones are run."""


class OutOfTimeError(BaseException):
    """A case took too long. No Exception, so that code under test does not swallow it."""


class Show:
    """What a case shows of itself: its inputs, and errors as data."""

    def __init__(self) -> None:
        self.shown: values.Values = {}

    def __call__(self, **inputs: Any) -> None:
        """Note inputs, as they are now, for whoever sees this case fail."""
        for name, value in inputs.items():
            self.shown.update(values.flat(name, value))

    @staticmethod
    def raises(call: Callable[[], Any], *names: Any) -> str:
        """What a call raises, as data: the type, and what of ``names`` the message names.

        Without ``names``: the shapes in the message, such as ``(2, 3)``, sorted.
        """
        try:
            call()
        except NotImplementedError:
            raise
        except Exception as error:
            message = str(error)
            if names:
                found = [str(name) for name in names if _names(message, str(name))]
            else:
                found = sorted(set(re.findall(r"\((?:\d+, ?)*\d*,?\)", message)))
            return f"{type(error).__name__} naming {', '.join(found)}" if found else type(error).__name__
        return "no error"


def _names(message: str, name: str) -> bool:
    """Whether a message names something, as a word of its own."""
    return re.search(rf"(?<![\w.]){re.escape(name)}(?![\w]|\.\d)", message) is not None


def main(job_file: str) -> None:
    """Run all variants of a job, each in a process of its own where there are several."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    variants = job["variants"]
    if len(variants) == 1:
        run_variant(job, variants[0])
        return
    importlib.import_module("numpy.random")  # so that no child has to
    running: set[int] = set()
    for variant in variants:
        if len(running) >= job["processes"]:
            running.discard(os.wait()[0])
        child = os.fork()
        if not child:
            code = 1
            try:
                run_variant(job, variant)
                code = 0
            finally:
                os._exit(code)
        running.add(child)
    while running:
        running.discard(os.wait()[0])


def run_variant(job: dict[str, Any], variant: dict[str, Any]) -> None:
    """Load one version of the framework and run the cases on it; the results go into the variant's folder."""
    out = Path(variant["out"])
    files = variant["files"]
    _limit_files()
    with open(out / "printed.txt", "wb", buffering=0) as printed:
        sys.stdout.flush()
        for descriptor in (1, 2):
            os.dup2(printed.fileno(), descriptor)
    with open(out / "results", "wb", buffering=0) as results:
        started = time.perf_counter()
        try:
            with _limit(job["load_s"]):
                framework, cases = load(job, files)
        except BaseException as error:
            results.write(values.record({"error": described(error, files)}))
            return
        results.write(values.record({"seconds": time.perf_counter() - started}))
        seed = variant.get("seed", job["seed"])
        out_of_time = 0
        for name in variant.get("names") or job["names"]:
            result, returned, shown = answer(job, seed, framework, cases, name, files)
            results.write(values.record({"name": name, **result}, values=returned, shown=shown))
            out_of_time += result.get("error", {}).get("type") == OUT_OF_TIME
            if out_of_time == PATIENCE:
                break  # the others would only keep the learner waiting
    sys.stdout.flush()


def load(job: dict[str, Any], files: dict[str, str]) -> tuple[ModuleType, ModuleType]:
    """Import the framework with ``files`` in place of its own, and the cases."""
    prepare = job["prepare"]
    finder = hook.Finder(
        files,
        prepare={name: prepare[name] for name in files if name in prepare},
        withheld=[name for name in job["withheld"] if name not in files],
    )
    hook.replace(finder)
    framework = importlib.import_module(job["package"])
    for name, function in prepare.items():
        if name not in files and name in sys.modules:
            hook.call(function, sys.modules[name])
    spec = importlib.util.spec_from_file_location("cases", job["cases"])
    assert spec is not None
    assert spec.loader is not None
    cases = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(cases)
    return framework, cases


def answer(
    job: dict[str, Any], seed: int, framework: ModuleType, cases: ModuleType, name: str, files: dict[str, str]
) -> tuple[dict[str, Any], values.Values, values.Values]:
    """Run a case: its time, with its error if it met one; what it returned; what it showed."""
    own_seed = zlib.crc32(f"{seed} {name}".encode())
    random.seed(own_seed)
    np.random.seed(own_seed)
    show = Show()
    started = time.perf_counter()
    result: dict[str, Any] = {}
    returned: values.Values = {}
    try:
        with _limit(job["case_s"]):
            if job.get("reseed"):
                hook.call(job["reseed"], own_seed)
            table = getattr(cases, name)(np.random.default_rng([seed, own_seed]), framework, show)
            for key, value in table.items():
                returned.update(values.flat(key, value))
    except BaseException as error:
        result["error"] = described(error, files)
        returned = {}
    result["seconds"] = time.perf_counter() - started
    return result, returned, show.shown


def _limit_files() -> None:
    """Let no file grow without end, where the system has such limits: endless printing ends in an error."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = values.LARGEST_FILE if hard == resource.RLIM_INFINITY else min(values.LARGEST_FILE, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))


@contextmanager
def _limit(seconds: float) -> Any:
    """Raise :class:`OutOfTimeError` in the block after so many seconds, where the system has alarms."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: Any) -> None:
        raise OutOfTimeError(f"stopped after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def described(error: BaseException, files: dict[str, str]) -> dict[str, Any]:
    """An error as data: its type, message, and the lines that led to it, the learner's where there are any."""
    frames: list[tuple[str, int, str]] = []
    at: TracebackType | None = error.__traceback__
    while at is not None and len(frames) < 1000:
        code = at.tb_frame.f_code
        frames.append((code.co_filename, at.tb_lineno, code.co_name))
        at = at.tb_next
    own = set(files.values())
    kept = [f for f in frames if f[0] in own] or [f for f in frames if not _is_machinery(f[0])]
    if isinstance(error, SyntaxError) and error.filename in own:
        kept = []  # the error itself says where
    last = "".join(traceback.format_exception_only(error)).rstrip()
    name = type(error).__name__
    if isinstance(error, OutOfTimeError):
        name, last = OUT_OF_TIME, f"out of time: {error}"
    return {"type": name, "message": str(error), "text": last, "frames": kept[-12:]}


def _is_machinery(file: str) -> bool:
    """Whether a file is how Python imports, or how this program runs cases."""
    path = Path(file)
    return file.startswith("<frozen") or path.parent == OWN or path.parts[-2:] == ("importlib", "__init__.py")


if __name__ == "__main__":
    main(sys.argv[1])
