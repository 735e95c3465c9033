"""Run contestants side by side: each in a process of its own, in turns, the ratio taken turn by turn.

A benchmark file defines ``CONTESTANTS``: name -> (package to import, function that returns ``step``, itself a function
of no arguments); the first is what the others are compared with. Figures: the median time of a step, the median of the
ratios with their 10th and 90th percentile (above 1: faster than the first), and how much the process's peak memory grew
after the imports.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Step = Callable[[], object]


def peak_bytes() -> int:
    """The process's peak resident memory (Linux: VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmHWM in /proc/self/status")


def work(file: str, name: str) -> None:
    """Be one contestant: run for as long as each line of standard input says, answer with the median step."""
    spec = importlib.util.spec_from_file_location("benchmark", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    package, make = module.CONTESTANTS[name]
    importlib.import_module(package)
    before = peak_bytes()
    step = make()
    for _ in range(3):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        end = time.perf_counter() + float(line)
        times: list[float] = []
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        print(statistics.median(times), peak_bytes() - before, flush=True)


def compare(file: str, names: list[str], threads: int, rounds: int, seconds: float) -> None:
    """Run the contestants of ``file`` in turns and print a table."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    environment["BENCHMARK_THREADS"] = str(threads)
    processes = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--work", file, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for name in names
    }  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in names}
    peak: dict[str, int] = {}

    def ask(name: str, line: str | None) -> str:
        process = processes[name]
        assert process.stdin is not None
        assert process.stdout is not None
        if line is not None:
            process.stdin.write(line + "\n")
            process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise SystemExit(f"{name} ended early")
        return answer

    for name in names:
        ask(name, None)
    for _ in range(rounds):
        for name in names:
            median, grown = ask(name, str(seconds)).split()
            times[name].append(float(median))
            peak[name] = int(grown)
    for process in processes.values():
        process.communicate()
    print(f"{Path(file).stem}, {threads} thread{'s' if threads > 1 else ''}, {rounds} rounds of {seconds} s in turns")
    print(f"{'':<28} {'ms/step':>9} {'x ' + names[0]:>12} {'(10 % - 90 %)':>16} {'peak MiB':>9}")
    for name in names:
        ratios = sorted(a / b for a, b in zip(times[names[0]], times[name], strict=True))
        low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
        print(
            f"{name:<28} {statistics.median(times[name]) * 1e3:>9.4f} {statistics.median(ratios):>12.2f} "
            f"{f'({low:.2f} - {high:.2f})':>16} {peak[name] / 2**20:>9.1f}"
        )


def training_step(model: Any, optimizer: Any, loss: Any, batches: list[tuple[Any, Any]]) -> Step:
    """A step that trains on the next batch, round and round; ours and PyTorch's are written alike."""
    coming = itertools.cycle(batches)

    def step() -> None:
        x, y = next(coming)
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return step


def main(file: str, names: list[str]) -> None:
    """The command line of a benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.4, help="how long a contestant's turn is")
    options = parser.parse_args()
    compare(file, names, options.threads, options.rounds, options.seconds)


if __name__ == "__main__" and sys.argv[1:2] == ["--work"]:
    work(*sys.argv[2:])
