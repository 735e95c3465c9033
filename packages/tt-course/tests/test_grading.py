"""Grading: points for what code returns, from files that may be traps, told in ways that cannot be abused."""

import csv
import io
import json
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tt_course.__main__ import cli
from tt_course.check import blanked
from tt_course.errors import CourseError
from tt_course.grading.cgroup import make_group
from tt_course.grading.frames import DamagedError, Frame, Reader, TooMuchError, failure, values
from tt_course.grading.grade import Grade, Grader
from tt_course.grading.names import name_of_ending, name_of_failure
from tt_course.grading.report import as_csv, as_gradescope, as_page, as_rows, write_pages
from tt_course.grading.sandbox import Limits, NoSandboxError, find_sandbox
from tt_course.grading.seccomp import REFUSED, seccomp_filter
from tt_course.grading.session import Ending
from tt_course.grading.stage import Stage
from tt_course.grading.submissions import Submission, file_name_for, find_submissions
from tt_course.manifest import Module, Tier, tiers
from tt_course.runner import Failure
from tt_course.starter import with_bodies
from tt_course.values import Other

sandboxed = pytest.mark.sandbox


@pytest.fixture(scope="module")
def vectors(toy_tier: Tier) -> Module:
    return toy_tier.modules[0]


@pytest.fixture(scope="module")
def honest(vectors: Module) -> str:
    return vectors.source.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def grader(vectors: Module) -> Iterator[Grader]:
    with Grader(vectors, find_sandbox()) as opened:
        yield opened


@pytest.fixture(scope="module")
def unprotected(vectors: Module) -> Iterator[Grader]:
    with Grader(vectors, None, limits=Limits(case_s=1)) as opened:
        yield opened


def submitted(text: str, learner: str = "someone") -> Submission:
    return Submission(learner, Path("x"), text.encode())


# Points


@sandboxed
def test_the_reference_earns_all_points(grader: Grader, honest: str) -> None:
    grade = grader.grade(submitted(honest))
    assert (grade.points, grade.total, grade.problem, grade.notes) == (10, 10, "", ())


@sandboxed
def test_a_starter_earns_nothing(grader: Grader, vectors: Module) -> None:
    grade = grader.grade(submitted(blanked(vectors, vectors.manifest.exercise)))
    assert grade.points == 0
    assert all(e.is_to_do for e in grade.exercises)


@sandboxed
def test_the_first_exercises_earn_just_their_points(grader: Grader, vectors: Module) -> None:
    earned = [grader.grade(submitted(blanked(vectors, vectors.manifest.exercise[k:]))).points for k in range(4)]
    assert earned == [0, 3, 5, 10]


@sandboxed
def test_a_wrong_result_is_told_without_the_right_one(grader: Grader, honest: str) -> None:
    grade = grader.grade(submitted(with_bodies(honest, {"scaled": "return x + factor"})))
    assert [e.points for e in grade.exercises] == [3, 0, 5]
    assert grade.exercises[1].case == "multiples"
    assert grade.exercises[1].reason == "scaled is not what the reference returns"


@sandboxed
def test_a_wrong_shape_is_told(grader: Grader, honest: str) -> None:
    grade = grader.grade(submitted(with_bodies(honest, {"scaled": "return (x * factor).T"})))
    assert grade.exercises[1].reason == "scaled has shape (3, 2), expected (2, 3)"


@sandboxed
def test_an_error_is_told_with_its_line(grader: Grader, honest: str) -> None:
    grade = grader.grade(submitted(with_bodies(honest, {"scaled": "return x * facto"})))
    assert grade.exercises[1].reason == "NameError: name 'facto' is not defined (line 15)"


@sandboxed
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def total(x:\n", "SyntaxError"),
        ("import torch\n", "imported what would answer for it: absent here"),
        ("1 / 0\n", "ZeroDivisionError: division by zero (line 1)"),
        ("\0", "null bytes"),
        ("", "ImportError: cannot import name 'dot' from 'toy_tier.vectors' (vectors.py)"),
    ],
)
def test_a_file_that_does_not_load_is_told_once(grader: Grader, text: str, problem: str) -> None:
    grade = grader.grade(submitted(text))
    assert grade.points == 0
    assert problem in grade.problem


