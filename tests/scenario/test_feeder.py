from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario.feeder import Need, read_rows, row_index
from loadgen.scenario.model import FeederOrder
from loadgen.text.fault import ScenarioError
from loadgen.text.template import json_value


def file(directory: Path, name: str, text: str | bytes) -> Path:
    path = directory / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_gives_text(tmp_path: Path) -> None:
    rows = read_rows(file(tmp_path, "u.csv", '\ufeffid, name\n1,"a, ""b"""\r\n\n2,"two\nlines"\n'))
    assert rows == [{"id": "1", "name": 'a, "b"'}, {"id": "2", "name": "two\nlines"}]


def test_json_lines_keep_their_types(tmp_path: Path) -> None:
    rows = read_rows(file(tmp_path, "u.jsonl", '{"id": 1, "x": [true]}\n\n{"id": 12345678901234567890123}\n'))
    assert rows == [{"id": 1, "x": [True]}, {"id": 12345678901234567890123}]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("u.csv", "a,b\n1,2\n3\n", "u.csv:3:1: got 1 cells, expected 2"),
        ("u.csv", 'a,b\n"1\n1",2\n3\n', "u.csv:4:1: got 1 cells"),
        ("u.csv", "a,a\n1,2\n", "u.csv:1:1: columns 1 and 2 of the header have the same name"),
        ("u.csv", "a,\n1,2\n", "u.csv:1:1: column 2 of the header has no name"),
        ("u.csv", "a\n", "got no rows"),
        ("u.csv", "", "got no rows"),
        ("u.csv", 'a\n"1', "u.csv:2:1: this is not CSV"),
        ("u.csv", b"a\n\xff\n", "u.csv:2:1: got the byte 0xff, expected UTF-8"),
        ("u.jsonl", '{"a": 1}\n{"a": }\n', "u.jsonl:2:7: this is not JSON"),
        ("u.ndjson", "[1]\n", "u.ndjson:1:1: expected one JSON object per line"),
        ("u.jsonl", '{"a": NaN}\n', "which is not JSON"),
        ("u.jsonl", '{"a": 1, "a": 2}\n', "a key is written twice"),
        ("u.jsonl", '{"a": "\\ud800"}\n', "surrogate"),
        ("u.jsonl", "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_file_is_refused_where_it_is_bad(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_rows(file(tmp_path, name, text))
    assert message in str(caught.value)


def test_a_row_without_a_field_the_event_uses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_rows(file(tmp_path, "u.jsonl", '{"a": 1}\n{"b": 1}\n'), [Need("a", "the event", json_value)])
    assert 'u.jsonl:2:1: no field "a", which the event uses; the row has 1 fields' in str(caught.value)


def test_a_missing_file_is_a_scenario_error(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot read this file: No such file"):
        read_rows(tmp_path / "none.csv")


@given(st.binary(max_size=60), st.sampled_from(["f.csv", "f.jsonl"]))
def test_any_bytes_are_rows_or_a_scenario_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, name: str
) -> None:
    path = file(tmp_path_factory.getbasetemp(), name, raw)
    found: object
    try:
        found = read_rows(path)
    except ScenarioError as error:
        found = error.faults
    assert found


def test_once_runs_out_and_loop_goes_round() -> None:
    assert [row_index(FeederOrder.ONCE, i, 2, 1) for i in range(4)] == [0, 1, None, None]
    assert [row_index(FeederOrder.LOOP, i, 2, 1) for i in range(4)] == [0, 1, 0, 1]


def test_random_rows_never_change_between_versions() -> None:
    assert [row_index(FeederOrder.RANDOM, i, 1000, 1) for i in range(8)] == [368, 526, 737, 692, 870, 465, 189, 199]


def test_random_rows_are_spread_evenly() -> None:
    counts = Counter(row_index(FeederOrder.RANDOM, i, 10, 7) for i in range(10_000))
    assert set(counts) == set(range(10))
    assert max(counts.values()) < 1150
    assert min(counts.values()) > 850


@given(
    st.sampled_from([FeederOrder.LOOP, FeederOrder.RANDOM]), st.integers(0, 2**63), st.integers(1, 10**9), st.integers()
)
def test_a_row_is_always_one_of_the_rows(order: FeederOrder, index: int, count: int, seed: int) -> None:
    row = row_index(order, index, count, seed)
    assert row is not None
    assert 0 <= row < count
