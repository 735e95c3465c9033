"""Plots: training and its results as pictures.

Every function returns a matplotlib Figure of its own, which no window manager knows of: show it in a notebook or
``figure.savefig(path)``. Needs matplotlib, the extra ``[plot]``. Knows numbers and images; knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_foundation.primitive import Array
from tt_foundation.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_confusion_matrix", "plot_images", "plot_learning_curve"]


def plot_learning_curve(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Loss over epochs, training and validation; beside it, where there are any, the validation metrics.

    Args:
        rows: of epochs, as ``Trainer.history.rows``.

    Raises:
        ValueError: there are none.
    """
    if not rows:
        raise ValueError("a learning curve needs at least one epoch")
    metrics = [n for n in dict.fromkeys(n for r in rows for n in r) if n.startswith("val_") and n != "val_loss"]
    from matplotlib.ticker import MaxNLocator

    panels = [{"loss": "training", "val_loss": "validation"}]
    if metrics:
        panels.append({name: name.removeprefix("val_") for name in metrics})
    figure = _figure(5.2 * len(panels), 3.6)
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), i + 1)
        for name, label in panel.items():
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
        axes.set_xlabel("epoch")
        axes.set_ylabel("validation" if i else "loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def plot_confusion_matrix(matrix: Array, labels: Sequence[str] | None = None) -> Figure:
    """A confusion matrix, each row coloured by its shares, with its counts: ``(classes, classes)``.

    Raises:
        ValueError: the matrix is not square, or there is not one label for each class.
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"a confusion matrix is square, got shape {counts.shape}")
    names = [str(i) for i in range(len(counts))] if labels is None else list(labels)
    if len(names) != len(counts):
        raise ValueError(f"{len(counts)} classes need as many labels, got {len(names)}")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(3.6, 0.45 * len(counts) + 1.6)
    figure = _figure(side + 0.8, side)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the row", shrink=0.8)
    if len(counts) <= 30:
        for (i, j), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[i, j] > 0.5 else "black"
                axes.text(j, i, str(count), ha="center", va="center", color=colour, fontsize=8)
        axes.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names), default=0) < 4 else 90)
        axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return figure


def plot_images(images: Array | Tensor, titles: Sequence[str] | None = None, columns: int = 8) -> Figure:
    """A grid of images: ``(n, height, width)``, or ``(n, channels, height, width)`` with 1 or 3 channels.

    Grey images each get their full range of grey; colours are shown as they are, bytes or 0 to 1.

    Raises:
        ValueError: no images, another shape, or not one title for each.
    """
    pictures: Any = images.data if isinstance(images, Tensor) else np.asarray(images)
    if pictures.ndim == 4 and pictures.shape[1] == 1:
        pictures = pictures[:, 0]
    if pictures.ndim == 4 and pictures.shape[1] == 3:
        pictures = np.moveaxis(pictures, 1, -1)  # (n, 3, height, width) -> (n, height, width, 3)
    elif pictures.ndim != 3:
        raise ValueError(f"images need shape (n, height, width) or (n, 1 or 3, height, width), got {pictures.shape}")
    if not len(pictures) or columns < 1:
        raise ValueError(f"a grid needs images and columns, got {len(pictures)} and {columns}")
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f"{len(pictures)} images need as many titles, got {len(titles)}")
    if pictures.ndim == 4 and pictures.dtype.kind == "f":
        pictures = np.clip(pictures, 0, 1)
    columns = min(columns, len(pictures))
    lines = -(-len(pictures) // columns)
    figure = _figure(1.3 * columns, (1.65 if titles else 1.3) * lines)
    for i, picture in enumerate(pictures):
        axes = figure.add_subplot(lines, columns, i + 1)
        axes.imshow(picture, cmap="gray", interpolation="nearest")
        axes.set_axis_off()
        if titles is not None:
            axes.set_title(titles[i], fontsize=8)
    return figure


def _figure(width: float, height: float) -> Figure:
    """An empty figure, inches wide and high.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install tt-foundation[plot]") from error
    return Figure(figsize=(width, height), layout="constrained", dpi=120)
