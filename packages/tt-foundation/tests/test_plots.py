"""Plots hold what they were given; how they look is for eyes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tt_foundation.plots import plot_confusion_matrix, plot_images, plot_learning_curve
from tt_foundation.tensor import Tensor

ROWS = [
    {"epoch": 1, "loss": 1.0, "val_loss": 1.2, "val_accuracy": 0.5, "lr": 0.1},
    {"epoch": 2, "loss": 0.5, "val_loss": 0.9, "val_accuracy": 0.7, "lr": 0.1},
]


def drawn(figure: Any) -> bytes:
    """The picture itself, which raises what drawing raises."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def test_learning_curve_has_a_line_for_each_loss_and_metric() -> None:
    figure = plot_learning_curve(ROWS)
    lines = {
        line.get_label(): np.asarray(line.get_ydata()).tolist() for axes in figure.axes for line in axes.get_lines()
    }
    assert lines == {"training": [1.0, 0.5], "validation": [1.2, 0.9], "accuracy": [0.5, 0.7]}
    assert drawn(figure).startswith(b"\x89PNG")


def test_learning_curve_without_validation_has_one_panel() -> None:
    figure = plot_learning_curve([{"epoch": 1, "loss": 1.0}])
    assert len(figure.axes) == 1
    drawn(figure)


def test_confusion_matrix_shows_its_counts() -> None:
    figure = plot_confusion_matrix(np.array([[5, 1], [0, 7]]), labels=["cat", "dog"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["5", "1", "7"]
    drawn(figure)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((5, 8, 8)),
        np.zeros((5, 1, 8, 8), np.float32),
        Tensor(np.random.default_rng(0).random((5, 3, 8, 6))),
        np.full((5, 3, 8, 8), 200, np.uint8),
    ],
    ids=["grey", "one channel", "colour", "bytes"],
)
def test_image_grid_has_a_panel_for_each_image(images: Any) -> None:
    figure = plot_images(images, titles=[f"{i}" for i in range(5)], columns=3)
    assert [axes.get_title() for axes in figure.axes] == ["0", "1", "2", "3", "4"]
    drawn(figure)


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: plot_learning_curve([]), "at least one epoch"),
    (lambda: plot_confusion_matrix(np.zeros((2, 3))), r"square, got shape \(2, 3\)"),
    (lambda: plot_confusion_matrix(np.zeros((2, 2)), ["a"]), "as many labels, got 1"),
    (lambda: plot_images(np.zeros((2, 4, 8, 8))), r"got \(2, 4, 8, 8\)"),
    (lambda: plot_images(np.zeros((0, 8, 8))), "got 0"),
    (lambda: plot_images(np.zeros((2, 8, 8)), ["a"]), "as many titles, got 1"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_what_does_not_fit_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
