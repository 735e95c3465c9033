"""Starters: bodies taken out and put in, all other text to the letter."""

import ast
import importlib.util
from pathlib import Path

import pytest

from tt_course.errors import CourseError
from tt_course.starter import bodies, definitions, signature, stub, with_bodies

SOURCE = '''\
"""A file."""

from typing import overload


def plain(x: int) -> int:
    """One line."""
    # A comment that gives it away.
    y = x + 1

    return y  # and another
    # and one more


def bare(x):
    return x


def short(x): return x


def only_docstring():
    """Nothing else."""


@overload
def many(x: int) -> int: ...
@overload
def many(x: str) -> str: ...
def many(x):
    return x


def long(
    x: int,  # why: it ends in a colon
    y: "dict[str, int]" = {"a": 1},
) -> int:
    """Its signature
    and docstring have several lines.
    """
    return x


class Box:
    """Holds."""

    @property
    def size(self) -> int:
        """How much — with letters beyond ASCII."""
        return 1; x = "ä"

    @size.setter
    def size(self, value: int) -> None:
        pass

    async def later(self):
        async with self:
            return 2

    class Inner:
        def deep(self):
            """Deep."""
            text = """a
string at the margin"""
            return text


def last(x):
    return x
'''


def test_definitions_are_found_by_qualified_name_and_of_overloads_the_real_one() -> None:
    found = definitions(SOURCE)
    assert list(found) == [
        *["plain", "bare", "short", "only_docstring", "many", "long"],
        *["Box.size", "Box.later", "Box.Inner.deep", "last"],
    ]
    assert ast.unparse(found["many"].body[0]) == "return x"
    assert ast.unparse(found["Box.size"].body[1]) == "return 1"


@pytest.mark.parametrize("name", list(definitions(SOURCE)))
def test_a_blanked_body_raises_and_nothing_else_changes(name: str) -> None:
    blank = with_bodies(SOURCE, {name: stub("01.1 It")})
    before, after = definitions(SOURCE), definitions(blank)
    for other in before:
        if other != name:
            assert ast.dump(before[other]) == ast.dump(after[other])
    statements = after[name].body
    assert ast.unparse(statements[-1]) == "raise NotImplementedError('01.1 It')"
    assert len(statements) == (1 if ast.get_docstring(before[name]) is None else 2)
    assert ast.get_docstring(after[name], clean=False) == ast.get_docstring(before[name], clean=False)
    head = SOURCE[: SOURCE.index(signature(SOURCE, name).strip().splitlines()[0])]
    assert blank.startswith(head)


def test_comments_of_a_body_go_with_it() -> None:
    blank = with_bodies(SOURCE, {"plain": stub("it")})
    assert 'One line."""\n    raise NotImplementedError("it")\n\n\ndef bare(x):\n' in blank


def test_comments_of_a_signature_stay() -> None:
    assert "# why: it ends in a colon" in with_bodies(SOURCE, {"long": stub("it")})


def test_all_bodies_can_be_replaced_at_once() -> None:
    blank = with_bodies(SOURCE, dict.fromkeys(definitions(SOURCE), "raise KeyError"))
    assert blank.count("raise KeyError") == len(definitions(SOURCE))


@pytest.mark.parametrize("name", [n for n in definitions(SOURCE) if n not in ("short", "only_docstring")])
def test_a_body_put_back_gives_the_source_to_the_letter(name: str) -> None:
    blank = with_bodies(SOURCE, {name: stub("it")})
    assert with_bodies(blank, bodies(SOURCE, [name])) == SOURCE


def test_what_is_not_defined_is_named() -> None:
    with pytest.raises(CourseError, match=r"a\.py does not define other, Box\.none"):
        with_bodies(SOURCE, {"other": "pass", "plain": "pass", "Box.none": "pass"}, "a.py")
    with pytest.raises(CourseError, match="does not define other"):
        bodies(SOURCE, ["other"])


def test_a_body_that_is_no_python_is_refused() -> None:
    with pytest.raises(CourseError, match="with other bodies for plain, line"):
        with_bodies(SOURCE, {"plain": "return ("})


def test_a_signature_is_all_but_the_body() -> None:
    assert signature(SOURCE, "Box.size") == (
        '@property\ndef size(self) -> int:\n    """How much — with letters beyond ASCII."""'
    )


def test_a_message_of_any_letters_is_a_string() -> None:
    assert ast.unparse(ast.parse(stub('05.1 "ä"\n'))) == "raise NotImplementedError('05.1 \"ä\"\\n')"


def test_every_body_of_the_engine_itself_can_be_taken_out_and_put_back() -> None:
    spec = importlib.util.find_spec("tt_course")
    assert spec is not None
    assert spec.origin is not None
    for path in sorted(Path(spec.origin).parent.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        names = list(definitions(text))
        if names:
            blank = with_bodies(text, dict.fromkeys(names, "raise NotImplementedError"))
            compile(blank, str(path), "exec")
            assert with_bodies(blank, bodies(text, names)) == text, path
