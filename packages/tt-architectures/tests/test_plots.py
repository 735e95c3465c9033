"""Plots: what is drawn, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tt_architectures import (
    Conv2d,
    LeNet5,
    MaxPool2d,
    feature_maps,
    plot_attention,
    plot_attention_cost,
    plot_feature_maps,
    plot_filters,
)
from tt_foundation import ReLU, Sequential


def test_feature_maps_are_what_every_layer_makes_of_the_images() -> None:
    rng = np.random.default_rng(0)
    model = Sequential(Conv2d(3, 4, 3, padding=1), ReLU(), MaxPool2d(2))
    x = rng.normal(size=(2, 3, 6, 6)).astype(np.float32)
    maps = feature_maps(model, x)
    assert [*maps] == ["layers.0", "layers.1", "layers.2"]
    assert maps["layers.2"].shape == (2, 4, 3, 3)
    np.testing.assert_array_equal(maps["layers.1"], np.maximum(maps["layers.0"], 0))
    names = [*feature_maps(LeNet5(), np.zeros((1, 1, 28, 28), np.float32))]
    assert names == [f"features.layers.{i}" for i in range(6)]


def test_every_channel_gets_a_picture() -> None:
    maps = np.random.default_rng(0).normal(size=(1, 5, 6, 7))
    figure = plot_feature_maps(maps, columns=3)
    assert len(figure.axes) == 5
    assert figure.axes[4].get_title() == "4"
    np.testing.assert_array_equal(figure.axes[4].images[0].get_array(), maps[0, 4])


def test_kernels_of_three_channels_are_in_colour_around_grey() -> None:
    weight = np.zeros((4, 3, 5, 5))
    weight[1, 0], weight[2, 1] = 2, -2
    figure = plot_filters(weight)
    pictures: Any = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert len(pictures) == 4
    np.testing.assert_array_equal(pictures[0], np.full((5, 5, 3), 0.5))
    np.testing.assert_array_equal(pictures[1][0, 0], [1, 0.5, 0.5])
    np.testing.assert_array_equal(pictures[2][0, 0], [0.5, 0, 0.5])


def test_other_kernels_are_drawn_channel_by_channel_up_to_a_number() -> None:
    layer = Conv2d(2, 6, 3)
    assert len(plot_filters(layer.weight).axes) == 12
    assert len(plot_filters(layer.weight, most=5).axes) == 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_feature_maps(np.zeros((2, 3, 4, 4))), r"\(c, h, w\) or \(1, c, h, w\), got \(2, 3, 4, 4\)"),
        (lambda: plot_filters(np.zeros((3, 4))), r"\(out, c, kh, kw\), got \(3, 4\)"),
    ],
)
def test_what_is_no_picture_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_each_head_gets_a_picture_with_its_tokens_beside() -> None:
    maps = np.random.default_rng(0).random((1, 3, 2, 4))
    figure = plot_attention(maps, ["a", "b", "\n", "d"])
    assert [axes.get_title() for axes in figure.axes] == ["head 0", "head 1", "head 2"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["a", "b", "\\n", "d"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["\\n", "d"]
    np.testing.assert_array_equal(figure.axes[2].images[0].get_array(), -maps[0, 2])
    assert len(plot_attention(maps[0]).axes) == 3


def test_the_cost_is_drawn_in_time_and_bytes() -> None:
    rows = [{"name": name, "length": n, "seconds": n, "peak_bytes": n * 2**20} for name in "ab" for n in (8, 16)]
    figure = plot_attention_cost(rows)
    assert [axes.get_ylabel() for axes in figure.axes] == ["seconds", "MiB at the peak"]
    assert [line.get_label() for line in figure.axes[1].lines] == ["a", "b"]
    assert figure.axes[1].lines[0].get_ydata().tolist() == [8, 16]  # type: ignore[union-attr]


def test_attention_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(2, 3, 4, 4\)"):
        plot_attention(np.zeros((2, 3, 4, 4)))
    with pytest.raises(ValueError, match="4 keys need as many tokens, got 2"):
        plot_attention(np.zeros((3, 4, 4)), ["a", "b"])
    with pytest.raises(ValueError, match="at least one row"):
        plot_attention_cost([])
