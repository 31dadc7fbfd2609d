"""What is sent where it is no event: as it is written, with what fills its placeholders escaped for its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario.event import compile_content
from loadgen.scenario.load import load
from loadgen.scenario.model import Scenario
from loadgen.targets.http.target import HttpTarget
from loadgen.targets.registry import tenant_of
from loadgen.text.fault import ScenarioError

ROW: Mapping[str, object] = {"n": 7, "t": 'a "b" & ü', "l": [1, {"x": None}]}
URL = "{url: 'http://h/'}"
FUNCTION = "{endpoint: emulator}"


def read(written: str, directory: Path, target: str = URL) -> Scenario:
    (directory / "r.jsonl").write_text('{"n": 7, "t": "a \\"b\\" & ü", "l": [1, {"x": null}]}\n')
    text = (
        f"name: x\ntarget: {target}\nbody: {written}\nfeeder: {{file: r.jsonl}}\n"
        "phases: [{name: a, rate: 1/s, duration: 1s}]\n"
    )
    return load(text, source="s.yaml", directory=directory, environment={"E": "env"}).scenario


def sent(written: str, directory: Path, target: str = URL) -> bytes:
    body = read(written, directory, target).body
    assert body is not None
    return compile_content(body).render(ROW)


@pytest.mark.parametrize(
    ("written", "bytes_"),
    [
        ("{text: 'n={{n}} t={{t}} l={{l}} ${E}'}", 'n=7 t=a "b" & ü l=[1,{"x":null}] env'),
        ('{text: "  two\\nlines\\n"}', "  two\nlines\n"),
        ("{form: {a: '{{t}}', b: 'x y&ü', 'c d': '', e: 5}}", "a=a+%22b%22+%26+%C3%BC&b=x+y%26%C3%BC&c+d=&e=5"),
        ("{json: [1.10, 1e3, '{{n}}', 'a {{n}}', '{{l}}', {b: null}]}", '[1.10,1e3,7,"a 7",[1,{"x":null}],{"b":null}]'),
        ("{json: '{{t}}'}", '"a \\"b\\" & ü"'),
        ("{json: 5}", "5"),
        ("{json: null}", "null"),
        ("{json: {}}", "{}"),
        ("{base64: 'AAEC /w==\n'}", b"\x00\x01\x02\xff"),
    ],
)  # fmt: skip
def test_a_body_is_sent_as_it_is_written(tmp_path: Path, written: str, bytes_: str | bytes) -> None:
    assert sent(written, tmp_path) == (bytes_.encode() if isinstance(bytes_, str) else bytes_)


@given(raw=st.binary(min_size=1, max_size=200).filter(lambda raw: b"{{" not in raw))
def test_a_file_is_sent_byte_for_byte(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    directory = tmp_path_factory.getbasetemp()
    (directory / "b.bin").write_bytes(raw)
    assert sent("{file: b.bin}", directory) == raw
    assert sent("{file: b.bin}", directory, FUNCTION) == raw


@pytest.mark.parametrize(
    ("written", "media"),
    [
        ("{text: a}", "text/plain; charset=utf-8"),
        ("{form: {a: b}}", "application/x-www-form-urlencoded"),
        ("{json: a}", "application/json"),
        ("{base64: AAAA}", "application/octet-stream"),
        ("{text: a, type: text/csv}", "text/csv"),
    ],
)
def test_its_type_follows_from_how_it_is_written_unless_it_is_said(tmp_path: Path, written: str, media: str) -> None:
    scenario = read(written, tmp_path)
    request = tenant_of(scenario.target).template(scenario.target).render(b"x", False, 0)
    assert request.startswith(b"POST / ")
    assert f"\r\nContent-Type: {media}\r\n".encode() in request
    own = read(written.replace(", type: text/csv", ""), tmp_path, "{url: 'http://h/', headers: {content-type: my/own}}")
    assert isinstance(own.target, HttpTarget)
    request = tenant_of(own.target).template(own.target).render(b"x", False, 0)
    assert request.lower().count(b"content-type") == 1
    assert b"\r\ncontent-type: my/own\r\n" in request


@pytest.mark.parametrize(
    ("written", "target", "message"),
    [
        ("{}", URL, "s.yaml:3:1: body: expected one of text, form, json, file, base64"),
        ("{type: a/b}", URL, "body: expected one of text, form, json, file, base64"),
        ("{text: a, json: b}", URL, "s.yaml:3:23: body.json: text is written too; a body has one of text, form"),
        ("{text: a}\nevent: {}", URL, "s.yaml:3:1: body: event is written too; keep one of them"),
        ("{txt: a}", URL, "body.txt: unknown key, did you mean text?"),
        ("{text: ''}", URL, 'body.text: got "", expected some text'),
        ("{text: '{{nope}}'}", URL, 'r.jsonl:1:1: no field "nope", which the body uses; the row has 3 fields'),
        ("{form: {'{{n}}': a}}", URL, "got a placeholder in a name, expected placeholders in values only"),
        ("{form: {a: '{{l}}'}}", URL, 'the field "l" cannot be put into the body: got a list'),
        ("{json: {'{{n}}': a}}", URL, "got a placeholder in a key, expected placeholders in values only"),
        ("{base64: 'AAA'}", URL, "body.base64: this is not Base64"),
        ("{base64: '{{n}}'}", URL, 'body.base64: got "{{n}}", expected bytes in Base64'),
        ("{file: none.bin}", URL, "body.file: there is no file"),
        ("{file: t.txt}", URL, "body.file: this file has {{…}} in it and is sent as it is: write event_file or"),
        ("{text: a, type: 'a\nb'}", FUNCTION, "body.type: a function is always called with application/json"),
        ("{form: {a: b}}", FUNCTION, "body.form: a function is always called with application/json; remove it"),
        ("{text: a, type: x/y}", "{url: 'http://h/', headers: {Content-Type: a/b}}", "target.headers.Content-Type is"),
        ("{text: a}", "{url: 'http://h/', method: TRACE}", "body: a TRACE request has no body"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused(tmp_path: Path, written: str, target: str, message: str) -> None:
    (tmp_path / "t.txt").write_text("hello {{n}}")
    with pytest.raises(ScenarioError) as caught:
        read(written, tmp_path, target)
    assert message in str(caught.value)


def test_a_file_of_bytes_that_only_looks_like_a_template_is_sent(tmp_path: Path) -> None:
    (tmp_path / "t.bin").write_bytes(b"\xff{{n}}")
    assert sent("{file: t.bin}", tmp_path) == b"\xff{{n}}"
