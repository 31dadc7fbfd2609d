"""What the scenario expects of answers that are ok, in one line each; one that is broken is an outcome.

Grammar::

    status (==|!=|<|<=|>|>=) number
    header.Name (==|!=|<|<=|>|>=) value  |  header.Name contains "text"  |  header.Name (exists|absent)
    body (==|!=) "text"                  |  body contains "text"
    json.path (==|!=|<|<=|>|>=) value    |  json.path contains value     |  json.path (exists|absent)

A value is JSON: a number, a text in double quotes, ``true``, ``false`` or ``null``. A path is of keys and positions in
lists, from 0: ``json.items.0.id``; what has a dot or a blank in it is in quotes, ``json."a.b"``. ``json`` alone is all
of it. Body and JSON are those of the function's result, whatever wraps it.

What is not there, or no JSON, has no value, and only ``absent`` holds of it. Numbers are compared as numbers, a
header's too where the value is one; values of different types are not equal, and neither is less. Of a header that
comes several times one has to do. ``contains`` looks into a text, or for an item in a list.

Each check is compiled once, to a function of the answer. JSON is read at most once for all of them, and of an object
only the keys that they begin with.
"""

from __future__ import annotations

import difflib
import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec import Meta, Struct

from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.error_body import lenient_json
from loadgen.targets.port import Answer, Reading
from loadgen.targets.quick import Broken, CheckedReader
from loadgen.targets.status import STATUS_INSIDE

LARGEST = 16 * 1024 * 1024
"""Bytes of an answer whose body is checked; a longer one is no answer then (``protocol/body_too_large``)."""

_FORM = re.compile(
    r"""(?:(?P<of>status|body|json)\b|header\.(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+))
    (?P<path>(?:\.(?:"(?:[^"\\]|\\.)*"|[^\s."'<>=!]+))*)
    (?:\s*(?P<sign>==|!=|<=|>=|<|>)\s*(?P<value>\S.*)|\s+(?P<word>exists|absent)|\s+(?P<contains>contains)\s+(?P<part>\S.*))
    """,
    re.VERBOSE | re.DOTALL,
)
_STEP = re.compile(r'\.(?:("(?:[^"\\]|\\.)*")|([^\s."]+))')
_EXAMPLES = 'a check such as status < 300, json.statusCode == 200, body contains "ok" or header.X-Region == "eu"'
_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDER = ("<", "<=", ">", ">=")
_Read = Callable[[bytes], object]
_MISSING: Final = object()
"""The value of what is not there."""
_UNREAD: Final = object()


class Check(Struct, frozen=True):
    """One check: ``of`` status, header, body or json, ``path`` in it, and what has to hold of its ``value``."""

    text: str
    of: str
    path: tuple[str, ...]
    sign: str
    value: Any = None