@sandboxed
def test_nobody_is_graded_where_the_reference_fails(vectors: Module, toy_tier: Tier) -> None:
    with Grader(vectors, find_sandbox()) as grader:
        grader.prove()
        (grader.stage.site / "toy_tier" / "polygons.py").unlink()
        with pytest.raises(CourseError, match=r"even the reference fails exercise 91\.1: ImportError"):
            grader.prove()
    with Grader(toy_tier.modules[1], find_sandbox()) as grader:
        grader.prove()


@sandboxed
def test_ordinary_code_is_not_suspected(grader: Grader, honest: str) -> None:
    top = """
import collections, dataclasses, enum, functools, inspect, tempfile, typing, warnings
Pair = collections.namedtuple("Pair", "a b")
Triple = typing.NamedTuple("Triple", [("a", int)])
T = typing.TypeVar("T")
Colour = enum.Enum("Colour", "RED GREEN")
inspect.signature(len)
warnings.warn("careful", stacklevel=2)
with tempfile.TemporaryFile() as file:
    file.write(b"scratch")


@dataclasses.dataclass(frozen=True)
class Point(typing.Generic[T]):
    x: T

"""
    head, sep, tail = honest.partition("__all__")
    grade = grader.grade(submitted(head + top + sep + tail))
    assert grade.points == 10
    assert [note for note in grade.notes if not note.startswith("printed")] == []


@sandboxed
def test_an_exercise_whose_cases_never_change_earns_nothing(toy_tier: Tier) -> None:
    with Grader(toy_tier.modules[1], find_sandbox()) as grader:
        grade = grader.grade(submitted(toy_tier.modules[1].source.read_text()))
        assert grader.warnings == ["exercise 92.1 earns no points: none of its cases changes with the seed"]
    assert (grade.points, grade.total) == (0, 4)
    assert grade.exercises[0].reason == "none of its cases changes with the seed, so it earns nothing"


@sandboxed
def test_neighbours_of_attackers_are_not_disturbed(vectors: Module, honest: str) -> None:
    bodies = [
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        "kept = []\nwhile True:\n    kept.append(np.ones(1 << 20))",
        "import os\nos.kill(-1, 9)",
    ]
    attackers = [submitted(with_bodies(honest, {"dot": body})) for body in bodies]
    submissions = [submitted(honest), attackers[0], submitted(honest), attackers[1], attackers[2], submitted(honest)]
    with Grader(vectors, find_sandbox(), limits=Limits(memory_bytes=1 << 30, case_s=2)) as grader:
        points = [grade.points for grade in grader.grade_all(submissions, 3)]
    assert points == [10, 5, 10, 5, 5, 10]


@sandboxed
def test_a_submission_that_never_ends_is_ended_in_time(vectors: Module, honest: str) -> None:
    body = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True:\n    pass"
    started = time.monotonic()
    with Grader(vectors, find_sandbox(), limits=Limits(case_s=60, wall_s=3)) as grader:
        grade = grader.grade(submitted(with_bodies(honest, {"total": body})))
    assert time.monotonic() - started < 15
    assert grade.problem == "killed: the submission as a whole ran longer than 3 s"


