"""Reports of grades: JSON, CSV, a page for each learner, and Gradescope's ``results.json``.

What learners wrote appears in them as text only. Knows grades; knows nothing of how they came about.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from tt_course.grading.grade import Grade
from tt_course.grading.submissions import file_name_for
from tt_course.manifest import Module

__all__ = ["as_csv", "as_gradescope", "as_page", "as_rows", "write_pages"]


def as_rows(grades: Sequence[Grade]) -> list[dict[str, Any]]:
    """The grades as plain data."""
    return [
        {
            "learner": grade.submission.learner,
            "path": str(grade.submission.path),
            "points": grade.points,
            "total": grade.total,
            "problem": grade.problem,
            "exercises": [
                {
                    "id": e.exercise.id,
                    "title": e.exercise.title,
                    "points": e.points,
                    "total": e.exercise.points,
                    "case": e.case,
                    "reason": e.reason,
                }
                for e in grade.exercises
            ],
            "notes": list(grade.notes),
            "printed": grade.printed,
            "seconds": round(grade.seconds, 3),
        }
        for grade in grades
    ]


def as_csv(module: Module, grades: Sequence[Grade]) -> str:
    """A row for each learner, a column for each exercise."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["learner", "points", "total", *(e.label for e in module.manifest.exercise), "path", "notes"])
    for grade in grades:
        points = [e.points for e in grade.exercises]
        row = [
            grade.submission.learner,
            grade.points,
            grade.total,
            *points,
            grade.submission.path,
            "; ".join(grade.notes),
        ]
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: object) -> object:
    """Text that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if not isinstance(value, int) and text.startswith(("=", "+", "-", "@", "\t")) else value


def as_gradescope(module: Module, grade: Grade) -> str:
    """``results.json`` as Gradescope reads it, for one submission."""
    tests = [
        {
            "name": f"{e.exercise.label} {e.exercise.title}",
            "score": e.points,
            "max_score": e.exercise.points,
            "status": "passed" if e.points else "failed",
            "output": f"{e.case}: {e.reason}" if e.case else e.reason,
            "visibility": "visible",
        }
        for e in grade.exercises
    ]
    heading = f"Module {module.label} {module.manifest.title}: {grade.points} of {grade.total}"
    return json.dumps(
        {
            "score": grade.points,
            "output": "\n".join(filter(None, [heading, grade.problem, *grade.notes])),
            "output_format": "text",
            "execution_time": grade.seconds,
            "tests": tests,
        },
        indent=2,
    )


def as_page(module: Module, grade: Grade) -> str:
    """An HTML page for one learner."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = files("tt_course.grading").joinpath("feedback.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(module=module, grade=grade)


def write_pages(module: Module, grades: Sequence[Grade], folder: Path) -> list[Path]:
    """Write a page for each learner into ``folder``; its file's name is made from theirs, not taken from it."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    written = []
    for grade in grades:
        path = folder / file_name_for(grade.submission.learner, taken, ".html")
        path.write_text(as_page(module, grade), encoding="utf-8")
        written.append(path)
    return written
