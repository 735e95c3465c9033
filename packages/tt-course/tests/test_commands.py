"""The command `tito`: what it prints, how it ends, and that no error shows the tool's own traceback."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tt_course.__main__ import cli
from tt_course.commands import COMMANDS, LazyGroup
from tt_course.errors import CourseError
from tt_course.manifest import Tier, tiers
from tt_course.workspace import Workspace, create

Tito = Callable[..., Result]


@pytest.fixture
def ws(chain: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    ws = create(tmp_path / "mine", "builder", [chain])
    monkeypatch.chdir(ws.root)
    return ws


@pytest.fixture
def tito(monkeypatch: pytest.MonkeyPatch) -> Tito:
    """The command in this process, eighty columns wide."""
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def row(done: Result) -> Any:
    return json.loads(done.stdout)


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands below a group, with their words."""
    if not isinstance(group, click.Group):
        yield path, group
        return
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield from commands(command, (*path, name))


ALL = dict(commands(cli))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_helps_with_an_example(path: tuple[str, ...], tito: Tito) -> None:
    done = tito(*path, "--help")
    assert done.exit_code == 0
    assert "Example:" in done.output
    assert " ".join(("tito", *path)) in done.output
    says_json = {"--json"} & {option for parameter in ALL[path].params for option in parameter.opts}
    assert says_json or path in (("run",), ("system", "completion"))


def test_the_table_of_commands_says_what_they_say() -> None:
    group = LazyGroup(table=COMMANDS)
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        assert command.name == name


def test_help_is_quick_and_loads_neither_numpy_nor_rich() -> None:
    code = "import sys, tt_course.__main__ as m\ntry: m.cli(['--help'])\nexcept SystemExit: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"numpy", "rich", "msgspec", "jupytext", "jinja2"} & set(done.stdout.split()) == set()


def test_a_workspace_is_made_and_says_how_to_begin(chain: Tier, tmp_path: Path, tito: Tito) -> None:
    done = tito("init", str(tmp_path / "new"), "--tier", "chain")
    assert done.exit_code == 0
    assert "tito module start 01" in done.output
    done = tito("init", str(tmp_path / "json"), "--tier", "chain", "--path", "guided", "--json")
    assert row(done)["modules"] == ["01_numbers", "02_lines", "03_fits"]


def test_the_way_through_a_module(ws: Workspace, tito: Tito) -> None:
    done = tito("module", "start")
    assert done.exit_code == 0
    assert "modules/01_numbers/numbers.py" in done.output
    assert "Everything that a machine learns is one." in done.output
    done = tito("module", "check")
    assert done.exit_code == 1
    assert "Next to write: 01.1 Twice and half (doubled, halved)" in done.output
    file = ws.file(ws.modules[0])
    text = ws.modules[0].source.read_text()
    file.write_text(text.replace("return np.multiply(x, 2)", "print('hello')\n    return np.square(x)"))
    done = tito("module", "check", "--seed", "3")
    assert done.exit_code == 1
    for part in (
        *["01.1 Twice and half is not right yet: case twice", "inputs", "yours", "expected", "first difference"],
        *["A common mistake: That is the square", "tito module hint 01.1", "tito module check 01 --seed 3", "hello"],
        *["float64 (2, 3)", "needs 01.1", "5 of 10 points"],
    ):
        assert part in done.output, done.output
    done = tito("module", "hint")
    assert "Twice is two times." in done.output
    assert "NumPy multiplies." in tito("module", "hint", "01.1").output
    assert row(tito("module", "hint", "1.1", "--level", "3", "--json"))["level"] == 3
    assert tito("module", "complete").exit_code == 1
    assert not ws.is_complete(ws.modules[0])
    file.write_text(text)
    done = tito("module", "check")
    assert done.exit_code == 0
    assert "All exercises pass: 10 of 10 points." in done.output
    assert "tito module complete 01" in done.output
    done = tito("module", "complete")
    assert done.exit_code == 0
    assert "names a number for which they differ" in done.output
    assert "Next: tito module start 02" in done.output
    done = tito("module", "status", "01")
    assert "complete" in done.output
    assert "2 hints" in done.output
    assert [m["state"] for m in row(tito("module", "list", "--json"))["modules"]] == ["complete", "to do", "to do"]
    assert "10 of 10" in tito("module", "list").output
    assert row(tito("progress", "--json"))["points"] == 10


def test_a_check_as_json_is_one_object(ws: Workspace, tito: Tito) -> None:
    ws.start(ws.modules[0])
    ws.file(ws.modules[0]).write_text(ws.modules[0].source.read_text().replace("result += ", "result -= "))
    done = tito("module", "check", "--json", "--seed", "1")
    assert done.exit_code == 1
    content = row(done)
    assert (content["passed"], content["points"], content["seed"]) == (False, 8, 1)
    states = {e["id"]: e["state"] for e in content["exercises"]}
    assert states == {"1.1": "passed", "1.2": "failed", "1.3": "passed"}
    failure = content["exercises"][1]["failure"]
    assert failure["case"] == "sums"
    assert failure["name"] == "total"
    assert failure["difference"].startswith("is ")
    assert list(failure["inputs"]) == ["x"]


