"""Batch size against throughput, memory and progress: the same network and the same samples, batch after batch.

Every size trains a fresh network of the same weights once over 4,096 samples with the Trainer. What changes is how many
samples a step takes: how fast they go through, what a step holds in memory, and how far so many samples bring the loss.
"""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = 4096
SIZES = [4, 16, 64, 256, 1024, 4096]


def main(tt: Any, folder: Path) -> dict[str, list[float]]:
    tt.keep_freed_memory()  # or the time would be that of asking the system for memory
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SAMPLES, 64)).astype(np.float32)
    y = np.argmax(x @ rng.normal(size=(64, 10)), axis=1)
    _trained(tt, x, y, 64)  # once, so that nothing is done for the first time below
    results: dict[str, list[float]] = {
        "batch size": [],
        "samples per second": [],
        "ms per step": [],
        "MB of a step": [],
        "loss after": [],
    }
    print(f"A network of 64 -> 256 -> 256 -> 10, one epoch over {SAMPLES:,} samples with SGD, lr 0.1")
    print(f"{'batch':>6} {'steps':>6} {'samples/s':>11} {'ms/step':>9} {'MB a step':>10} {'loss after':>11}")
    for size in SIZES:
        seconds, loss = _trained(tt, x, y, size)
        steps = -(-SAMPLES // size)
        row = [float(size), SAMPLES / seconds, seconds / steps * 1e3, _step_memory(tt, x, y, size), loss]
        for column, value in zip(results.values(), row, strict=True):
            column.append(value)
        print(f"{size:>6} {steps:>6} {row[1]:>11,.0f} {row[2]:>9.2f} {row[3]:>10.2f} {loss:>11.3f}")
    _draw(results, folder / "batch_size.png")
    return results


def _trainer(tt: Any) -> Any:
    """A trainer of a fresh network, always with the same weights."""
    rng = np.random.default_rng(1)
    layers = [
        tt.Linear(64, 256, rng=rng),
        tt.ReLU(),
        tt.Linear(256, 256, rng=rng),
        tt.ReLU(),
        tt.Linear(256, 10, rng=rng),
    ]
    model = tt.Sequential(layers)
    return tt.Trainer(model, tt.SGD(model.parameters(), lr=0.1), tt.CrossEntropyLoss(), progress=False)


def _trained(tt: Any, x: Any, y: Any, size: int) -> tuple[float, float]:
    """The seconds of one epoch (the better of two runs), and the loss over all samples after it."""
    times, loss = [], 0.0
    for _ in range(2):
        trainer = _trainer(tt)
        batches = tt.batches(x, y, size, np.random.default_rng(2))
        start = time.perf_counter()
        trainer.fit(batches, 1)
        times.append(time.perf_counter() - start)
        loss = trainer.evaluate(tt.batches(x, y, 1024))["loss"]
    return min(times), float(loss)


def _step_memory(tt: Any, x: Any, y: Any, size: int) -> float:
    """The peak of what one step allocates, in MB."""
    trainer = _trainer(tt)
    batch = tt.batches(x[:size], y[:size], size)
    trainer.fit(batch, 1)
    tracemalloc.start()
    trainer.fit(batch, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def _draw(results: dict[str, list[float]], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("\nNo picture: pip install matplotlib to see one.")
        return
    figure = Figure(figsize=(12, 3.8), layout="constrained", dpi=120)
    panels = figure.subplots(1, 3)
    curves = [
        ("samples per second", "Throughput", "#3b6ea5", True),
        ("MB of a step", "Memory of a step", "#b5523b", True),
        ("loss after", f"Loss after {SAMPLES:,} samples", "#4f7f52", False),
    ]
    for axes, (name, title, colour, is_log) in zip(panels, curves, strict=True):
        axes.plot(results["batch size"], results[name], marker="o", color=colour)
        axes.set_xscale("log", base=2)
        if is_log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set_xticks(results["batch size"], [f"{size:.0f}" for size in results["batch size"]])
        axes.set_xlabel("batch size")
        axes.set_ylabel(name.removesuffix(" after"))
        axes.set_title(title)
        axes.grid(alpha=0.3)
    figure.savefig(path)
    print(f"\nThe picture is at {path}")
