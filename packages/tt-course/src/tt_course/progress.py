"""Progress: what a learner did, in SQLite in their workspace.

Which modules are complete stands in the workspace's ``framework.json``, under Git; this is the diary beside it: losing
it loses dates and points, no work.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tt_course.errors import CourseError

if TYPE_CHECKING:
    from tt_course.check import Check

__all__ = ["ExerciseRow", "ModuleRow", "Progress", "Reached"]

VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS module (
    name TEXT PRIMARY KEY, started TEXT, completed TEXT, version TEXT,
    points INTEGER DEFAULT 0, total INTEGER DEFAULT 0, checks INTEGER DEFAULT 0, last_check TEXT
);
CREATE TABLE IF NOT EXISTS exercise (
    module TEXT, id TEXT, state TEXT DEFAULT 'to do', passed TEXT, hints INTEGER DEFAULT 0, PRIMARY KEY (module, id)
);
CREATE TABLE IF NOT EXISTS checked (at TEXT, module TEXT, seed INTEGER, points INTEGER, total INTEGER);
CREATE TABLE IF NOT EXISTS reached (
    kind TEXT, name TEXT, at TEXT, passed INTEGER, figures TEXT, PRIMARY KEY (kind, name)
);
"""


@dataclass(frozen=True)
class ModuleRow:
    """A module: when it was started and completed (local time, empty if never), and what its last check gave."""

    name: str
    started: str = ""
    completed: str = ""
    version: str = ""
    points: int = 0
    total: int = 0
    checks: int = 0
    last_check: str = ""


@dataclass(frozen=True)
class ExerciseRow:
    """An exercise: its state at the last check, when it first passed, and how many hints were read."""

    id: str
    state: str = "to do"
    passed: str = ""
    hints: int = 0


@dataclass(frozen=True)
class Reached:
    """A milestone or checkpoint as it was last run, or last passed, with its figures."""

    name: str
    at: str
    passed: bool
    figures: dict[str, Any]


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


class Progress:
    """The diary in one file, made when first written to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _do(self, *statements: tuple[str, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Run statements in one transaction; the rows of the last."""
        try:
            self.path.parent.mkdir(exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
                elif version != VERSION:
                    raise CourseError(f"{self.path} is of version {version}; this tito reads version {VERSION}")
                rows: list[tuple[Any, ...]] = []
                for statement, values in statements:
                    rows = connection.execute(statement, values).fetchall()
                return rows
        except sqlite3.OperationalError as error:
            raise CourseError(f"cannot use {self.path}: {error}") from None
        except sqlite3.DatabaseError as error:
            raise CourseError(
                f"{self.path} is damaged: {error}",
                f"It holds dates and points only, no work. To begin a new one: mv {self.path} {self.path}.damaged",
            ) from None

    def start(self, module: str, version: str) -> None:
        """Note that a module was started, with that version of its tier."""
        self._do(
            (
                "INSERT INTO module (name, started, version) VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET started = excluded.started, version = excluded.version",
                (module, _now(), version),
            )
        )

    def complete(self, module: str) -> None:
        """Note that a module was completed."""
        self._do(
            ("INSERT OR IGNORE INTO module (name) VALUES (?)", (module,)),
            ("UPDATE module SET completed = ? WHERE name = ?", (_now(), module)),
        )

    def reset(self, module: str) -> None:
        """Note that a module begins anew."""
        self._do(
            ("UPDATE module SET completed = NULL, points = 0 WHERE name = ?", (module,)),
            ("UPDATE exercise SET state = 'to do' WHERE module = ?", (module,)),
        )

    def checked(self, check: Check) -> None:
        """Note what a check of a whole module gave."""
        name, now = check.module.name, _now()
        statements: list[tuple[str, tuple[Any, ...]]] = [
            ("INSERT OR IGNORE INTO module (name, started) VALUES (?, ?)", (name, now)),
            (
                "UPDATE module SET points = ?, total = ?, checks = checks + 1, last_check = ? WHERE name = ?",
                (check.points, check.total, now, name),
            ),
            ("INSERT INTO checked VALUES (?, ?, ?, ?, ?)", (now, name, check.seed, check.points, check.total)),
        ]
        for verdict in check.verdicts:
            state = verdict.state
            statements.append(
                (
                    "INSERT INTO exercise (module, id, state, passed) VALUES (?, ?, ?, ?) ON CONFLICT (module, id) "
                    "DO UPDATE SET state = excluded.state, passed = coalesce(passed, excluded.passed)",
                    (name, verdict.exercise.id, state, now if state == "passed" else None),
                )
            )
        self._do(*statements)

    def hint(self, module: str, exercise: str, most: int = 3) -> int:
        """Note that one more hint is read, of ``most`` that there are; how many that makes."""
        rows = self._do(
            ("INSERT OR IGNORE INTO exercise (module, id) VALUES (?, ?)", (module, exercise)),
            ("UPDATE exercise SET hints = min(hints + 1, ?) WHERE module = ? AND id = ?", (most, module, exercise)),
            ("SELECT hints FROM exercise WHERE module = ? AND id = ?", (module, exercise)),
        )
        return int(rows[0][0])

    def reached(self, kind: str, name: str, passed: bool, figures: Mapping[str, Any]) -> None:
        """Note how a milestone or checkpoint ended; one that was passed stays so."""
        row = (kind, name, _now(), int(passed), json.dumps(dict(figures)))
        update = "at = excluded.at, passed = excluded.passed, figures = excluded.figures"
        statement = f"INSERT INTO reached VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET {update}"
        self._do((f"{statement} WHERE excluded.passed >= passed", row))

    def _is_there(self) -> bool:
        return self.path.exists()

    def modules(self) -> dict[str, ModuleRow]:
        """All modules that were started or checked, by name."""
        if not self._is_there():
            return {}
        columns = "name, started, completed, version, points, total, checks, last_check"
        rows = self._do((f"SELECT {columns} FROM module", ()))
        return {
            name: ModuleRow(name, started or "", completed or "", version or "", points, total, checks, last or "")
            for name, started, completed, version, points, total, checks, last in rows
        }

    def exercises(self, module: str) -> dict[str, ExerciseRow]:
        """The exercises of a module that were met so far, by id."""
        if not self._is_there():
            return {}
        rows = self._do(("SELECT id, state, passed, hints FROM exercise WHERE module = ?", (module,)))
        return {row[0]: ExerciseRow(row[0], row[1], row[2] or "", row[3]) for row in rows}

    def all_reached(self, kind: str) -> dict[str, Reached]:
        """The milestones or checkpoints that were run, by name."""
        if not self._is_there():
            return {}
        rows = self._do(("SELECT name, at, passed, figures FROM reached WHERE kind = ?", (kind,)))
        return {row[0]: Reached(row[0], row[1], bool(row[2]), json.loads(row[3])) for row in rows}
