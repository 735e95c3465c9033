"""The runner and its workers: separate processes, data back, whatever the code in them does."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tt_course.manifest import Tier
from tt_course.runner import Run, Variant, job_of, run, start, worker_environment

CASES = ("twice", "half", "counting", "chance")


def learner(tier: Tier, tmp_path: Path, old: str, new: str) -> Variant:
    """The reference with something else in it."""
    path = tmp_path / "numbers.py"
    text = tier.modules[0].source.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return Variant({"toy_chain.numbers": path})


def ran(tier: Tier, *variants: Variant, names: tuple[str, ...] = CASES, limit_s: float = 60) -> list[Run]:
    return run(job_of(tier.modules[0], names, 3), variants, limit_s=limit_s)


def test_the_same_seed_gives_the_same_values_and_another_gives_others(chain: Tier) -> None:
    first, again, other = ran(chain, Variant(), Variant(), Variant(seed=4))
    for name in CASES:
        for key, value in first.results[name].values.items():
            np.testing.assert_array_equal(np.asarray(value), np.asarray(again.results[name].values[key]))
    assert not np.array_equal(
        np.asarray(first.results["chance"].values["noise"]), np.asarray(other.results["chance"].values["noise"])
    )


def test_a_case_draws_the_same_whichever_other_cases_run(chain: Tier) -> None:
    all_, alone = ran(chain, Variant(), Variant(names=("chance",)))
    assert list(alone.results) == ["chance"]
    np.testing.assert_array_equal(
        np.asarray(all_.results["chance"].values["noise"]), np.asarray(alone.results["chance"].values["noise"])
    )


def test_inputs_and_values_come_back_by_name(chain: Tier) -> None:
    result = ran(chain, Variant())[0].results["twice"]
    assert list(result.shown) == ["x"]
    assert list(result.values) == ["doubled", "of three"]
    np.testing.assert_array_equal(np.asarray(result.values["doubled"]), 2 * np.asarray(result.shown["x"]))
    assert result.values["of three"] == 6.0


def test_learners_code_runs_in_place_of_the_modules_own_and_withheld_modules_are_empty(
    chain: Tier, tmp_path: Path
) -> None:
    body = "from toy_chain import fast\n    return str([hasattr(fast, 'doubled'), settings.prepared, __file__])"
    variant = learner(chain, tmp_path, "return np.multiply(x, 2)", body)
    cases = chain.folder / "01_numbers" / "cases.py"
    cases.write_text(cases.read_text().replace("float(tt.doubled(3.0))", "tt.doubled(3.0)"))
    result = ran(chain, variant, names=("twice",))[0].results["twice"]
    assert result.values["of three"] == str([False, ["toy_chain.numbers"], str(tmp_path / "numbers.py")])


def test_an_error_comes_with_the_learners_lines_alone(chain: Tier, tmp_path: Path) -> None:
    variant = learner(chain, tmp_path, "return np.multiply(x, 2)", "return np.matmul(x, x)")
    error = ran(chain, variant)[0].results["twice"].error
    assert error is not None
    assert error.kind == "ValueError"
    assert [(Path(file).name, function) for file, _, function in error.frames] == [("numbers.py", "doubled")]
    assert error.text.startswith("ValueError: matmul")


def test_a_file_that_is_no_python_says_where_and_nothing_else(chain: Tier, tmp_path: Path) -> None:
    found = ran(chain, learner(chain, tmp_path, "def doubled(x):", "def doubled(x:"))[0]
    assert found.error is not None
    assert found.error.kind == "SyntaxError"
    assert found.error.frames == ()
    assert "numbers.py" in found.error.text
    assert found.results == {}


@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(60)"])
def test_an_endless_case_is_stopped_and_the_others_run(chain: Tier, tmp_path: Path, body: str) -> None:
    job = job_of(chain.modules[0], CASES, 3)
    quick = type(job)(**{**vars(job), "case_s": 0.3})
    found = run(quick, [learner(chain, tmp_path, "return np.multiply(x, 2)", body)])[0]
    error = found.results["twice"].error
    assert error is not None
    assert error.kind == "out of time"
    assert [Path(file).name for file, _, _ in error.frames][:1] == ["numbers.py"]
    assert found.results["half"].error is None


def test_after_two_endless_cases_nobody_waits_for_a_third(chain: Tier, tmp_path: Path) -> None:
    job = job_of(chain.modules[0], ("twice", "sums", "half"), 3)
    quick = type(job)(**{**vars(job), "case_s": 0.3})
    found = run(quick, [learner(chain, tmp_path, "return np.multiply(x, 2)", "while True: pass")])[0]
    kinds = [result.error.text for result in found.results.values() if result.error]
    assert kinds == [*["out of time: stopped after 0.3 s"] * 2, "was not run, as 2 cases before it ran out of time"]


def test_endless_printing_ends_in_an_error(chain: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "import resource; print('x' * (resource.getrlimit(resource.RLIMIT_FSIZE)[0] + 1), flush=True)"
    error = ran(chain, learner(chain, tmp_path, "return np.multiply(x, 2)", body))[0].results["twice"].error
    assert error is not None
    assert "File too large" in error.message


def test_what_alarms_do_not_stop_is_ended_by_the_limit(chain: Tier, tmp_path: Path) -> None:
    body = "import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN)\n    while True: pass"
    found = ran(chain, learner(chain, tmp_path, "return np.multiply(x, 2)", body), limit_s=2)[0]
    assert [found.results[name].error is None for name in CASES] == [False] * 4
    assert found.results["twice"].error is not None
    assert found.results["twice"].error.text == "out of time"
    assert found.results["half"].error is not None
    assert found.results["half"].error.text == "was not reached"


def test_a_process_that_ends_itself_passes_nothing(chain: Tier, tmp_path: Path) -> None:
    for_good, after = ran(
        chain, learner(chain, tmp_path, "return np.divide(x, 2)", "import os; os._exit(0)"), Variant()
    )
    assert for_good.results["twice"].error is None
    assert for_good.results["half"].error is not None
    assert for_good.results["half"].error.text == "ended the process before it was done"
    assert after.results["half"].error is None


def test_ending_the_process_while_it_loads_is_told(chain: Tier, tmp_path: Path) -> None:
    found = ran(chain, learner(chain, tmp_path, "import numpy as np\n", "import numpy as np\nimport os; os._exit(0)\n"))
    assert found[0].error is not None
    assert "while the framework was loaded" in found[0].error.text


def test_swallowing_errors_and_exiting_do_not_end_the_run(chain: Tier, tmp_path: Path) -> None:
    found = ran(chain, learner(chain, tmp_path, "return np.multiply(x, 2)", "raise SystemExit(0)"))[0]
    assert found.results["twice"].error is not None
    assert found.results["twice"].error.kind == "SystemExit"
    assert found.results["half"].error is None


def test_what_is_printed_is_kept_apart_from_results(chain: Tier, tmp_path: Path) -> None:
    body = "print('hello'); import os; os.write(1, b'there')\n    return np.multiply(x, 2)"
    found = ran(chain, learner(chain, tmp_path, "return np.multiply(x, 2)", body))[0]
    assert found.results["twice"].error is None
    assert "hello" in found.printed
    assert "there" in found.printed


def test_a_stub_in_a_call_that_should_raise_is_still_to_do(chain: Tier, tmp_path: Path) -> None:
    variant = learner(chain, tmp_path, "    if np.size(x) == 0:", '    raise NotImplementedError("1.1")\n    if not x:')
    error = ran(chain, variant, names=("half_of_nothing",))[0].results["half_of_nothing"].error
    assert error is not None
    assert error.kind == "NotImplementedError"


@pytest.mark.parametrize(
    "wrong", ["{\n", "[" * 99999 + "\n", '{"content": {"name": "half"}, "tables": {"values": {}, "shown": {}}}\n']
)
def test_results_that_are_no_data_are_told(chain: Tier, tmp_path: Path, wrong: str) -> None:
    (tmp_path / "wrong").write_text(wrong)
    body = f"""
    import glob, os
    for name in glob.glob("*/results"):
        open(name, "a").write(open({str(tmp_path / "wrong")!r}).read())
    os._exit(0)
    """
    found = ran(chain, learner(chain, tmp_path, "return np.divide(x, 2)", body))[0]
    kinds = {name: result.error.kind for name, result in found.results.items() if result.error}
    assert kinds == {"half": "no data", "counting": "no result", "chance": "no result"}


def test_workers_inherit_no_hook_and_use_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    from tt_course.hook import STARTUP

    monkeypatch.setenv("TITO_WORKSPACE", "/nowhere")
    monkeypatch.setenv("PYTHONPATH", f"{STARTUP}:/elsewhere")
    environment = worker_environment()
    assert "TITO_WORKSPACE" not in environment
    assert environment["PYTHONPATH"] == "/elsewhere"
    assert environment["OPENBLAS_NUM_THREADS"] == "1"


def test_a_caller_may_wrap_the_command(chain: Tier) -> None:
    seen = []

    def wrap(command: list[str], folder: Path) -> list[str]:
        seen.append((command[0], folder.is_dir()))
        return command

    job = job_of(chain.modules[0], CASES, 3)
    assert start(job, [Variant()], wrap=wrap).wait()[0].error is None
    assert seen == [(sys.executable, True)]
