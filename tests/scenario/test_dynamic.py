"""Placeholders that need no feeder: the same value wherever one stands in a call, whichever agent makes it."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.requests import requests
from loadgen.scenario.dynamic import fault, instant, make
from loadgen.scenario.load import load
from loadgen.targets.registry import tenant_of
from loadgen.text.fault import ScenarioError

STOPPED = 1_800_000_000_123


def values(field: str, count: int, seed: int = 1) -> list[object]:
    made = make(field, seed, lambda: STOPPED)
    return [made(index) for index in range(count)]


def test_random_values_never_change_between_versions() -> None:
    assert values("$random:1:100", 6) == [77, 95, 94, 11, 3, 4]
    assert values("$uuid", 2) == ["7c76a520-8cc3-4811-9631-7a63f9781d5f", "ac6b03cb-2a7c-4540-9b11-581105c73206"]


@given(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(0, 10**6), st.integers(0, 2**62), st.integers(0, 2**63 - 1))
def test_a_random_number_is_within_its_bounds(low: int, width: int, index: int, seed: int) -> None:
    high = min(low + width, 10**15 - 1)
    value = make(f"$random:{low}:{high}", seed, lambda: 0)(index)
    assert isinstance(value, int)
    assert low <= value <= high


def test_random_numbers_are_spread_evenly_bounds_included() -> None:
    counts = Counter(values("$random:-2:2", 10_000))
    assert set(counts) == {-2, -1, 0, 1, 2}
    assert all(1850 < count < 2150 for count in counts.values())


def test_uuids_are_of_version_4_and_differ() -> None:
    found = [UUID(str(value)) for value in values("$uuid", 10_000)]
    assert len(set(found)) == 10_000
    assert {(each.version, each.variant) for each in found} == {(4, "specified in RFC 4122")}


def test_what_differs_in_its_name_or_seed_is_independent() -> None:
    streams = [values("$random:1:1000", 50), values("$random:1:1000:b", 50), values("$random:1:1000", 50, seed=2)]
    for one in streams:
        for other in streams:
            assert (one is other) == (one == other)
            same = sum(a == b for a, b in zip(one, other, strict=True))
            assert one is other or same < 5


def test_now_is_the_time_of_day_in_utc_with_milliseconds() -> None:
    (now,) = values("$now", 1)
    assert now == "2027-01-15T08:00:00.123Z"
    assert datetime.fromisoformat(str(now)).timestamp() * 1000 == STOPPED
    assert instant(0) == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("$idx", "got {{$idx}}, expected $index, $now, $uuid, $random:1:100, or a column's name without $"),
        ("$random", "got {{$random}}, expected $index"),
        ("$random:5", "got {{$random:5}}, expected $index"),
        ("$random:5:1", "got {{$random:5:1}}, expected the lower bound first"),
        ("$random:1:1000000000000000", "got {{$random:1:1000000000000000}}, expected"),
        ("$index:a", "got {{$index:a}}, expected"),
        ("$", "got {{$}}, expected"),
    ],
)
def test_another_one_is_refused(field: str, said: str) -> None:
    assert str(fault(field)).startswith(said)


def scenario_of(directory: Path, rest: str, url: str = "http://h/") -> str:
    return f"name: x\ntarget: {{url: '{url}'}}\nphases: [{{name: a, rate: 1/s, duration: 1s}}]\n{rest}\n"


def sent(directory: Path, text: str, agent: int, *indices: int) -> list[bytes]:
    scenario = load(text, source="s.yaml", directory=directory, environment={}).scenario
    request = requests(scenario, tenant_of(scenario.target).template(scenario.target), agent)
    found = [request.of(index) for index in indices]
    return [each or b"" for each in found]


def test_a_call_has_one_value_of_each_wherever_it_stands_and_whatever_the_agent(tmp_path: Path) -> None:
    text = scenario_of(
        tmp_path,
        "event: {n: '{{$index}}', id: '{{$uuid}}', r: 'r{{$random:1:9}}', at: '{{$now}}'}",
        "http://h/{{$uuid}}?r={{$random:1:9}}",
    )
    ones, others = sent(tmp_path, text, 0, 0, 1, 2), sent(tmp_path, text, 7, 2, 1, 0)
    for index, (one, other) in enumerate(zip(ones, reversed(others), strict=True)):
        found = re.match(rb'POST /(\S+)\?r=(\d) .*\{"n":(\d),"id":"(\S+)","r":"r(\d)","at":"\S+Z"\}', one, re.DOTALL)
        assert found is not None
        assert (found[1], found[2], int(found[3])) == (found[4], found[5], index)
        assert one.partition(b',"at"')[0] == other.partition(b',"at"')[0]


def test_they_stand_beside_the_fields_of_a_feeder_which_still_runs_out(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("a\nx\ny\n")
    text = scenario_of(tmp_path, "body: {text: '{{a}}{{$index}}'}\nfeeder: {file: u.csv, order: once}")
    assert [each[-2:] for each in sent(tmp_path, text, 0, 0, 1, 2)] == [b"x0", b"y1", b""]


def test_one_in_the_wrong_form_is_named_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(scenario_of(tmp_path, "event: {a: '{{$uid}}'}"), source="s.yaml", directory=tmp_path, environment={})
    assert "s.yaml:4:12: event.a: got {{$uid}}, expected $index, $now, $uuid" in str(caught.value)
