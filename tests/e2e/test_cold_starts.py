"""Cold and warm told apart on real sockets, against what the emulator knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Command, Loadgen

EXAMPLE = ROOT / "scenarios" / "cold-starts.yaml"
# Every invocation, a cold one too, is within the emulator's truth; the pre-flight is in it, but in none of the counts.
PREFLIGHT = 1


def truth(run: Command) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.out / "truth.ndjson").read_text().splitlines()]


def experiment(run: Command) -> dict[str, Any]:
    found: dict[str, Any] = run.summary["experiment"]
    return found


def colds(run: Command) -> int:
    return sum(call["cold"] for call in truth(run)[PREFLIGHT:])


@pytest.mark.timeout(150)
def test_the_example_finds_the_cold_starts_and_the_keep_alive_time_of_the_emulator(loadgen: Loadgen) -> None:
    run = loadgen(EXAMPLE, timeout=140)
    assert run.passed, run.stdout + run.stderr
    found = experiment(run)
    assert found["complete"]
    assert found["evidence"] == {"mixture": len(truth(run)) - PREFLIGHT}
    assert abs(found["cold"]["count"] - colds(run)) <= 0.01 * len(truth(run))
    assert found["keep_alive"]["policy"] == "fixed"
    assert found["keep_alive"]["estimate_ns"] == pytest.approx(1e9, abs=50e6)
    assert "Keep-alive time of an idle instance" in run.stdout
    for name in ("report.md", "report.html"):
        assert "Cold and warm starts" in (run.out / name).read_text()


@pytest.mark.timeout(150)
def test_a_probe_function_tells_the_truth_about_every_call(loadgen: Loadgen, tmp_path: Path) -> None:
    scenario = EXAMPLE.read_text().replace("hello: {", "hello: {probe: true, ").replace("  gap:", "  probe: {}\n  gap:")
    scenario = scenario.replace("keep_alive: {from: 500ms, to: 2s}", "keep_alive: skip").replace(
        "warm: 300", "warm: 100"
    )
    run = loadgen(scenario, "--set", "samples=all", timeout=140)
    assert run.passed, run.stdout + run.stderr
    found = experiment(run)
    assert found["evidence"] == {"probe": len(truth(run)) - PREFLIGHT}
    assert (found["cold"]["count"], found["keep_alive"]) == (colds(run), None)


LOAD = """
name: split
target: {endpoint: emulator, function: hello}
phases:
  - {name: warm-up, burst: {size: 40, gap: 1500ms, repeat: 2}, warmup: true}
  - {name: more-warm-up, workers: 4, duration: 2s, warmup: true}
  - {name: measured, burst: {size: 80, gap: 1s}}
emulator: {keep_alive: 60s, functions: {hello: {memory: 1024MB, work: {median: 5ms}, cold_start: r2-php}}}
"""


@pytest.mark.timeout(120)
def test_after_a_warm_up_a_load_labels_every_call_by_its_overhead(loadgen: Loadgen) -> None:
    run = loadgen(LOAD, timeout=110)
    assert run.passed, run.stdout + run.stderr
    found = experiment(run)
    assert found["labelling"]["reason"] is None, found
    starts = run.summary["totals"]["by_start"]
    cold = starts.get("cold", {}).get("latency", {}).get("count", 0)
    measured = truth(run)[-80:]
    assert sum(start["latency"]["count"] for start in starts.values()) == 80
    assert abs(cold - sum(call["cold"] for call in measured)) <= 4
    assert "ambiguous between" in run.stdout


@pytest.mark.timeout(120)
def test_without_enough_cold_starts_in_the_warm_up_the_label_stays_unknown(loadgen: Loadgen) -> None:
    run = loadgen(LOAD.replace("size: 40", "size: 4"), timeout=110)
    assert run.passed, run.stdout + run.stderr
    assert list(run.summary["totals"]["by_start"]) == ["unknown"]
    assert experiment(run)["labelling"]["cuts"] is None
    assert "could not be told apart" in run.stdout
