"""How long a learner waits for a check: the whole command, of every module of a tier.

Makes a workspace, types the reference in, and times ``tito module check NN`` as a process, from start to end, several
times: the median and the extremes, once passing and once on the starter, and the processor time of all its processes,
which other load on the machine changes little.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tt_course.manifest import Tier, load_tier
from tt_course.workspace import Workspace, create, starter_of

GOAL_S = 2.0


def processor_s() -> float:
    """The processor time of all processes that ended so far below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds(workspace: Workspace, number: str) -> tuple[float, float]:
    """How long one check takes, and the processor time that it uses."""
    before = processor_s()
    start = time.perf_counter()
    command = [sys.executable, "-P", "-m", "tt_course", "module", "check", number]
    done = subprocess.run(command, cwd=workspace.root, stdout=subprocess.DEVNULL)
    assert done.returncode in (0, 1)
    return time.perf_counter() - start, processor_s() - before


def measure(tier: Tier, rounds: int) -> int:
    """Print a row for each module; how many of them take longer than the goal."""
    slow = 0
    print(f"{'module':16} {'cases':>5} {'passing s':>20} {'cpu':>5} {'starter s':>20} {'cpu':>5}   (of {rounds})")
    with tempfile.TemporaryDirectory() as folder:
        workspace = create(Path(folder) / "workspace", "builder", [tier])
        for module in tier.modules:
            row = f"{module.name:16} {len(module.manifest.case):5}"
            workspace.start(module)
            for text in (module.source.read_text(encoding="utf-8"), starter_of(module, "builder")):
                workspace.file(module).write_text(text, encoding="utf-8")
                times, used = zip(*(seconds(workspace, module.label) for _ in range(rounds)), strict=True)
                row += f" {statistics.median(times):7.2f} ({min(times):.2f} to {max(times):.2f})"
                row += f" {statistics.median(used):5.2f}"
                slow += statistics.median(times) > GOAL_S
            print(row, flush=True)
    return slow


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", default="foundation")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    late = measure(load_tier(options.tier), options.rounds)
    print(f"goal: under {GOAL_S:g} s; {late} rows above it; load average {load:.1f} at the start")
