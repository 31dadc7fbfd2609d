from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario.event import compile_event
from loadgen.scenario.feeder import parse_json
from loadgen.text.template import placeholders


def test_an_event_without_placeholders_is_constant_and_compact() -> None:
    template = compile_event('{"a": [1, 2.5, true, null, "ü"], "b": {}}')
    assert template.constant == '{"a":[1,2.5,true,null,"ü"],"b":{}}'.encode()
    assert template.fields == frozenset()
    assert template.render({}) == template.constant


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('{ "a" : 1.0,\n"b":1e3 }', '{"a":1.0,"b":1e3}'),
        ("[12345678901234567890, 0.10000000000000000555,  -0.0]", "[12345678901234567890,0.10000000000000000555,-0.0]"),
        ('["\\u00fc \\/ \\ud83d\\ude00", "a  b", "\\"  :  "]', '["\\u00fc \\/ \\ud83d\\ude00","a  b","\\"  :  "]'),
        ('["<{{n}}>", 1.10, "\\u00fc{{n}}"]', '["<7>",1.10,"ü7"]'),
    ],
)
def test_nothing_but_the_blanks_between_tokens_is_lost(written: str, sent: str) -> None:
    assert compile_event(written).render({"n": 7}).decode() == sent


def test_a_number_of_a_row_keeps_its_digits() -> None:
    row = parse_json('{"n": 12345678901234567.89, "l": [1.10, {"e": 1E400}]}')
    assert isinstance(row, dict)
    event = compile_event('{"a": "{{n}}", "b": "{{l}}", "c": "<{{n}} {{l}}>"}').render(row)
    assert event == (
        b'{"a":12345678901234567.89,"b":[1.10,{"e":1E400}],"c":"<12345678901234567.89 [1.10,{\\"e\\":1E400}]>"}'
    )


def test_a_placeholder_may_be_written_with_escapes() -> None:
    assert compile_event('["\\u007b\\u007ba}}"]').render({"a": 1}) == b"[1]"


def test_an_empty_event_is_an_empty_body() -> None:
    assert compile_event("").constant == b""


def test_a_string_that_is_only_a_placeholder_takes_the_type_of_the_field() -> None:
    template = compile_event('{"a": "{{n}}", "b": "{{ t }}"}')
    assert template.constant is None
    assert template.fields == {"n", "t"}
    assert template.render({"n": 5, "t": "x"}) == b'{"a":5,"b":"x"}'
    assert template.render({"n": None, "t": [1, {"k": True}]}) == b'{"a":null,"b":[1,{"k":true}]}'


def test_elsewhere_a_field_is_inserted_as_escaped_text() -> None:
    template = compile_event('["Hello {{name}}, {{n}}!"]')
    assert json.loads(template.render({"name": 'a"b\\\n', "n": 5})) == ['Hello a"b\\\n, 5!']
    assert json.loads(template.render({"name": {"k": "v"}, "n": None})) == ['Hello {"k":"v"}, null!']


def test_what_is_not_a_placeholder_stays_text() -> None:
    assert compile_event('["{{", "{{}}", "{a}", "}}"]').constant == b'["{{","{{}}","{a}","}}"]'


def test_a_placeholder_in_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="placeholder in the key"):
        compile_event('{"{{a}}": 1}')


def test_a_row_without_the_field_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        compile_event('"{{a}}"').render({})


def test_placeholders_are_listed_in_order() -> None:
    assert placeholders("{{a}} {{ b c }}{{a}}") == ["a", "b c", "a"]


TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(JSON, TEXT)
def test_rendering_is_substitution_in_the_json_value(value: Any, text: str) -> None:
    template = compile_event('{"whole": "{{v}}", "part": "<{{t}}>"}')
    assert json.loads(template.render({"v": value, "t": text})) == {"whole": value, "part": f"<{text}>"}
