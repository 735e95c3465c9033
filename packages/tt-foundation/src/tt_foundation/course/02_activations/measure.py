"""Measures what fusing saves: GELU made of the learner's operations, and the same formula in as few passes as can be.

Three ways to the same numbers: operation by operation (each makes a new array), in place in two buffers, and in place
block by block, so that what is passing stays in the cache. Takes about five seconds and 200 MB.
"""

import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

SIZES = (1_000, 10_000, 100_000, 1_000_000, 4_000_000)
BLOCK = 32_768
Floats = npt.NDArray[np.float32]


def main(tt: Any, folder: Path) -> dict[str, list[float]]:
    """Print the table, write ``fused.png`` into ``folder``, and give the figures."""
    ways: dict[str, Callable[[Floats], Floats]] = {
        "operation by operation": lambda x: tt.gelu.body(tt.Tensor(x), approximate="tanh").data,
        "in place": _in_place,
        "in place, in blocks": _in_blocks,
    }
    figures: dict[str, list[float]] = {"elements": [float(n) for n in SIZES]}
    rng = np.random.default_rng(0)
    for name, way in ways.items():
        figures[f"{name}, ns"] = []
        for n in SIZES:
            x = rng.standard_normal(n, dtype=np.float32)
            figures[f"{name}, ns"].append(_seconds(lambda way=way, x=x: way(x)) / n * 1e9)  # type: ignore[misc]
        figures[f"{name}, peak bytes"] = [_peak_bytes(lambda way=way, x=x: way(x)) / x.size]  # type: ignore[misc]
        worst = float(np.abs(way(x) - tt.gelu(x, approximate="tanh")).max())
        figures[f"{name}, largest difference"] = [worst]

    operations = _operations(tt)
    print(f"GELU (tanh) of float32 numbers; made of {len(operations)} operations: {', '.join(operations)}\n")
    print("time for one element, ns" + "".join(f"{n:>11,}" for n in SIZES) + "   memory, bytes an element")
    for name in ways:
        times = "".join(f"{ns:11.2f}" for ns in figures[f"{name}, ns"])
        print(f"{name:24}{times}{figures[f'{name}, peak bytes'][0]:14.1f}")
    whole, blocks = figures["operation by operation, ns"][-1], figures["in place, in blocks, ns"][-1]
    print(
        f"\nAt {SIZES[-1]:,} elements the same arithmetic is {whole / blocks:.1f} times as fast when the numbers stay"
        "\nin the cache between one operation and the next. The result alone takes 4 bytes an element."
    )
    _plot(figures, list(ways), folder / "fused.png")
    return figures


def _in_place(x: Floats) -> Floats:
    out = np.empty_like(x)
    _gelu_into(x, out, np.empty_like(x))
    return out


def _in_blocks(x: Floats) -> Floats:
    out, scratch = np.empty_like(x), np.empty(min(BLOCK, x.size), x.dtype)
    for at in range(0, x.size, BLOCK):
        part = out[at : at + BLOCK]
        _gelu_into(x[at : at + BLOCK], part, scratch[: part.size])
    return out


def _gelu_into(x: Floats, out: Floats, scratch: Floats) -> None:
    """``x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`` with ``x^2`` taken out: nine calls, no new memory."""
    np.multiply(x, x, out=scratch)
    np.multiply(scratch, 0.044715, out=scratch)
    np.add(scratch, 1, out=scratch)
    np.multiply(scratch, x, out=scratch)
    np.multiply(scratch, math.sqrt(2 / math.pi), out=scratch)
    np.tanh(scratch, out=scratch)
    np.add(scratch, 1, out=scratch)
    np.multiply(scratch, 0.5, out=scratch)
    np.multiply(scratch, x, out=out)


def _operations(tt: Any) -> list[str]:
    """The operations that the learner's gelu is made of, as an observer sees them."""
    seen: list[str] = []

    def watch(op: Any, phase: str, inputs: Any, params: Any, output: Any) -> None:
        if output is not None:
            seen.append(op.name)

    with tt.observe(watch):
        tt.gelu.body(tt.Tensor([1.0]), approximate="tanh")
    return seen


def _seconds(action: Callable[[], object]) -> float:
    """The shortest of several runs, as many as fit into a fifth of a second; three at least."""
    times: list[float] = []
    while len(times) < 3 or (math.fsum(times) < 0.2 and len(times) < 1000):
        start = perf_counter()
        action()
        times.append(perf_counter() - start)
    return min(times)


def _peak_bytes(action: Callable[[], object]) -> int:
    """The most memory that was held at any moment beyond what was there before."""
    tracemalloc.start()
    action()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _plot(figures: dict[str, list[float]], names: list[str], path: Path) -> None:
    """Two panels; says so where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install matplotlib).")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colors = ["tab:orange", "tab:green", "tab:blue"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name, color in zip(names, colors, strict=True):
        left.plot(figures["elements"], figures[f"{name}, ns"], marker="o", label=name, color=color)
    left.set_xscale("log")
    left.set_ylim(bottom=0)
    left.legend()
    left.set(title="GELU, three ways", xlabel="elements", ylabel="time for one element, ns")

    values = [figures[f"{name}, peak bytes"][0] for name in names]
    bars = right.bar([name.replace(", ", ",\n").replace(" by ", "\nby ") for name in names], values, color=colors)
    right.bar_label(bars, [f"{value:.1f}" for value in values], padding=2)
    right.axhline(4, color="gray", linestyle="--", linewidth=1)
    right.annotate("the result", (2.4, 4), ha="right", va="top", xytext=(0, -3), textcoords="offset points", color="w")
    right.margins(y=0.12)
    right.set(title="The most memory at one time", ylabel="bytes for one element")
    figure.savefig(path, dpi=120)
    plt.close(figure)
