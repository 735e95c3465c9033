"""What an optimizer costs: the bytes it holds for each parameter, and the time of its step.

Bytes are asked of the optimizers themselves after a step. Times are the median of several steps over a million
parameters in sixteen matrices, method after method in turns, so that a busy moment of the machine hits all alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

ROUNDS = 5
BILLIONS = 7.0


def main(tt: Any, folder: Path) -> dict[str, list[float]]:
    tt.keep_freed_memory()  # or the time would be that of asking the system for memory
    makers: dict[str, Callable[[list[Any]], Any]] = {
        "SGD": lambda p: tt.SGD(p, lr=1e-3),
        "SGD, momentum": lambda p: tt.SGD(p, lr=1e-3, momentum=0.9),
        "Lion": lambda p: tt.Lion(p, lr=1e-3),
        "Muon": lambda p: tt.Muon(p, lr=1e-3),
        "Adagrad": lambda p: tt.Adagrad(p, lr=1e-3),
        "RMSprop": lambda p: tt.RMSprop(p, lr=1e-3),
        "Adam": lambda p: tt.Adam(p, lr=1e-3),
        "Adam, amsgrad": lambda p: tt.Adam(p, lr=1e-3, amsgrad=True),
    }
    rng = np.random.default_rng(0)
    optimizers = {name: made(_parameters(tt, rng)) for name, made in makers.items()}
    with threadpool_limits(1):  # so that matrix products do not have more threads than the rest
        times = _step_times(optimizers)
    held = {name: optimizer.bytes_per_parameter() for name, optimizer in optimizers.items()}
    states = {name: sum(h.values()) - h["parameter"] - h["gradient"] for name, h in held.items()}

    print("Bytes held for each float32 parameter, and the time of a step over a million of them")
    head = f"{'method':<14} {'parameter':>9} {'gradient':>9} {'states':>7} {'total':>6}"
    print(f"{head} {'ms a step':>10} {'at 7 billion':>13}")
    for name, h in held.items():
        total = sum(h.values())
        print(
            f"{name:<14} {h['parameter']:>9.0f} {h['gradient']:>9.0f} {states[name]:>7.0f} {total:>6.0f} "
            f"{times[name]:>10.2f} {total * BILLIONS:>10.0f} GB"
        )
    _draw(held, states, times, folder / "what_an_optimizer_costs.png")
    return {
        "state bytes per parameter": list(states.values()),
        "total bytes per parameter": [sum(h.values()) for h in held.values()],
        "ms per step": list(times.values()),
    }


def _parameters(tt: Any, rng: np.random.Generator) -> list[Any]:
    """Sixteen matrices of 256 x 256 with gradients: a million parameters."""
    parameters = []
    for _ in range(16):
        p = tt.Tensor(rng.normal(size=(256, 256)).astype(np.float32), requires_grad=True)
        p.grad = tt.Tensor(rng.normal(size=(256, 256)).astype(np.float32))
        parameters.append(p)
    return parameters


def _step_times(optimizers: dict[str, Any]) -> dict[str, float]:
    """The median time of a step, in ms, by name."""
    seen: dict[str, list[float]] = {name: [] for name in optimizers}
    for optimizer in optimizers.values():
        optimizer.step()  # makes its states
    for _ in range(ROUNDS):
        for name, optimizer in optimizers.items():
            start = time.perf_counter()
            optimizer.step()
            seen[name].append((time.perf_counter() - start) * 1e3)
    return {name: sorted(times)[ROUNDS // 2] for name, times in seen.items()}


def _draw(held: dict[str, dict[str, float]], states: dict[str, float], times: dict[str, float], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("\nNo picture: pip install matplotlib to see one.")
        return
    figure = Figure(figsize=(10.5, 4.2), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2, sharey=True)
    names = list(held)[::-1]
    begin = np.zeros(len(names))
    parts = {
        "parameter": ([held[n]["parameter"] for n in names], "#8a8f98"),
        "gradient": ([held[n]["gradient"] for n in names], "#c9a35b"),
        "optimizer's states": ([states[n] for n in names], "#3b6ea5"),
    }
    for label, (widths, colour) in parts.items():
        left.barh(names, widths, left=begin, label=label, color=colour)
        begin = begin + np.array(widths)
    left.set_xlabel("bytes for each parameter")
    left.set_title("Memory")
    left.legend(loc="upper right")
    right.barh(names, [times[n] for n in names], color="#b5523b")
    right.set_xscale("log")
    right.set_xlabel("ms for a step over a million parameters (logarithmic)")
    right.set_title("Time")
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path)
    print(f"\nThe picture is at {path}")
