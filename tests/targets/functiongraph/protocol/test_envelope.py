from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.targets.error_body import LONGEST_ERROR, ErrorBody, error_body, lenient_json
from loadgen.targets.functiongraph.protocol.envelope import V1Answer, v1_answer

DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # as documented
        (b'{"request_id":"r","result":"{}","log":"l","status":200}', V1Answer("r", "l", 200)),
        # clients disagree on the type of status
        (b'{"result":"x","status":"200"}', V1Answer(None, None, 200)),
        (b'{"result":"x","status":200.0}', V1Answer(None, None, 200)),
        (b'{"result":"x","status":500}', V1Answer(None, None, 500)),
        # fields may be missing or null
        (b'{"result":"x"}', V1Answer(None, None, None)),
        (b'{"result":null,"status":null}', V1Answer(None, None, None)),
        # a result that is an object, unknown keys
        (b'{"result":{"a":[1]},"status":200,"new":1}', V1Answer(None, None, 200)),
        # fields of other types
        (b'{"request_id":7,"log":["l"],"status":200}', V1Answer(None, None, 200)),
        # NaN, which some serialisers write, and bytes that are not UTF-8
        (b'{"result":NaN,"status":200}', V1Answer(None, None, 200)),
        (b'{"log":"\xff","status":200}', V1Answer(None, "\ufffd", 200)),
        # a lone surrogate, which JSON can spell and no file can hold
        (rb'{"log":"\ud800","status":200}', V1Answer(None, "?", 200)),
    ],
)
def test_a_v1_answer_is_read_tolerantly(body: bytes, expected: V1Answer) -> None:
    assert v1_answer(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<html></html>",
        b"null",
        b"200",
        b'"text"',
        b"[]",
        b"{}",
        b'{"message":"hello"}',  # a v0 answer
        b'{"result":"x","status":200',  # cut off
        b'{"result":"x","status":"fine"}',
        b'{"result":"x","status":true}',
        b'{"result":"x","status":200.5}',
        b'{"result":"x","status":[200]}',
        b'{"result":"x","status":NaN}',
        b'{"result":"x","status":Infinity}',
        DEEP,
    ],
)
def test_a_body_that_cannot_be_a_v1_answer_is_none(body: bytes) -> None:
    assert v1_answer(body) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # FunctionGraph
        (b'{"error_code":"FSS.0404","error_msg":"m"}', ErrorBody("FSS.0404", "m", None)),
        # the gateway
        (b'{"error_msg":"m","error_code":"APIG.0301","request_id":"r"}', ErrorBody("APIG.0301", "m", "r")),
        # Keystone
        (b'{"error":{"code":401,"message":"m","title":"Unauthorized"}}', ErrorBody("401", "m", None)),
        # the engine
        (b'{"code":4002,"message":"m","trace_id":"t"}', ErrorBody("4002", "m", "t")),
        # the two other spellings that the vendor's SDK understands
        (b'{"errorCode":"FSS.0400","errorMsg":"m"}', ErrorBody("FSS.0400", "m", None)),
        (b'\n {"code":"FSS.0400","message":"m"}', ErrorBody("FSS.0400", "m", None)),
        # odd types
        (b'{"error_code":{"a":1},"error_msg":7}', ErrorBody()),
        (b'{"error_code":true}', ErrorBody()),
        (b'{"error_code":-1}', ErrorBody()),
        (b'{"error":"text","message":"m"}', ErrorBody(None, "m", None)),
        # no envelope
        (b"", ErrorBody()),
        (b"<html><h1>502 Bad Gateway</h1></html>", ErrorBody()),
        (b'["error_code"]', ErrorBody()),
        (b'{"error_code":"FSS', ErrorBody()),
        (b'{"a":' + DEEP[:60_000], ErrorBody()),
        (b'{"error_code":"FSS.0404","x":"' + b"x" * LONGEST_ERROR + b'"}', ErrorBody()),
    ],
)
def test_an_error_body_is_read_in_all_five_forms(body: bytes, expected: ErrorBody) -> None:
    assert error_body(body) == expected


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_exception(body: bytes) -> None:
    error_body(body)
    error_body(b"{" + body)
    v1_answer(body)


fields = st.sampled_from(
    ["request_id", "result", "log", "status", "error", "error_code", "error_msg", "code", "message"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.dictionaries(fields, inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(fields, values, max_size=5))
def test_any_json_is_read_without_an_exception_and_its_text_can_be_written(said: dict[str, object]) -> None:
    body = json.dumps(said).encode()
    answer, error = v1_answer(body), error_body(body)
    for text in (answer.log if answer else None, error.code, error.message, error.request_id):
        assert text is None or text.encode() is not None


def test_lenient_json_raises_only_value_errors() -> None:
    for raw in (b"", b"{", DEEP, b"1" * 10_000):
        with pytest.raises(ValueError, match=r"."):
            lenient_json(raw)
