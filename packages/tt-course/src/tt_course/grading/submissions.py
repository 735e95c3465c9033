"""Submissions: which files were handed in, by whom, read as if the folder were a trap.

A submission is a Python file, or a notebook whose cells tagged ``module`` make one.

Links are not followed, what is no plain file of moderate size is refused, and a learner's name is text to show, never a
path to use. Knows file systems and the name of the wanted file; runs nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tt_course.errors import CourseError
from tt_course.grading.frames import printable
from tt_course.values import read_bytes

__all__ = ["Submission", "file_name_for", "find_submissions"]

LARGEST = 1 << 20
MOST_FILES = 100_000


@dataclass(frozen=True)
class Submission:
    """One learner's file: its content, or why there is none to grade."""

    learner: str
    path: Path
    content: bytes = b""
    problem: str = ""


def find_submissions(paths: Iterable[Path], wanted: str) -> list[Submission]:
    """The submissions in some files and folders.

    A file is a submission of whoever its name names. A folder that holds ``wanted`` is one submission; any other folder
    is many: its files, and its folders, each of which is to hold ``wanted`` somewhere. A notebook counts as the Python
    file of its name.

    Raises:
        CourseError: a path is not there, or a folder holds no submission.
    """
    found: list[Submission] = []
    for path in paths:
        if path.is_dir():
            inside = _in_folder(path, wanted)
            if not inside:
                raise CourseError(
                    f"no submission in {path}: neither {wanted} nor other Python files nor folders of learners"
                )
            found += inside
        elif path.exists() or path.is_symlink():
            found.append(_read(_learner(path), path))
        else:
            raise CourseError(f"{path} is not there")
    return _numbered(found)


def _names(wanted: str) -> tuple[str, str]:
    return wanted, f"{wanted.removesuffix('.py')}.ipynb"


def _in_folder(folder: Path, wanted: str) -> list[Submission]:
    for name in _names(wanted):
        if (folder / name).is_file():
            return [_read(_learner(folder), folder / name)]
    found = []
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.name.startswith((".", "__")):
            continue
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            place = _deep(path, wanted)
            missing = Submission(_learner(path), path / wanted, problem=f"no file {wanted} was handed in")
            found.append(_read(_learner(path), place) if place else missing)
        elif entry.name.endswith((".py", ".ipynb")):
            found.append(_read(_learner(path), path))
    return found


def _deep(folder: Path, wanted: str) -> Path | None:
    """The wanted file least deep in a folder."""
    places = []
    for count, (at, folders, files) in enumerate(os.walk(folder)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        places += [Path(at) / name for name in _names(wanted) if name in files][:1]
        if count > MOST_FILES:
            break
    return min(places, key=lambda path: (len(path.parts), str(path)), default=None)


def _learner(path: Path) -> str:
    name = path.resolve().name if path.name in ("", ".", "..") else path.name
    return printable(name.removesuffix(".py").removesuffix(".ipynb"))[:100] or "unnamed"


def _read(learner: str, path: Path) -> Submission:
    try:
        content = read_bytes(path, LARGEST)
        if path.name.endswith(".ipynb"):
            content = _cells(content)
    except (OSError, ValueError, RecursionError) as error:
        return Submission(learner, path, problem=f"not a file to grade: {printable(str(error))}")
    return Submission(learner, path, content)


def _cells(notebook: bytes) -> bytes:
    """The text of a notebook's cells that make the module.

    Raises:
        ValueError: it has none, or is no notebook.
    """
    book = json.loads(notebook)
    cells = book.get("cells") if isinstance(book, dict) else None
    texts = []
    for cell in cells if isinstance(cells, list) else []:
        metadata = cell.get("metadata") if isinstance(cell, dict) else None
        tags = metadata.get("tags") if isinstance(metadata, dict) else None
        if isinstance(tags, list) and "module" in tags and cell.get("cell_type") == "code":
            source = cell.get("source")
            lines = source if isinstance(source, list) else [source]
            texts.append("".join(line for line in lines if isinstance(line, str)))
    if not texts:
        raise ValueError("a notebook without a cell tagged 'module'")
    return ("\n\n\n".join(text.strip("\n") for text in texts) + "\n").encode(errors="replace")


def _numbered(found: list[Submission]) -> list[Submission]:
    """Learners of one name told apart by a number."""
    seen: dict[str, int] = {}
    out = []
    for submission in found:
        count = seen[submission.learner] = seen.get(submission.learner, 0) + 1
        learner = submission.learner if count == 1 else f"{submission.learner} ({count})"
        out.append(Submission(learner, submission.path, submission.content, submission.problem))
    return out


def file_name_for(learner: str, taken: set[str], ending: str) -> str:
    """A file name for a learner that is only a name, whatever theirs is, and none of those taken; takes it."""
    base = re.sub(r"[^A-Za-z0-9_-]+", "-", learner).strip("-")[:60] or "learner"
    name, count = f"{base}{ending}", 1
    while name.lower() in taken:
        count += 1
        name = f"{base}-{count}{ending}"
    taken.add(name.lower())
    return name