def parse(text: str) -> Check:
    """The Check that a text states. Raises ValueError with a text that completes "got …, expected …"."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(_near(text) or _EXAMPLES)
    of = found["of"] or "header"
    path = _path(found["path"])
    if of == "header":
        path = (found["name"].lower(),)  # the name may have dots in it, which the form takes for a part of it
    elif of != "json" and path:
        raise ValueError(f"{of} without anything behind it; json.{'.'.join(path)} looks into a result")
    sign = found["sign"] or found["word"] or found["contains"]
    value = _value(found["value"] or found["part"]) if sign not in ("exists", "absent") else None
    check = Check(text.strip(), of, path, sign, value)
    if fault := _fault(check):
        raise ValueError(fault)
    return check


WRITTEN = Meta(
    extra_json_schema={"type": "string", "pattern": r"^\s*(?:status|body|json|header\.)"}, extra={"read": parse}
)
"""How a check is written; the pattern is how every one begins, the rest is said by the function that reads it."""


def checked(reading: Reading, checks: Sequence[Check], result: Callable[[bytes], bytes]) -> Reading:
    """The reading of answers of which checks are expected; ``result`` is what the function returned of a body."""
    if not checks:
        return reading
    broken = compiled(checks)

    def classify(answer: Answer) -> Facts:
        facts = reading.classify(answer)
        if facts.outcome is not Outcome.OK:
            return facts
        text = broken(answer.status, answer.headers, result(answer.body))
        if text is not None:
            return _retold(facts, Outcome.CHECK_FAILED, text)
        return _retold(facts, Outcome.OK, "ok") if facts.reason == STATUS_INSIDE else facts

    wanted = {check.path[0].encode() for check in checks if check.of == "header"}
    whole = any(check.of in ("body", "json") for check in checks)
    return Reading(
        reading.headers | wanted,
        classify,
        keep=max(reading.keep, LARGEST) if whole else reading.keep,
        most=min(reading.most or LARGEST, LARGEST) if whole else reading.most,
        quick=None if reading.quick is None or wanted else partial(CheckedReader, reading.quick, broken, whole),
    )


def compiled(checks: Sequence[Check]) -> Broken:
    """What says of an answer's status, headers and result the text of the first check that is broken; None if none."""
    tests = [(check.text, _test(check), check.of == "json") for check in checks]
    read = _reader([check.path for check in checks if check.of == "json"])

    def broken(status: int, headers: Mapping[bytes, bytes], result: bytes) -> str | None:
        value: object = _UNREAD
        for text, test, of_json in tests:
            if of_json:
                if value is _UNREAD:
                    value = read(result)
                held = test(value)
            else:
                held = test(status, headers, result)
            if not held:
                return text
        return None

    return broken


def _reader(paths: Sequence[tuple[str, ...]]) -> _Read:
    """Reads of a result what is at these paths."""
    if not all(paths):
        return _read
    places = {key: f"f{n}" for n, key in enumerate(dict.fromkeys(path[0] for path in paths))}
    fields = [(place, Any, msgspec.field(name=key, default=_MISSING)) for key, place in places.items()]
    try:
        decode = msgspec.json.Decoder(msgspec.defstruct("Looked", fields, gc=False)).decode
    except ValueError:  # a key with quotes or a backslash in it
        return _read

    def read(body: bytes) -> object:
        try:
            found = decode(body)
        except (msgspec.DecodeError, RecursionError):  # no object, perhaps
            return _read(body)
        return {key: getattr(found, place) for key, place in places.items()}

    def read_one(body: bytes) -> object:
        try:
            return {first: place(decode(body))}
        except (msgspec.DecodeError, RecursionError):
            return _read(body)

    if len(places) != 1:
        return read
    first, place = next(iter(places)), attrgetter("f0")
    return read_one