def test_an_error_of_the_learners_is_their_traceback_alone(ws: Workspace, tito: Tito) -> None:
    ws.start(ws.modules[0])
    text = ws.modules[0].source.read_text().replace("return np.multiply(x, 2)", "return undefined * x")
    ws.file(ws.modules[0]).write_text(text)
    done = tito("module", "check")
    assert 'File "modules/01_numbers/numbers.py", line 13, in doubled' in done.output
    assert "return undefined * x" in done.output
    assert "NameError: name 'undefined' is not defined" in done.output
    assert "tt_course" not in done.output
    assert "cases.py" not in done.output


def test_a_file_that_does_not_load_says_where(ws: Workspace, tito: Tito) -> None:
    ws.start(ws.modules[0])
    ws.file(ws.modules[0]).write_text("def f(:\n")
    done = tito("module", "check")
    assert done.exit_code == 1
    assert "Your file does not load" in done.output
    assert 'File "modules/01_numbers/numbers.py", line 1' in done.output
    assert "importlib" not in done.output


def test_one_exercise_is_checked_alone(ws: Workspace, tito: Tito) -> None:
    ws.start(ws.modules[0])
    text = ws.file(ws.modules[0]).read_text()
    counts = "self.count += n\n        return self.count"
    text = text.replace(
        'raise NotImplementedError("01.3 Counting and chance")', "return settings.generator.normal(size=n)", 1
    )
    ws.file(ws.modules[0]).write_text(text.replace('raise NotImplementedError("01.3 Counting and chance")', counts))
    done = tito("module", "check", "--exercise", "01.3")
    assert done.exit_code == 0, done.output
    assert "These exercises pass." in done.output
    assert "01.1" not in done.output


def test_what_was_written_is_shown_and_the_reference_only_at_the_end(ws: Workspace, tito: Tito) -> None:
    module = ws.modules[0]
    ws.start(module)
    assert "is the starter, to the letter" in tito("module", "diff").output
    ws.file(module).write_text(module.source.read_text())
    done = tito("module", "diff")
    assert "+    return np.multiply(x, 2)" in done.output
    done = tito("module", "diff", "--reference")
    assert isinstance(done.exception, CourseError)
    ws.complete(module)
    assert "is the reference, to the letter" in tito("module", "diff", "01", "--reference").output


def test_reset_says_where_the_copy_is(ws: Workspace, tito: Tito) -> None:
    ws.start(ws.modules[0])
    done = tito("module", "reset", "01", "--json")
    copy = ws.root / row(done)["copy"]
    assert (copy / "numbers.py").is_file()


def test_a_notebook_is_checked_as_a_file_is(ws: Workspace, tito: Tito) -> None:
    done = tito("module", "start", "01", "--notebook", "--json")
    assert row(done)["file"] == "modules/01_numbers/numbers.ipynb"
    path = ws.notebook(ws.modules[0])
    path.write_text(path.read_text().replace('raise NotImplementedError(\\"01.2 Sums\\")', "return float(np.sum(x))"))
    content = row(tito("module", "check", "--json", "--exercise", "1.2"))
    failure = content["exercises"][0]["failure"]
    assert failure["error"] == "NotImplementedError: 01.1 Twice and half"


def test_a_measurement_prints_and_leaves_figures(ws: Workspace, tito: Tito) -> None:
    done = tito("module", "measure", "01", "--json")
    assert row(done)["figures"]["size"] == [10, 1000]
    assert (ws.root / "modules" / "01_numbers" / "measure" / "measurement.json").is_file()
    done = tito("module", "measure", "02")
    assert str(done.exception) == "module 02 has nothing to measure"


def test_milestones_and_checkpoints_are_listed_and_run(ws: Workspace, tito: Tito) -> None:
    assert row(tito("milestone", "list", "--json"))["milestones"][0]["state"] == "locked"
    assert [p["state"] for p in row(tito("checkpoint", "list", "--json"))["checkpoints"]] == ["open", "locked"]
    for module in ws.modules:
        ws.start(module)
        ws.file(module).write_text(module.source.read_text())
        ws.complete(module)
    assert "Ceres is found again" in tito("milestone", "list").output
    done = tito("milestone", "run", "1801", "--json")
    assert row(done)["passed"]
    done = tito("milestone", "run", "1801", "--worse")
    assert done.exit_code == 1
    assert "slope 2.5" in done.output
    assert "numbers, lines, fits" in done.output
    assert tito("checkpoint", "run").exit_code == 0
    assert [p["state"] for p in row(tito("checkpoint", "list", "--json"))["checkpoints"]] == ["passed", "passed"]
    output = tito("progress").output
    assert "3 of 3 modules are yours, 0 of 25 points" in output
    assert "Can I draw a line?" in output


