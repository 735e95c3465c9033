"""Values between processes: written and read as data, whoever wrote them."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tt_course.values import Other, flat, read_bytes, record, records


class Tensor:
    def __init__(self, data: Any) -> None:
        self.data = data


VALUES = {
    "float array": np.array([[1.5, np.nan], [np.inf, -0.0]], np.float32),
    "bool array": np.array([True, False]),
    "empty": np.empty((0, 3)),
    "scalar": np.array(3),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "words": np.array(["a", "bc"]),
    "complex": np.array([1j]),
    "int": 3,
    "bool": True,
    "float": 0.1,
    "nan": float("nan"),
    "text": "ä\n",
    "none": None,
    "other": Other("Linear"),
}


@pytest.mark.parametrize("name", VALUES)
def test_what_is_written_is_read(name: str) -> None:
    data = record({"of": name}, table={name: VALUES[name]}, empty={})
    ((content, tables),) = records(data)
    assert content == {"of": name}
    assert tables["empty"] == {}
    got, expected = tables["table"][name], VALUES[name]
    assert type(got) is type(expected)
    if isinstance(expected, np.ndarray):
        assert isinstance(got, np.ndarray)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    else:
        assert got == expected or got != got


def test_records_stand_one_after_another_and_one_that_is_cut_off_is_left_out() -> None:
    one = record({"n": 1}, values={"x": np.arange(3), "y": np.ones((2, 2))})
    two = record({"n": 2}, values={"x": 1})
    assert [content["n"] for content, _ in records(one + two + one)] == [1, 2, 1]
    for cut in (1, 100, len(one) - 1):
        assert [content["n"] for content, _ in records(two + one[:cut])] == [2]


@pytest.mark.parametrize(
    ("value", "pieces"),
    [
        (Tensor(np.arange(2)), {"x": [0, 1]}),
        (np.float32(0.5), {"x": 0.5}),
        (np.bool_(True), {"x": True}),
        ([1, 2], {"x": [1, 2]}),
        ((1.0, 2.0), {"x": [1.0, 2.0]}),
        ([], {"x": "[]"}),
        ([1, "a"], {"x[0]": 1, "x[1]": "a"}),
        ([Tensor(np.zeros(1)), None], {"x[0]": [0.0], "x[1]": None}),
        ({"a": [True, False], 1: 2}, {"x['a']": [True, False], "x[1]": 2}),
        (object(), {"x": Other("object")}),
        (np.array([object()]), {"x": Other("array of object")}),
    ],
)
def test_values_are_taken_apart(value: Any, pieces: dict[str, Any]) -> None:
    got = {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in flat("x", value)}
    assert got == pieces


def test_an_array_is_kept_as_it_was() -> None:
    x = np.zeros(2)
    kept = dict(flat("x", x))
    x[0] = 1
    np.testing.assert_array_equal(np.asarray(kept["x"]), [0, 0])


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{}",
        "{",
        "[" * 100_000,
        '{"content": [], "tables": {}}',
        '{"content": {}, "tables": []}',
        '{"content": {}, "tables": {"t": 1}}',
        '{"content": {}, "tables": {"t": {"x": 1}}}',
        '{"content": {}, "tables": {"t": {"x": {}}}}',
        '{"content": {}, "tables": {"t": {"x": {"array": "../secret.npy"}}}}',
        '{"content": {}, "tables": {"t": {"x": {"array": -1}}}}',
        '{"content": {}, "tables": {"t": {"x": {"array": 0}}}}',
        '{"content": {}, "tables": {"t": {"x": {"other": 1}}}}',
        '{"content": {}, "tables": {"t": {"x": {"plain": []}}}}',
        '{"content": {}, "tables": {"t": {"x": {"plain": 1, "other": "y"}}}}',
        '{"content": {}, "tables": {"t": {"x": {"code": "print()"}}}}',
    ],
)
def test_what_is_no_record_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        list(records(f"{line}\n".encode()))


def with_array(data: bytes) -> bytes:
    line = json.dumps({"content": {}, "tables": {"t": {"x": {"array": len(data)}}}})
    return line.encode() + b"\n" + data


def test_a_pickle_in_an_array_is_refused() -> None:
    file = io.BytesIO()
    np.save(file, np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="an array of object"):
        list(records(with_array(file.getvalue())))


def test_an_array_that_claims_more_than_is_there_is_refused() -> None:
    file = io.BytesIO()
    np.save(file, np.zeros(10))
    data = file.getvalue().replace(b"(10,), }           ", b"(10000000000,), }  ")
    with pytest.raises(ValueError, match="is not in 80 bytes"):
        list(records(with_array(data)))


def test_links_pipes_and_large_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    assert read_bytes(tmp_path / "real", 5) == b"12345"
    for name, largest in (("link", 5), ("pipe", 5), ("real", 4), (".", 5)):
        with pytest.raises(ValueError, match="no plain file"):
            read_bytes(tmp_path / name, largest)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none")
