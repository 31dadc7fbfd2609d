from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from loadgen.targets.functiongraph.settings.edit import (
    DocumentError,
    Edit,
    at,
    describe,
    differences,
    edited,
    edits,
    name,
    private,
    public,
    same,
    shown,
)

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5)
KEYS = st.sampled_from(["memory_size", "strategy_config", "description", "timeout", "func_vpc"])
DOCUMENTS = st.dictionaries(KEYS, SCALARS | st.dictionaries(KEYS, SCALARS, max_size=3), max_size=4)


@given(DOCUMENTS, KEYS, SCALARS)
def test_an_edit_that_is_taken_back_leaves_exactly_what_was_there(
    document: dict[str, Any], key: str, value: Any
) -> None:
    changed = edited(document, [((key,), value)])
    assert at(changed, (key,)) == value
    assert edited(changed, [((key,), at(document, (key,)))]) == document


@given(st.dictionaries(st.text(max_size=5), SCALARS, min_size=1, max_size=4), st.integers(0, 4), st.text(max_size=3))
def test_a_variable_that_is_set_and_removed_leaves_the_same_text(
    variables: dict[str, Any], style: int, value: str
) -> None:
    go = style == 4
    separators = ((",", ":"), (", ", ": "))[0 if go else style // 2]
    text = json.dumps(variables, separators=separators, ensure_ascii=style % 2 == 1)
    if go:
        text = json.dumps(variables, separators=separators, ensure_ascii=False)
        for character in "<>&\u2028\u2029":
            text = text.replace(character, f"\\u{ord(character):04x}")
    document = {"user_data": text}
    (edit,) = edits(document, {("user_data", "LOADGEN_RUN"): value + "x"})
    changed = edited(document, [(edit.path, edit.after)])
    assert json.loads(changed["user_data"]) == {**variables, "LOADGEN_RUN": value + "x"}
    assert edited(changed, [(edit.path, edit.before)]) == document


@pytest.mark.parametrize("nothing", ["", None, UNSET])
def test_without_variables_the_whole_text_is_made_and_taken_back(nothing: Any) -> None:
    document = {} if nothing is UNSET else {"user_data": nothing}
    (edit,) = edits(document, {("user_data", "LOADGEN_RUN"): "1"})
    changed = edited(document, [(edit.path, edit.after)])
    assert changed == {"user_data": '{"LOADGEN_RUN": "1"}'}
    assert edited(changed, [(edit.path, edit.before)]) == document


@pytest.mark.parametrize("path", [("user_data",), ("user_data", "HOST"), ("encrypted_user_data", "LOADGEN_X")])
def test_no_variable_but_our_own_can_be_changed(path: tuple[str, ...]) -> None:
    with pytest.raises(DocumentError, match="only variables named LOADGEN_…"):
        edits({"user_data": '{"HOST": "x"}'}, {path: "y"})


@pytest.mark.parametrize("text", ['{"A":  1}', '{"A":1,"A":1}', '{"\\u0041":1}'])
def test_text_that_could_not_be_put_back_exactly_is_not_touched(text: str) -> None:
    with pytest.raises(DocumentError, match="could not be put back exactly"):
        edits({"user_data": text}, {("user_data", "LOADGEN_X"): "1"})


def test_a_path_through_something_without_parts_is_refused() -> None:
    with pytest.raises(DocumentError, match="has no parts"):
        edited({"memory_size": 128}, [(("memory_size", "x"), 1)])


def test_what_is_so_already_needs_no_edit() -> None:
    assert edits({"a": 1, "b": {"c": 2}}, {("a",): 1, ("b", "c"): 3}) == (Edit(("b", "c"), 2, 3),)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (UNSET, None, True),
        (None, "", True),
        ("", {}, True),
        ({"a": None}, {}, True),
        ([], None, True),
        (0, None, False),  # 0 instances is not the same as no limit
        (False, None, False),
        (0, False, False),
        ('{"a":1}', '{"a": 1}', True),
        ('{"a":""}', "{}", False),  # an empty variable is one
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
    ],
)
def test_what_is_empty_is_the_same_as_absent_and_nothing_else_is(one: Any, other: Any, expected: bool) -> None:
    assert same(one, other) is expected
    assert same(other, one) is expected


def test_differences_are_named_by_their_smallest_part() -> None:
    before = {"strategy_config": {"concurrency": 100, "concurrent_num": 1}, "description": "", "gone": 1}
    after = {"strategy_config": {"concurrency": 0, "concurrent_num": 1}, "new": 2}
    assert list(differences(before, after)) == [
        Edit(("strategy_config", "concurrency"), 100, 0),
        Edit(("gone",), 1, UNSET),
        Edit(("new",), UNSET, 2),
    ]


def test_what_may_be_secret_is_neither_kept_nor_shown() -> None:
    document = {"user_data": '{"P": "s3cret"}', "encrypted_user_data": "{}", "api_token": "s3cret", "memory_size": 128}
    nested = {**document, "extra": {"password": "s3cret", "a": 1}}
    assert public(nested) == {"memory_size": 128, "extra": {"a": 1}}
    assert shown(("user_data",), document["user_data"]) == "***"
    assert shown(("extra",), nested["extra"]) == '{"a": 1}'
    assert private(("user_data", "PASSWORD"))
    assert not private(("user_data", "LOADGEN_RUN"))


def test_a_name_from_the_platform_is_one_line() -> None:
    assert name(("a\nb\x1b", "c\u202e")) == r"a\nb\x1b.c\u202e"


def test_an_edit_is_shown_without_secrets() -> None:
    assert describe(Edit(("user_data",), "{}", '{"A": "s3cret"}')) == "user_data *** -> ***"
    assert describe(Edit(("memory_size",), 128, 256)) == "memory_size 128 -> 256"
