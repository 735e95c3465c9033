"""Notebooks: a module's file as cells, and cells as a module's file.

Cells tagged ``module`` make the file, in order; all others are the learner's to try things in.
"""

from __future__ import annotations

import ast
from pathlib import Path

import jupytext  # type: ignore[import-untyped]  # it has no types

from tt_course.errors import CourseError
from tt_course.manifest import Module
from tt_course.starter import parsed

__all__ = ["notebook_of", "pieces", "text_of"]

TAG = "module"


def pieces(text: str) -> list[str]:
    """A file cut before each of its top-level definitions, decorators and comments with them; joined they are it."""
    lines = text.splitlines(keepends=True)
    cuts = [0]
    for node in parsed(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
            while first > 0 and lines[first - 1].startswith("#"):
                first -= 1
            if first > cuts[-1]:
                cuts.append(first)
    return ["".join(lines[a:b]) for a, b in zip(cuts, [*cuts[1:], len(lines)], strict=True)]


def notebook_of(module: Module, text: str) -> str:
    """A Jupyter notebook, as JSON, whose tagged cells are the file."""
    m = module.manifest
    root = m.course_import.partition(".")[0]
    intro = (
        f"# {module.label} {m.title}\n\n{m.question}\n\n{m.matters.strip()}\n\nCells tagged `{TAG}` make the module."
    )
    cells = ["# %% [markdown]\n" + "".join(f"# {line}".rstrip() + "\n" for line in intro.splitlines())]
    cells.append(
        f'# %%\nimport sys\n\nsys.path.insert(0, "../..")\nimport {root}  # what you completed is yours from here\n'
    )
    cells += [f'# %% tags=["{TAG}"]\n{piece.strip()}\n' for piece in pieces(text)]
    cells.append(f"# %%\n# !tito module check {module.label}\n")
    book = jupytext.reads("\n".join(cells), fmt="py:percent")
    book.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    written: str = jupytext.writes(book, fmt="ipynb")
    return written


def text_of(path: Path) -> str:
    """The file that a notebook's tagged cells make.

    Raises:
        CourseError: it is no notebook, or has no such cell.
    """
    try:
        book = jupytext.read(path, fmt="ipynb")
        cells = [c.source for c in book.cells if c.cell_type == "code" and TAG in c.metadata.get("tags", [])]
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise CourseError(f"{path} cannot be read as a notebook: {error}") from None
    if not cells:
        raise CourseError(f"{path} has no cell tagged {TAG!r}")
    return "\n\n\n".join(cell.strip("\n") for cell in cells) + "\n"
