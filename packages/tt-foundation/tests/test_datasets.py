"""Data sets: what they hold, where they are looked for, and files that lie."""

import gzip
import struct
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tt_foundation.datasets import DatasetError, batches, data_file, digits, mnist, read_idx

many = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
IDX = struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + IMAGES.tobytes()


def test_batches_are_shuffled_anew_each_time_and_miss_nothing() -> None:
    x, y = np.arange(10.0), np.arange(10)
    loader = batches(x, y, 4, np.random.default_rng(0))
    first, second = ([b.y.tolist() for b in loader] for _ in range(2))
    assert [len(part) for part in first] == [4, 4, 2]
    assert len(loader) == 3
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(10))
    assert first != second
    assert [b.y.tolist() for b in batches(x, y, 5)] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


@pytest.mark.parametrize(
    ("n", "m", "size", "message"),
    [(3, 2, 1, "as many inputs as targets, got 3 and 2"), (0, 0, 1, "got none"), (2, 2, 0, "size >= 1, got 0")],
)
def test_batches_of_what_does_not_fit_are_refused(n: int, m: int, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batches(np.zeros(n), np.zeros(m), size)


def test_digits_are_scaled_and_split_alike_every_time() -> None:
    data = digits()
    assert (data.train_x.shape, data.test_x.shape) == ((1437, 64), (360, 64))
    assert (data.train_x.dtype, data.train_x.max()) == (np.float32, 1.0)
    assert digits(as_images=True).train_x.shape == (1437, 1, 8, 8)
    np.testing.assert_array_equal(data.test_y, digits().test_y)


@pytest.mark.data
def test_mnist_is_what_was_published() -> None:
    data = mnist()
    assert (data.train_x.shape, data.test_x.shape) == ((60000, 784), (10000, 784))
    assert np.bincount(data.train_y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert round(float(data.train_x.mean(dtype=np.float64)), 4) == 0.1307


def test_a_folder_that_lacks_the_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TT_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"there is no .*MNIST/raw/train-images-idx3-ubyte"):
        mnist()


def test_a_file_is_found_in_the_folder_plain_or_gzipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TT_DATA", str(tmp_path))
    (tmp_path / "text").mkdir()
    for name in ("b.gz", "b", "c.gz"):
        (tmp_path / "text" / name).touch()
    assert data_file("text/b", "https://nowhere.invalid/b.gz", "sha256:0") == tmp_path / "text" / "b"
    assert data_file("text/c", "https://nowhere.invalid/c", "sha256:0") == tmp_path / "text" / "c.gz"


def test_a_file_is_downloaded_into_the_cache_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    monkeypatch.delenv("TT_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    (tmp_path / "home.gz").write_bytes(b"abc")
    checksum = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with _serving(tmp_path) as url:
        path = data_file("text/b", f"{url}/home.gz", checksum)
        assert (path, path.read_bytes()) == (tmp_path / "tinytorch" / "text" / "b.gz", b"abc")
        with pytest.raises(ValueError, match="does not match the known hash"):
            data_file("text/c", f"{url}/home.gz", checksum[:-1] + "0")


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """A web server over a folder, on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_idx_files_are_read_gzipped_or_plain(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(IDX)
    (tmp_path / "b").write_bytes(gzip.compress(IDX))
    for name in "ab":
        np.testing.assert_array_equal(read_idx(tmp_path / name), IMAGES)


def refused(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    tracemalloc.start()
    try:
        read_idx(path)
    except DatasetError as error:
        assert str(path) in str(error)
        return True
    finally:
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
        tracemalloc.stop()
    return False


@many
@given(cut=st.integers(0, len(IDX) - 1), tail=st.binary(min_size=1, max_size=9), packed=st.booleans())
def test_truncated_and_lengthened_files_are_refused(tmp_path: Path, cut: int, tail: bytes, packed: bool) -> None:
    for content in (IDX[:cut], IDX + tail):
        assert refused(tmp_path / "a", gzip.compress(content) if packed else content)


@many
@given(cut=st.integers(2, len(gzip.compress(IDX)) - 1))
def test_a_truncated_gzip_is_refused(tmp_path: Path, cut: int) -> None:
    assert refused(tmp_path / "a", gzip.compress(IDX)[:cut])


@many
@given(kind=st.integers(0, 255), sizes=st.lists(st.integers(0, 2**32 - 1), max_size=255))
def test_a_header_that_lies_costs_no_memory(tmp_path: Path, kind: int, sizes: list[int]) -> None:
    header = struct.pack(f">HBB{len(sizes)}I", 0, kind, len(sizes), *sizes)
    if 0 not in sizes and sizes:
        assert refused(tmp_path / "a", header)
    else:
        refused(tmp_path / "a", header)


def test_a_gzip_bomb_is_refused_before_it_fills_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tt_foundation.datasets._LARGEST", 1_000_000)
    assert refused(tmp_path / "a", gzip.compress(b"\0" * 50_000_000))
