"""Report: one HTML file, complete in itself: figures as numbers, tables and pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from tt_foundation import (
    Array,
    Data,
    confusion_matrix,
    describe,
    log_softmax,
    plot_confusion_matrix,
    plot_images,
    plot_learning_curve,
    write_text,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tt_capstone.images import ImageRun
    from tt_capstone.pipeline import Outcome
    from tt_capstone.text import TextRun

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


def write_report(outcome: Outcome, readers: Sequence[ImageRun], data: Data | None, writer: TextRun | None) -> None:
    """Write a run's report to ``outcome.report_path``, whole or not at all.

    For every reader of images: how it learned, what it takes for what, its worst mistakes; for the writer its curve
    and what it wrote; time, memory and the machine.

    Args:
        outcome: what the run came to.
        readers: the trained readers of images.
        data: the images that they were judged with; None where there are no readers.
        writer: the trained writer of text, if there is one.
    """
    page = Environment(
        loader=PackageLoader("tt_capstone.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("report.html")
    write_text(
        outcome.report_path,
        page.render(
            outcome=outcome,
            readers=[_shown(reader, data) for reader in readers if data is not None],
            curve=None if writer is None else _picture(plot_learning_curve(writer.rows)),
            count=0 if data is None else len(data.test_y),
            machine=describe(),
        ),
    )


def _shown(reader: ImageRun, data: Data) -> dict[str, Any]:
    """What the page shows of a reader of images."""
    scores, labels = reader.scores, data.test_y
    worst = _worst(scores, labels, 24)
    titles = [f"{labels[i]}, not {scores[i].argmax()}" for i in worst]
    return {
        "outcome": reader.outcome,
        "summary": reader.summary,
        "curve": _picture(plot_learning_curve(reader.rows)),
        "confusion": _picture(plot_confusion_matrix(confusion_matrix(scores, labels, 10))),
        "mistakes": _picture(plot_images(data.test_x[worst, 0], titles)) if len(worst) else None,
    }
