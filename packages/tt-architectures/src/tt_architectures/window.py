"""Windows: how a small rectangle moves over an image.

All that kernels, strides, paddings and dilations say of sizes is worked out here once; convolutions and pools ask.
Knows sizes; knows nothing of what is in an image.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from tt_foundation import Array

__all__ = ["Padding", "Size", "Window", "pair"]

Size: TypeAlias = int | tuple[int, ...]
"""A height and a width, or one number for both."""

Padding: TypeAlias = Size | tuple[tuple[int, int], tuple[int, int]] | Literal["same", "valid"]
"""How many zeros are put around an image (above and below, left and right; or each of these as a pair), none
(``"valid"``), or as many as keep its size (``"same"``)."""


def pair(size: Size) -> tuple[int, int]:
    """A height and a width, given as one number or two.

    Raises:
        ValueError: there are more or fewer.
    """
    if isinstance(size, int):
        return size, size
    if len(size) != 2:
        raise ValueError(f"a size is one number or two, got {size}")
    return size[0], size[1]


class Window(NamedTuple):
    """How a window moves over an image: rows first, columns second."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    output: tuple[int, int]

    @staticmethod
    def over(
        size: tuple[int, ...],
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        *,
        ceil_mode: bool = False,
    ) -> Window:
        """The window over an image of height and width ``size``; it fits ``output`` times down and across.

        Where ``ceil_mode``, a last window may hang over the edge, if it begins inside.

        Raises:
            ValueError: a number is too small, ``"same"`` is asked of a stride above 1, or the window fits nowhere.
        """
        kernel, steps, gaps = pair(kernel_size), pair(stride), pair(dilation)
        if min(*kernel, *steps, *gaps) < 1:
            raise ValueError(
                f"a window needs sizes, strides and dilations of at least 1, got {kernel}, {steps}, {gaps}"
            )
        if padding == "same" and steps != (1, 1):
            raise ValueError(f"padding='same' keeps an image's size with stride 1 only, got {steps}")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"padding is a number, a pair, 'same' or 'valid', got {padding!r}")
        widths, output = [], []
        for axis, (n, k, s, d) in enumerate(zip(size, kernel, steps, gaps, strict=True)):
            span = d * (k - 1) + 1
            if isinstance(padding, str):
                total = span - 1 if padding == "same" else 0
                before, after = total // 2, total - total // 2
            else:
                width = padding if isinstance(padding, int) else padding[axis]
                before, after = pair(width)
            room = n + before + after - span
            if min(before, after, room) < 0:
                raise ValueError(
                    f"a window of {kernel} with dilation {gaps} does not fit an image of {tuple(size)} "
                    f"with padding {padding!r}"
                )
            count = room // s + 1
            if ceil_mode and room % s and count * s < n + before:
                count += 1
                after += s - room % s
            widths.append((before, after))
            output.append(count)
        return Window(kernel, steps, (widths[0], widths[1]), gaps, (output[0], output[1]))

    def pixels(self, size: tuple[int, ...], padding: Size, include_pad: bool) -> Array:
        """How many pixels it sees at each place, those of the padding among them or not: ``(h', w')``."""
        sides = []
        for k, s, p, n, count in zip(self.kernel, self.stride, pair(padding), size, self.output, strict=True):
            starts = np.arange(count) * s - p
            stops = np.minimum(starts + k, n + p)
            sides.append(stops - starts if include_pad else np.minimum(stops, n) - np.maximum(starts, 0))
        return np.outer(*sides)
