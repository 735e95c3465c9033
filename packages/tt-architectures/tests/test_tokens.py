"""Token files and windows: what was written is read, in any order, and nothing else."""

import os
import pickle
import tracemalloc
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tt_architectures.data import DataLoader
from tt_architectures.tokens import TokenFile, TokenWindows, token_windows
from tt_foundation import DatasetError

many = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TOKENS = np.random.default_rng(0).integers(60000, size=100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "text.tokens"


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", ">u2"])
def test_tokens_are_read_as_they_were_written(path: Path, dtype: str) -> None:
    tokens = TOKENS % 256
    file = TokenFile.write(path, tokens, dtype=dtype)
    for again in (file, TokenFile(path), pickle.loads(pickle.dumps(file))):
        assert len(again) == 100
        assert again.tokens.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(again.tokens, tokens)
    assert path.stat().st_size == 64 + 100 * np.dtype(dtype).itemsize


def test_tokens_are_mapped_and_read_only(path: Path) -> None:
    TokenFile.write(path, np.zeros(10_000_000, np.uint8), dtype=np.uint8)
    tracemalloc.start()
    file = TokenFile(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    with pytest.raises(ValueError, match="read-only"):
        file.tokens[0] = 1


def test_pieces_make_the_same_file_as_the_whole(path: Path) -> None:
    TokenFile.write(path, TOKENS)
    whole = path.read_bytes()
    TokenFile.write(path, (piece for piece in np.split(TOKENS, [7, 7, 50])))
    assert path.read_bytes() == whole
    assert len(TokenFile.write(path, [])) == 0
    assert len(TokenFile(path)) == 0


def test_a_file_that_could_not_be_written_leaves_what_was_there(path: Path) -> None:
    TokenFile.write(path, TOKENS)

    def broken() -> Any:
        yield TOKENS
        raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError, match="on fire"):
        TokenFile.write(path, broken())
    np.testing.assert_array_equal(TokenFile(path).tokens, TOKENS)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("tokens", "dtype", "message"),
    [
        ([65536], np.uint16, "tokens from 65536 to 65536 do not fit uint16"),
        ([-1], np.uint16, "do not fit"),
        ([0.5], np.uint16, "a row of whole numbers, got float64"),
        ([[1]], np.uint16, r"got int64 of shape \(1, 1\)"),
        ([1], np.int32, "holds uint8, uint16 or uint32, got int32"),
    ],
)
def test_what_does_not_fit_is_refused(path: Path, tokens: list[Any], dtype: type, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenFile.write(path, np.array(tokens), dtype=dtype)
    assert not os.listdir(path.parent)


@cache
def whole_file() -> bytes:
    with TemporaryDirectory() as folder:
        return TokenFile.write(Path(folder, "tokens"), TOKENS).path.read_bytes()


def refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=path.name):
        TokenFile(path)


@many
@given(cut=st.integers(0, 263), tail=st.binary(min_size=1, max_size=9))
def test_a_truncated_or_lengthened_file_is_refused(path: Path, cut: int, tail: bytes) -> None:
    content = whole_file()
    refused(path, content[:cut])
    refused(path, content + tail)


@many
@given(bit=st.integers(0, 8 * 56 - 1) | st.integers(8 * 64, 8 * 264 - 1))
def test_a_flipped_bit_is_refused(path: Path, bit: int) -> None:
    content = bytearray(whole_file())
    content[bit // 8] ^= 1 << bit % 8
    refused(path, bytes(content))


@many
@given(content=st.binary(max_size=200))
def test_noise_is_refused(path: Path, content: bytes) -> None:
    refused(path, content)
    refused(path, b"TTTOKENS" + content)


def test_a_folder_is_no_token_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is a folder"):
        TokenFile(tmp_path)
    with pytest.raises(FileNotFoundError):
        TokenFile(tmp_path / "nothing")


def test_a_window_asks_for_the_token_after_each(path: Path) -> None:
    for tokens in (TOKENS, TokenFile.write(path, TOKENS)):
        windows = TokenWindows(tokens, 8)
        assert len(windows) == 92
        for i in (0, 91, -1):
            x, y = windows[i]
            start = i % 92
            np.testing.assert_array_equal(x, TOKENS[start : start + 8])
            np.testing.assert_array_equal(y, TOKENS[start + 1 : start + 9])
            assert x.dtype == y.dtype == np.int64
        for i in (92, -93):
            with pytest.raises(IndexError, match="of 92"):
                windows[i]


def test_windows_side_by_side_ask_for_every_token_once() -> None:
    windows = TokenWindows(TOKENS[:95], 8, stride=8)
    loader = DataLoader(windows, 4)
    asked = np.concatenate([batch.y.data.ravel() for batch in loader])
    np.testing.assert_array_equal(asked, TOKENS[1:89])
    assert len(windows) == 11


@pytest.mark.parametrize(("count", "seq", "stride"), [(8, 8, 1), (9, 0, 1), (9, 8, 0)])
def test_windows_that_do_not_fit_are_refused(count: int, seq: int, stride: int) -> None:
    with pytest.raises(ValueError, match="more than seq tokens"):
        TokenWindows(TOKENS[:count], seq, stride=stride)
    assert len(TokenWindows(TOKENS[:9], 8)) == 1


def test_batches_of_windows_begin_anywhere_and_are_drawn_by_the_seed() -> None:
    tokens = np.arange(1000)
    loader = token_windows(tokens, 5, batch_size=16, batches=50, rng=np.random.default_rng(0))
    again = token_windows(tokens, 5, batch_size=16, batches=50, rng=np.random.default_rng(0))
    batches = list(loader)
    assert len(loader) == len(batches) == 50
    starts = np.concatenate([batch.x.data[:, 0] for batch in batches])
    assert (np.bincount(starts // 100, minlength=10) > 50).all()
    assert starts.max() <= 994
    for batch, same, other in zip(batches, again, loader, strict=True):
        assert batch.x.shape == (16, 5)
        np.testing.assert_array_equal(batch.y.data, batch.x.data + 1)
        np.testing.assert_array_equal(batch.x.data, same.x.data)
        assert not np.array_equal(batch.x.data, other.x.data)
