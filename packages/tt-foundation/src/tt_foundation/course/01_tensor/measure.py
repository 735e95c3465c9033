"""Measures what the shape of a walk over memory costs, with the learner's own tensors.

Three questions: how does the time for one element grow with the distance between elements? What does a column cost
against a row? What does a transpose cost as a view, and as a copy? Takes about three seconds and 130 MB.
"""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

SIDE = 4096
STEPS = (1, 2, 4, 8, 16, 32, 64)
LINE_BYTES = 64


def main(tt: Any, folder: Path) -> dict[str, list[float]]:
    """Print the table, write ``strides.png`` into ``folder``, and give the figures."""
    x = tt.Tensor(np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32))
    flat = x.reshape(-1)

    steps_bytes = [float(step * x.dtype.itemsize) for step in STEPS]
    element_ns = []
    for step in STEPS:
        walk = flat[::step]  # over the whole 64 MiB, which no cache holds
        element_ns.append(_seconds(walk.sum) / walk.size * 1e9)
    rows_s = _seconds(lambda: [x[i].sum() for i in range(0, SIDE, 8)])
    columns_s = _seconds(lambda: [x[:, i].sum() for i in range(0, SIDE, 8)])
    view_s = _seconds(lambda: x.T)
    copy_s = _seconds(x.T.clone, rounds=2)

    print(f"A float32 tensor of {SIDE} x {SIDE}, {x.nbytes / 2**20:.0f} MiB, strides {x.strides}\n")
    print("step between elements   time for one element")
    for distance, ns in zip(steps_bytes, element_ns, strict=True):
        print(f"{distance:15.0f} bytes {ns:16.2f} ns")
    print(f"\n512 rows, one by one    {rows_s * 1e3:10.2f} ms")
    print(f"512 columns             {columns_s * 1e3:10.2f} ms, {columns_s / rows_s:.1f} times as long")
    print(f"transpose as a view     {view_s * 1e3:10.4f} ms, 0 bytes, strides {x.T.strides}")
    print(f"transpose as a copy     {copy_s * 1e3:10.2f} ms, {x.nbytes / 2**20:.0f} MiB")
    print(
        f"\nMemory comes in lines of {LINE_BYTES} bytes. At a step of 4 bytes a line serves 16 elements; from"
        f" {LINE_BYTES} bytes on\nevery element pays for a line of its own, of which it uses 4 bytes. While steps are"
        " short the machine fetches\nthe next lines before you ask; long steps outrun it too."
    )

    figures = {
        "step_bytes": steps_bytes,
        "element_ns": element_ns,
        "rows_s": [rows_s],
        "columns_s": [columns_s],
        "view_s": [view_s],
        "copy_s": [copy_s],
    }
    _plot(figures, folder / "strides.png")
    return figures


def _seconds(action: Callable[[], object], rounds: int = 5) -> float:
    """The shortest of several runs: what is longer was disturbed."""
    times = []
    for _ in range(rounds):
        start = perf_counter()
        action()
        times.append(perf_counter() - start)
    return min(times)


def _plot(figures: dict[str, list[float]], path: Path) -> None:
    """Two panels; says so where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install matplotlib).")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(figures["step_bytes"], figures["element_ns"], marker="o")
    left.axvline(LINE_BYTES, color="gray", linestyle="--", linewidth=1)
    left.annotate("a cache line", (LINE_BYTES, 0), xytext=(5, 8), textcoords="offset points", color="gray")
    left.set_xscale("log", base=2)
    left.set_xticks(figures["step_bytes"], [f"{step:.0f}" for step in figures["step_bytes"]])
    left.set_ylim(bottom=0)
    left.set(
        title="The further the step, the dearer the element", xlabel="step, bytes", ylabel="time for one element, ns"
    )

    names = ["512 rows", "512 columns", "transpose:\na view", "transpose:\na copy"]
    values = [figures[name][0] * 1e3 for name in ("rows_s", "columns_s", "view_s", "copy_s")]
    bars = right.bar(names, values, color=["tab:blue", "tab:orange", "tab:blue", "tab:orange"])
    right.bar_label(bars, [f"{value:.3g} ms" for value in values], padding=2)
    right.set_yscale("log")
    right.margins(y=0.15)
    right.set(title="The same elements, another order", ylabel="time, ms")
    figure.savefig(path, dpi=120)
    plt.close(figure)