@sandboxed
@pytest.mark.parametrize("has_group", [True, False], ids=["group", "no group"])
def test_memory_of_all_processes_is_limited(
    has_group: bool, vectors: Module, honest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = "if not os.fork():\n        kept = np.ones(13 << 20)\n        time.sleep(60)"
    body = f"import os, time\nfor _ in range(6):\n    {fork}\ntime.sleep(60)"
    if not has_group:
        monkeypatch.setattr("tt_course.grading.session.make_group", lambda *_: None)
    with Grader(vectors, find_sandbox(), limits=Limits(memory_bytes=400 << 20, case_s=30)) as grader:
        grade = grader.grade(submitted(with_bodies(honest, {"scaled": body})))
    assert grade.exercises[1].reason == "killed: memory limit (400 MiB for all its processes)"
    assert grade.points == 8


@sandboxed
def test_grading_that_is_interrupted_ends_what_runs(vectors: Module, honest: str) -> None:
    body = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
    loop = submitted(with_bodies(honest, {"total": body}))
    with Grader(vectors, find_sandbox(), limits=Limits(case_s=60)) as grader:
        grades = grader.grade_all([submitted(honest), loop, loop, loop], 2)
        assert next(grades).points == 10
        started = time.monotonic()
        grades.close()  # type: ignore[attr-defined]  # it is a generator
        assert time.monotonic() - started < 10


@sandboxed
def test_cpu_time_is_limited(vectors: Module, honest: str) -> None:
    body = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
    with Grader(vectors, find_sandbox(), limits=Limits(case_s=20, cpu_s=2)) as grader:
        grade = grader.grade(submitted(with_bodies(honest, {"scaled": body})))
    assert grade.exercises[1].reason == "killed: CPU time limit (2 s)"
    assert [e.points for e in grade.exercises] == [3, 0, 5]


@sandboxed
@pytest.mark.slow
@pytest.mark.parametrize(
    "module", [m for t in tiers() for m in t.modules if (m.folder / "module.toml").is_file()], ids=lambda m: m.name
)
def test_an_installed_module_gives_the_reference_all_and_each_part_its_points(module: Module) -> None:
    exercises = module.manifest.exercise
    with Grader(module, find_sandbox()) as grader:
        assert grader.warnings == []
        for k in (0, 1, len(exercises) // 2, len(exercises) - 1, len(exercises)):
            grade = grader.grade(submitted(blanked(module, exercises[k:])))
            assert [e.points for e in grade.exercises] == [e.points if i < k else 0 for i, e in enumerate(exercises)]
            assert grade.notes == ()


# What a submission can see


def said(grader: Grader, honest: str, expression: str) -> Any:
    """What an expression gives inside the sandbox."""
    body = f"import os, sys, json\nprint(json.dumps({expression}), flush=True)\nos._exit(0)"
    grade = grader.grade(submitted(with_bodies(honest, {"total": body})))
    return json.loads(grade.printed.splitlines()[0])


@sandboxed
def test_the_sandbox_shows_its_own_files_only(grader: Grader, honest: str) -> None:
    names = said(
        grader, honest, "[sorted(os.listdir(p)) for p in ('/', '/site/toy_tier', '/engine/tt_course', '/tmp', '/dev')]"
    )
    top, tier, engine, scratch, devices = names
    assert set(top) <= {
        "cases",
        "dev",
        "engine",
        "etc",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "others",
        "python",
        "site",
    } | {
        "submission",
        "tmp",
        "usr",
    }
    assert tier == ["__init__.py", "__pycache__", "polygons.py"]
    assert engine == ["__init__.py", "__pycache__", "hook.py", "values.py", "worker.py"]
    assert scratch == []
    assert devices == ["null", "random", "urandom", "zero"]


@sandboxed
def test_no_file_in_the_sandbox_holds_the_reference(grader: Grader, vectors: Module) -> None:
    body = """
import json, os
found, looked_at = [], 0
for top in ("/cases", "/engine", "/etc", "/others", "/site", "/submission", "/tmp"):
    for at, _, names in os.walk(top):
        for name in names:
            with open(os.path.join(at, name), "rb") as file:
                text = file.read(5_000_000)
            looked_at += 1
            if b"dot needs" + b" equal" in text or b"toy_tier/" + b"vectors" in text:
                found.append(os.path.join(at, name))
print(json.dumps([found, looked_at]), flush=True)
os._exit(0)
"""
    starter = blanked(vectors, vectors.manifest.exercise)
    grade = grader.grade(submitted(with_bodies(starter, {"scaled": body})))
    found, looked_at = json.loads(grade.printed.splitlines()[0])
    assert found == []
    assert looked_at > 500


@sandboxed
def test_the_sandbox_has_no_bytecode_of_what_is_absent(grader: Grader, honest: str) -> None:
    names = said(grader, honest, "sorted(os.listdir('/site/toy_tier/__pycache__'))")
    assert [name.partition(".")[0] for name in names] == ["__init__", "polygons"]


@sandboxed
def test_the_sandbox_has_no_installed_packages_but_those_needed(grader: Grader, honest: str) -> None:
    seen = said(grader, honest, "[sorted(os.listdir('/others')), [p for p in sys.path if os.path.isdir(p)]]")
    assert "numpy" in seen[0]
    assert not [name for name in seen[0] if not name.startswith("numpy")]
    assert not [path for path in seen[1] if "packages" in path]
    folder = "__import__('sysconfig').get_path('purelib')"
    assert said(grader, honest, f"os.listdir({folder}) if os.path.isdir({folder}) else []") == []


@sandboxed
def test_the_sandbox_has_no_environment_and_no_rights(
    grader: Grader, honest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    seen = said(grader, honest, "[dict(os.environ), os.getuid(), os.getgroups(), os.getpid(), os.uname().nodename]")
    environment, user, groups, process, host = seen
    assert "SECRET" not in environment
    assert environment["HOME"] == "/tmp"
    assert user >= 65534
    assert len(groups) <= 1
    assert process < 10
    assert host == "sandbox"


@sandboxed
def test_the_sandbox_hands_no_descriptor_on_but_the_four(grader: Grader, honest: str) -> None:
    body = (
        "import os, fcntl\nfound = []\nfor fd in range(64):\n    try:\n        fcntl.fcntl(fd, fcntl.F_GETFD)\n"
        "        found.append(fd)\n    except OSError:\n        pass\nprint(found, flush=True)\nos._exit(0)"
    )
    grade = grader.grade(submitted(with_bodies(honest, {"total": body})))
    assert len(json.loads(grade.printed.splitlines()[0])) <= 5


def test_a_stage_leaves_out_the_reference_what_is_withheld_and_the_course(vectors: Module, tmp_path: Path) -> None:
    stage = Stage(vectors, tmp_path / "stage")
    names = {str(path.relative_to(tmp_path / "stage")) for path in (tmp_path / "stage").rglob("*") if path.is_file()}
    assert "site/toy_tier/polygons.py" in names
    assert not [name for name in names if name.startswith("site/toy_tier/course") or "RECORD" in name]
    assert not [name for name in names if "vectors" in name or "kernels" in name]
    assert {"numpy", "toy_tier.kernels"} & {*stage.others, *stage.absent} == {"numpy", "toy_tier.kernels"}
    assert "tt_foundation" in stage.absent


# Where no sandbox is


def test_without_bubblewrap_the_refusal_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoSandboxError, match="bubblewrap is not installed"):
        find_sandbox()


def test_a_bubblewrap_that_is_refused_is_told_by_its_own_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoSandboxError, match="No permissions to create new namespace"):
        find_sandbox()


def test_trusted_code_is_graded_alike_without_a_sandbox(unprotected: Grader, vectors: Module, honest: str) -> None:
    assert unprotected.grade(submitted(honest)).points == 10
    assert unprotected.grade(submitted(blanked(vectors, vectors.manifest.exercise[2:]))).points == 5
    loop = unprotected.grade(submitted(with_bodies(honest, {"dot": "while True:\n    pass"})))
    assert (loop.points, loop.exercises[2].reason) == (5, "out of time: stopped after 1 s (line 20)")


def run_tito(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, ["grade", *arguments])
    text = f"{done.exception}\n{done.exception.hint}" if isinstance(done.exception, CourseError) else ""
    return done.exit_code, done.stdout, done.stderr + text


def test_the_command_refuses_without_a_sandbox_and_warns_when_told_to_trust(
    toy_tier: Tier, honest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    path = tmp_path / "alice.py"
    path.write_text(honest)
    code, out, errors = run_tito("91", str(path))
    assert (code, out) == (1, "")
    assert "submissions are not run: no sandbox" in errors
    assert "--trust" in errors
    code, out, errors = run_tito("91", str(path), "--trust", "--json")
    assert code == 0
    assert "run unprotected" in errors
    assert json.loads(out)["grades"][0]["points"] == 10
    assert json.loads(out)["sandbox"] is None


@sandboxed
def test_the_command_grades_a_folder(toy_tier: Tier, honest: str, tmp_path: Path) -> None:
    (tmp_path / "in" / "alice").mkdir(parents=True)
    (tmp_path / "in" / "alice" / "vectors.py").write_text(honest)
    (tmp_path / "in" / "[bold]bob.py").write_text("import os; os._exit(0)")
    code, out, errors = run_tito("91", str(tmp_path / "in"), "--html", str(tmp_path / "out"), "--seed", "3")
    assert (code, errors) == (0, "")
    assert "alice" in out
    assert "10 of 10" in out
    assert "[bold]bob" in out
    assert "ended itself with exit code 0 before returning results" in " ".join(out.split())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["alice.html", "bold-bob.html"]
    code, out, _ = run_tito("91", str(tmp_path / "in"), "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["learner"], row["points"], row["91.3"]) for row in rows] == [
        ("[bold]bob", "0", "0"),
        ("alice", "10", "5"),
    ]
    gradescope = tmp_path / "results.json"
    code, out, _ = run_tito("91", str(tmp_path / "in" / "alice"), "--gradescope", str(gradescope))
    assert json.loads(gradescope.read_text())["score"] == 10


def test_gradescope_wants_one_submission(toy_tier: Tier, tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("")
    code, _, errors = run_tito("91", str(tmp_path), "--gradescope", str(tmp_path / "results.json"))
    assert code == 1
    assert "one submission, and there are 2" in errors


# What is handed in


def test_submissions_are_found_in_files_folders_and_notebooks(tmp_path: Path) -> None:
    for name in ("alice.py", "bob/vectors.py", "carol/deep/er/vectors.py", "carol/deep/er/more/vectors.py", "dan/x.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    cells = [
        {"cell_type": "code", "metadata": {"tags": ["module"]}, "source": ["a = 1\n", "b = 2"]},
        {"cell_type": "code", "metadata": {}, "source": "print(a)"},
        {"cell_type": "code", "metadata": {"tags": ["module"]}, "source": "c = 3"},
    ]
    (tmp_path / "eve.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / ".hidden.py").write_text("")
    found = {s.learner: s for s in find_submissions([tmp_path], "vectors.py")}
    assert list(found) == ["alice", "bob", "carol", "dan", "eve"]
    assert found["carol"].content == b"carol/deep/er/vectors.py"
    assert found["dan"].problem == "no file vectors.py was handed in"
    assert found["eve"].content == b"a = 1\nb = 2\n\n\nc = 3\n"
    assert [s.learner for s in find_submissions([tmp_path / "bob", tmp_path / "bob"], "vectors.py")] == [
        "bob",
        "bob (2)",
    ]


def test_links_pipes_and_huge_files_are_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "link.py").symlink_to(secret)
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.py")
    (folder / "huge.py").write_bytes(bytes(2 << 20))
    (folder / "broken.ipynb").write_text("[" * 100_000)
    found = find_submissions([folder], "vectors.py")
    assert [s.learner for s in found] == ["broken", "huge", "link", "pipe"]
    assert all(s.content == b"" and s.problem.startswith("not a file to grade") for s in found)


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="is not there"):
        find_submissions([tmp_path / "nobody.py"], "vectors.py")
    with pytest.raises(CourseError, match="no submission in"):
        find_submissions([tmp_path], "vectors.py")


def test_a_learners_name_never_becomes_a_path() -> None:
    taken: set[str] = set()
    names = [
        file_name_for(name, taken, ".html") for name in ("../../x", "..", "", "/etc/passwd", "X", "Zoë", "a" * 300)
    ]
    assert names == [
        "x.html",
        "learner.html",
        "learner-2.html",
        "etc-passwd.html",
        "X-2.html",
        "Zo.html",
        "a" * 60 + ".html",
    ]


# What comes back


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def frame_with(*arrays: bytes, table: Any = None) -> Frame:
    rows = [[f"v{i}", "array", i] for i in range(len(arrays))] if table is None else table
    return Frame("result", {"values": rows}, list(arrays))


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "complex64", "<U3"])
def test_arrays_come_back_as_they_went(shape: tuple[int, ...], dtype: str) -> None:
    for array in (np.ones(shape, dtype), np.asfortranarray(np.ones(shape, dtype))):
        back = values(frame_with(npy(array)))["v0"]
        assert isinstance(back, np.ndarray)
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert np.array_equal(back, array)


