"""Windows: how often one fits, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from tt_architectures import Window, pair


@pytest.mark.parametrize(
    ("size", "arguments", "output", "padding"),
    [
        ((8, 8), {"kernel_size": 3}, (6, 6), ((0, 0), (0, 0))),
        ((8, 7), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}, (4, 6), ((1, 1), (0, 0))),
        ((8, 8), {"kernel_size": 3, "dilation": 2, "padding": ((2, 1), (0, 3))}, (7, 7), ((2, 1), (0, 3))),
        ((8, 9), {"kernel_size": (4, 3), "padding": "same"}, (8, 9), ((1, 2), (1, 1))),
        ((8, 9), {"kernel_size": 3, "padding": "same", "dilation": 3}, (8, 9), ((3, 3), (3, 3))),
        ((8, 9), {"kernel_size": 3, "padding": "valid", "stride": 3}, (2, 3), ((0, 0), (0, 0))),
        ((5, 5), {"kernel_size": 2, "stride": 2, "ceil_mode": True}, (3, 3), ((0, 1), (0, 1))),
        ((4, 5), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, (3, 3), ((1, 2), (1, 1))),
        ((5, 5), {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True}, (2, 2), ((1, 1), (1, 1))),
    ],
)
def test_a_window_fits_as_often_as_its_numbers_say(size: Any, arguments: Any, output: Any, padding: Any) -> None:
    at = Window.over(size, **arguments)
    assert at.output == output
    assert at.padding == padding


@pytest.mark.parametrize(
    ("size", "arguments", "message"),
    [
        ((8, 8), {"kernel_size": 0}, r"sizes, strides and dilations of at least 1, got \(0, 0\)"),
        ((8, 8), {"kernel_size": 3, "stride": (1, 0)}, r"at least 1"),
        ((8, 8), {"kernel_size": 3, "padding": "same", "stride": 2}, r"with stride 1 only, got \(2, 2\)"),
        ((8, 8), {"kernel_size": 3, "padding": "full"}, r"a number, a pair, 'same' or 'valid', got 'full'"),
        ((8, 8), {"kernel_size": 3, "padding": -1}, r"with padding -1"),
        ((2, 8), {"kernel_size": 3}, r"of \(3, 3\) with dilation \(1, 1\) does not fit an image of \(2, 8\)"),
        ((8, 8), {"kernel_size": (3, 3, 3)}, r"one number or two, got \(3, 3, 3\)"),
    ],
)
def test_a_window_that_cannot_be_is_refused(size: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Window.over(size, **arguments)


def test_one_number_stands_for_both() -> None:
    assert pair(3) == (3, 3)
    assert pair((3, 4)) == (3, 4)


def test_it_counts_the_pixels_that_it_sees() -> None:
    at = Window.over((3, 4), 2, 2, 1, ceil_mode=True)
    assert at.pixels((3, 4), 1, True).tolist() == [[4, 4, 4], [4, 4, 4]]
    assert at.pixels((3, 4), 1, False).tolist() == [[1, 2, 1], [2, 4, 2]]
