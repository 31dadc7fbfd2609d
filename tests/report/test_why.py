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


def timed(latency: list[int], **parts: list[int]) -> Summary:
    """A load of which it is known where the time goes."""
    measured = {name: metric(name, values) for name, values in {"latency": latency, **parts}.items()}
    whole = phase("steady", 30, {"ok": len(latency)}, measured={**metrics(10), **measured})
    return replace(valid(), phases=[whole], totals=whole, thresholds=[])


def test_a_tail_of_the_function_or_of_the_way_is_said_to_be_that() -> None:
    fast, slow = spread(5_000, FAST), spread(100, SLOW, 0.1)
    whole = [*fast, *slow]
    rest = [5_000] * 5_100
    assert why(timed(whole, duration=whole, overhead=rest)).startswith("the p99 is time in the function, ")
    assert why(timed(whole, duration=rest, overhead=whole)).startswith("the p99 is time on the way ")
    half = [each // 2 for each in whole]
    assert why(timed(whole, duration=half, overhead=half)) == ""  # neither alone is as long as what is slow


def test_failed_calls_that_break_a_rule_are_named_and_are_no_other_cause() -> None:
    broken = ThresholdResult("latency.p99 < 100ms", None, False, "2 % of the calls failed", "value")
    latency = spread(5_000, FAST)
    made = of(latency, [])
    whole = replace(made.totals, planned=5_100, outcomes={"ok": 5_000, "gateway": 100})
    found = replace(made, totals=whole, thresholds=[broken])
    said = why(found).replace("\N{NO-BREAK SPACE}", " ")
    assert said.startswith("what breaks latency.p99 < 100ms is calls that failed, 100 of the 100 calls above it: ")
    assert re_ms(said) < 60
    assert why(replace(found, thresholds=[])) == ""  # the latency of ok calls has no failed ones
    both = of(latency, spread(60, SLOW, 0.1))
    both = replace(both, totals=replace(both.totals, planned=5_120, outcomes={"ok": 5_060, "gateway": 60}))
    assert why(replace(both, thresholds=[broken])) == ""  # half are cold, half failed
