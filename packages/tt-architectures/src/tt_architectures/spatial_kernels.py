"""Spatial kernels: convolutions and pools for the ``numpy`` backend, block by block.

What a window sees at every place is up to ``kh kw`` times as large as the image. It is laid out here for a few images,
or a few rows of one, at a time, in memory that is used again and stays in the second-level cache; BLAS multiplies it
from there. Threads share the images. Knows ``spatial``; nothing imports a name from here.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from tt_architectures.spatial import (
    avg_pool2d,
    conv2d,
    conv2d_input_gradient,
    conv2d_weight_gradient,
    max_pool2d,
)
from tt_architectures.window import Padding, Size, Window, pair
from tt_foundation import Array, kernel, matrix_product, parallel_blocks

__all__: list[str] = []

_BLOCK = 131_072
"""The most elements laid out at a time, 512 KiB of float32: half of a second-level cache."""

_PER_THREAD = 65_536
"""The fewest elements that are worth waking another thread for."""


class _Scratch(threading.local):
    """Each thread's memory for what is passing, kept between calls: fresh memory would be paged in every time."""

    def __init__(self) -> None:
        self.memory: dict[np.dtype[Any], Array] = {}

    def arrays(self, dtype: np.dtype[Any], *shapes: tuple[int, ...]) -> list[Array]:
        """Arrays of these shapes, side by side; what is in them is left over from before."""
        sizes = [math.prod(shape) for shape in shapes]
        if dtype not in self.memory or self.memory[dtype].size < sum(sizes):
            self.memory[dtype] = np.empty(sum(sizes), dtype)
        memory, at = self.memory[dtype], 0
        views = []
        for shape, size in zip(shapes, sizes, strict=True):
            views.append(memory[at : at + size].reshape(shape))
            at += size
        return views


_scratch = _Scratch()


def _is_plain(*arrays: Array | None) -> bool:
    """Whether all are real numbers of one type, and there are some of each."""
    given = [a for a in arrays if a is not None]
    return given[0].dtype in (np.float32, np.float64) and all(a.dtype == given[0].dtype and a.size > 0 for a in given)


