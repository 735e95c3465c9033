"""Checkpoints: exact, atomic, and honest about damage."""

import math
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tt_foundation.serialization import CheckpointError, load, load_state, save, save_state, write_text

ARRAYS = {
    "weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "layers.0.bias": np.array([np.nan, -0.0, np.inf]),
    "ids": np.array([[1, -2]], np.int64),
    "mask": np.array([True, False]),
    "scalar": np.array(7, np.uint8),
    "empty": np.zeros((0, 3), np.float16),
}
many = settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(
        (x.dtype, x.shape, x.tobytes()) == (b[name].dtype, b[name].shape, b[name].tobytes()) for name, x in a.items()
    )


def test_arrays_come_back_to_the_bit_writable_and_owned(tmp_path: Path) -> None:
    save(tmp_path / "a", ARRAYS, {"epoch": "3"})
    arrays, metadata = load(tmp_path / "a")
    assert same(arrays, ARRAYS)
    assert metadata == {"epoch": "3"}
    assert all(a.flags.writeable and a.flags.owndata for a in arrays.values() if a.ndim)


def test_strided_and_big_endian_arrays_are_saved_by_value(tmp_path: Path) -> None:
    strided = np.arange(12.0).reshape(3, 4).T[::2]
    save(tmp_path / "a", {"strided": strided, "big": np.array([1.5, 2.5], ">f8")})
    arrays = load(tmp_path / "a").arrays
    np.testing.assert_array_equal(arrays["strided"], strided)
    assert arrays["big"].tolist() == [1.5, 2.5]


def test_the_safetensors_library_reads_ours_and_ours_reads_its(tmp_path: Path) -> None:
    save(tmp_path / "ours", ARRAYS, {"epoch": "3"})
    assert same(safetensors.numpy.load_file(tmp_path / "ours"), ARRAYS)
    safetensors.numpy.save_file(ARRAYS, tmp_path / "theirs", {"by": "another"})
    arrays, metadata = load(tmp_path / "theirs")
    assert same(arrays, ARRAYS)
    assert metadata == {"by": "another"}


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / name, ARRAYS, {"x": "1", "y": "2"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_state_comes_back_exactly(tmp_path: Path) -> None:
    state = {
        "generator": np.random.default_rng(3).bit_generator.state,
        "numbers": [0.1, math.inf, -0.0, 2**200, True, None],
        "a.b": {"c": (1, "two")},
        "x.y": [np.zeros(1)],
        "x": {"y": [np.ones(1)]},
        "moments": [np.ones(2, np.float32)],
    }
    save_state(tmp_path / "s", state)
    back = load_state(tmp_path / "s")
    assert back["generator"] == state["generator"]
    assert repr(back["numbers"]) == repr(state["numbers"])
    assert back["a.b"] == state["a.b"]
    assert back["moments"][0].tolist() == [1.0, 1.0]
    assert (back["x.y"][0].item(), back["x"]["y"][0].item()) == (0.0, 1.0)
    rng = np.random.default_rng()
    rng.bit_generator.state = back["generator"]
    assert rng.random() == np.random.default_rng(3).random()


def test_what_cannot_be_saved_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    save(tmp_path / "a", ARRAYS)
    with pytest.raises(ValueError, match="cannot be called __metadata__"):
        save(tmp_path / "a", {"__metadata__": np.zeros(1)})
    with pytest.raises(TypeError, match="x is object"):
        save(tmp_path / "a", {"x": np.array([None])})
    with pytest.raises(TypeError, match=r"inner\.x is a set"):
        save_state(tmp_path / "a", {"inner": {"x": set()}})
    assert same(load(tmp_path / "a").arrays, ARRAYS)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_killed_runs_left_beside_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".a.999999999.partial").write_bytes(b"half")
    save(tmp_path / "a", ARRAYS)
    write_text(tmp_path / "t", "text")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "t"]


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    with pytest.raises(CheckpointError, match="is a folder"):
        load(tmp_path)


def test_a_truncated_file_says_how_much_is_missing(tmp_path: Path) -> None:
    save(tmp_path / "a", {"x": np.zeros(1000)})
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole[:-500])
    with pytest.raises(CheckpointError, match="a is truncated: header says 8,000 bytes of data, file has 7,500"):
        load(tmp_path / "a")


def test_types_that_numpy_has_not_are_named(tmp_path: Path) -> None:
    header = b'{"x":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    (tmp_path / "a").write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
    with pytest.raises(CheckpointError, match="holds x as BF16; types known here: BOOL"):
        load(tmp_path / "a")


def outcome(path: Path, content: bytes) -> Any:
    """What loading gives: the arrays, or None for a clear refusal; never much memory."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        return load(path).arrays
    except CheckpointError as error:
        assert path.name in str(error)
        return None
    finally:
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
        tracemalloc.stop()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lies") / "a"
    save(path, ARRAYS, {"epoch": "3"})
    return path


@many
@given(data=st.data())
def test_a_truncated_or_lengthened_file_is_refused(saved: Path, data: st.DataObject) -> None:
    whole = saved.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    tail = data.draw(st.binary(min_size=1, max_size=50))
    assert outcome(saved.with_name("b"), whole[:cut]) is None
    assert outcome(saved.with_name("b"), whole + tail) is None


@many
@given(data=st.data())
def test_flipped_bits_are_seen_or_do_no_harm(saved: Path, data: st.DataObject) -> None:
    content = bytearray(saved.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    found = outcome(saved.with_name("c"), bytes(content))
    assert found is None or same(found, ARRAYS) or b"tt_foundation.blake2b" not in content


@many
@given(length=st.integers(0, 2**64 - 1), rest=st.binary(max_size=200))
def test_a_header_that_lies_is_refused(saved: Path, length: int, rest: bytes) -> None:
    assert outcome(saved.with_name("d"), struct.pack("<Q", length) + rest) is None


@many
@given(
    shape=st.lists(st.one_of(st.integers(-5, 2**70), st.text(max_size=2)), max_size=4),
    offsets=st.lists(st.integers(-(2**65), 2**65), max_size=3),
)
def test_a_table_of_lies_is_refused(saved: Path, shape: list[Any], offsets: list[int]) -> None:
    import json

    header = json.dumps({"x": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
    found = outcome(saved.with_name("e"), struct.pack("<Q", len(header)) + header + b"\0" * 8)
    assert found is None or found["x"].nbytes == 8


@pytest.mark.parametrize(
    "entry",
    [
        '{"dtype":[],"shape":[2],"data_offsets":[0,8]}',
        '{"dtype":"F32","shape":[0,2305843009213693952,2305843009213693952],"data_offsets":[0,0]}',
        '{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}',
        "7",
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(saved: Path, entry: str) -> None:
    header = f'{{"x":{entry}}}'.encode()
    size = 0 if "2305" in entry else 8
    assert outcome(saved.with_name("f"), struct.pack("<Q", len(header)) + header + b"\0" * size) is None
