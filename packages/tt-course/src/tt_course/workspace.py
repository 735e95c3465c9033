"""Workspaces: the folder in which a learner rebuilds a framework, a Git repository of its own.

``tito.toml`` says how it was made, ``framework.json`` which modules are the learner's; each module has a folder under
``modules/``. Every file is written beside its place and renamed, and nothing of the learner's is overwritten without a
copy in a commit and under ``.tito/backups``.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from tt_course.errors import CourseError
from tt_course.git import Repository
from tt_course.hook import FRAMEWORK, STARTUP, WORKSPACE
from tt_course.manifest import Module, Tier, find_module, load_tier
from tt_course.progress import Progress
from tt_course.starter import stub, with_bodies

__all__ = ["PATHS", "LearningPath", "Workspace", "create", "find", "starter_of"]

LearningPath = Literal["builder", "explorer", "guided"]
PATHS: dict[LearningPath, str] = {
    "builder": "every module of every installed tier, every body yours",
    "explorer": "one tier",
    "guided": "the reference beside each exercise, a third of the bodies yours",
}
MAIN = "main"
SETTINGS = "tito.toml"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``tito.toml``."""

    path: LearningPath
    tiers: list[str]


def write(path: Path, text: str) -> None:
    """Write a text file beside its place, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def starter_of(module: Module, path: LearningPath) -> str:
    """The text of the learner's file at the start: all bodies of its exercises taken out, or every third of them."""
    listed = [(exercise, name) for exercise in module.manifest.exercise for name in exercise.definitions]
    chosen = listed[::3] if path == "guided" else listed
    bodies = {name: stub(f"{exercise.label} {exercise.title}") for exercise, name in chosen}
    return with_bodies(module.source.read_text(encoding="utf-8"), bodies, str(module.source))


