"""Starters: a reference file with bodies taken out, and bodies put in; all other text to the letter.

A body is what follows a function's signature and docstring, with its comments. Knows Python's syntax; knows nothing of
courses.
"""

from __future__ import annotations

import ast
import io
import json
import textwrap
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tt_course.errors import CourseError

__all__ = ["bodies", "definitions", "parsed", "signature", "stub", "with_bodies"]

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Body(NamedTuple):
    """Where a body lies: its first character, the one after its last, its indentation; what goes before new text."""

    start: int
    end: int
    indent: str
    lead: str


def parsed(source: str, path: str = "<source>") -> ast.Module:
    """The syntax tree.

    Raises:
        CourseError: it is no Python.
    """
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise CourseError(f"{path}, line {error.lineno}: {error.msg}") from None


def definitions(source: str, path: str = "<source>") -> dict[str, Function]:
    """The functions and methods of a file by qualified name, such as ``Tensor.__add__``; of overloads, the real one."""
    found: dict[str, Function] = {}
    for name, node in _walk(parsed(source, path).body, ""):
        if not any(ast.unparse(d).rpartition(".")[2] in ("overload", "setter", "deleter") for d in node.decorator_list):
            found[name] = node
    return found


def _walk(nodes: Iterable[ast.stmt], prefix: str) -> Iterator[tuple[str, Function]]:
    for node in nodes:
        if isinstance(node, Function):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _walk(node.body, f"{prefix}{node.name}.")


def _body(lines: list[str], starts: list[int], node: Function) -> Body:
    """Where the body of ``node`` lies in the text that ``lines`` make, ``starts`` being where each begins."""

    def at(line: int, byte: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:byte].decode())

    first, last = node.body[0], node.body[-1]
    has_docstring = ast.get_docstring(node, clean=False) is not None
    same_line = first.lineno == _colon_line(node, lines)
    indent = " " * (node.col_offset + 4 if same_line else first.col_offset)
    end_line = last.end_lineno or last.lineno
    end = at(end_line, last.end_col_offset or 0)
    if has_docstring:
        # From the docstring's end, so that comments above the first statement go too.
        start = at(first.end_lineno or first.lineno, first.end_col_offset or 0)
    elif same_line:
        start = at(first.lineno, first.col_offset)
        while lines and start > 0 and "".join(lines)[start - 1] in " \t":
            start -= 1
    else:
        colon = _colon_line(node, lines)
        start = starts[colon - 1] + len(lines[colon - 1].rstrip("\n"))
    # Comments behind the last statement, on its line and on lines of their own at the body's indentation.
    end = starts[end_line - 1] + len(lines[end_line - 1].rstrip("\n")) if not same_line else end
    for i in range(end_line, len(lines)):
        text = lines[i].strip()
        if text and not (text.startswith("#") and lines[i].startswith(indent)):
            break
        if text:
            end = starts[i] + len(lines[i].rstrip("\n"))
    return Body(start, max(start, end), indent, "\n")


def _colon_line(node: Function, lines: list[str]) -> int:
    """The line on which a function's signature ends with its colon."""
    line = max(
        [node.lineno]
        + [a.end_lineno or 0 for a in ast.walk(node.args) if isinstance(a, ast.expr | ast.arg)]
        + ([node.returns.end_lineno or 0] if node.returns else [])
    )
    while line < node.body[0].lineno and not lines[line - 1].partition("#")[0].rstrip().endswith(":"):
        line += 1
    return line


def stub(what: str) -> str:
    """The body that stands where the learner is to write one."""
    return f"raise NotImplementedError({json.dumps(what, ensure_ascii=False)})"


def with_bodies(source: str, new: Mapping[str, str], path: str = "<source>") -> str:
    """The source with other bodies for some definitions; text, signatures and docstrings to the letter.

    Args:
        source: a Python file.
        new: bodies by qualified name, indented in any consistent way.
        path: what an error calls the file.

    Raises:
        CourseError: a definition is not there, or the outcome is no Python.
    """
    known = definitions(source, path)
    missing = [name for name in new if name not in known]
    if missing:
        raise CourseError(f"{path} does not define {', '.join(missing)}")
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    places = sorted(((_body(lines, starts, known[name]), name) for name in new), reverse=True)
    for body, name in places:
        text = _indented(new[name], body.indent)
        source = source[: body.start] + (body.lead + text if text else "") + source[body.end :]
    parsed(source, f"{path} with other bodies for {', '.join(new)}")
    return source


def _indented(text: str, indent: str) -> str:
    """A body at another indentation; what its strings hold over several lines stays as it is."""
    lines = text.rstrip().splitlines()
    if not lines:
        return ""
    first = next(line for line in lines if line.strip())
    before = len(first) - len(first.lstrip())
    inside = _inside_strings(lines)
    return "\n".join(
        line if i in inside else indent + line[min(before, len(line) - len(line.lstrip())) :] if line.strip() else ""
        for i, line in enumerate(lines)
    )


def _inside_strings(lines: list[str]) -> set[int]:
    """Which lines begin within a string."""
    inside: set[int] = set()
    starts: list[int] = []  # of f-strings, which Python 3.12 and later give in parts
    text = "if True:\n" + "\n".join(lines) + "\n"
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            kind = tokenize.tok_name[token.type]
            if kind == "STRING":
                inside.update(range(token.start[0] - 1, token.end[0] - 1))
            elif kind.endswith("STRING_START"):
                starts.append(token.start[0])
            elif kind.endswith("STRING_END"):
                inside.update(range(starts.pop() - 1, token.end[0] - 1))
    except (tokenize.TokenError, SyntaxError):
        pass  # a body that is no Python: whoever parses the outcome says so
    return inside


def bodies(source: str, names: Iterable[str], path: str = "<source>") -> dict[str, str]:
    """The bodies of some definitions, dedented, with their comments.

    Raises:
        CourseError: a definition is not there.
    """
    known = definitions(source, path)
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found = {}
    for name in names:
        if name not in known:
            raise CourseError(f"{path} does not define {name}")
        body = _body(lines, starts, known[name])
        found[name] = _indented(source[body.start : body.end].removeprefix(body.lead), "")
    return found


def signature(source: str, name: str, path: str = "<source>") -> str:
    """The text of a definition without its body: decorators, signature and docstring."""
    node = definitions(source, path).get(name)
    if node is None:
        raise CourseError(f"{path} does not define {name}")
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return textwrap.dedent(source[starts[first - 1] : _body(lines, starts, node).start])
