"""Worker processes: results in order, and whatever happens to them, it is said at once and nothing is left behind."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tt_architectures.workers import WorkerError, Workers
from tt_foundation import Tensor

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    """Workers look for modules where this process does."""
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def pair(importable: None) -> Iterator[Workers[Any, Any]]:
    """Two workers for the tests that leave them well."""
    import worker_cases

    workers = Workers[Any, Any](worker_cases.Call(), 2)
    yield workers
    workers.close()


@pytest.fixture
def cases() -> Any:
    import worker_cases

    return worker_cases


def descendants(pid: int) -> list[int]:
    """The worker processes below a process; the one that Python's resource tracker is, is none."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                is_worker = b"spawn_main" in (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            if parent == pid and is_worker:
                found.append(int(entry.name))
    return found


def holdings() -> tuple[int, set[str]]:
    """How many files this process has open, and what shared memory has a name."""
    return len(os.listdir("/proc/self/fd")), {name for name in os.listdir("/dev/shm") if "torch" not in name}


@pytest.fixture
def alone(importable: None) -> Iterator[None]:
    """Nothing may be left behind: no process, no memory with a name, no open file."""
    resource_tracker.ensure_running()  # a process of Python's, which runs from the first other one on, for good
    gc.collect()
    before, others = holdings(), set(descendants(os.getpid()))
    yield
    gc.collect()
    assert set(descendants(os.getpid())) == others
    assert holdings() == before
    assert "tt-worker" not in Path("/proc/self/maps").read_text() or others


def test_results_come_in_the_order_of_the_tasks(pair: Workers[Any, Any]) -> None:
    tasks = [("worker", 0.05 * (i % 3 == 0)) for i in range(9)]
    processes = list(pair.map(tasks))
    assert processes == processes[:2] * 4 + processes[:1]
    assert processes[0] != processes[1]
    assert list(pair.map(("echo", i) for i in range(50))) == list(range(50))
    assert list(pair.map([])) == []


VALUES = {
    "float32": np.random.default_rng(0).random((3, 4), dtype=np.float32),
    "channels last": np.zeros((2, 5, 5, 3), np.float32).transpose(0, 3, 1, 2),
    "every other row": np.arange(20).reshape(10, 2)[::2],
    "backwards": np.arange(5)[::-1],
    "stretched": np.broadcast_to(np.arange(3), (4, 3)),
    "0-d": np.array(3.5),
    "nothing": np.zeros((0, 3)),
    "big-endian": np.arange(3, dtype=">i4"),
    "boolean": np.array([True, False]),
    "complex": np.array([1j]),
    "dates": np.array(["2026-11-24"], "datetime64[D]"),
    "records": np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
    "objects": np.array([1, "a", None], object),
    "text": np.array(["ab", "c"]),
}


@pytest.mark.parametrize("name", VALUES)
def test_arrays_arrive_as_they_were_in_both_directions(pair: Workers[Any, Any], name: str) -> None:
    sent = VALUES[name]
    (received,) = pair.map([("echo", sent)])
    assert (received.dtype, received.shape) == (sent.dtype, sent.shape)
    np.testing.assert_array_equal(received, sent)
    received[...] = received  # it may be written to


def test_the_memory_layout_of_images_is_kept(pair: Workers[Any, Any]) -> None:
    x = VALUES["channels last"]
    strides, received = pair.map([("strides", x), ("echo", x)])
    assert strides == received.strides == x.strides


def test_other_values_arrive_too(pair: Workers[Any, Any]) -> None:
    x = np.arange(3)
    sent = {"texts": ["a", "é"], "pair": (Tensor(x), 2.5), "twice": [x, x]}
    (received,) = pair.map([("echo", sent)])
    np.testing.assert_array_equal(received["pair"][0].data, x)
    assert type(received["pair"][0]) is Tensor
    assert received["texts"] == ["a", "é"]
    assert received["twice"][0] is received["twice"][1]


def test_results_stay_as_they_were_while_their_memory_is_used_again(pair: Workers[Any, Any]) -> None:
    results = list(pair.map(("filled", (100, i + 1), i) for i in range(40)))
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result, np.full((100, i + 1), i))


def test_tasks_and_results_larger_than_any_pipe_pass(pair: Workers[Any, Any]) -> None:
    large = np.arange(1_000_000)
    for result in pair.map(("echo", [large, "x" * 1_000_000]) for _ in range(8)):
        np.testing.assert_array_equal(result[0], large)


