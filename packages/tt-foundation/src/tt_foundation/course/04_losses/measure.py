"""Measures where losses written as in the textbook break, and what the learner's own give there.

Scores grow from 1 to 10,000; the error is against the same loss in float64 with the maximum taken out. Then one sure
and right yes: how small a loss can still be told from 0? Takes about two seconds.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SIZES = tuple(float(size) for size in np.geomspace(1, 1e4, 33).round(1))
SCORES = tuple(float(score) for score in range(0, 41, 2))
Array = npt.NDArray[Any]


def main(tt: Any, folder: Path) -> dict[str, list[float]]:
    """Print the tables, write ``stability.png`` into ``folder``, and give the figures."""
    rng = np.random.default_rng(0)
    scores, ids = rng.uniform(-1, 1, size=(256, 10)), rng.integers(0, 10, size=256)
    names = ["textbook, float32", "textbook, float64", "yours, float32"]
    figures: dict[str, list[float]] = {"size": list(SIZES), **{f"error, {name}": [] for name in names}}
    for size in SIZES:
        exact = _exact(size * scores, ids)
        single, double = tt.Tensor((size * scores).astype(np.float32)), tt.Tensor(size * scores)
        losses = [_textbook(tt, single, ids), _textbook(tt, double, ids), tt.cross_entropy(single, ids).item()]
        for name, loss in zip(names, losses, strict=True):
            figures[f"error, {name}"].append(abs(loss - exact) / exact)

    print("Cross-entropy of 10 classes: relative error, by the size of the scores\n")
    print(f"{'scores up to':>12}" + "".join(f"{name:>20}" for name in names))
    for i in range(0, len(SIZES), 4):
        print(f"{SIZES[i]:12,.1f}" + "".join(f"{_text(figures[f'error, {name}'][i]):>20}" for name in names))
    print()
    for name in names:
        broken = [size for size, e in zip(SIZES, figures[f"error, {name}"], strict=True) if not np.isfinite(e)]
        figures[f"breaks at, {name}"] = broken[:1]
        print(f"{name}: " + (f"infinite or NaN from scores of {broken[0]:,.1f} on" if broken else "never breaks"))

    one = tt.Tensor([1.0])
    figures["score"] = list(SCORES)
    figures["yes, exact"] = [float(np.log1p(np.exp(-score))) for score in SCORES]
    figures["yes, textbook"] = [abs(tt.log(tt.sigmoid(tt.Tensor([score]))).item()) for score in SCORES]
    figures["yes, yours"] = [tt.binary_cross_entropy_with_logits(tt.Tensor([score]), one).item() for score in SCORES]
    print("\nThe loss of a yes that is right, float32\n")
    print(f"{'score':>6}{'exact':>14}{'-log(sigmoid)':>16}{'yours':>14}")
    for i in range(0, len(SCORES), 2):
        row = [figures[f"yes, {name}"][i] for name in ("exact", "textbook", "yours")]
        print(f"{SCORES[i]:6.0f}{row[0]:14.3e}{row[1]:16.3e}{row[2]:14.3e}")
    print("\nA float32 keeps 24 bits: 1 + exp(-18) is 1 already, and its logarithm 0.")
    _plot(figures, names, folder / "stability.png")
    return figures


def _textbook(tt: Any, logits: Any, ids: Array) -> float:
    """``-log(softmax)`` as it stands in the books, with the learner's operations."""
    e = tt.exp(logits)
    p = e / tt.sum(e, axis=1, keepdims=True)
    picked = p[np.arange(len(ids)), ids]
    return float(-tt.log(picked).mean().item())


def _exact(logits: Array, ids: Array) -> float:
    """The same in float64, with the maximum taken out."""
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return float(-log_p[np.arange(len(ids)), ids].mean())


def _text(error: float) -> str:
    return f"{error:.1e}" if np.isfinite(error) else str(error)


def _plot(figures: dict[str, list[float]], names: list[str], path: Path) -> None:
    """Two panels; says so where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install matplotlib).")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for name, color in zip(names, ("tab:orange", "tab:green", "tab:blue"), strict=True):
        errors = np.maximum(figures[f"error, {name}"], 1e-17)
        left.plot(figures["size"], np.where(np.isfinite(errors), errors, np.nan), marker=".", label=name, color=color)
        for at in figures[f"breaks at, {name}"]:
            left.axvline(at, color=color, linestyle="--", linewidth=1)
            left.annotate(f"breaks at {at:,.0f}", (at, 1e-3), rotation=90, ha="right", va="center", color=color)
    left.set(xscale="log", yscale="log", ylim=(1e-17, 1), xlabel="scores up to", ylabel="relative error")
    left.set_title("Cross-entropy of growing scores")
    left.legend(loc="upper left", fontsize="small")

    shown = {
        name: np.where(np.array(figures[f"yes, {name}"]) > 0, figures[f"yes, {name}"], np.nan)
        for name in ("exact", "textbook", "yours")
    }
    right.plot(figures["score"], shown["exact"], color="gray", linewidth=4, alpha=0.4, label="exact")
    right.plot(figures["score"], shown["textbook"], marker="o", color="tab:orange", label="-log(sigmoid), float32")
    right.plot(figures["score"], shown["yours"], marker=".", color="tab:blue", label="yours, float32")
    right.set(yscale="log", xlabel="score of a right yes", ylabel="loss")
    right.set_title("-log(sigmoid) is 0 from a score of 17 on")
    right.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)
