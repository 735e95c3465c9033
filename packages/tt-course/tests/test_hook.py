"""The import hook: files in place of a package's own, in a program of its own."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tt_course.hook import STARTUP
from tt_course.manifest import Tier

ENTRY = {"module": "01_numbers", "file": "modules/numbers.py", "prepare": "toy_chain.settings:prepare"}
IMPORTS = {"toyworld.core.numbers": "toy_chain.numbers", "toyworld.core.lines": "toy_chain.lines"}


@pytest.fixture
def root(chain: Tier, tmp_path: Path) -> Path:
    """A folder in which numbers are the learner's, as far as the hook looks."""
    root = tmp_path / "mine"
    (root / "modules").mkdir(parents=True)
    text = chain.modules[0].source.read_text()
    (root / "modules" / "numbers.py").write_text(text + "\n\nowner = 'learner'\n")
    (root / "framework.json").write_text(json.dumps({"completed": {"toy_chain.numbers": ENTRY}, "imports": IMPORTS}))
    (root / "toyworld").mkdir()
    code = "from pathlib import Path\nfrom tt_course.hook import install\ninstall(Path(__file__).parents[1])\n"
    (root / "toyworld" / "__init__.py").write_text(code)
    return root


def python(root: Path, code: str, *, started: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program, with the hook installed at its start or left to it."""
    path = [str(STARTUP)] if started else [str(root)]
    known = {**os.environ, "PYTHONPATH": os.pathsep.join([*path, os.environ["PYTHONPATH"]])}
    if started:
        known["TITO_WORKSPACE"] = str(root)
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**known, **environment},
        cwd=root.parent,
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_completed_module_is_the_learners_file_and_is_prepared(root: Path) -> None:
    code = "import toy_chain; print(toy_chain.numbers.owner, toy_chain.numbers.__file__, toy_chain.settings.prepared)"
    expected = f"learner {root / 'modules' / 'numbers.py'} ['toy_chain.numbers']"
    assert said(python(root, code, started=True)) == expected
    assert said(python(root, f"import toyworld; {code}")) == expected


def test_everything_else_is_the_reference(root: Path, chain: Tier) -> None:
    code = "import toy_chain; print(toy_chain.lines.__file__)"
    assert said(python(root, code, started=True)) == str(chain.folder.parent / "lines.py")


def test_the_courses_import_path_gives_the_very_same_modules(root: Path) -> None:
    code = """
    from toyworld.core.numbers import doubled
    from toyworld.core import lines
    import toy_chain, toyworld.core.numbers
    print(doubled is toy_chain.doubled, toyworld.core.numbers is toy_chain.numbers, lines is toy_chain.lines)
    print(doubled.__module__, toy_chain.numbers.__spec__.name, toy_chain.numbers.__name__)
    """
    for started in (True, False):
        lines = said(python(root, code, started=started)).splitlines()
        assert lines == ["True True True", "toy_chain.numbers toy_chain.numbers toy_chain.numbers"]


def test_a_module_that_is_loaded_already_is_not_replaced_in_silence(root: Path) -> None:
    done = python(root, "import toy_chain\nimport toyworld")
    assert done.returncode == 1
    assert "toy_chain.numbers is loaded already" in done.stderr
    assert "tito run" in done.stderr


def test_installing_twice_is_once(root: Path) -> None:
    code = (
        "import sys, toyworld, tt_course.hook as h; h.install(toyworld.__path__[0] + '/..'); print(len(sys.meta_path))"
    )
    once = "import sys, toyworld; print(len(sys.meta_path))"
    assert said(python(root, code)) == said(python(root, once))


def test_child_processes_inherit_it_spawned_and_started(root: Path) -> None:
    code = """
    import subprocess, sys
    import toyworld
    print(subprocess.run([sys.executable, "-c", "import toy_chain; print(toy_chain.numbers.owner)"],
                         capture_output=True, text=True, check=True).stdout.strip())
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context
    if __name__ == "__main__":
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            print(pool.submit(eval, "__import__('toy_chain').numbers.owner").result())
    """
    assert said(python(root, code)).split() == ["learner", "learner"]
    assert said(python(root, code, started=True)).split() == ["learner", "learner"]


def test_the_replaced_file_is_never_opened(root: Path, chain: Tier) -> None:
    code = """
    import sys
    opened = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    import toyworld.core.lines
    print(*opened, sep="\\n")
    """
    opened = said(python(root, code)).splitlines()
    assert str(root / "modules" / "numbers.py") in opened
    assert [name for name in opened if "toy_chain" in name and "numbers" in name] == []
    assert not list((root / "modules").glob("__pycache__"))


def test_a_file_saved_twice_within_a_second_is_read_twice(root: Path) -> None:
    path = root / "modules" / "numbers.py"
    code = "import toy_chain; print(toy_chain.numbers.owner)"
    assert said(python(root, code, started=True)) == "learner"
    status = path.stat()
    path.write_text(path.read_text().replace("'learner'", "'student'"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert said(python(root, code, started=True)) == "student"


@pytest.mark.parametrize("broken", ["{", "[]", '{"completed": {"a.b": {}}, "imports": {}}', None])
def test_a_broken_workspace_stops_the_program_in_one_sentence(root: Path, broken: str | None) -> None:
    path = root / "framework.json"
    path.unlink() if broken is None else path.write_text(broken)
    done = python(root, "print('ran')", started=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "framework.json is missing or broken" in done.stderr


def test_a_file_that_is_gone_stops_the_program(root: Path) -> None:
    (root / "modules" / "numbers.py").unlink()
    done = python(root, "print('ran')", started=True)
    assert done.returncode == 2
    assert "numbers.py is gone, though its module is complete" in done.stderr


def test_another_sitecustomize_still_runs(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("print('other')\n")
    path = os.pathsep.join([str(STARTUP), str(other), os.environ["PYTHONPATH"]])
    code = "import toy_chain; print(toy_chain.numbers.owner)"
    assert said(python(root, code, started=True, PYTHONPATH=path)).split() == ["other", "learner"]


def test_where_modules_came_from_is_left_at_the_end(root: Path, tmp_path: Path) -> None:
    left = tmp_path / "origins.json"
    said(python(root, "import toy_chain", started=True, TITO_ORIGINS=str(left)))
    assert json.loads(left.read_text()) == {"toy_chain.numbers": str(root / "modules" / "numbers.py")}