def test_progress_is_a_page_too(ws: Workspace, tito: Tito) -> None:
    assert tito("progress", "--html", "page.html").exit_code == 0
    page = (ws.root / "page.html").read_text()
    assert "What can be done with a number?" in page
    assert "Ceres is found again" in page


def test_a_script_runs_on_what_is_complete_with_its_arguments_and_its_exit_code(ws: Workspace) -> None:
    module = ws.modules[0]
    ws.start(module)
    ws.file(module).write_text(module.source.read_text())
    ws.complete(module)
    script = ws.root / "script.py"
    script.write_text("import sys, toy_chain; print(toy_chain.numbers.__file__, sys.argv[1:]); sys.exit(3)\n")
    command = [sys.executable, "-P", "-m", "tt_course", "run", "script.py", "--json", "-x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stdout.strip() == f"{ws.file(module)} ['--json', '-x']"
    script.write_text("import toy_chain\ntoy_chain.doubled()\n")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "tt_course" not in done.stderr


def test_watching_checks_again_when_the_file_changes_and_says_that_it_polls(ws: Workspace) -> None:
    ws.start(ws.modules[0])
    command = [sys.executable, "-P", "-m", "tt_course", "module", "check", "--watch"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Watching"):
                break
        assert "it is looked at twice a second" in lines[-1]
        time.sleep(0.1)
        ws.file(ws.modules[0]).write_text(ws.modules[0].source.read_text())
        for line in process.stdout:
            if "All exercises pass" in line:
                break
        else:
            pytest.fail("it did not check again")
        process.send_signal(2)
        process.communicate(timeout=10)
        assert process.returncode == 0


BAD = [
    (["module", "check", "9"], 1, "no module '9'; there are: 01 numbers, 02 lines, 03 fits"),
    (["module", "check", "02"], 1, "module 02 is not started"),
    (["module", "check"], 1, "no module is started that is not complete"),
    (["module", "check", "--bad"], 2, "No such option"),
    (["module", "start", "01", "02"], 2, "unexpected extra argument"),
    (["milestone", "run", "1900"], 1, "no milestone '1900'; there are: 1801 ceres"),
    (["checkpoint", "run", "9"], 1, "no checkpoint 9; there are: 1 environment, 2 lines"),
    (["run", "none.py"], 1, "there is no file none.py"),
    (["system", "verify", "ghost"], 1, "no tier 'ghost'"),
    (["init", "."], 1, "is a workspace already"),
    (["nonsense"], 2, "No such command"),
]


@pytest.mark.parametrize(("arguments", "code", "told"), BAD, ids=[told for *_, told in BAD])
def test_what_is_wrong_is_a_sentence_and_an_exit_code(
    ws: Workspace, arguments: list[str], code: int, told: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tt_course", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_outside_of_a_workspace_that_is_said(chain: Tier, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tt_course", "module", "list"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"tito: {tmp_path} is in no workspace",
        "tito init my-tinytorch makes one; then cd my-tinytorch",
    ]


def test_the_doctor_finds_what_is_wrong(ws: Workspace, tito: Tito) -> None:
    findings = {f["name"]: f for f in row(tito("system", "doctor", "--json"))["findings"]}
    assert findings["course chain"]["found"] == "3 modules"
    assert findings["your modules"]["is_good"]
    (ws.root / ".tito").mkdir(exist_ok=True)
    (ws.root / ".tito" / "progress.db").write_bytes(b"damaged" * 100)
    (ws.root / "framework.json").write_text("{")
    done = tito("system", "doctor")
    assert done.exit_code == 1
    assert "progress.db is damaged" in done.output
    assert "framework.json is broken" in done.output


def test_info_names_versions_and_places(ws: Workspace, tito: Tito) -> None:
    content = row(tito("system", "info", "--json"))
    assert content["workspace"] == str(ws.root)
    assert "chain 1.0" in content["tiers"]
    assert "python" in tito("system", "info").output


def test_a_course_is_verified(chain: Tier, tito: Tito) -> None:
    done = tito("system", "verify", "chain", "--module", "02")
    assert done.exit_code == 0
    assert "02_lines: good (2 exercises, 5 points, 2 cases, 0 mistakes, 0 reflections" in done.output
    path = chain.folder / "02_lines" / "module.toml"
    path.write_text(path.read_text().replace("points = 4", "points = 0"))
    tiers.cache_clear()
    done = tito("system", "verify", "chain", "--module", "02")
    assert done.exit_code == 1
    assert "exercise 2.1 has 0 points" in done.output


def test_the_shell_completes_commands_and_modules(chain: Tier) -> None:
    def completed(words: str, at: int) -> list[str]:
        environment = {**os.environ, "_TITO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        code = "from tt_course.__main__ import main; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        return [line.partition(",")[2] for line in done.stdout.split()]

    assert completed("tito mod", 1) == ["module"]
    assert "02_lines" in completed("tito module check 02", 3)
    done = CliRunner().invoke(cli, ["system", "completion", "bash"])
    assert "_TITO_COMPLETE=bash_complete" in done.output
