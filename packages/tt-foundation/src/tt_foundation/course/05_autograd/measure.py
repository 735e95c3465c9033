"""What the tape keeps: bytes held by each operation for its gradient, and what checkpointing saves of them.

The first table asks the tape itself. The second watches memory: the peak of a forward and backward pass through a deep
chain of layers, plain and in checkpointed segments, and the time that each takes.
"""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np


def main(tt: Any, folder: Path) -> dict[str, list[float]]:
    tt.keep_freed_memory()  # or the time would be that of asking the system for memory
    rng = np.random.default_rng(0)
    operations = _kept_by_operation(tt, rng)
    print("What one operation on 256 x 256 numbers of 4 bytes keeps for its gradient")
    print(f"{'operation':<12} {'bytes kept':>12} {'arrays of its size':>20}")
    size = 256 * 256 * 4
    for name, kept in operations.items():
        print(f"{name:<12} {kept:>12,} {kept / size:>20.2f}")

    depths = [4, 8, 16, 32, 64]
    plain = [_cost(tt, rng, depth, segments=0) for depth in depths]
    short = [_cost(tt, rng, depth, segments=round(math.sqrt(depth))) for depth in depths]
    print("\nA chain of layers, tanh(x @ w), on 2048 x 128 numbers: peak memory and time of forward and backward")
    print(f"{'layers':>6} {'plain MB':>10} {'checkpointed MB':>16} {'plain ms':>10} {'checkpointed ms':>16}")
    for depth, (mb, ms), (short_mb, short_ms) in zip(depths, plain, short, strict=True):
        print(f"{depth:>6} {mb:>10.1f} {short_mb:>16.1f} {ms:>10.1f} {short_ms:>16.1f}")

    results = {
        "bytes kept": [float(kept) for kept in operations.values()],
        "depth": [float(depth) for depth in depths],
        "plain MB": [mb for mb, _ in plain],
        "checkpointed MB": [mb for mb, _ in short],
        "plain ms": [ms for _, ms in plain],
        "checkpointed ms": [ms for _, ms in short],
    }
    _draw(operations, results, folder / "what_the_tape_keeps.png")
    return results


def _kept_by_operation(tt: Any, rng: np.random.Generator) -> dict[str, int]:
    """The bytes that the tape holds after one operation, by name."""
    x, y = (rng.uniform(0.5, 1.5, size=(256, 256)).astype(np.float32) for _ in range(2))
    programs: dict[str, Callable[[Any, Any], Any]] = {
        "x + y": lambda x, y: x + y,
        "sum(x)": lambda x, y: tt.sum(x),
        "x * 3": lambda x, y: x * 3.0,
        "x.T": lambda x, y: x.T,
        "exp(x)": lambda x, y: tt.exp(x),
        "relu(x)": lambda x, y: tt.relu(x),
        "tanh(x)": lambda x, y: tt.tanh(x),
        "log(x)": lambda x, y: tt.log(x),
        "max(x)": lambda x, y: tt.max(x),
        "x * y": lambda x, y: x * y,
        "x / y": lambda x, y: x / y,
        "x @ y": lambda x, y: x @ y,
        "x @ fixed": lambda x, y: x @ y.detach(),
    }
    kept = {}
    for name, program in programs.items():
        out = program(tt.Tensor(x, requires_grad=True), tt.Tensor(y, requires_grad=True))
        kept[name] = sum(node.kept_bytes for node in tt.graph_nodes(out))
    return kept


def _cost(tt: Any, rng: np.random.Generator, depth: int, segments: int) -> tuple[float, float]:
    """Peak memory, in MB, and best time, in ms, of a forward and backward pass; 0 segments for no checkpoint."""
    x = rng.normal(size=(2048, 128)).astype(np.float32)
    drawn = (rng.normal(size=(depth, 128, 128)) / 11).astype(np.float32)
    weights = [tt.Tensor(w, requires_grad=True) for w in drawn]

    def run(x: Any, *some: Any) -> Any:
        for w in some:
            x = tt.tanh(x @ w)
        return x

    def step() -> None:
        out = tt.Tensor(x, requires_grad=True)
        if segments:
            bounds = [depth * i // segments for i in range(segments + 1)]
            for start, stop in pairwise(bounds):
                out = tt.checkpoint(run, out, *weights[start:stop])
        else:
            out = run(out, *weights)
        tt.sum(out * out).backward()
        for w in weights:
            w.grad = None

    step()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6, min(times) * 1e3


def _draw(operations: dict[str, int], results: dict[str, list[float]], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("\nNo picture: pip install matplotlib to see one.")
        return
    figure = Figure(figsize=(10.5, 4.2), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2)
    names = list(operations)[::-1]
    left.barh(names, [operations[name] / 1024 for name in names], color="#3b6ea5")
    left.set_xlabel("KiB kept on the tape (one operand is 256 KiB)")
    left.set_title("One operation")
    left.grid(axis="x", alpha=0.3)
    right.plot(results["depth"], results["plain MB"], marker="o", color="#b5523b", label="everything kept")
    right.plot(results["depth"], results["checkpointed MB"], marker="o", color="#3b6ea5", label="checkpointed segments")
    right.set_xlabel("layers")
    right.set_ylabel("peak memory of a step, MB")
    right.set_ylim(bottom=0)
    right.set_title("A deep chain")
    right.grid(alpha=0.3)
    right.legend()
    figure.savefig(path)
    print(f"\nThe picture is at {path}")
