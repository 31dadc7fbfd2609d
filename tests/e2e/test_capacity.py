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


@pytest.mark.timeout(270)
def test_the_example_finds_the_capacity_that_the_emulators_truth_gives(loadgen: Loadgen) -> None:
    run = loadgen(EXAMPLE, timeout=260)  # a minute and a half, on a machine that does nothing else
    assert run.passed, run.stdout + run.stderr
    found, calls = experiment(run), truth(run)
    busy_s = [call["duration_ns"] / 1e9 for call in calls if call["duration_ns"] is not None]
    # ten places, Poisson arrivals, and one call in twenty may be refused or late
    capacity = offered(10, 0.05) / (sum(busy_s) / len(busy_s))
    assert found["estimate_per_s"] == pytest.approx(capacity, rel=0.15)
    assert found["predicted_per_s"] == pytest.approx(capacity, rel=0.15)
    assert 0.7 * capacity < found["confirmed_per_s"] < 1.03 * capacity
    assert found["bound_by"] == "quota"
    assert found["shortened"]
    assert len(calls) == sum(phase["started"] for phase in run.summary["phases"])
    assert sum(phase["outcomes"].get("throttled", 0) for phase in run.summary["phases"]) == sum(
        call["status"] == 429 for call in calls
    )
    assert "Capacity" in run.stdout
    for name in ("report.md", "report.html"):
        assert "scale-up debt" in (run.out / name).read_text()


def test_a_budget_holds_throughout_the_search_and_what_is_known_is_told(loadgen: Loadgen) -> None:
    run = loadgen(EXAMPLE, "--set", "budget.invocations=900")
    assert run.code == 98, run.stderr
    assert len(truth(run)) == 900 - PREFLIGHT
    found = experiment(run)
    assert found["why"] == "The run was stopped before the search had come to its end."
    assert (found["confirmed_per_s"], found["busy_ns"] > 0) == (None, True)


def test_a_function_that_always_fails_ends_the_search_at_once(loadgen: Loadgen) -> None:
    run = loadgen(EXAMPLE.read_text().replace("hello: {memory", "hello: {errors: 100%, memory"), "--force")
    assert run.code in (0, 97), run.stderr
    assert "No invocation succeeded" in experiment(run)["why"]
    assert "No invocation succeeded" in run.stdout
