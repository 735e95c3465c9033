"""Data sets of images and texts: what they hold, where they are looked for, and files that lie."""

import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tt_architectures import datasets
from tt_architectures.datasets import CIFAR10_CLASSES, books, cifar10, first_names, tiny_shakespeare, tinystories
from tt_foundation import DatasetError

NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def cifar_file(images: int, seed: int) -> bytes:
    """A batch file of random pixels, all of one class: the fewest instructions that make one."""
    pixels = np.random.default_rng(seed).integers(256, size=(images, 3072)).astype(np.uint8)
    return (
        b"\x80\x02}(U\x06labels](" + b"K" + bytes([seed]) + (b"K" + bytes([seed])) * (images - 1) + b"eU\x04data"
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K" + bytes([images])
        + b"M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN" + b"J\xff\xff\xff\xff" * 2
        + b"K\x00tb\x89T"
        + pixels.size.to_bytes(4, "little") + pixels.tobytes() + b"tbu."
    )  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data sets."""
    monkeypatch.setenv("TT_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on a web server of this machine, which files are downloaded from into an empty cache."""
    import pooch

    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.delenv("TT_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        moved = {name: (f"{address}/{name}", checksum) for name, (_, checksum) in datasets.SOURCES.items()}
        monkeypatch.setattr(datasets, "SOURCES", moved)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield folder
        finally:
            server.shutdown()
            thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def publish(home: Path, name: str, content: bytes) -> None:
    """Put a file on the server and its checksum into the table."""
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_bytes(content)
    url, _ = datasets.SOURCES[name]
    datasets.SOURCES[name] = (url, f"sha256:{hashlib.sha256(content).hexdigest()}")


def archive(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


BATCHES = {f"cifar-10-batches-py/{name}": cifar_file(2, seed) for seed, name in enumerate(NAMES)}


@pytest.mark.data
def test_cifar10_is_what_was_published() -> None:
    data = cifar10(as_uint8=True)
    assert (data.train_x.shape, data.test_x.shape) == ((50000, 3, 32, 32), (10000, 3, 32, 32))
    assert np.bincount(data.train_y).tolist() == [5000] * 10
    assert np.bincount(data.test_y).tolist() == [1000] * 10
    mean = data.train_x.mean(axis=(0, 2, 3)) / 255
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=1e-4)  # the means that everyone normalises by
    assert CIFAR10_CLASSES[data.test_y[0]] == "cat"
    assert data.train_x.dtype == np.uint8
    assert data.train_x.transpose(0, 2, 3, 1).flags.c_contiguous


def test_cifar10_is_read_from_a_folder_in_order_as_bytes_or_floats(root: Path) -> None:
    (root / "cifar-10-batches-py").mkdir()
    for name, content in BATCHES.items():
        (root / name).write_bytes(content)
    data, small = cifar10(), cifar10(as_uint8=True)
    assert data.train_y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert data.test_y.tolist() == [5, 5]
    assert (data.train_x.dtype, small.train_x.dtype, data.train_y.dtype) == (np.float32, np.uint8, np.int64)
    np.testing.assert_array_equal(data.train_x, small.train_x / np.float32(255))
    for x in (data.train_x, data.test_x, small.train_x):
        assert x.transpose(0, 2, 3, 1).flags.c_contiguous
    (root / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(FileNotFoundError, match="data_batch_3"):
        cifar10()


def test_cifar10_is_downloaded_as_the_archive_it_is_published_in(home: Path) -> None:
    publish(home, "cifar-10-python.tar.gz", archive({"cifar-10-batches-py/readme.html": b"", **BATCHES}))
    assert cifar10().train_y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    (home / "cifar-10-python.tar.gz").unlink()
    assert cifar10().test_y.tolist() == [5, 5]


def test_an_archive_that_is_damaged_or_lacks_a_batch_is_refused(root: Path) -> None:
    path = root / "cifar-10-python.tar.gz"
    whole = archive(BATCHES)
    path.write_bytes(archive({name: BATCHES[name] for name in list(BATCHES)[1:]}))
    with pytest.raises(DatasetError, match="has no data_batch_1"):
        cifar10()
    for cut in (0, 1, 10, len(whole) // 2, len(whole) * 9 // 10):
        path.write_bytes(whole[:cut])
        with pytest.raises(DatasetError):
            cifar10()


def test_without_the_archive_the_folder_is_named(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no .*cifar-10-python.tar.gz"):
        cifar10()


@pytest.mark.data
def test_texts_are_what_was_published() -> None:
    text = tiny_shakespeare()
    assert (len(text), len(set(text))) == (1_115_394, 65)
    names = first_names()
    assert (len(names), names[0], len(set("".join(names)))) == (32_033, "emma", 26)
    train, held_out = tinystories()
    assert 3_400_000 < len(train) < 3_500_000
    assert 790_000 < len(held_out) < 800_000
    assert "<|endoftext|>" not in train + held_out
    assert not any(part in train for part in held_out.split("\n\n") if len(part) > 200)
    library = books()
    assert len(library) == 40
    assert library["Alice's Adventures in Wonderland"].startswith("ALICE'S ADVENTURES IN WONDERLAND")


def test_texts_are_downloaded_and_checked(home: Path) -> None:
    publish(home, "text/tinyshakespeare.txt", "First Citizen:\r\nÆ".encode())
    publish(home, "text/names.txt", b"emma\nolivia\n")
    publish(home, "text/tinystories/train-v1-2MiB.txt", b"One.\n\n<|endoftext|>\nTwo.\n<|endoftext|>\nCut o")
    publish(home, "text/tinystories/train-v2-10k-lines.txt", b"\nThree.\n<|endoftext|>\n<|endoftext|>\n")
    publish(home, "text/tinystories/valid.txt", b"\nFour.\n")
    assert tiny_shakespeare() == "First Citizen:\r\nÆ"
    assert first_names() == ["emma", "olivia"]
    assert tinystories() == ("One.\n\nTwo.\n\nThree.", "Four.")
    assert tinystories(separator="|")[0] == "One.|Two.|Three."


def test_a_download_with_another_checksum_is_refused(home: Path) -> None:
    (home / "text").mkdir()
    (home / "text" / "names.txt").write_bytes(b"mallory\n")
    with pytest.raises(ValueError, match="does not match the known hash"):
        first_names()


def test_a_text_may_be_gzipped_and_must_be_one(root: Path) -> None:
    (root / "text").mkdir()
    path = root / "text" / "names.txt.gz"
    path.write_bytes(gzip.compress(b"emma\n"))
    assert first_names() == ["emma"]
    for content in (gzip.compress(b"emma\n")[:-5], b"emma", b"\x1f\x8b\x08" + bytes(20), gzip.compress(b"\xff")):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match="is no text"):
            first_names()


def test_a_text_without_end_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "_LARGEST_TEXT_BYTES", 1_000_000)
    (root / "text").mkdir()
    (root / "text" / "names.txt.gz").write_bytes(gzip.compress(bytes(50_000_000)))
    with pytest.raises(DatasetError, match="more than 1,000,000 bytes"):
        first_names()


def test_books_go_by_their_titles_and_are_never_downloaded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is none in .*text/gutenberg"):
        books()
    (root / "text" / "gutenberg").mkdir(parents=True)
    (root / "text" / "gutenberg" / "00011-Alice-s-Adventures.txt").write_text("Down the Rabbit-Hole")
    assert books() == {"Alice's Adventures": "Down the Rabbit-Hole"}
    monkeypatch.delenv("TT_DATA")
    with pytest.raises(FileNotFoundError, match="TT_DATA"):
        books()
