"""One cause of most slow calls is said where there is one; where there is none, or chance would do, nothing is."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from loadgen.measure.summary import MetricSummary, Summary, ThresholdResult
from loadgen.report.why import why
from tests.report.builders import metric, metrics, phase, spread, valid

FAST, SLOW = 20_000, 600_000


def of(warm: list[int], cold: list[int]) -> Summary:
    """A load whose calls are labelled."""
    latency = metric("latency", [*warm, *cold])
    by_start: dict[str, dict[str, MetricSummary]] = {"warm": {"latency": metric("latency", warm)}}
    if cold:
        by_start["cold"] = {"latency": metric("latency", cold)}
    whole = phase("steady", 30, {"ok": len(warm) + len(cold)}, measured={**metrics(10), "latency": latency})
    whole = replace(whole, by_start=by_start)
    return replace(valid(), phases=[whole], totals=whole, thresholds=[])


def test_a_tail_of_cold_starts_is_said_to_be_that_with_what_is_left_without_them() -> None:
    said = why(of(spread(5_000, FAST), spread(100, SLOW, 0.1))).replace("\N{NO-BREAK SPACE}", " ")
    assert said.startswith("the p99 is cold starts, ")
    assert re_ms(said) < 60


def re_ms(said: str) -> float:
    return float(said.rsplit("it is ", 1)[1].split(" ms")[0])


def test_a_rule_that_cold_starts_break_is_named() -> None:
    broken = ThresholdResult("latency.p95 < 100ms", 600_000_000, False, "not below the limit", "value")
    found = replace(of(spread(5_000, FAST), spread(400, SLOW, 0.1)), thresholds=[broken])
    assert why(found).startswith("what breaks latency.p95 < 100ms is cold starts, ")


@pytest.mark.parametrize(
    "found",
    [
        of(spread(5_000, FAST), []),
        of(spread(5_000, FAST), spread(100, FAST)),  # cold starts are as fast as the others
        of([*spread(5_000, FAST), *spread(200, SLOW)], spread(100, SLOW)),  # warm ones are slow, too
        of(spread(100, FAST), spread(5_000, SLOW)),  # most calls are cold
        of(spread(300, FAST), spread(5, SLOW)),  # too few
    ],
)
def test_where_no_cause_dominates_nothing_is_said(found: Summary) -> None:
    assert why(found) == ""


def test_labels_that_have_nothing_to_do_with_latency_are_hardly_ever_a_cause() -> None:
    said = 0
    for seed in range(100):
        rng = random.Random(seed)
        calls = [round(rng.lognormvariate(10, 0.5)) for _ in range(4_000)]
        cold = [each for each in calls if rng.random() < 0.3]
        kept = list(calls)
        for each in cold:
            kept.remove(each)
        said += bool(why(of(kept, cold)))
    assert said == 0
