from __future__ import annotations

from typing import Any

import pytest

from loadgen.text import yaml
from loadgen.text.fault import ScenarioError
from loadgen.text.override import override


def tree() -> yaml.Node:
    root, _ = yaml.parse("a: {b: 1}\nphases:\n  - {rate: 1/s}\n  - {rate: 2/s}\n", "f.yaml")
    assert root is not None
    return root


@pytest.mark.parametrize(
    ("option", "path", "value"),
    [
        ("a.b=5", ("a", "b"), 5),
        ("a.b='5'", ("a", "b"), "5"),
        ("a.c=x=y", ("a", "c"), "x=y"),
        ("n.e.w=true", ("n", "e", "w"), True),
        ("phases.1.rate=50/s", ("phases", 1, "rate"), "50/s"),
        ("phases[0].rate={from: 1/s, to: 2/s}", ("phases", 0, "rate"), {"from": "1/s", "to": "2/s"}),
        ("a=[1, 2]", ("a",), [1, 2]),
        ("a=", ("a",), None),
    ],
)
def test_a_value_is_set_where_the_path_leads(option: str, path: tuple[str | int, ...], value: Any) -> None:
    changed = override(tree(), option)
    node = yaml.find(changed, path)
    assert node is not None
    assert yaml.data(node) == value
    assert yaml.place_of(changed, path).source.startswith("--set ")


def test_what_is_not_named_stays_as_it_is() -> None:
    before, after = tree(), override(tree(), "a.b=2")
    assert yaml.data(before) == {"a": {"b": 1}, "phases": [{"rate": "1/s"}, {"rate": "2/s"}]}
    assert yaml.data(after) == {"a": {"b": 2}, "phases": [{"rate": "1/s"}, {"rate": "2/s"}]}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("a.b", '--set: got "a.b", expected key.path=value'),
        ("=5", '--set: got "", expected key.path=value'),
        ("a..b=5", "expected key.path=value"),
        ("phases.2.rate=1/s", '--set phases.2.rate: got "2", expected the index of one of the 2 items of phases'),
        ("phases.steady.rate=1/s", 'got "steady", expected the index'),
        ("a.b.c=1", "--set a.b.c: a.b is a single value"),
        ("a=[1", "--set a: this is not YAML"),
        ("a={b: 1, b: 2}", "--set a: duplicate key"),
    ],
)
def test_a_path_that_leads_nowhere_is_a_fault_that_names_the_option(option: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        override(tree(), option)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (f"phases.{'9' * 5000}.rate=1/s", "expected the index of one of the"),
        (f"event{'.a' * 5000}=1", "got 5001 steps, expected at most 50"),
    ],
)
def test_a_path_beyond_all_measure_is_refused(option: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        override(tree(), option)