def header(text: str, rest: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + rest


DAMAGED: list[bytes] = [
    b"",
    b"\x93NUMPY",
    npy(np.ones(3))[:-1],
    npy(np.ones(3)) + b"x",
    npy(np.array(["a", None], dtype=object)),
    b"\x93NUMPY\x02\x00" + npy(np.ones(3))[8:],
    header("{'descr': '|O', 'fortran_order': False, 'shape': (), }", bytes(8)),
    header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }", bytes(8)),
    header("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 999999999999999999999999), }"),
    header("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1," * 40 + "), }", bytes(8)),
    header("{'descr': '|S0', 'fortran_order': False, 'shape': (999999999999,), }"),
    header("{'descr': '<f9', 'fortran_order': False, 'shape': (), }", bytes(9)),
    header("{'descr': '<f8', 'fortran_order': False, 'shape': (1 1), }", bytes(8)),
    header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }", bytes(8)),
    header("__import__('os').abort()", bytes(8)),
    header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (), }", bytes(8)),
]


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_array_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedError):
        values(frame_with(data))


@pytest.mark.parametrize(
    "table",
    [
        None,
        {},
        [["a", "plain"]],
        [[1, "plain", 1]],
        [["a", "plain", [1]]],
        [["a", "array", 1]],
        [["a", "array", True]],
        [["a", "array", -1]],
        [["a", "code", "1"]],
        [["a", "plain", 1]] * 2000,
    ],
)
def test_a_table_that_is_none_is_refused(table: Any) -> None:
    with pytest.raises(DamagedError):
        values(Frame("result", {"values": table}, []))