def _over_images(run: Any, count: int, each: int) -> None:
    """Call ``run(start, stop)`` over ``count`` images of ``each`` elements, on all threads if it pays."""
    parallel_blocks(run, count, min_block=max(1, _PER_THREAD // max(each, 1)))


def _pixels(x: Array) -> Array:
    """An image with its channels at the end, and in memory so: ``(n, c, h, w) -> (n, h, w, c)``."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def _framed(frame: Array, at: Window, size: tuple[int, ...], fill: float) -> Array:
    """The inside of ``frame``, ``(images, *size, c)``, whose padding is set to ``fill``."""
    (top, _), (left, _) = at.padding
    bottom, right = top + size[0], left + size[1]
    frame[:, :top], frame[:, bottom:] = fill, fill
    frame[:, top:bottom, :left], frame[:, top:bottom, right:] = fill, fill
    return frame[:, top:bottom, left:right]


def _frame(count: int, pixels: Array, at: Window) -> tuple[int, ...]:
    """The shape of ``count`` images with their padding."""
    _, h, w, c = pixels.shape
    (top, bottom), (left, right) = at.padding
    return count, h + top + bottom, w + left + right, c


def _column_blocks(pixels: Array, at: Window, start: int, stop: int) -> Iterator[tuple[Array, slice, slice]]:
    """What the window sees in images ``start`` to ``stop``, in blocks: (a row for each place, images, rows of output).

    Each block is overwritten by the next.
    """
    c = pixels.shape[3]
    if at.kernel == (1, 1) and at.stride == (1, 1) and not np.any(at.padding):
        yield pixels[start:stop].reshape(-1, c), slice(start, stop), slice(None)
        return
    (kernel_h, kernel_w), (out_h, out_w) = at.kernel, at.output
    row = out_w * kernel_h * kernel_w * c
    images = max(1, min(stop - start, _BLOCK // (out_h * row)))
    rows = out_h if images > 1 else max(1, min(out_h, _BLOCK // row))
    frame, columns = _scratch.arrays(
        pixels.dtype, _frame(images, pixels, at), (images, rows, out_w, kernel_h, kernel_w, c)
    )
    inside = _framed(frame, at, pixels.shape[1:3], 0)
    s = frame.strides
    seen = np.lib.stride_tricks.as_strided(
        frame,
        (images, out_h, out_w, kernel_h, kernel_w, c),
        (s[0], s[1] * at.stride[0], s[2] * at.stride[1], s[1] * at.dilation[0], s[2] * at.dilation[1], s[3]),
    )
    for i in range(start, stop, images):
        count = min(images, stop - i)
        inside[:count] = pixels[i : i + count]
        for r in range(0, out_h, rows):
            height = min(rows, out_h - r)
            block = columns[:count, :height]
            np.copyto(block, seen[:count, r : r + height])
            yield block.reshape(count * height * out_w, -1), slice(i, i + count), slice(r, r + height)


def _convolved(pixels: Array, matrix: Array, at: Window, bias: Array | None = None) -> Array:
    """Images times a matrix of kernels: ``(n, h, w, c), (kh kw c, out) -> (n, h', w', out)``."""
    out = np.empty((len(pixels), *at.output, matrix.shape[1]), pixels.dtype)

    def run(start: int, stop: int) -> None:
        for columns, images, rows in _column_blocks(pixels, at, start, stop):
            part = out[images, rows].reshape(len(columns), -1)
            matrix_product(columns, matrix, part)
            if bias is not None:
                part += bias

    _over_images(run, len(pixels), math.prod(at.output) * matrix.shape[0])
    return out


@kernel(conv2d, "numpy")
def conv2d_in_blocks(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Any:
    """A product of matrices for each block."""
    if groups != 1 or x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1]:
        return NotImplemented
    if not _is_plain(x, weight, bias):
        return NotImplemented
    at = Window.over(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    matrix = weight.transpose(2, 3, 1, 0).reshape(-1, len(weight))  # (kh kw c, out)
    return np.moveaxis(_convolved(_pixels(x), matrix, at, bias), -1, 1)


@kernel(conv2d_input_gradient, "numpy")
def conv2d_input_gradient_in_blocks(
    y: Array, weight: Array, *, size: tuple[int, ...], at: Window, groups: int = 1
) -> Any:
    """A convolution with the kernels turned around where the window moves by 1; else sent back block by block."""
    if groups != 1 or not _is_plain(y, weight):
        return NotImplemented
    out, c = weight.shape[:2]
    pixels = _pixels(y)
    back = tuple(
        (d * (k - 1) - before, d * (k - 1) - after)
        for (before, after), k, d in zip(at.padding, at.kernel, at.dilation, strict=True)
    )
    if at.stride == (1, 1) and min(min(side) for side in back) >= 0:
        matrix = weight[:, :, ::-1, ::-1].transpose(2, 3, 0, 1).reshape(-1, c)  # (kh kw out, c)
        turned = Window.over(at.output, at.kernel, 1, (back[0], back[1]), at.dilation)
        return np.moveaxis(_convolved(pixels, matrix, turned), -1, 1)
    matrix = weight.transpose(0, 2, 3, 1).reshape(out, -1)  # (out, kh kw c)
    x = np.empty((len(y), *size, c), y.dtype)
    each = math.prod(at.output) * matrix.shape[1]
    step = max(1, _BLOCK // each)

    def run(start: int, stop: int) -> None:
        frame, values = _scratch.arrays(y.dtype, _frame(step, x, at), (step * math.prod(at.output), matrix.shape[1]))
        (top, _), (left, _) = at.padding
        for i in range(start, stop, step):
            count = min(step, stop - i)
            rows = values[: count * math.prod(at.output)]
            matrix_product(pixels[i : i + count].reshape(-1, out), matrix, rows)
            sent = rows.reshape(count, *at.output, *at.kernel, c)
            frame[:count] = 0
            for tap, part in _taps(frame[:count], at):
                part += sent[:, :, :, tap // at.kernel[1], tap % at.kernel[1]]
            x[i : i + count] = frame[:count, top : top + size[0], left : left + size[1]]

    _over_images(run, len(y), each)
    return np.moveaxis(x, -1, 1)


@kernel(conv2d_weight_gradient, "numpy")
def conv2d_weight_gradient_in_blocks(y: Array, x: Array, *, at: Window, groups: int = 1) -> Any:
    """A sum of products of matrices, each thread's on its own, added in their order."""
    if groups != 1 or not _is_plain(y, x):
        return NotImplemented
    pixels, wanted = _pixels(x), _pixels(y)
    out, c = y.shape[1], x.shape[1]
    totals: dict[int, Array] = {}

    def run(start: int, stop: int) -> None:
        total = np.zeros((math.prod(at.kernel) * c, out), x.dtype)
        part = np.empty_like(total)
        for columns, images, rows in _column_blocks(pixels, at, start, stop):
            total += matrix_product(columns.T, wanted[images, rows].reshape(len(columns), out), part)
        totals[start] = total

    _over_images(run, len(x), math.prod(at.output) * math.prod(at.kernel) * c)
    first, *rest = (totals[start] for start in sorted(totals))
    for total in rest:
        first += total
    return np.ascontiguousarray(first.reshape(*at.kernel, c, out).transpose(3, 2, 0, 1))


def _taps(frame: Array, at: Window) -> Iterator[tuple[int, Array]]:
    """For each place within the window, what it sees there everywhere: (place, ``(n, h', w', c)``, a view)."""
    (down, right), (gap_h, gap_w), (out_h, out_w) = at.stride, at.dilation, at.output
    for i in range(at.kernel[0]):
        for j in range(at.kernel[1]):
            rows = slice(i * gap_h, i * gap_h + down * (out_h - 1) + 1, down)
            columns = slice(j * gap_w, j * gap_w + right * (out_w - 1) + 1, right)
            yield i * at.kernel[1] + j, frame[:, rows, columns]


def _frames(pixels: Array, at: Window, start: int, stop: int, fill: float) -> Iterator[tuple[Array, slice]]:
    """Images ``start`` to ``stop`` with their padding, a few at a time: ``(count, h + padding, w + padding, c)``."""
    step = max(1, min(stop - start, _BLOCK // math.prod(pixels.shape[1:])))
    if not np.any(at.padding):
        for i in range(start, stop, step):
            yield pixels[i : min(i + step, stop)], slice(i, min(i + step, stop))
        return
    (frame,) = _scratch.arrays(pixels.dtype, _frame(step, pixels, at))
    inside = _framed(frame, at, pixels.shape[1:3], fill)
    for i in range(start, stop, step):
        count = min(step, stop - i)
        inside[:count] = pixels[i : i + count]
        yield frame[:count], slice(i, i + count)


@kernel(max_pool2d, "numpy")
def max_pool2d_in_blocks(
    x: Array,
    *,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest so far, place by place of the window; keeps which place it was, a byte each."""
    if x.ndim != 4 or not _is_plain(x) or math.prod(pair(kernel_size)) > 255:
        return NotImplemented
    if any(2 * p > k for p, k in zip(pair(padding), pair(kernel_size), strict=True)):
        return NotImplemented
    at = Window.over(
        x.shape[2:], kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode=ceil_mode
    )
    pixels = _pixels(x)
    out = np.empty((len(x), *at.output, x.shape[1]), x.dtype)
    places = np.zeros(out.shape, np.uint8)

    def run(start: int, stop: int) -> None:
        for frame, images in _frames(pixels, at, start, stop, -math.inf):
            best, place = out[images], places[images]
            is_better = np.empty(best.shape, bool)
            for tap, seen in _taps(frame, at):
                if tap == 0:
                    best[...] = seen
                    continue
                np.greater(seen, best, out=is_better)
                np.maximum(best, seen, out=best)
                np.maximum(place, np.multiply(is_better.view(np.uint8), np.uint8(tap)), out=place)

    _over_images(run, len(x), math.prod(x.shape[1:]))
    return np.moveaxis(out, -1, 1), (places, at, pixels.shape)


@max_pool2d_in_blocks.gradient
def max_pool2d_gradient(g: Array, saved: tuple[Array, Window, tuple[int, ...]]) -> tuple[Array]:
    places, at, shape = saved
    wanted = _pixels(g)

    def send(sent: Array, images: slice, tap: int, part: Array, is_first: bool) -> None:
        is_best = places[images] == tap
        if is_first:
            np.multiply(wanted[images], is_best, out=part)
        else:
            part += np.multiply(wanted[images], is_best, out=sent)

    return (_sent_back(shape, wanted, at, send),)


def _sent_back(shape: tuple[int, ...], wanted: Array, at: Window, send: Any) -> Array:
    """What ``send(scratch, images, tap, part, is_first)`` puts into each place of the windows, added up: an image."""
    n, h, w, c = shape
    x = np.empty(shape, wanted.dtype)
    (top, _), (left, _) = at.padding
    is_tiling = at.kernel == at.stride and at.dilation == (1, 1)
    is_tiling = is_tiling and (h, w) == (at.output[0] * at.kernel[0], at.output[1] * at.kernel[1])
    step = max(1, min(n, _BLOCK // (h * w * c)))

    def run(start: int, stop: int) -> None:
        sent = np.empty((step, *wanted.shape[1:]), wanted.dtype)
        frame = x if is_tiling else np.empty(_frame(step, x, at), x.dtype)
        for i in range(start, stop, step):
            count = min(step, stop - i)
            images = slice(i, i + count)
            part = x[images] if is_tiling else frame[:count]
            if not is_tiling:
                part[...] = 0
            for tap, seen in _taps(part, at):
                send(sent[:count], images, tap, seen, is_tiling)
            if not is_tiling:
                x[images] = part[:, top : top + h, left : left + w]

    _over_images(run, n, h * w * c)
    return np.moveaxis(x, -1, 1)


@kernel(avg_pool2d, "numpy")
def avg_pool2d_in_blocks(
    x: Array,
    *,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Sums place by place of the window; keeps what they were divided by."""
    if x.ndim != 4 or not _is_plain(x) or divisor_override == 0:
        return NotImplemented
    if any(2 * p > k for p, k in zip(pair(padding), pair(kernel_size), strict=True)):
        return NotImplemented
    at = Window.over(x.shape[2:], kernel_size, kernel_size if stride is None else stride, padding, ceil_mode=ceil_mode)
    counts = at.pixels(x.shape[2:], padding, count_include_pad)
    share = (1 / (counts if divisor_override is None else np.full(at.output, divisor_override))).astype(x.dtype)
    share = share[:, :, None]  # (h', w', 1)
    pixels = _pixels(x)
    out = np.empty((len(x), *at.output, x.shape[1]), x.dtype)

    def run(start: int, stop: int) -> None:
        for frame, images in _frames(pixels, at, start, stop, 0):
            total = out[images]
            for tap, seen in _taps(frame, at):
                if tap == 0:
                    total[...] = seen
                else:
                    total += seen
            total *= share

    _over_images(run, len(x), math.prod(x.shape[1:]))
    return np.moveaxis(out, -1, 1), (share, at, pixels.shape)


@avg_pool2d_in_blocks.gradient
def avg_pool2d_gradient(g: Array, saved: tuple[Array, Window, tuple[int, ...]]) -> tuple[Array]:
    share, at, shape = saved
    wanted = _pixels(g) * share

    def send(sent: Array, images: slice, tap: int, part: Array, is_first: bool) -> None:
        if is_first:
            part[...] = wanted[images]
        else:
            part += wanted[images]

    return (_sent_back(shape, wanted, at, send),)
