"""Transforms: each against a loop over images that says what it should do, in every layout and type."""

import pickle

import numpy as np
import pytest

from tt_architectures.transforms import Compose, Cutout, Normalize, RandomCrop, RandomHorizontalFlip, Transform
from tt_foundation import Array, manual_seed

SHAPE = (9, 3, 8, 6)


def images(dtype: str, layout: str, shape: tuple[int, ...] = SHAPE) -> Array:
    x = np.random.default_rng(0).integers(256, size=shape).astype(np.uint8)
    values = x if dtype == "uint8" else (x / 255).astype(dtype)
    if layout == "last":
        return np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if layout == "view":  # every other image of a longer batch, its rows cut from longer ones
        return np.concatenate([values, values], axis=3)[::2, :, :, 1 : 1 + shape[3]]
    return values


def slow_normalize(x: Array, rng: np.random.Generator) -> Array:
    y = x / 255 if x.dtype == np.uint8 else x
    channels = [(y[:, c] - m) / s for c, (m, s) in enumerate(zip([0.4, 0.5, 0.6], [0.2, 0.25, 0.3], strict=True))]
    return np.stack(channels, axis=1).astype(np.float32 if x.dtype == np.uint8 else x.dtype)


def slow_crop(x: Array, rng: np.random.Generator, mode: str = "reflect") -> Array:
    height, width = x.shape[2:]
    down, right = rng.integers(5, size=(2, len(x)))
    padded = np.pad(x, [(0, 0), (0, 0), (2, 2), (2, 2)], mode)
    return np.stack([p[:, i : i + height, j : j + width] for p, i, j in zip(padded, down, right, strict=True)])


def slow_flip(x: Array, rng: np.random.Generator) -> Array:
    is_flipped = rng.random(len(x)) < 0.5
    return np.stack([image[..., ::-1] if f else image for image, f in zip(x, is_flipped, strict=True)])


def slow_cutout(x: Array, rng: np.random.Generator) -> Array:
    out = x.copy()
    middles = zip(rng.integers(x.shape[2], size=len(x)), rng.integers(x.shape[3], size=len(x)), strict=True)
    for image, (i, j) in zip(out, middles, strict=True):
        image[:, max(0, i - 1) : i + 2, max(0, j - 1) : j + 2] = 1
    return out


ROWS = [
    ("Normalize", Normalize([0.4, 0.5, 0.6], [0.2, 0.25, 0.3]), slow_normalize),
    ("RandomCrop reflect", RandomCrop(2), slow_crop),
    ("RandomCrop constant", RandomCrop(2, "constant"), lambda x, rng: slow_crop(x, rng, "constant")),
    ("RandomHorizontalFlip", RandomHorizontalFlip(), slow_flip),
    ("Cutout", Cutout(3, value=1), slow_cutout),
    ("Compose", Compose([RandomCrop(2), RandomHorizontalFlip()]), lambda x, rng: slow_flip(slow_crop(x, rng), rng)),
]


@pytest.mark.parametrize("layout", ["first", "last", "view"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize(("transform", "slow"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_batch_is_what_image_by_image_gives_and_keeps_its_layout(
    transform: Transform, slow: Transform, dtype: str, layout: str
) -> None:
    x = images(dtype, layout)
    before = x.copy()
    y = transform(x, np.random.default_rng(3))
    expected = slow(x, np.random.default_rng(3))
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(x, before)
    assert not np.shares_memory(x, y)
    assert (y.strides[1] < y.strides[3]) == (layout == "last")
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous if layout == "last" else True


@pytest.mark.parametrize("shape", [(0, 3, 8, 6), (1, 1, 3, 3), (2, 1, 8, 6), (2, 4, 5, 1)])
@pytest.mark.parametrize("layout", ["first", "last"])
def test_batches_of_any_size_keep_their_shape(shape: tuple[int, ...], layout: str) -> None:
    rng = np.random.default_rng(0)
    for transform in (
        RandomCrop(2, "constant"),
        RandomHorizontalFlip(),
        Cutout(2),
        Normalize([0] * shape[1], [1] * shape[1]),
    ):
        assert transform(images("float32", layout, shape), rng).shape == shape


def test_a_flip_is_certain_or_never_where_asked() -> None:
    x = images("float32", "last")
    np.testing.assert_array_equal(RandomHorizontalFlip(1)(x), x[..., ::-1])
    np.testing.assert_array_equal(RandomHorizontalFlip(0)(x), x)


def test_every_shift_is_drawn_about_equally_often() -> None:
    x = np.zeros((20000, 1, 5, 5), np.float32)
    x[:, 0, 2, 2] = 1
    y = RandomCrop(1, "constant")(x, np.random.default_rng(0))
    np.testing.assert_allclose(y.mean(axis=0)[0, 1:4, 1:4], 1 / 9, atol=0.01)


def test_without_a_generator_the_process_draws() -> None:
    x = images("float32", "first")
    transform = Compose([RandomCrop(2), RandomHorizontalFlip(), Cutout(2)])
    manual_seed(5)
    first = transform(x)
    manual_seed(5)
    np.testing.assert_array_equal(first, transform(x))
    assert not np.array_equal(first, transform(x))


def test_transforms_pickle_so_that_workers_can_have_them() -> None:
    transform = Compose([RandomCrop(2), Normalize([0.5] * 3, [0.5] * 3)])
    x = images("uint8", "last")
    again = pickle.loads(pickle.dumps(transform))
    np.testing.assert_array_equal(again(x, np.random.default_rng(0)), transform(x, np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normalize([0.5], [0.5, 0.5]), "a mean and a std > 0 of each channel"),
        (lambda: Normalize([0.5], [0]), "a std > 0 of each channel"),
        (lambda: Normalize([], []), "of each channel"),
        (lambda: RandomCrop(-1), "padding >= 0, got -1"),
        (lambda: RandomCrop(1, "edge"), "reflect or constant, got 'edge'"),  # type: ignore[arg-type]
        (lambda: RandomHorizontalFlip(1.5), "0 <= p <= 1, got 1.5"),
        (lambda: Cutout(0), "size >= 1, got 0"),
        (lambda: RandomCrop(6)(images("uint8", "last")), r"RandomCrop\(padding=6\) cannot reflect images of 8 x 6"),
        (lambda: Normalize([0], [1])(images("uint8", "last")), "Normalize of 1 channels got images of shape"),
        (lambda: Cutout(2)(np.zeros((3, 8, 8))), r"needs images of shape \(batch, channels, height, width\), got"),
    ],
)
def test_what_makes_no_sense_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
