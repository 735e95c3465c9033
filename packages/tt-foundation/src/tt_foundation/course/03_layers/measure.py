"""Measures the memory that training one model takes: parameters, activations and gradients, in bytes.

The learner's own layers say how large their parameters are, and an observer sees how large each output is. A gradient
has the size of what it belongs to. Takes about a second.
"""

import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (784, 512, 512, 10)
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
SHOWN = 64


def main(tt: Any, folder: Path) -> dict[str, list[float]]:
    """Print the tables, write ``memory.png`` into ``folder``, and give the figures."""
    layers = []
    for inputs, outputs in pairwise(SIZES):
        layers += [tt.Linear(inputs, outputs), tt.ReLU()]
    model = tt.Sequential(layers[:-1])

    print(f"A network of {' - '.join(map(str, SIZES))}, float32, a batch of {SHOWN}\n")
    print(f"{'layer':18}{'parameters':>12}{'bytes':>12}{'gradients':>12}{'output, bytes':>15}")
    for layer, output_bytes in _outputs(tt, model, SHOWN):
        count = sum(p.size for p in layer.parameters())
        nbytes = sum(p.nbytes for p in layer.parameters())
        print(f"{layer!r:18}{count:12,}{nbytes:12,}{nbytes:12,}{output_bytes:15,}")

    parameters = float(sum(p.nbytes for p in model.parameters()))
    activations = [float(sum(size for _, size in _outputs(tt, model, batch))) for batch in BATCHES]
    each = activations[-1] / BATCHES[-1]
    crossing = 2 * parameters / each
    print(f"\nparameters {parameters:,.0f} bytes, and as much again for their gradients, whatever the batch")
    print(f"activations {each:,.0f} bytes for each example: as much as both at a batch of {crossing:,.0f}\n")
    print(f"{'batch':>6}{'activations, bytes':>20}{'held, measured':>17}")
    held = [float(_held_bytes(tt, model, batch)) for batch in BATCHES]
    for batch, expected, measured in zip(BATCHES, activations, held, strict=True):
        print(f"{batch:6}{expected:20,.0f}{measured:17,.0f}")
    print(
        "\nTraining holds every output until the backward pass has used it. In use, each may go when the next is there."
    )

    figures = {
        "batch": [float(batch) for batch in BATCHES],
        "parameter_bytes": [parameters],
        "gradient_bytes": [parameters],
        "activation_bytes": activations,
        "held_bytes": held,
        "crossing_batch": [crossing],
    }
    _plot(figures, folder / "memory.png")
    return figures


def _outputs(tt: Any, model: Any, batch: int) -> list[tuple[Any, int]]:
    """Every layer that is no container, with the bytes of what it gives for a batch of zeros."""
    seen: list[tuple[Any, int]] = []

    def watch(op: Any, phase: str, inputs: Any, params: Any, output: Any) -> None:
        if phase == "scope" and output is not None and not list(op.named_children()):
            seen.append((op, output.nbytes))

    with tt.observe(watch):
        model(tt.Tensor(np.zeros((batch, SIZES[0]), np.float32)))
    return seen


def _held_bytes(tt: Any, model: Any, batch: int) -> int:
    """The memory that a forward pass holds if it keeps every output, as Python's own count has it."""
    x = tt.Tensor(np.zeros((batch, SIZES[0]), np.float32))
    tracemalloc.start()
    kept = [x]
    for layer in model:
        kept.append(layer(kept[-1]))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held


def _plot(figures: dict[str, list[float]], path: Path) -> None:
    """Bytes against the batch; says so where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install matplotlib).")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    mib = 2.0**20
    names = [f"{batch:.0f}" for batch in figures["batch"]]
    parameters = [figures["parameter_bytes"][0] / mib] * len(names)
    activations = [nbytes / mib for nbytes in figures["activation_bytes"]]
    network, crossing = " - ".join(map(str, SIZES)), figures["crossing_batch"][0]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.bar(names, parameters, label="parameters")
    axes.bar(names, parameters, bottom=parameters, label="their gradients")
    bars = axes.bar(names, activations, bottom=[2 * p for p in parameters], label="activations")
    axes.bar_label(bars, [f"{2 * p + a:.1f}" for p, a in zip(parameters, activations, strict=True)], padding=2)
    axes.margins(y=0.1)
    axes.legend(loc="upper left")
    axes.set(
        title=f"Training {network}: activations overtake at a batch of {crossing:.0f}",
        xlabel="batch",
        ylabel="memory, MiB",
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)