class Workspace:
    """A learner's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git = Repository(root)
        self.progress = Progress(root / ".tito" / "progress.db")

    @cached_property
    def settings(self) -> Settings:
        """``tito.toml``.

        Raises:
            CourseError: it is broken.
        """
        path = self.root / SETTINGS
        try:
            return msgspec.toml.decode(path.read_bytes(), type=Settings)
        except (OSError, ValueError) as error:
            raise CourseError(f"{path}: {error}") from None

    @cached_property
    def tiers(self) -> tuple[Tier, ...]:
        """The tiers of the workspace.

        Raises:
            CourseError: one is not installed.
        """
        return tuple(load_tier(name) for name in self.settings.tiers)

    @property
    def modules(self) -> list[Module]:
        """All modules of those tiers, in course order."""
        return [module for tier in self.tiers for module in tier.modules]

    def module(self, wanted: str | None) -> Module:
        """The module of that number or name; without one, the module at hand.

        Raises:
            CourseError: there is none.
        """
        if wanted is not None:
            return find_module(wanted, self.tiers)
        started = [m for m in self.modules if self.is_started(m) and not self.is_complete(m)]
        if not started:
            raise CourseError("no module is started that is not complete", f"Next: tito module start {self._next()}")
        return started[-1]

    def _next(self) -> str:
        following = self.next_module()
        return following.label if following else "NN"

    def next_module(self) -> Module | None:
        """The first module, in course order, that is not complete."""
        return next((m for m in self.modules if not self.is_complete(m)), None)

    def folder(self, module: Module) -> Path:
        """Where a module's files lie."""
        return self.root / "modules" / module.name

    def file(self, module: Module) -> Path:
        """The learner's file."""
        return self.folder(module) / module.file_name

    def notebook(self, module: Module) -> Path:
        """The learner's notebook, from which the file is made, where there is one."""
        return self.file(module).with_suffix(".ipynb")

    def is_started(self, module: Module) -> bool:
        return self.file(module).is_file() or self.notebook(module).is_file()

    def is_complete(self, module: Module) -> bool:
        return any(entry.get("module") == module.name for entry in self.completed.values())

    @property
    def completed(self) -> dict[str, dict[str, Any]]:
        """What ``framework.json`` says of the completed modules, by full module name.

        Raises:
            CourseError: it is broken.
        """
        completed: dict[str, dict[str, Any]] = self._framework()["completed"]
        return completed

    def _framework(self) -> dict[str, Any]:
        path = self.root / FRAMEWORK
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if not all(isinstance(content[key], dict) for key in ("completed", "imports")):
                raise ValueError("no table of completed modules")
            if not all(isinstance(entry["file"], str) for entry in content["completed"].values()):
                raise ValueError("a completed module names no file")
            return content
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CourseError(
                f"{path} is broken: {error}", f"`git -C {self.root} log -p {FRAMEWORK}` shows it"
            ) from None

    def files(self, module: Module | None = None) -> dict[str, Path]:
        """The learner's files by full module name: the completed ones, and that of the module at hand."""
        files = {name: self.root / entry["file"] for name, entry in self.completed.items()}
        gone = [file for file in files.values() if not file.is_file()]
        if gone:
            raise CourseError(f"{gone[0]} is gone, though its module is complete", f"git checkout -- {gone[0]}")
        if module is not None and self.is_started(module):
            files[module.manifest.source] = self.file(module)
        return files

    def environment(self) -> dict[str, str]:
        """The environment of a program that runs on the learner's framework."""
        path = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != str(STARTUP)]
        return {**os.environ, WORKSPACE: str(self.root), "PYTHONPATH": os.pathsep.join([str(STARTUP), *path])}

    def learners(self) -> list[Module]:
        """The completed modules."""
        return [module for module in self.modules if self.is_complete(module)]

    def roots(self) -> list[str]:
        """The packages by which the course imports the learner's framework."""
        return sorted({module.manifest.course_import.partition(".")[0] for module in self.modules})

    def own_paths(self) -> list[str]:
        """What tito puts under Git in any case."""
        return ["modules", FRAMEWORK, SETTINGS, "README.md", ".gitignore", *self.roots()]

    def save(self, message: str) -> bool:
        """Commit the work as it is; whether there was anything to commit."""
        return self.git.commit(message, self.own_paths())

    def start(self, module: Module, *, notebook: bool = False) -> str:
        """Begin a module: a branch, the learner's file, the questions to reflect on. The branch's name.

        Raises:
            CourseError: it is started already.
        """
        if self.is_started(module):
            raise CourseError(
                f"module {module.label} is started: {self.file(module).relative_to(self.root)}",
                f"To begin it anew, keeping a copy: tito module reset {module.label}",
            )
        text = starter_of(module, self.settings.path)  # before anything is changed
        self.save("Keep work")
        branch = self.git.begin_branch(f"module/{module.name}")
        self._write_framework(self.completed)  # a tier may have got further modules
        self.write_starter(module, text, notebook=notebook)
        self.save(f"Start {module.label} {module.manifest.title}")
        self.progress.start(module.name, module.tier.version)
        return branch

    def write_starter(self, module: Module, text: str, *, notebook: bool = False) -> None:
        """Write the files with which a module begins."""
        folder = self.folder(module)
        if notebook:
            from tt_course.notebook import notebook_of

            write(self.notebook(module), notebook_of(module, text))
        write(self.file(module), text)
        if self.settings.path == "guided":
            write(folder / "reference.py", module.source.read_text(encoding="utf-8"))
        questions = folder / "reflection.md"
        if module.manifest.reflection and not questions.exists():
            write(questions, _reflection(module))

    def refresh(self, module: Module) -> None:
        """Make the learner's file from their notebook, where there is one.

        Raises:
            CourseError: the module is not started, or the notebook cannot be read.
        """
        if not self.is_started(module):
            raise CourseError(f"module {module.label} is not started", f"tito module start {module.label}")
        if not self.notebook(module).is_file():
            return
        from tt_course.notebook import text_of

        text, file = text_of(self.notebook(module)), self.file(module)
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            self.back_up(module, [file])
            write(file, text)

    def back_up(self, module: Module, files: Sequence[Path] = ()) -> Path:
        """Copy a module's folder, or some of its files, to ``.tito/backups``; where the copy lies."""
        stamp = f"{module.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        target, number = self.root / ".tito" / "backups" / stamp, 2
        while target.exists():
            target, number = target.with_name(f"{stamp}-{number}"), number + 1
        if files:
            target.mkdir(parents=True)
            for file in files:
                if file.is_file():
                    shutil.copy2(file, target / file.name)
        else:
            shutil.copytree(self.folder(module), target)
        return target

    def reset(self, module: Module) -> Path:
        """Begin a module anew; where a copy of the work until now lies (it is in a commit, too).

        Raises:
            CourseError: it is not started.
        """
        if not self.is_started(module):
            raise CourseError(f"module {module.label} is not started", f"tito module start {module.label}")
        text = starter_of(module, self.settings.path)
        copy = self.back_up(module)
        if self.git.is_there():
            self.save(f"Keep work on {module.label} before its reset")
        self._write_framework({k: v for k, v in self.completed.items() if v.get("module") != module.name})
        self.write_starter(module, text, notebook=self.notebook(module).is_file())
        if self.git.is_there():
            self.save(f"Reset {module.label} {module.manifest.title}")
        self.progress.reset(module.name)
        return copy

    def complete(self, module: Module) -> None:
        """Make a module part of the learner's framework: commit, and merge into ``main``."""
        what = f"{module.label} {module.manifest.title}"
        self.save(f"Work on {what}")
        self.git.take_in(MAIN)
        entry = {
            "module": module.name,
            "tier": module.tier.name,
            "version": module.tier.version,
            "file": self.file(module).relative_to(self.root).as_posix(),
            "prepare": module.tier.manifest.prepare or "",
        }
        self._write_framework({**self.completed, module.manifest.source: entry})
        self.save(f"Complete {what}")
        self.git.merge_into(MAIN, f"Merge {what}")
        self.progress.complete(module.name)

    def _write_framework(self, completed: Mapping[str, Any]) -> None:
        imports = {m.manifest.course_import: m.manifest.source for m in self.modules}
        content = {"completed": dict(completed), "imports": imports}
        write(self.root / FRAMEWORK, json.dumps(content, indent=2) + "\n")

    def begin(self) -> None:
        """Write the files of a new workspace and commit them."""
        write(self.root / ".gitignore", ".tito/\n__pycache__/\n.ipynb_checkpoints/\n*.part\n")
        tiers = ", ".join(json.dumps(name) for name in self.settings.tiers)
        titles = "".join(f"- {m.label} {m.manifest.title}: {m.manifest.question}\n" for m in self.modules)
        write(self.root / "README.md", README.format(tiers=tiers, modules=titles, path=self.settings.path))
        for root in self.roots():
            write(self.root / root / "__init__.py", PACKAGE)
        self._write_framework({})
        self.git.create()
        self.save("Begin")