def _read(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        try:
            return lenient_json(body)
        except ValueError:
            return _MISSING


def _test(check: Check) -> Callable[..., bool]:
    """What tells whether a check holds, of a result's JSON, or of status, headers and result."""
    of, sign, value = check.of, check.sign, check.value
    if of == "status":
        compare = _SIGNS[sign]
        return lambda status, headers, body: compare(status, value)
    if of == "body":
        text = value.encode()
        if sign == "contains":
            return lambda status, headers, body: text in body
        return lambda status, headers, body: (body == text) is (sign == "==")
    if of == "header":
        name, holds = check.path[0].encode(), _of_text(sign, value)
        return lambda status, headers, body: holds(headers.get(name))
    at, of_json = _at(check.path), _of_json(sign, value)
    return lambda json: of_json(at(json))


def _at(path: tuple[str, ...]) -> Callable[[object], object]:
    steps = [(key, int(key) if key.isascii() and key.isdecimal() and len(key) < 10 else None) for key in path]

    def found(value: object) -> object:
        for key, position in steps:
            if isinstance(value, dict):
                value = value.get(key, _MISSING)
            elif isinstance(value, list) and position is not None and position < len(value):
                value = value[position]
            else:
                return _MISSING
        return value

    return found


def _of_json(sign: str, value: Any) -> Callable[[object], bool]:
    if sign in ("exists", "absent"):
        return lambda found: (found is not _MISSING) is (sign == "exists")
    if sign == "contains":
        return partial(_contains, value, _same_as(value))
    if sign in _ORDER:
        compare = _SIGNS[sign]
        return lambda found: _is_number(found) and compare(found, value)
    same = _same_as(value)
    if sign == "==":
        return same
    return lambda found: found is not _MISSING and not same(found)


def _contains(value: Any, same: Callable[[object], bool], found: object) -> bool:
    if isinstance(found, str):
        return isinstance(value, str) and value in found
    return isinstance(found, list) and any(map(same, found))


def _same_as(value: Any) -> Callable[[object], bool]:
    """What tells whether another value of JSON equals one that is no list or object; true is not 1."""
    if _is_number(value):
        return lambda found: _is_number(found) and found == value
    if isinstance(value, str):
        return lambda found: found == value
    return lambda found: found is value


def _of_text(sign: str, value: Any) -> Callable[[bytes | None], bool]:
    """What tells of the values of a header, one a line, whether it holds of one of them."""
    if sign in ("exists", "absent"):
        return lambda raw: (raw is not None) is (sign == "exists")
    if sign == "contains":
        part = value.encode()
        return lambda raw: raw is not None and part in raw
    compare = _SIGNS[sign]
    if not _is_number(value):
        text = value.encode()
        return lambda raw: raw is not None and any(compare(each, text) for each in raw.split(b"\n"))
    return lambda raw: (
        raw is not None
        and any(number is not None and compare(number, value) for number in map(_number, raw.split(b"\n")))
    )


def _number(text: bytes) -> float | None:
    try:
        return float(text) if len(text) <= 64 else None
    except ValueError:
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _path(text: str) -> tuple[str, ...]:
    return tuple(json.loads(quoted) if quoted else plain for quoted, plain in _STEP.findall(text))


def _value(text: str) -> Any:
    try:
        value = msgspec.json.decode(text.strip())
    except msgspec.DecodeError:
        value = _MISSING
    if value is _MISSING or isinstance(value, dict | list):
        raise ValueError('a number, "text" in double quotes, true, false or null after the comparison')
    return value


def _fault(check: Check) -> str | None:
    """What is wrong with a check that is well-formed, completing "got …, expected …"."""
    of, sign, value = check.of, check.sign, check.value
    if of in ("status", "body") and sign in ("exists", "absent"):
        return f"a comparison: every answer has a {of}"
    if of == "status":
        if sign == "contains" or not isinstance(value, int) or isinstance(value, bool):
            return "a comparison of status with a whole number, such as status < 300"
        if not any(_SIGNS[sign](status, value) for status in range(200, 400)):
            return "a status from 200 to 399: checks are made of answers that are ok, others have outcomes of their own"
    if of == "body" and (not isinstance(value, str) or sign in _ORDER):
        return 'body contains "text", body == "text" or body != "text"'
    if of == "header" and sign == "contains" and not isinstance(value, str):
        return 'a "text" after contains'
    if of == "header" and sign not in ("exists", "absent") and (isinstance(value, bool) or value is None):
        return 'a number or a "text" to compare a header with'
    if sign in _ORDER and not _is_number(value):
        return f"a number after {sign}"
    return None


def _near(text: str) -> str | None:
    """What was perhaps meant by a text whose first word is unknown."""
    first = re.match(r"\s*([A-Za-z_]+)", text)
    if first is None or first[1] in ("status", "body", "json", "header"):
        return None
    close = difflib.get_close_matches(first[1].lower(), ["status", "body", "json", "header"], 1)
    return f"status, body, json.PATH or header.NAME first{f'; did you mean {close[0]}?' if close else ''}"


def _retold(facts: Facts, outcome: Outcome, reason: str) -> Facts:
    return Facts(
        outcome, reason, facts.status, facts.error_code, facts.request_id, facts.duration_ns, facts.billed_duration_ns,
        facts.memory_size_mb, facts.memory_used_bytes, facts.log, facts.start, facts.start_source, facts.instance,
        facts.unbelieved,
    )  # fmt: skip