def test_what_is_too_large_for_a_number_or_a_text_is_no_number_and_no_text() -> None:
    table = [["a", "plain", 10**30], ["b", "plain", "x" * 100_000], ["c", "plain", float("nan")], ["d", "plain", True]]
    back = values(frame_with(table=table))
    assert (back["a"], back["b"], back["d"]) == (Other("very large int"), Other("very long text"), True)


def test_frames_are_read_in_pieces() -> None:
    array = npy(np.arange(5))
    line = json.dumps({"kind": "result", "sizes": [len(array)], "values": [["x", "array", 0]]}).encode()
    stream = b'{"kind": "loaded"}\n' + line + b"\n" + array + b'{"kind": "done"}\n'
    reader = Reader(1 << 20)
    frames = [frame for i in range(0, len(stream), 7) for frame in reader.feed(stream[i : i + 7])]
    assert [frame.kind for frame in frames] == ["loaded", "result", "done"]
    assert np.array_equal(values(frames[1])["x"], np.arange(5))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "stream",
    [
        b"\x00\xff\n",
        b"[1]\n",
        b"[" * 10_000 + b"\n",
        b'{"n": ' + b"9" * 10_000 + b"}\n",
        b"{" * 300_000,
        b'{"sizes": [-1]}\n',
        b'{"sizes": [0.5]}\n',
        b'{"sizes": [true]}\n',
        b'{"sizes": {}}\n',
        b'{"sizes": [' + b"0," * 2000 + b"0]}\n",
    ],
    ids=range(10),
)
def test_a_stream_that_is_none_is_refused(stream: bytes) -> None:
    with pytest.raises(DamagedError):
        list(Reader(1 << 20).feed(stream))


