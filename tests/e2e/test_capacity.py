"""A capacity found on real sockets, against what the emulator knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadgen.experiments.capacity.erlang import offered
from tests.e2e.conftest import ROOT, Command, Loadgen

EXAMPLE = ROOT / "scenarios" / "capacity.yaml"
PREFLIGHT = 1


def truth(run: Command) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.out / "truth.ndjson").read_text().splitlines()][PREFLIGHT:]


def experiment(run: Command) -> dict[str, Any]:
    found: dict[str, Any] = run.summary["experiment"]
    return found


def capacity_of(calls: list[dict[str, Any]]) -> float:
    """Ten places, Poisson arrivals, and one call in twenty may be refused or late."""
    busy_s: list[float] = [call["duration_ns"] / 1e9 for call in calls if call["duration_ns"] is not None]
    return offered(10, 0.05) / (sum(busy_s) / len(busy_s))


def accounted(run: Command) -> None:
    """Every call is in the counts and every refused one is known, and the reports show what was found."""
    phases, calls = run.summary["phases"], truth(run)
    assert len(calls) == sum(phase["started"] for phase in phases)
    assert sum(phase["outcomes"].get("throttled", 0) for phase in phases) == sum(
        call["status"] == 429 for call in calls
    )
    assert "Capacity" in run.stdout
    for name in ("report.md", "report.html"):
        assert "scale-up debt" in (run.out / name).read_text()


@pytest.mark.soak  # a minute and a half, on a machine that does nothing else
@pytest.mark.wallclock
@pytest.mark.timeout(270)
def test_the_example_finds_the_capacity_that_the_emulators_truth_gives(loadgen: Loadgen) -> None:
    run = loadgen(EXAMPLE, timeout=260)
    assert run.passed, run.stdout + run.stderr
    found, capacity = experiment(run), capacity_of(truth(run))
    assert found["estimate_per_s"] == pytest.approx(capacity, rel=0.15)
    assert found["predicted_per_s"] == pytest.approx(capacity, rel=0.15)
    assert 0.7 * capacity < found["confirmed_per_s"] < 1.03 * capacity
    assert found["bound_by"] == "quota"
    assert found["shortened"]
    accounted(run)


@pytest.mark.timeout(270)
def test_the_example_that_asks_for_half_the_capacity_has_it_confirmed_unless_the_machine_is_busy(
    loadgen: Loadgen,
) -> None:
    """Of heaps of starts, which a busy machine makes, more are refused: it may find less, and never more."""
    times = ("capacity.confirm=1s", "capacity.to=60/s", "capacity.keep_alive=500ms", "emulator.keep_alive=500ms")
    run = loadgen(EXAMPLE, *(option for each in times for option in ("--set", each)), timeout=260)
    assert run.passed, run.stdout + run.stderr
    found, capacity = experiment(run), capacity_of(truth(run))
    assert found["predicted_per_s"] < 1.15 * capacity
    assert (found["confirmed_per_s"] or 0) <= 60 < capacity
    assert found["shortened"]
    accounted(run)


def test_a_budget_holds_throughout_the_search_and_what_is_known_is_told(loadgen: Loadgen) -> None:
    run = loadgen(EXAMPLE, "--set", "budget.invocations=400")
    assert run.code == 98, run.stderr
    assert len(truth(run)) == 400 - PREFLIGHT
    found = experiment(run)
    assert found["why"] == "The run was stopped before the search had come to its end."
    assert (found["confirmed_per_s"], found["busy_ns"] > 0) == (None, True)


def test_a_function_that_always_fails_ends_the_search_at_once(loadgen: Loadgen) -> None:
    run = loadgen(EXAMPLE.read_text().replace("hello: {memory", "hello: {errors: 100%, memory"), "--force")
    assert run.code in (0, 97), run.stderr
    assert "No invocation succeeded" in experiment(run)["why"]
    assert "No invocation succeeded" in run.stdout


MIX = """
name: capacity-of-a-mix
kind: capacity
target: {endpoint: emulator}
calls:
  - {name: browse, weight: 3, function: fast}
  - {name: pay, weight: 1, function: slow}
capacity:
  {slo: [latency.p95 < 500ms, pay/errors < 5%], from: 5/s, to: 400/s, confirm: 10s, precision: 20%, keep_alive: 2s}
emulator:
  keep_alive: 2s
  functions:
    fast: {memory: 1024MB, work: {median: 10ms, sigma: 0.3}, cold_start: none}
    slow: {memory: 1024MB, work: {median: 50ms, sigma: 0.3}, cold_start: none, max_instances: 3}
"""


def test_a_search_over_a_mix_tells_of_each_call_as_far_as_it_got(loadgen: Loadgen) -> None:
    run = loadgen(MIX, "--set", "budget.invocations=400")
    assert run.code == 98, run.stderr
    assert len(truth(run)) == 400 - PREFLIGHT
    assert all(phase["by_call"].keys() == {"browse", "pay"} for phase in run.summary["phases"])


@pytest.mark.soak  # some two minutes, on a machine that does nothing else
@pytest.mark.wallclock
@pytest.mark.timeout(270)
def test_the_capacity_of_a_mix_is_that_of_the_call_that_binds_and_names_it(loadgen: Loadgen) -> None:
    run = loadgen(MIX, timeout=260)
    assert run.passed, run.stdout + run.stderr
    found, calls = experiment(run), truth(run)
    busy_s = [call["duration_ns"] / 1e9 for call in calls if call["function"] == "slow" and call["duration_ns"]]
    # three places for one call in four, and one in twenty of these may be refused, as independent users come
    capacity = 4 * offered(3, 0.05) / (sum(busy_s) / len(busy_s))
    assert found["estimate_per_s"] == pytest.approx(capacity, rel=0.25)
    assert found["confirmed_per_s"] < 1.1 * capacity
    assert (found["bound_by"], found["bound_call"]) == ("quota", "pay")
    assert found["bound_calls"]["pay"] > 0.9
    assert (found["limit"], found["predicted_per_s"]) == (None, None)
    assert "binding call" in run.stdout
    assert all(phase["by_call"].keys() == {"browse", "pay"} for phase in run.summary["phases"])
