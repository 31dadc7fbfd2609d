from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.text import yaml
from loadgen.text.fault import ScenarioError


def read(text: str) -> Any:
    node, duplicates = yaml.parse(text, "f.yaml")
    assert not duplicates
    assert node is not None
    return yaml.data(node)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("010", 10),
        ("1e3", 1000.0),
        ("12_000", "12_000"),
        ("60:00", "60:00"),
        ("2024-01-01", "2024-01-01"),
        ("0x10", "0x10"),
        (".inf", ".inf"),
        ('"5"', "5"),
        ("-1.5", -1.5),
    ],
)
def test_scalars_follow_the_yaml_1_2_core_schema(text: str, value: object) -> None:
    found = read(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_every_node_knows_its_place() -> None:
    root, _ = yaml.parse("a:\n  - x\n  - {b: 5}\n", "f.yaml")
    assert root is not None
    place = yaml.place_of(root, ("a", 1, "b"))
    assert (place.source, place.line, place.column, place.text) == ("f.yaml", 3, 9, "  - {b: 5}")
    assert yaml.place_of(root, ("a",)).line == 1  # a block is pointed at by its key
    assert yaml.place_of(root, ("a", 1, "missing", "deeper")).line == 3  # what is not there, by what encloses it


def test_duplicate_keys_are_reported_and_the_first_is_kept() -> None:
    root, (fault,) = yaml.parse("a: 1\nb: 2\na: 3\n", "f.yaml")
    assert root is not None
    assert yaml.data(root) == {"a": 1, "b": 2}
    assert fault.render().startswith("f.yaml:3:1: a: duplicate key, first written on line 1")


def test_an_alias_carries_the_path_it_stands_at() -> None:
    assert read("a: &x {b: 1}\nc: *x\n") == {"a": {"b": 1}, "c": {"b": 1}}


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [*x]", "endless or larger"),
        (BOMB, "endless or larger"),
        ("[" * 20_000, "nested more than 50 levels"),
        ("{a: " * 20_000, "nested more than 50 levels"),
        ("a: \x00", "U+0000"),
        ("a: 1\nb: \x1b", "U+001B"),
        ("a: \ud800", "U+D800"),
        ('a: "\\ud800"', "f.yaml:1"),
        ("a: 1\n\tb: 2", "not YAML"),
        ("a: [1, 2", "not YAML"),
        ("a: {b: ${NAME}}", 'inside { } and [ ] write "${NAME}" with quotes'),
        ("a: {b: http://h/{{id}}, c: 1}", "a value with {{field}} in it is written in quotes"),
        ("a: {{id}}", "expected plain text; a value with {{field}} in it is written in quotes"),
        ("a: *nowhere", "not YAML"),
        ("--- a\n--- b\n", "not YAML"),
        ("a: !!python/object:os.system x", "tag"),
        ("? [a, b]\n: c", "key"),
        ("a: " + "9" * 101, "at most 100 digits"),
        ("a: 1e999", "number below"),
        ("#" + "x" * yaml.MAX_CHARACTERS, "more than 1 MiB"),
    ],
)
def test_what_is_not_a_document_is_refused_quickly_and_clearly(text: str, message: str) -> None:
    began = time.process_time()
    with pytest.raises(ScenarioError) as caught:
        yaml.parse(text, "f.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("f.yaml:")
    assert time.process_time() - began < 3


def test_an_unprintable_character_is_located() -> None:
    with pytest.raises(ScenarioError) as caught:
        yaml.parse("a: 1\nbc: \x07", "f.yaml")
    assert str(caught.value).startswith("f.yaml:2:5: got the character U+0007")


def test_an_empty_document_is_none() -> None:
    assert yaml.parse("# nothing\n", "f.yaml") == (None, [])


DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co")), max_size=12)
    | st.sampled_from(
        ["010", "1e3", "on", "null", "~", "", "- a", "a: b", "#", "5", ".5", "***", "{{x}}", "2024-01-01"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc-1", max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), DATA, min_size=1, max_size=4))
def test_what_is_dumped_is_read_back_the_same(data: dict[str, Any]) -> None:
    assert read(yaml.dump(data)) == data


@given(st.text(max_size=60) | st.text("{}[]:-&*!|>'\"\n ab1,#?", max_size=60))
def test_any_text_is_a_document_or_a_located_error(text: str) -> None:
    faults: object = None
    try:
        node, _ = yaml.parse(text, "f.yaml")
    except ScenarioError as error:
        node, faults = None, error.faults
    assert faults is None or faults
    if node is not None:
        yaml.data(node)
