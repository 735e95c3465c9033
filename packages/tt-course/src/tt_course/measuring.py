"""Measuring: a module's systems measurement, run on the learner's framework in a process of its own."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tt_course.errors import CourseError
from tt_course.hook import Finder, replace

if TYPE_CHECKING:
    from tt_course.manifest import Module
    from tt_course.workspace import Workspace

__all__ = ["main", "measured"]

FIGURES = "measurement.json"


def measured(workspace: Workspace, module: Module, folder: Path, *, quiet: bool = False) -> dict[str, Any]:
    """Run the measurement with the learner's files, that of the module at hand too; its figures.

    Raises:
        CourseError: it failed; what it printed says why.
    """
    from tt_course.runner import worker_environment

    assert module.manifest.measurement is not None
    prepare = {m.manifest.source: m.tier.manifest.prepare for m in [*workspace.learners(), module]}
    if workspace.is_started(module):
        workspace.refresh(module)
    job = {
        "files": {name: str(path) for name, path in workspace.files(module).items()},
        "prepare": {name: function for name, function in prepare.items() if function},
        "package": module.tier.manifest.package,
        "script": str(module.folder / module.manifest.measurement.script),
        "folder": str(folder),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIGURES).unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tt_course.measuring", json.dumps(job)],
        env=worker_environment(),
        cwd=workspace.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
    )
    if done.returncode:
        raise CourseError(f"the measurement of {module.label} did not end well; above is why")
    try:
        figures: dict[str, Any] = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CourseError(f"the measurement of {module.label} left no figures: {error}") from None
    return figures


def main(text: str) -> None:
    """Load the framework and the script, run it, write down its figures."""
    job = json.loads(text)
    try:
        _measure(job)
    except Exception as error:
        at = error.__traceback__
        while at is not None and _is_machinery(at.tb_frame.f_code.co_filename):
            at = at.tb_next
        traceback.print_exception(error.with_traceback(at))
        sys.exit(1)


def _is_machinery(file: str) -> bool:
    """Whether a file is this program's, or how Python imports."""
    return file.startswith("<frozen") or Path(file).parent.name in ("tt_course", "importlib")


def _measure(job: dict[str, Any]) -> None:
    replace(Finder(job["files"], prepare=job["prepare"]))
    framework = importlib.import_module(job["package"])
    spec = importlib.util.spec_from_file_location("measure", job["script"])
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(script)
    folder = Path(job["folder"])
    figures = script.main(framework, folder)
    beside = folder / f"{FIGURES}.part"
    beside.write_text(json.dumps(figures, default=_plain), encoding="utf-8")
    os.replace(beside, folder / FIGURES)


def _plain(value: Any) -> Any:
    """An array or NumPy number as JSON takes it."""
    return value.tolist()


if __name__ == "__main__":
    main(sys.argv[1])
