"""Report: one HTML file, complete in itself: figures as numbers, tables and pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from tt_foundation import (
    Array,
    describe,
    log_softmax,
    plot_confusion_matrix,
    plot_images,
    plot_learning_curve,
    write_text,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_report"]


def _picture(figure: Figure) -> str:
    """A figure as the address of an image that is in the page itself."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _worst(scores: Array, labels: Array, count: int) -> Array:
    """The mistakes in which the right class was given least, worst first."""
    at_label = log_softmax(scores, axis=1)[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(scores.argmax(axis=1) != labels)
    return wrong[np.argsort(at_label[wrong], kind="stable")[:count]]


def write_report(
    path: str,
    *,
    title: str,
    outcome: Mapping[str, Any],
    summary: str,
    rows: Sequence[Mapping[str, float]],
    matrix: Array,
    images: Array,
    scores: Array,
    labels: Array,
) -> None:
    """Write a run's report: how it learned, what it takes for what, its worst mistakes, time and memory.

    Args:
        path: of the HTML file, written whole or not at all.
        title: the heading.
        outcome: what the run came to (see ``pipeline.Outcome``).
        summary: the model's table.
        rows: of the epochs.
        matrix: the confusion matrix, ``(classes, classes)``.
        images: the test images, ``(n, height, width)``.
        scores: the model's, ``(n, classes)``.
        labels: the right classes, ``(n,)``.
    """
    worst = _worst(scores, labels, 24)
    titles = [f"{labels[i]}, not {scores[i].argmax()}" for i in worst]
    page = Environment(
        loader=PackageLoader("tt_capstone.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("report.html")
    write_text(
        path,
        page.render(
            title=title,
            outcome=outcome,
            summary=summary,
            machine=describe(),
            curve=_picture(plot_learning_curve(rows)),
            confusion=_picture(plot_confusion_matrix(matrix)),
            mistakes=_picture(plot_images(images[worst], titles)) if len(worst) else None,
            count=len(labels),
        ),
    )
