"""CIFAR's files: read as they are, and whatever else they may hold, nothing in them is executed."""

import os
import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tt_architectures.cifar import parse_cifar, read_cifar
from tt_foundation import Array, DatasetError

many = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

PIXELS = np.random.default_rng(0).integers(256, size=(3, 3072)).astype(np.uint8)
LABELS = [3, 9, 0]


def batch_file(pixels: Array = PIXELS, labels: list[int] | None = None) -> bytes:
    """A batch as Python 2 pickled it, instruction by instruction as in the files there are."""
    labels = LABELS if labels is None else labels
    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    names = b"".join(b"U\x05a.png" + b"q\x13" for _ in labels)
    return (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05("
        + numbers
        + b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09"
        + b"(K\x01M"
        + struct.pack("<H", len(pixels))
        + b"M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b"
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", pixels.size)
        + pixels.tobytes()
        + b"r\x00\x01\x00\x00tbU\x09filenamesq\x0c]q\x0d("
        + names
        + b"eu."
    )


GOOD = batch_file()
START = GOOD.index(PIXELS.tobytes())


def is_refused(content: bytes) -> bool:
    """Whether it is; either way it costs little memory and whatever is accepted is a batch."""
    tracemalloc.start()
    try:
        images, labels = parse_cifar(content, "name")
    except DatasetError as error:
        assert str(error).startswith("name is no batch of CIFAR-10: ")
        return True
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4_000_000
    assert (images.shape[1:], images.dtype, labels.dtype) == ((3, 32, 32), np.uint8, np.int64)
    assert len(images) == len(labels)
    assert labels.min() >= 0
    assert labels.max() <= 9
    return False


def test_a_batch_is_read_with_its_channels_last_in_memory(tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(GOOD)
    images, labels = read_cifar(tmp_path / "batch")
    np.testing.assert_array_equal(images, PIXELS.reshape(3, 3, 32, 32))
    assert labels.tolist() == LABELS
    assert images.transpose(0, 2, 3, 1).flags.c_contiguous


@many
@given(cut=st.integers(0, len(GOOD) - 1))
def test_a_truncated_file_is_refused(cut: int) -> None:
    assert is_refused(GOOD[:cut])


@many
@given(tail=st.binary(min_size=1, max_size=20))
def test_a_lengthened_file_is_refused(tail: bytes) -> None:
    assert is_refused(GOOD + tail)


@many
@given(
    bits=st.lists(st.integers(0, 8 * (len(GOOD) - PIXELS.size) - 1), min_size=1, max_size=4),
)
def test_flipped_bits_around_the_pixels_are_refused_or_harmless(bits: list[int]) -> None:
    content = bytearray(GOOD[:START] + GOOD[START + PIXELS.size :])
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8
    is_refused(bytes(content[:START]) + PIXELS.tobytes() + bytes(content[START:]))


@many
@given(
    place=st.integers(2, len(GOOD)),
    pieces=st.lists(
        st.sampled_from([bytes([op]) for op in range(256)]) | st.binary(max_size=6), min_size=1, max_size=8
    ),
)
def test_any_instructions_put_in_anywhere_are_refused_or_harmless(place: int, pieces: list[bytes]) -> None:
    is_refused(GOOD[:place] + b"".join(pieces) + GOOD[place:])


@many
@given(content=st.binary(max_size=200))
def test_noise_is_refused(content: bytes) -> None:
    assert is_refused(content)
    assert is_refused(b"\x80\x02" + content)


class Malice:
    """Runs a command wherever it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_executed(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "executed"
    attack = pickle.dumps(Malice(path), protocol)
    call = b"cos\nsystem\nU" + bytes([len(str(path)) + 6]) + f"touch {path}".encode() + b"\x85R"
    for content in (
        attack,
        b"\x80\x02" + call + b".",
        GOOD[:-2] + b"U\x05other" + call + b"u.",  # hidden in an entry that nobody asks for
        GOOD.replace(b"cnumpy\nndarray\n", call),
        GOOD.replace(b"cnumpy.core.multiarray\n_reconstruct\n", b"cos\nsystem\n"),
        GOOD.replace(b"cnumpy\ndtype\n", b"cbuiltins\neval\n"),
    ):
        is_refused(content)
        assert not path.exists()


def test_a_call_in_an_entry_that_nobody_asks_for_is_noted_and_not_made() -> None:
    assert not is_refused(GOOD[:-2] + b"U\x05othercos\nsystem\nU\x04exit\x85Ru.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ends within an instruction, at byte 0"),
        (pickle.dumps({"data": 1}, 4), "pickle of protocol 4, not 2"),
        (b"\x80\x02}.", "no dictionary with data and labels"),
        (b"\x80\x02N.", "no dictionary"),
        (b"\x80\x02}(U\x04dataNU\x06labels]u.", "its data are no array"),
        (batch_file(labels=[1, 2]), "3 images and not as many labels"),
        (batch_file(labels=[1, 2, 10]), "a label is not a number from 0 to 9"),
        (batch_file(PIXELS[:0], []), "0 images announced"),
        (GOOD.replace(b"M\x03\x00M", b"M\x04\x00M"), "4 images announced, 9,216 bytes of them there"),
        (GOOD.replace(b"M\x00\x0c", b"M\x00\x0b"), "not rows of 3,072 bytes"),
        (GOOD.replace(b"U\x02u1", b"U\x02i1"), "not rows of 3,072 bytes"),
        (b"\x80\x02" + b"N" * 300_000, "more than 200,000 instructions"),
        (b"\x80\x02cos", "ends within an instruction"),
        (b"\x80\x02\x85", "finds too little on the stack"),
        (b"\x80\x02(e", "appends to what is no list"),
        (b"\x80\x02e", "finds no mark"),
        (b"\x80\x02}(NNu", "a key of its dictionary is no string"),
        (b"\x80\x02](NNu", "what is no dictionary"),
        (b"\x80\x02NNb", "state of what is no object"),
        (b"\x80\x02h\x01", "its instruction b'h' at byte 2"),
        (b"\x80\x02" + b"T\xff\xff\xff\x7f", "ends within an instruction"),
        (b"\x80\x02" + b"T\xff\xff\xff\xff", "ends within an instruction"),
    ],
)
def test_an_error_says_what_is_wrong(content: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        parse_cifar(content, "name")


def test_a_file_without_end_is_not_read_to_it() -> None:
    with pytest.raises(DatasetError, match="more than 67,108,864 bytes"):
        read_cifar("/dev/zero")


def test_nesting_without_end_is_refused() -> None:
    assert is_refused(b"\x80\x02" + b"]" + b"\x85" * 10_000 + b".")
    deep = b"]" + b"\x85" * 5_000
    with pytest.raises(DatasetError):
        parse_cifar(GOOD.replace(b"U\x02u1K\x00K\x01\x87", deep + b"K\x00K\x01\x87"), "name")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is a folder"):
        read_cifar(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_cifar(tmp_path / "nothing")