def _reflection(module: Module) -> str:
    lines = [f"# {module.label} {module.manifest.title}: to think about", ""]
    for i, reflection in enumerate(module.manifest.reflection):
        lines += [f"## {i + 1}. {reflection.question.strip()}", "", "", ""]
    lines += [f"What good answers name is shown once the module is complete: tito module status {module.label}", ""]
    return "\n".join(lines)


PACKAGE = '''"""Your own framework: importing it makes the modules that you completed take the place of the reference's.

``tito run SCRIPT`` does the same before the script's first line.
"""

from pathlib import Path

from tt_course.hook import install

install(Path(__file__).parents[1])
'''

README = """# My framework

Rebuilt with `tito` (path: {path}; tiers: {tiers}).

{modules}
- `tito module list` shows where you are, `tito module start 01` begins.
- `modules/` holds your files; a completed one is part of your framework.
- `tito run SCRIPT.py` runs a program on it.
"""


def create(root: Path, path: LearningPath, tiers: Sequence[Tier]) -> Workspace:
    """Make a workspace in an empty or new folder.

    Raises:
        CourseError: the folder holds something.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        is_one = (root / SETTINGS).is_file()
        raise CourseError(
            f"{root} is a workspace already" if is_one else f"{root} is not empty",
            f"cd {root} && tito module list" if is_one else "Name a folder that is new: tito init my-tinytorch",
        )
    if not tiers:
        raise CourseError("no tier is installed that has a course", "pip install tt-foundation")
    root.mkdir(parents=True, exist_ok=True)
    names = ", ".join(json.dumps(tier.name) for tier in tiers)
    write(root / SETTINGS, f"# How tito made this workspace.\npath = {json.dumps(path)}\ntiers = [{names}]\n")
    workspace = Workspace(root)
    workspace.begin()
    return workspace


def find(start: Path | None = None) -> Workspace:
    """The workspace around a folder, this one by default; outside of any, the one that TITO_WORKSPACE names.

    Raises:
        CourseError: there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / SETTINGS).is_file():
            return Workspace(folder)
    named = os.environ.get(WORKSPACE)
    if named and (Path(named) / SETTINGS).is_file():
        return Workspace(Path(named).resolve())
    raise CourseError(f"{here} is in no workspace", "tito init my-tinytorch makes one; then cd my-tinytorch")
