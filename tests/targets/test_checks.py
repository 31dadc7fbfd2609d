"""What a scenario expects of answers: read from a line, compiled once, and broken by anything else."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.checks import LARGEST, Check, checked, compiled, parse
from loadgen.targets.functiongraph.protocol.envelope import v1_result
from loadgen.targets.port import Reading

RESULT = {
    "statusCode": 200,
    "items": [{"id": "a"}, {"id": None}],
    "0": {"x": 1},
    "a.b": 1.5,
    "text": "hello ok",
    "tags": ["x", 1, True],
    "yes": True,
    "big": 12345678901234567890123,
    "": 0,
}
HEADERS = {b"x-region": b"eu-de", b"x-n": b"15", b"x-two": b"one\ntwo", b"x-empty": b""}


def holds(check: str, *, status: int = 200, body: bytes | None = None) -> bool:
    body = json.dumps(RESULT).encode() if body is None else body
    text = compiled([parse(check)])(status, HEADERS, body)
    assert text in (None, check.strip())
    return text is None


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("status == 200", True),
        ("status<300", True),
        ("  status  !=  200 ", False),
        ("status >= 201", False),
        ("json.statusCode == 200", True),
        ("json.statusCode == 200.0", True),
        ('json.statusCode == "200"', False),
        ("json.statusCode < 400", True),
        ("json.statusCode > 200", False),
        ("json.items.0.id exists", True),
        ("json.items.1.id exists", True),  # null is there
        ("json.items.1.id == null", True),
        ("json.items.2.id exists", False),
        ("json.items.2.id absent", True),
        ("json.items.x absent", True),
        ("json.nope == null", False),
        ("json.nope != 1", False),  # nothing holds of what is not there
        ("json.0.x == 1", True),
        ('json."a.b" == 1.5', True),
        ('json."" == 0', True),
        ("json.a.b absent", True),
        ('json.text contains "ok"', True),
        ('json.text contains "no"', False),
        ("json.text contains 1", False),
        ("json.text < 5", False),
        ('json.tags contains "x"', True),
        ("json.tags contains 1", True),
        ("json.tags contains true", True),
        ("json.tags contains false", False),
        ("json.yes == true", True),
        ("json.yes == 1", False),
        ("json.yes != 1", True),
        ("json.yes > 0", False),
        ("json.big > 1e22", True),
        ("json exists", True),
        ("json == 5", False),
        ('body contains "hello"', True),
        ('body contains "HELLO"', False),
        ('body == "x"', False),
        ('body != "x"', True),
        ('header.X-Region == "eu-de"', True),
        ('header.x-REGION != "eu-de"', False),
        ('header.X-Region contains "de"', True),
        ("header.X-Region exists", True),
        ("header.X-Nope exists", False),
        ("header.X-Nope absent", True),
        ('header.X-Nope != "x"', False),
        ("header.X-Empty exists", True),
        ("header.X-N < 16", True),
        ("header.X-N == 15.0", True),
        ("header.X-N > 15", False),
        ("header.X-Region > 15", False),
        ('header.X-Two == "two"', True),
        ('header.X-Two == "three"', False),
    ],
)
def test_a_check_holds_or_is_broken(check: str, expected: bool) -> None:
    assert holds(check) is expected


@pytest.mark.parametrize("body", [b"", b"no json", b"\xff", b'{"a": 1', b"[" * 100_000, b"NaN x"])
def test_of_a_result_that_is_no_json_only_absent_holds(body: bytes) -> None:
    assert not holds("json.a == 1", body=body)
    assert not holds("json.a != 1", body=body)
    assert not holds("json exists", body=body)
    assert holds("json.a absent", body=body)


def test_json_as_some_serialisers_write_it_is_read_all_the_same() -> None:
    assert holds("json.a == 1", body=b'{"a": 1, "b": NaN, "c": "\xff"}')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a check such as status < 300, json.statusCode == 200"),
        ("statu < 300", "status, body, json.PATH or header.NAME first; did you mean status?"),
        ("jsn.a == 1", "status, body, json.PATH or header.NAME first; did you mean json?"),
        ("latency < 5ms", "status, body, json.PATH or header.NAME first"),
        ("status", "a check such as"),
        ("status = 200", "a check such as"),
        ("status exists", "a comparison: every answer has a status"),
        ("body absent", "a comparison: every answer has a body"),
        ('status == "200"', "a comparison of status with a whole number, such as status < 300"),
        ("status contains 2", "a comparison of status with a whole number"),
        ("status == 404", "a status from 200 to 399: checks are made of answers that are ok"),
        ("status > 399", "a status from 200 to 399"),
        ("status.x == 1", "status without anything behind it; json.x looks into a result"),
        ("body.x == 1", "body without anything behind it; json.x looks into a result"),
        ("body contains ok", 'a number, "text" in double quotes, true, false or null after the comparison'),
        ("body contains 5", 'body contains "text", body == "text" or body != "text"'),
        ('body < "x"', 'body contains "text"'),
        ("json.a == eu", 'a number, "text" in double quotes'),
        ("json.a == [1]", 'a number, "text" in double quotes'),
        ("json.a == NaN", 'a number, "text" in double quotes'),
        ('json.a < "b"', "a number after <"),
        ("json.a <= null", "a number after <="),
        ("json.a ~ 1", "a check such as"),
        ("json..a == 1", "a check such as"),
        ("header == 1", "a check such as"),
        ("header.X == true", 'a number or a "text" to compare a header with'),
        ("header.X contains 5", 'a "text" after contains'),
        ("json.a exists now", "a check such as"),
    ],
)
def test_what_is_no_check_is_refused_with_what_is_expected(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
        parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_check_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert parse(text).text == text.strip()


FLOAT = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | FLOAT | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NUMBER = st.integers(-1000, 1000) | st.floats(-1000, 1000)
SIGNS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@given(NUMBER, NUMBER, st.sampled_from(sorted(SIGNS)))
def test_numbers_compare_as_numbers_do(one: float, other: float, sign: str) -> None:
    body = json.dumps({"a": [one]}).encode()
    assert holds(f"json.a.0 {sign} {json.dumps(other)}", body=body) is SIGNS[sign](one, other)


@given(JSON, st.lists(st.text(max_size=3), max_size=3), st.binary(max_size=30))
def test_no_answer_makes_a_check_fail_otherwise_than_by_being_broken(value: Any, path: list[str], raw: bytes) -> None:
    steps = "".join(f".{json.dumps(step)}" for step in path)
    for check in ("exists", "absent", "== 1", '!= "a"', "< 5", 'contains "a"', "contains 0"):
        judge = compiled([parse(f"json{steps} {check}")])
        for body in (json.dumps(value).encode(), raw):
            assert judge(200, {b"x": raw}, body) in (None, f"json{steps} {check}")


def test_the_first_check_that_is_broken_is_the_one_that_is_said() -> None:
    judge = compiled([parse("status == 200"), parse("json.a == 1"), parse('body contains "x"')])
    assert judge(200, {}, b'{"a": 2}') == "json.a == 1"
    assert judge(201, {}, b'{"a": 2}') == "status == 200"
    assert judge(200, {}, b'{"a": 1, "x": 0}') is None


class Answer(msgspec.Struct):
    status: int
    body: bytes
    headers: dict[bytes, bytes] = {}


def reading(facts: Facts) -> Reading:
    return Reading(frozenset({b"x-known"}), lambda answer: facts, keep=100, most=None)


def same(body: bytes) -> bytes:
    return body


def told(checks: list[str], facts: Facts, body: bytes, result: Callable[[bytes], bytes] = same) -> Facts:
    return checked(reading(facts), list(map(parse, checks)), result).classify(Answer(facts.status, body))


OK = Facts(Outcome.OK, "ok", 200, None, "r-1", 5, 6, 128, 1024, "log", "cold", "log", "i", ("duration",))


def test_a_broken_check_is_an_outcome_with_its_text_as_reason_and_all_else_as_it_was() -> None:
    facts = told(["json.a == 1"], OK, b"{}")
    assert (facts.outcome, facts.reason) == (Outcome.CHECK_FAILED, "json.a == 1")
    for name in ("status", "request_id", "duration_ns", "billed_duration_ns", "memory_size_mb", "memory_used_bytes"):
        assert getattr(facts, name) == getattr(OK, name)
    assert (facts.log, facts.start, facts.start_source, facts.instance, facts.unbelieved) == (
        OK.log, OK.start, OK.start_source, OK.instance, OK.unbelieved,
    )  # fmt: skip
    assert told(["json.a == 1"], OK, b'{"a": 1}') == OK


def test_what_failed_otherwise_is_not_checked() -> None:
    failed = Facts(Outcome.FUNCTION_ERROR, "func_err", 200)
    assert told(["json.a == 1"], failed, b"{}") is failed


def test_with_checks_a_status_inside_is_theirs_to_judge() -> None:
    inside = Facts(Outcome.OK, "status_inside", 200)
    assert told(["json.statusCode == 500"], inside, b'{"statusCode": 500}').reason == "ok"
    assert told(["json.statusCode < 400"], inside, b'{"statusCode": 500}').outcome is Outcome.CHECK_FAILED


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b'{"result": "{\\"a\\": 1}", "status": 200}', b'{"a": 1}'),
        (b'{"result": {"a": 1}, "status": 200}', b'{"a": 1}'),
        (b'{"status": 200}', b""),
        (b'{"result": "\\ud800", "log": "x"}', b"?"),
        (b'{"result": [NaN]}', b"[NaN]"),
        (b"no", b""),
        (b"[1]", b""),
    ],
)
def test_the_result_of_a_v1_answer_is_what_is_checked(body: bytes, result: bytes) -> None:
    assert v1_result(body) == result


def test_the_whole_answer_is_read_where_its_body_is_checked_and_never_more_than_that() -> None:
    plain = reading(OK)
    assert checked(plain, [], same) is plain
    by_status = checked(plain, [parse("status < 300"), parse("header.X-A exists")], same)
    assert (by_status.keep, by_status.most, by_status.quick) == (100, None, None)
    assert by_status.headers == {b"x-known", b"x-a"}
    by_body = checked(plain, [parse('body contains "x"')], same)
    assert (by_body.keep, by_body.most) == (LARGEST, LARGEST)


def test_a_check_travels_to_agents() -> None:
    for text in ("json.a == 1", 'json."a b".0 contains "x"', "header.X-A absent", "json.a == null", "status < 300"):
        check = parse(text)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(check), type=Check) == check
