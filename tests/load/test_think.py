from __future__ import annotations

import math
from pathlib import Path

import pytest

from loadgen.load.think import Think, ThinkLaw
from loadgen.scenario.load import load
from loadgen.text.fault import ScenarioError
from loadgen.text.units import NS_PER_S

MEAN = NS_PER_S // 2
EXPONENTIAL = Think(MEAN, ThinkLaw.EXPONENTIAL)


def phases(written: str) -> str:
    return f"name: x\ntarget: {{url: 'http://h/'}}\nphases: [{{name: a, duration: 1s, {written}}}]\n"


def think(written: str) -> Think | None:
    text = phases(written)
    return load(text, source="s.yaml", directory=Path(), environment={}).scenario.phases[0].think


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("workers: 2", None),
        ("workers: 2, think: 500ms", Think(MEAN)),
        ("workers: {from: 1, to: 2}, think: {mean: 500ms}", Think(MEAN)),
        ("workers: 2, think: {mean: 500ms, law: exponential}", EXPONENTIAL),
    ],
)
def test_workers_may_think(written: str, expected: Think | None) -> None:
    assert think(written) == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("rate: 5/s, think: 1s", "phases[0].think: think belongs to workers; a rate starts calls whatever became of"),
        ("workers: 2, think: 5", "phases[0].think: got 5, expected a number with a unit"),
        ("workers: 2, think: 0s", "expected a time above zero"),
        ("workers: 2, think: {law: exponential}", "phases[0].think: mean is missing"),
        ("workers: 2, think: {mean: 1s, law: gauss}", "law: got \"gauss\", expected one of constant, exponential"),
    ],
)  # fmt: skip
def test_what_is_no_time_to_think_is_refused(written: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        think(written)
    assert message in str(caught.value)


def test_constant_pauses_are_all_alike() -> None:
    pause = Think(MEAN).pauses(1, "a")
    assert {pause(index) for index in range(100)} == {MEAN}


def test_exponential_pauses_have_their_mean_and_their_law() -> None:
    pause = EXPONENTIAL.pauses(1, "a")
    pauses = [pause(index) for index in range(20_000)]
    assert min(pauses) >= 0
    assert abs(sum(pauses) / len(pauses) / MEAN - 1) < 0.03
    for share in (0.1, 0.5, 0.9, 0.99):  # of an exponential law so many are below -ln(1 - share) of the mean
        below = sum(each < -math.log(1 - share) * MEAN for each in pauses) / len(pauses)
        assert abs(below - share) < 4 * math.sqrt(share * (1 - share) / len(pauses))


def test_a_pause_follows_from_the_seed_the_phase_and_the_arrival_alone() -> None:
    one, again = EXPONENTIAL.pauses(1, "a"), EXPONENTIAL.pauses(1, "a")
    assert [one(index) for index in range(50)] == [again(index) for index in reversed(range(50))][::-1]
    assert one(3) not in (EXPONENTIAL.pauses(2, "a")(3), EXPONENTIAL.pauses(1, "b")(3))
    assert [one(index) for index in range(3)] == [361645295, 246377409, 139866447]