@pytest.mark.parametrize(
    "stream", [b"x" * 2000, b'{"sizes": [1000]}\n', b'{"sizes": [1125899906842624]}\n'], ids=range(3)
)
def test_more_than_is_allowed_is_refused_before_it_is_kept(stream: bytes) -> None:
    with pytest.raises(TooMuchError):
        list(Reader(1000).feed(stream))


@pytest.mark.parametrize(
    "content",
    [
        1,
        {},
        {"type": 1},
        {"type": "E", "message": "m", "text": "t"},
        {"type": "E", "message": "m", "text": "t", "frames": [1]},
    ],
    ids=range(5),
)
def test_an_error_that_is_none_is_refused(content: Any) -> None:
    with pytest.raises(DamagedError):
        failure(content)


def test_an_errors_text_cannot_steer_a_terminal() -> None:
    back = failure({"type": "E", "message": "\x1b[2J\u202e", "text": "E: \x07", "frames": [["f", 1, "g"]]})
    assert back == Failure("E", "\ufffd[2J\ufffd", "E: \ufffd", (("f", 1, "g"),))


# Names


@pytest.mark.parametrize(
    ("ending", "name"),
    [
        (Ending(0), "ended itself with exit code 0 before returning results"),
        (Ending(1), "ended itself with exit code 1 before returning results"),
        (Ending(139), "crashed: segmentation fault"),
        (Ending(152), "killed: CPU time limit (60 s)"),
        (Ending(137), "was ended by signal 9, or ended itself so, before returning results"),
        (Ending(137, seconds=61), "killed: CPU time limit (60 s), after it ignored the warning"),
        (Ending(137, hit_memory=True), "killed: memory limit (2 GiB for all its processes)"),
        (Ending(137, "case"), "killed: ran longer than 10 s and did not stop when asked to (an endless loop?)"),
        (Ending(137, "load"), "killed: did not load within 20 s"),
        (Ending(137, "closed"), "killed: closed the pipe for its results and went on"),
        (Ending(137, "printed"), "killed: printed more than 4 MiB"),
        (Ending(255), "was ended by signal 127, or ended itself so, before returning results"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_endings_are_named(ending: Ending, name: str) -> None:
    assert name_of_ending(ending, Limits()) == name


@pytest.mark.parametrize(
    ("kind", "message", "name"),
    [
        ("NotImplementedError", "05.1 Sums", "not written yet: 05.1 Sums"),
        ("MemoryError", "{x}", "memory limit: it asked for more than 2 GiB (MemoryError: {x})"),
        ("OSError", "[Errno 101] Network is unreachable", "tried the network: refused (OSError: "),
        ("gaierror", "[Errno -3] Temporary failure in name resolution", "tried the network: refused"),
        ("ModuleNotFoundError", "No module named 'torch.nn'", "imported what would answer for it: absent here"),
        ("ModuleNotFoundError", "No module named 'nonsense'", "ModuleNotFoundError: No module named 'nonsense'"),
        (
            "FileNotFoundError",
            "[Errno 2] No such file or directory: '/site/toy_tier/vectors.py'",
            "looked for the reference",
        ),
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'data.txt'", "FileNotFoundError: [Errno 2]"),
        ("BlockingIOError", "[Errno 11] Resource temporarily unavailable", "process limit: at most 16 processes"),
        ("ValueError", "", "ValueError"),
    ],
)
def test_errors_are_named(kind: str, message: str, name: str) -> None:
    found = name_of_failure(Failure(kind, message, ""), Limits(), "toy_tier.vectors", ["torch", "toy_tier.kernels"])
    assert found.startswith(name)


# Reports


@pytest.fixture
def hostile(vectors: Module) -> Grade:
    from tt_course.grading.grade import ExerciseGrade

    bad = "<script>alert(1)</script>"
    exercises = tuple(ExerciseGrade(e, 0, "the_sum", bad) for e in vectors.manifest.exercise)
    return Grade(Submission(f'=HYPERLINK("{bad}")', Path("-x")), exercises, "", (bad,), bad, 1.0)


def test_a_page_shows_what_learners_wrote_as_text(vectors: Module, hostile: Grade, tmp_path: Path) -> None:
    page = as_page(vectors, hostile)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5
    assert [path.name for path in write_pages(vectors, [hostile, hostile], tmp_path)] == [
        "HYPERLINK-script-alert-1-script.html",
        "HYPERLINK-script-alert-1-script-2.html",
    ]


def test_a_table_holds_no_formula(vectors: Module, hostile: Grade) -> None:
    row = list(csv.reader(io.StringIO(as_csv(vectors, [hostile]))))[1]
    assert row[0].startswith("'=HYPERLINK")
    assert row[6] == "'-x"


def test_gradescope_and_json_carry_every_exercise(vectors: Module, hostile: Grade) -> None:
    results = json.loads(as_gradescope(vectors, hostile))
    assert (results["score"], [test["max_score"] for test in results["tests"]]) == (0, [3, 2, 5])
    assert [e["id"] for e in as_rows([hostile])[0]["exercises"]] == ["91.1", "91.2", "91.3"]


# The kernel's part


def test_the_filter_is_whole_for_known_machines_and_none_for_others() -> None:
    for machine in ("x86_64", "aarch64"):
        content = seccomp_filter(machine)
        assert content is not None
        lines = list(struct.iter_unpack("=HBBI", content))
        assert len(lines) == len(REFUSED) + 12
        assert all(i + 1 + max(yes, no) < len(lines) for i, (_, yes, no, _) in enumerate(lines[:-4]))
    assert seccomp_filter("pdp11") is None


def test_a_group_is_gone_after_use() -> None:
    group = make_group(1 << 30, 10)
    if group is not None:
        assert not group.hit_memory
        group.remove()
        assert not [folder for folder in group.folders if folder.exists()]
