from __future__ import annotations

import pytest
from msgspec.structs import replace

from loadgen.measure.merge import PhaseTotal, phase_summary, totals
from loadgen.measure.rule import parse
from loadgen.measure.sofar import so_far
from loadgen.measure.summary import ThresholdResult, Verdict
from loadgen.measure.threshold import evaluate, named_percentiles
from tests.frames import frame, plan

RULES = tuple(
    map(
        parse,
        (
            "latency.p50 < 50ms",
            "latency.p99 < 25ms",
            "latency.p99.9 < 1s",
            "latency.max < 20ms",
            "latency.mean < 30ms",
            "service_time.mean < 30ms",
            "warm.latency.p95 < 1s",
            "cold.latency.p50 < 1s",
            "steady:latency.p95 < 30ms",
            "warm-up:errors < 1%",
            "errors < 1%",
            "throttled == 0",
            "achieved_rate > 100/s",
            "late:errors < 1%",
        ),
    )
)


def phase(name: str, seconds: int, *, ok: int = 400, throttled: int = 0) -> PhaseTotal:
    total = PhaseTotal(name)
    for seq in range(seconds):
        latencies = {"ok": range(10_000, 10_000 + 50 * ok, 50), "throttled": [400] * throttled}
        metrics = {"ok/service_time": range(10_000, 10_000 + 50 * ok, 50)}
        total.add(frame(latencies, phase=name, seq=seq, final=seq == seconds - 1, start="warm", metrics=metrics))
    return total


@pytest.mark.parametrize("throttled", [0, 3])
def test_a_run_that_ends_now_would_say_of_each_rule_what_is_said_of_it_so_far(throttled: int) -> None:
    played = [
        (plan("warm-up", warmup=True, seconds=2), phase("warm-up", 2, throttled=1)),
        (plan("steady", seconds=4), phase("steady", 4, throttled=throttled)),
        (plan("peak", seconds=3), phase("peak", 3, ok=200)),
    ]
    plans, sums = [each for each, _ in played], [each for _, each in played]
    ps = named_percentiles(RULES)
    phases = [phase_summary(each, total, ps) for each, total in played]
    ended = evaluate(RULES, phases, totals(plans, sums, ps), Verdict("valid", []))
    assert list(map(decided, so_far(RULES, played, None))) == list(map(decided, ended))
    assert {each.passed for each in ended} == {True, False, None}


def decided(result: ThresholdResult) -> ThresholdResult:
    """How it ended, however that is put."""
    return replace(result, why="")


def test_a_rate_is_over_the_time_that_was_reported_and_not_the_whole_phase() -> None:
    (result,) = so_far((parse("achieved_rate > 399/s"),), [(plan("steady", seconds=100), phase("steady", 4))], None)
    assert (result.passed, result.value) == (True, 400.0)


def test_nothing_is_decided_before_anything_is_planned() -> None:
    assert [each.passed for each in so_far(RULES, [], None)] == [None] * len(RULES)
