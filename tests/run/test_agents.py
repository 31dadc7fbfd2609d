"""How many agents a load takes, and why: no more than it needs."""

from __future__ import annotations

import msgspec
import pytest

from loadgen.load.budget import Budget
from loadgen.load.bursts import Bursts
from loadgen.load.phase import Phase
from loadgen.run import agents
from loadgen.run.agents import Agents, agents_of
from tests.scenarios import closed_phase, function, http, open_phase, phase, scenario

TARGET = function("http://127.0.0.1:1")


@pytest.fixture(autouse=True)
def build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "build", lambda: "compiled")


@pytest.mark.parametrize(
    ("phases", "cores", "number", "why"),
    [
        ([open_phase(200, 1)], 8, 1, "one drives 10 000/s, and the planned peak is 200/s"),
        ([open_phase(10_000, 1)], 8, 1, "one drives 10 000/s, and the planned peak is 10 000/s"),
        ([open_phase(10_001, 1), closed_phase(64, 1)], 8, 2, "one drives 10 000/s, and the planned peak is 10 001/s"),
        ([open_phase(90_000, 1)], 4, 3, "one drives 10 000/s, and the planned peak is 90 000/s, but there are 4 cores"),
        ([open_phase(90_000, 1)], 1, 1, "one drives 10 000/s, and the planned peak is 90 000/s, but there are 1 cores"),
        ([open_phase(11_000, 1, limit=1)], 8, 1, "one drives 10 000/s, and the planned peak is 11 000/s, but there are 1 workers"),  # noqa: E501
        ([closed_phase(500, 1)], 8, 1, "workers and bursts run on one"),
        ([phase(Bursts(5000, 10**9, 3), 3)], 8, 1, "workers and bursts run on one"),
    ],
)  # fmt: skip
def test_as_many_agents_are_taken_as_the_planned_peak_needs(
    phases: list[Phase], cores: int, number: int, why: str
) -> None:
    found = agents_of(scenario(TARGET, *phases), None, cores)
    assert (found.number, found.why.replace("\u2009", " ").replace("\u202f", " ")) == (number, why)


def test_of_a_run_with_several_agents_each_phase_takes_what_it_needs() -> None:
    wide = open_phase(25_000, 1)
    found = agents_of(scenario(TARGET, wide, closed_phase(64, 1)), None, 8)
    assert [found.of(each, TARGET) for each in (wide, closed_phase(64, 1), open_phase(5, 1))] == [3, 1, 1]
    asked = agents_of(scenario(TARGET, wide, closed_phase(64, 1)), 2, 8)
    assert [asked.of(each, TARGET) for each in (wide, closed_phase(64, 1), closed_phase(1, 1))] == [2, 2, 1]


def test_what_is_asked_for_is_taken_as_far_as_there_are_workers() -> None:
    assert agents_of(scenario(TARGET, closed_phase(5, 1)), 3, 1) == Agents(3, "--agents")
    assert agents_of(scenario(TARGET, closed_phase(2, 1)), 3, 1) == Agents(2, "--agents 3, but there are 2 workers")


def test_a_first_phase_of_few_workers_leaves_the_agents_of_later_ones_alone() -> None:
    """A warm-up by two workers used to be taken for all the workers there are."""
    load = scenario(TARGET, closed_phase(2, 1, warmup=True), open_phase(50_000, 1))
    assert agents_of(load, 3, 8) == Agents(3, "--agents")
    assert agents_of(load, None, 8).number == 5
    allowed = msgspec.structs.replace(load, budget=Budget(None, None, in_flight=4))
    assert agents_of(allowed, 7, 8) == Agents(4, "--agents 7, but there are 4 workers")


def test_tls_and_the_pure_build_take_more_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    load = scenario(http("https://127.0.0.1:1/"), open_phase(12_000, 1))
    assert agents_of(load, None, 16).number == 2
    monkeypatch.setattr(agents, "build", lambda: "pure")
    assert agents_of(load, None, 16).number == 6


def test_a_search_for_capacity_takes_what_its_largest_rate_needs() -> None:
    from loadgen.experiments.capacity.block import Capacity
    from loadgen.text.units import Rate

    searched = Capacity((), Rate(1, 10**9), Rate(30_000, 10**9), 10**9, 0.05, 0, None, 1000)
    load = msgspec.structs.replace(scenario(TARGET), kind="capacity", capacity=searched)
    assert agents_of(load, None, 8).number == 3
