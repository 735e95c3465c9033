"""Plots: what the layers of this tier look for, and what they see.

Every function returns a matplotlib Figure, as those of ``tt_foundation.plots``. Needs matplotlib, the extra ``[plot]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_foundation import Array, Module, Tensor, no_grad, observe, plot_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["feature_maps", "plot_attention", "plot_attention_cost", "plot_feature_maps", "plot_filters"]


def feature_maps(model: Module[[Tensor], Tensor], x: Array | Tensor) -> dict[str, Array]:
    """What every layer makes of images, by the layer's path: arrays ``(n, c, h, w)``, in the order they are made.

    Layers whose output is no image are left out. The model is run as it stands, training or not, without gradients.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    maps: dict[str, Array] = {}

    def watch(op: Any, phase: str, inputs: Sequence[Any], params: Mapping[str, Any], output: Any, /) -> None:
        if phase == "scope" and isinstance(output, Tensor) and output.ndim == 4 and id(op) in paths:
            if not any(True for _ in op.named_children()):
                maps[paths[id(op)]] = output.data

    with no_grad(), observe(watch):
        model(x if isinstance(x, Tensor) else Tensor(x))
    return maps


def plot_feature_maps(maps: Array | Tensor, columns: int = 8) -> Figure:
    """The channels of one image, each in its own range of grey: ``(c, h, w)``, or ``(1, c, h, w)``.

    Raises:
        ValueError: another shape, or no channels.
    """
    channels = maps.data if isinstance(maps, Tensor) else np.asarray(maps)
    if channels.ndim == 4 and len(channels) == 1:
        channels = channels[0]
    if channels.ndim != 3:
        raise ValueError(f"feature maps of one image have shape (c, h, w) or (1, c, h, w), got {channels.shape}")
    return plot_images(np.ascontiguousarray(channels), [str(i) for i in range(len(channels))], columns)


def plot_filters(weight: Array | Tensor, columns: int = 8, most: int = 64) -> Figure:
    """The kernels of a convolution, at most ``most``: ``(out, c, kh, kw)``.

    Kernels of three channels are shown in colour, grey being 0; of others, each channel is a grey picture.

    Raises:
        ValueError: another shape, or no kernels.
    """
    kernels = weight.data if isinstance(weight, Tensor) else np.asarray(weight)
    if kernels.ndim != 4:
        raise ValueError(f"kernels have shape (out, c, kh, kw), got {kernels.shape}")
    if kernels.shape[1] == 3:
        largest = np.abs(kernels).max(initial=0) or 1.0
        return plot_images(0.5 + kernels[:most] / (2 * largest), columns=columns)
    return plot_images(kernels.reshape(-1, *kernels.shape[2:])[:most], columns=columns)


def plot_attention(weights: Array | Tensor, tokens: Sequence[str] | None = None, columns: int = 4) -> Figure:
    """Who looks at whom, a picture for each head: ``(heads, q, k)``, or ``(1, heads, q, k)``.

    A row is a query and sums to 1, dark where it looks. See ``attention_maps`` for where to get them.

    Args:
        weights: of one sequence.
        tokens: the text of each key; the queries are the last of them.
        columns: how many pictures stand side by side.

    Raises:
        ValueError: another shape, or not one token for each key.
    """
    maps = weights.data if isinstance(weights, Tensor) else np.asarray(weights)
    if maps.ndim == 4 and len(maps) == 1:
        maps = maps[0]
    if maps.ndim != 3 or not len(maps):
        raise ValueError(f"attention of one sequence has shape (heads, q, k) or (1, heads, q, k), got {maps.shape}")
    queries, keys = maps.shape[1:]
    if tokens is not None and len(tokens) != keys:
        raise ValueError(f"{keys} keys need as many tokens, got {len(tokens)}")
    figure = plot_images(-maps, [f"head {i}" for i in range(len(maps))], min(columns, len(maps)))
    figure.set_size_inches(3 * min(columns, len(maps)), 3.2 * -(-len(maps) // columns))
    if tokens is not None:
        shown = [repr(token)[1:-1] for token in tokens]
        for axes in figure.axes:
            axes.set_axis_on()
            axes.set_xticks(range(keys), shown, rotation=90, fontsize=6)
            axes.set_yticks(range(queries), shown[keys - queries :], fontsize=6)
    return figure


def plot_attention_cost(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Time and memory of attention over the length of a sequence, on scales where a power is a straight line.

    Args:
        rows: of ``name``, ``length``, ``seconds`` and ``peak_bytes``, as ``benchmarks/attention_cost.py`` measures.

    Raises:
        ValueError: there are none.
    """
    if not rows:
        raise ValueError("the cost of attention needs at least one row")
    from matplotlib.figure import Figure  # plot_images says what is missing where it is

    figure = Figure(figsize=(10, 3.8), layout="constrained", dpi=120)
    for i, (key, label) in enumerate([("seconds", "seconds"), ("peak_bytes", "MiB at the peak")]):
        axes = figure.add_subplot(1, 2, i + 1)
        for name in dict.fromkeys(row["name"] for row in rows):
            own = [row for row in rows if row["name"] == name]
            values = [row[key] / (2**20 if key == "peak_bytes" else 1) for row in own]
            axes.loglog([row["length"] for row in own], values, marker="o", markersize=3, label=name)
        axes.set_xlabel("tokens")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure
