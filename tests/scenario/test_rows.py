"""Rows of a feeder's file: indexed once, each held to what is taken from it, and read when they are needed."""

from __future__ import annotations

import csv
import io
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario import rows as rows_module
from loadgen.scenario.model import ColumnType, Feeder
from loadgen.scenario.rows import ChangedError, Need, Row, Rows, check_unchanged, indexed
from loadgen.text.fault import ScenarioError
from loadgen.text.secret import Fed
from loadgen.text.template import form_text, header_text, json_value, url_text


def file(directory: Path, name: str, text: str | bytes) -> Path:
    path = directory / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def feeder(path: Path, *needs: Need, **written: Any) -> Feeder:
    of = msgspec.structs.replace(Feeder(str(path)), **written)
    return msgspec.structs.replace(of, index=indexed(path, of, needs))


def read(path: Path, *fields: str, **written: Any) -> list[Row]:
    of = feeder(path, *(Need(field, "the event", json_value) for field in fields), **written)
    found = Rows(of, {*fields})
    assert len(found) == of.rows
    return [found[number] for number in range(len(found))]


def refused(path: Path, *needs: Need, **written: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        feeder(path, *needs, **written)
    return str(caught.value)


def test_csv_gives_text(tmp_path: Path) -> None:
    path = file(tmp_path, "u.csv", '\ufeff\n\nid, name\n1,"a, ""b"""\r\n\n2,"two\n\nlines"\n\n3,ü')
    assert read(path, "id", "name") == [
        {"id": "1", "name": 'a, "b"'},
        {"id": "2", "name": "two\n\nlines"},
        {"id": "3", "name": "ü"},
    ]
    assert read(path, "name")[2] == {"name": "ü"}


def test_json_lines_keep_their_types_and_the_digits_of_numbers(tmp_path: Path) -> None:
    text = '\ufeff{"id": 1, "x": [true], "n": 1.50}\n\n \n{"id": 12345678901234567890123, "x": "\\u00e4", "n": -0}'
    one, other = read(file(tmp_path, "u.jsonl", text), "id", "x", "n")
    assert (one["id"], one["x"], json_value(one["n"])) == (1, [True], b"1.50")
    assert (other["id"], other["x"], other["n"]) == (12345678901234567890123, "ä", 0)


def test_names_of_fields_may_hold_anything(tmp_path: Path) -> None:
    rows = [{'a"b': 1, "c\\d": 2, "e f": 3, "ü": 4}]
    path = file(tmp_path, "u.jsonl", "\n".join(map(json.dumps, rows)))
    assert read(path, *rows[0]) == rows


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " "])
def test_another_character_may_be_between_cells(tmp_path: Path, delimiter: str) -> None:
    path = file(tmp_path, "u.csv", f'a{delimiter}b\n1,5{delimiter}"x{delimiter}y"\n')
    assert read(path, "a", "b", delimiter=delimiter) == [{"a": "1,5", "b": f"x{delimiter}y"}]


TYPES = {"i": ColumnType.INT, "n": ColumnType.NUMBER, "b": ColumnType.BOOL, "j": ColumnType.JSON}


def test_columns_have_the_types_that_are_said(tmp_path: Path) -> None:
    path = file(tmp_path, "u.csv", 'i,n,b,j,t\n-5,2.50,true,"[1, null]",7\n12345678901234567890,1e3,false,"""x""",\n')
    one, other = read(path, "i", "n", "b", "j", "t", columns=TYPES)
    assert msgspec.json.encode(one) == b'{"i":-5,"n":2.50,"b":true,"j":[1,null],"t":"7"}'
    assert msgspec.json.encode(other) == b'{"i":12345678901234567890,"n":1e3,"b":false,"j":"x","t":""}'


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("i", "007", "a whole number"),
        ("i", "1.0", "a whole number"),
        ("i", "", "a whole number"),
        ("i", " 1", "a whole number"),
        ("n", "1,5", "a number as in JSON"),
        ("n", "NaN", "a number as in JSON"),
        ("b", "True", "true or false"),
        ("j", "{", "JSON"),
    ],
)
def test_a_cell_of_another_type_is_named_without_what_is_in_it(
    tmp_path: Path, column: str, cell: str, said: str
) -> None:
    path = file(
        tmp_path, "u.csv", f'a,{column}\n1,{ {"i": 1, "n": 1, "b": "true", "j": 1}[column] }\nPLANTED,"{cell}"\n'
    )
    message = refused(path, columns={column: TYPES[column]})
    assert message == f'u.csv:3:1: the column "{column}" does not have its type: expected {said}' + (
        ", such as 2.50 or 1e3" if column == "n" else ""
    )


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
        ("u.csv", "a\r1\r2\r", "u.csv:1:1: this is not CSV: a line that ends with a carriage return alone"),
        ("u.csv", b"a\n\xff\n", "u.csv:2:1: got the byte 0xff, expected UTF-8"),
        ("u.jsonl", b'{"a": 1}\n{"a": "x\xff"}\n', "u.jsonl:2:9: got the byte 0xff, expected UTF-8"),
        ("u.jsonl", '{"a": 1}\n{"a": }\n', "u.jsonl:2:7: this is not JSON"),
        ("u.ndjson", "[1]\n", "u.ndjson:1:1: expected one JSON object per line"),
        ("u.jsonl", '{"a": NaN}\n', "which is not JSON"),
        ("u.jsonl", '{"a": 1, "a": 2}\n', "a key is written twice"),
        ("u.jsonl", '{"a": 1}\n{"a": 1, "\\u0061": 2}\n', "u.jsonl:2:1: this is not JSON: a key is written twice"),
        ("u.jsonl", '{"a": "\\ud800"}\n', "surrogate"),
        ("u.jsonl", "[" * 100_000, "nested too deeply"),
        ("u.jsonl", '{"a": 1}\n{"b": 1}\n', 'u.jsonl:2:1: no field "a", which the event uses; the row has 1 fields'),
        ("u.csv", "b\n1\n", 'u.csv:2:1: no field "a", which the event uses; the row has 1 fields'),
        ("none.csv", None, "cannot read this file: No such file"),
    ],
)
def test_a_bad_file_is_refused_where_it_is_bad(
    tmp_path: Path, name: str, text: str | bytes | None, message: str
) -> None:
    path = tmp_path / name if text is None else file(tmp_path, name, text)
    assert message in refused(path, Need("a", "the event", json_value))


def test_a_column_that_is_given_a_type_is_there(tmp_path: Path) -> None:
    said = 'u.csv:1:1: no column "c", which feeder.columns names; there are 2 columns'
    assert said in refused(file(tmp_path, "u.csv", "a,b\n1,2\n"), columns={"c": ColumnType.INT})


@pytest.mark.parametrize("name", ["u.csv", "u.jsonl"])
def test_the_one_row_of_many_that_lacks_a_value_is_named(tmp_path: Path, name: str) -> None:
    lines = ["a,b" if name == "u.csv" else ""] + ["1,2" if name == "u.csv" else '{"a": 1, "b": 2}'] * 100_000
    lines[70_001] = "1" if name == "u.csv" else '{"a": 1}'
    said = "u.csv:70002:1: got 1 cells" if name == "u.csv" else 'u.jsonl:70002:1: no field "b"'
    assert said in refused(file(tmp_path, name, "\n".join(lines)), Need("b", "the event", json_value))


@pytest.mark.parametrize("encode", [url_text, form_text, header_text])
def test_a_value_is_held_to_where_it_goes(tmp_path: Path, encode: Any) -> None:
    need = Need("a", "there", encode)
    for text in ('{"a": 1}\n{"a": null}', '{"a": "\\n"}\n{"a": null}'[12 * (encode is not header_text) :]):
        found = refused(file(tmp_path, "u.jsonl", text), need)
        assert 'the field "a" cannot be put into there: got' in found
    csv_text = "a\n1\n[]\n"
    assert "u.csv:3:1: " in refused(file(tmp_path, "u.csv", csv_text), need, columns={"a": ColumnType.JSON})


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=6)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=20), st.sampled_from(",;\t"))
def test_what_another_writer_of_csv_writes_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]], delimiter: str
) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows([("a", "b"), *cells])
    path = file(tmp_path_factory.getbasetemp(), "w.csv", out.getvalue())
    assert read(path, "a", "b", delimiter=delimiter) == [{"a": a, "b": b} for a, b in cells]


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\r\n\0",'), max_size=4)


LINES = st.lists(st.tuples(PLAIN, PLAIN) | st.none(), min_size=1, max_size=30)


@given(LINES, st.lists(st.booleans(), min_size=31), st.data())
def test_lines_without_quotes_are_the_rows_that_csv_makes_of_them(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str] | None], ends: list[bool], data: st.DataObject
) -> None:
    """Whatever their ends, blank lines between them, and where the quote is from which on csv reads them."""
    texts = ["a,b", *("" if cells is None else ",".join(cells) for cells in lines)]
    if data.draw(st.booleans()):
        texts.insert(data.draw(st.integers(1, len(texts))), 'x,"y\n\nz"')
    text = "".join(line + ("\r\n" if end else "\n") for line, end in zip(texts, [*ends, *ends], strict=False))
    text = text[: -data.draw(st.integers(0, 1)) or None].removesuffix("\r")
    expected = [dict(zip("ab", row, strict=True)) for row in csv.reader(io.StringIO(text, newline="")) if row][1:]
    path = file(tmp_path_factory.getbasetemp(), "p.csv", text)
    if expected:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rows_module, "_CHUNK", data.draw(st.integers(1, 40)))
            assert read(path, "a", "b") == expected


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | CELL,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELL, inner, max_size=3),
)


@given(st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=20), st.booleans(), st.booleans())
def test_what_another_writer_of_json_writes_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[Any, Any]], escaped: bool, blanks: bool
) -> None:
    separators = (" , ", " : ") if blanks else (",", ":")
    lines = [json.dumps({"a": a, "b": b, "c": [a]}, ensure_ascii=escaped, separators=separators) for a, b in values]
    path = file(tmp_path_factory.getbasetemp(), "w.jsonl", "\n".join(lines))
    assert read(path, "a", "b") == [{"a": a, "b": b} for a, b in values]


@given(st.binary(max_size=60), st.sampled_from(["f.csv", "f.jsonl"]))
def test_any_bytes_are_rows_or_a_scenario_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, name: str
) -> None:
    path = file(tmp_path_factory.getbasetemp(), name, raw)
    found: object
    try:
        found = read(path)
    except ScenarioError as error:
        found = error.faults
    assert found


@pytest.mark.parametrize("name", ["u.csv", "u.jsonl"])
def test_what_is_kept_of_many_rows_is_where_they_begin(tmp_path: Path, name: str) -> None:
    row = "1,PLANTED-{n:060}" if name == "u.csv" else '{{"a": 1, "token": "PLANTED-{n:060}"}}'
    head = "a,token\n" if name == "u.csv" else ""
    path = file(tmp_path, name, head + "\n".join(row.format(n=n) for n in range(40_000)))
    of = Feeder(str(path))
    tracemalloc.start()
    fed = Fed()
    index = indexed(path, of, [Need("a", "the event", json_value)], {"token"}, fed)
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert index.rows == 40_000
    assert kept < 40_000 * 16 + 5_000_000  # 4 MiB of beginnings, however many rows
    assert most < 40_000 * 16 + 12_000_000
    assert fed.within(f"it was PLANTED-{39_999:060}, no?")


def test_a_file_that_is_no_longer_what_it_was_is_noticed(tmp_path: Path) -> None:
    path = file(tmp_path, "u.csv", "a\n1\n2\n")
    of = feeder(path, Need("a", "the event", json_value))
    check_unchanged(of)
    found = Rows(of, {"a"})
    with path.open("r+") as same:
        same.truncate(4)
    assert found[0] == {"a": "1"}
    with pytest.raises(ChangedError, match=r"the feeder's file u.csv changed during the run, so what was sent is not"):
        found[1]
    with pytest.raises(ChangedError):
        Rows(of, {"a"})
    with pytest.raises(ChangedError):
        check_unchanged(of)
    path.unlink()
    with pytest.raises(ChangedError):
        Rows(of, {"a"})


def test_a_change_that_leaves_the_size_is_noticed_too(tmp_path: Path) -> None:
    path = file(tmp_path, "u.csv", "a\n1\n2\n")
    of = feeder(path)
    path.write_text("a\n1\n3\n")
    os.utime(path, ns=(0, of.index.modified_ns + 1))
    with pytest.raises(ChangedError):
        check_unchanged(of)


def test_a_file_that_is_open_is_read_to_its_end_although_another_took_its_name(tmp_path: Path) -> None:
    path = file(tmp_path, "u.csv", "a\n1\n2\n")
    found = Rows(feeder(path), {"a"})
    path.unlink()
    file(tmp_path, "u.csv", "a\nother\n")
    assert [found[0], found[1]] == [{"a": "1"}, {"a": "2"}]


def test_lines_are_of_bounded_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "LONGEST", 1 << 20)
    monkeypatch.setattr(rows_module, "_CHUNK", 1 << 10)
    for name, first in (("u.csv", ""), ("u.csv", "a\n1\n"), ("u.jsonl", ""), ("u.jsonl", "{}\n")):
        path = file(tmp_path, name, first + "x" * (3 << 20))
        assert "a line holds more than 1 MiB, expected at most that" in refused(path)