def test_arrays_of_the_function_are_each_workers_own_once_written_to(cases: Any, alone: None) -> None:
    function = cases.Call()
    workers = Workers[Any, Any](function, 2)
    assert list(workers.map([("bump",)] * 6)) == [1, 1, 2, 2, 3, 3]
    assert function.kept[0] == 0
    workers.close()


def test_a_worker_has_one_thread_and_no_workers_of_its_own(pair: Workers[Any, Any]) -> None:
    threads, answer = pair.map([("threads",), ("has_workers",)])
    assert threads == (1, 1)
    assert "a worker process can have no workers of its own" in answer


def test_none_ends_the_tasks_and_leaves_the_workers_idle(cases: Any, alone: None) -> None:
    workers = Workers[int, int](cases.Counting(5), 1, prefetch=3)
    for _ in range(2):
        assert list(workers.map(iter(range(10**9)))) == [0, 1, 2, 3, 4]
        assert workers.is_idle
    workers.close()
    assert not workers.is_idle


def failing(cases: Any, *task: Any, **options: Any) -> tuple[str, float]:
    """What a pass says in which the second task fails, and how long it took to say it."""
    workers = Workers[Any, Any](cases.Call(), 1, **options)
    try:
        assert list(workers.map([("echo", 0)])) == [0]
        began = time.monotonic()
        with pytest.raises(WorkerError) as caught:
            list(workers.map([("echo", 0), task, ("echo", 3)]))
        assert not workers.is_idle
        return str(caught.value), time.monotonic() - began
    finally:
        workers.close()


def test_what_a_worker_raises_is_shown_with_its_traceback(cases: Any, alone: None) -> None:
    message, _ = failing(cases, "fails")
    assert "worker 0 (process" in message
    assert 'raise ValueError("the seventh seal")' in message
    assert message.rstrip().endswith("ValueError: the seventh seal")


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (("dies", signal.SIGKILL), "was killed by SIGKILL (the system may have run out of memory)"),
        (("dies", signal.SIGSEGV), "was killed by SIGSEGV"),
        (("vanishes", 7), "ended with code 7"),
        (("exits", 3), "SystemExit: 3"),
        (("unpicklable",), "pickle"),
    ],
)
def test_a_worker_that_dies_or_cannot_answer_is_told_of_at_once(
    cases: Any, alone: None, task: Any, expected: str
) -> None:
    message, seconds = failing(cases, *task)
    assert expected in message
    assert seconds < 5


def test_a_failure_is_told_of_though_other_results_come_before_it(cases: Any, alone: None) -> None:
    workers = Workers[Any, Any](cases.Call(), 2)
    with pytest.raises(WorkerError, match="the seventh seal"):
        list(workers.map([("sleeps", 600), ("fails",)]))
    workers.close()


def test_a_worker_killed_from_outside_is_told_of_at_once(cases: Any, alone: None) -> None:
    workers = Workers[Any, Any](cases.Call(), 2)
    results = workers.map([("worker",), ("worker",)] + [("sleeps", 600)] * 4)
    _, victim = next(results), next(results)
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(WorkerError, match=rf"worker 1 \(process {victim}\) was killed by SIGKILL"):
        next(results)
    workers.close()
    assert time.monotonic() - began < 5


def test_a_worker_that_hangs_is_told_of_after_the_time_set(cases: Any, alone: None) -> None:
    message, seconds = failing(cases, "sleeps", 600, timeout_s=1.5)
    assert "gave nothing for 1.5 s" in message
    assert 1.5 <= seconds < 10


def test_a_worker_that_is_deaf_to_termination_is_killed(cases: Any, alone: None) -> None:
    workers = Workers[Any, Any](cases.Call(), 1, prefetch=1)
    results = workers.map([("worker",), ("is_deaf", 600)])
    assert next(results)
    time.sleep(0.3)
    began = time.monotonic()
    workers.close()
    assert time.monotonic() - began < 5


def test_a_worker_that_cannot_start_says_why(cases: Any, alone: None) -> None:
    for function, init, expected in (
        (cases.Call(), cases.refuse, "RuntimeError: worker 0 will not start"),
        (cases.CannotArrive(), None, "RuntimeError: lost at sea"),
    ):
        workers = Workers[Any, Any](function, 1, init=init)
        with pytest.raises(WorkerError, match=expected):
            list(workers.map([("echo", 1)]))
        workers.close()


def test_what_does_not_pickle_is_refused_before_anything_starts(alone: None) -> None:
    with pytest.raises(TypeError, match=r"what worker processes work with must pickle: .*lambda"):
        Workers(lambda task: task, 1)


@pytest.mark.parametrize("how", ["closed", "dropped", "dropped in a cycle"])
def test_a_pass_abandoned_half_way_leaves_nothing(cases: Any, alone: None, how: str) -> None:
    workers = Workers[Any, Any](cases.Call(), 2)
    results = workers.map(("worker", 0.01) for _ in range(10**9))
    processes = {next(results) for _ in range(4)}
    assert len(processes) == 2
    assert set(descendants(os.getpid())) >= processes
    if how == "closed":
        workers.close()
    if how == "dropped in a cycle":
        cycle: list[Any] = [workers, results]
        cycle.append(cycle)
        del cycle
    del workers, results
    gc.collect()
    assert not processes & set(descendants(os.getpid()))


SCRIPT = f"""
import os, sys, time
sys.path.insert(0, {str(FOLDER)!r})
from worker_cases import Call
from tt_architectures.workers import Workers

def main():
    workers = Workers(Call(), 1)
    results = workers.map(("worker", 0.05) for _ in range(10**9))
    print(next(results), flush=True)
    ...

if __name__ == "__main__":
    main()
"""


def started(tmp_path: Path, body: str) -> tuple[subprocess.Popen[str], int]:
    """A script that goes on with ``body`` when its worker is at work, and that worker."""
    (tmp_path / "script.py").write_text(SCRIPT.replace("...", body.replace("\n", "\n    ")))
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=dict(os.environ, OPENBLAS_NUM_THREADS="1", PYTHONWARNINGS="ignore"),  # Python 3.12 warns of every fork
    )
    assert process.stdout is not None
    worker = b""
    while not worker.endswith(b"\n"):  # not by readline, which may take what follows, and communicate() then misses it
        byte = os.read(process.stdout.fileno(), 1)
        assert byte, process.communicate()[1]
        worker += byte
    return process, int(worker)


def ended(pid: int, within_s: float = 10) -> bool:
    """Whether a process ends; one that nobody has asked how it ended (a zombie: its parent is dead) has."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("body", ["for _ in results: pass", "list(Workers(Call(), 2).map([('sleeps', 60)] * 2))"])
def test_ctrl_c_ends_all_with_one_traceback_also_of_workers_that_start(tmp_path: Path, body: str) -> None:
    process, worker = started(tmp_path, body)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the script and its workers
    _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert ended(worker)


@pytest.mark.parametrize(
    "body",
    ["globals().update(kept=(workers, results))", "sys.exit()", "kept = [workers, results]\nkept.append(kept)"],
)
def test_the_end_of_the_interpreter_ends_the_workers_in_silence(tmp_path: Path, body: str) -> None:
    process, worker = started(tmp_path, body)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0
    assert ended(worker)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_when_their_parent_is_killed(tmp_path: Path, signum: int) -> None:
    process, worker = started(tmp_path, "time.sleep(600)")
    process.send_signal(signum)
    process.communicate(timeout=20)
    assert ended(worker)


def test_workers_of_a_killed_parent_end_though_a_fork_of_it_holds_their_pipes(tmp_path: Path) -> None:
    body = "if not os.fork(): time.sleep(20); os._exit(0)\nos.kill(os.getpid(), 9)"
    process, worker = started(tmp_path, body)
    try:
        process.wait(timeout=20)
        assert ended(worker)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_forked_copy_cannot_use_the_workers_nor_end_them(tmp_path: Path) -> None:
    body = """\
if not os.fork():
    try:
        next(results)
    except RuntimeError as error:
        print(error, flush=True)
    del results, workers
    os._exit(0)
os.wait()
print(len([next(results) for _ in range(8)]))"""
    process, worker = started(tmp_path, body)
    output, errors = process.communicate(timeout=20)
    assert not errors
    assert output.splitlines() == [
        "workers belong to the process that started them; this is a forked copy of it",
        "8",
    ]
    assert ended(worker)


def test_a_script_without_a_guard_is_told_of_it(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from tt_architectures.workers import Workers\nlist(Workers(len, 1).map(['a']))"
    )
    done = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert 'under `if __name__ == "__main__":`' in done.stderr
