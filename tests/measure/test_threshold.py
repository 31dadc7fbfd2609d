"""A threshold passes only on a figure that is known well enough to say so."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

import pytest

from loadgen.measure.cost import billing
from loadgen.measure.interval import Frame
from loadgen.measure.merge import phase_summary, totals
from loadgen.measure.summary import Reason, ThresholdResult, Verdict
from loadgen.measure.threshold import evaluate, named_percentiles
from loadgen.scenario.model import CostRule, Metric, MetricRule, Money, PriceBook, Rate, RateRule, Rule, ShareRule
from tests.measure.frames import frame, plan, total

VALID = Verdict("valid", [])
MS = 1_000_000


def metric_rule(
    statistic: str = "p",
    percentile: float | None = None,
    *,
    limit_ns: int,
    metric: Metric = Metric.LATENCY,
    phase: str | None = None,
    start: str | None = None,
) -> MetricRule:
    return MetricRule("rule", phase, start, metric, statistic, percentile, limit_ns)


def judged(rule: Rule, *frames: Frame, verdict: Verdict = VALID) -> ThresholdResult:
    phase = total(*frames)
    percentiles = named_percentiles([rule])
    (result,) = evaluate(
        [rule], [phase_summary(plan(), phase, percentiles)], totals([plan()], [phase], percentiles), verdict
    )
    return result


THOUSAND = frame({"ok": range(1, 1001)})  # 1 to 1,000 µs


@pytest.mark.parametrize(
    ("statistic", "percentile", "value"),
    [("p", 99, 990_000), ("p", 98.5, 985_000), ("min", None, 1_000), ("max", None, 1_000_000), ("mean", None, 500_500)],
)
def test_a_metric_must_be_below_its_limit(statistic: str, percentile: float | None, value: int) -> None:
    assert judged(metric_rule(statistic, percentile, limit_ns=value + 1), THOUSAND) == ThresholdResult(
        "rule", value, True, "below the limit"
    )
    assert judged(metric_rule(statistic, percentile, limit_ns=value), THOUSAND) == ThresholdResult(
        "rule", value, False, "not below the limit"
    )


def test_too_few_samples_neither_pass_nor_fail() -> None:
    assert judged(metric_rule("p", 99.9, limit_ns=10**12), THOUSAND) == ThresholdResult(
        "rule", None, None, "too few samples: p99.9 needs 10000 samples and has 1000"
    )


def with_timeouts(n: int) -> Frame:
    """A thousand calls, ``n`` of which were given up after 5 ms."""
    return frame({"ok": range(1, 1001 - n), "timeout": [5_000] * n})


def test_latency_percentiles_are_over_every_planned_call() -> None:
    """Ten of a thousand timed out: p99 of the ok calls alone would be lower."""
    assert judged(metric_rule("p", 99, limit_ns=MS), with_timeouts(10)).value == 990_000


def test_a_censored_percentile_breaks_a_limit_below_its_bound() -> None:
    result = judged(metric_rule("p", 99, limit_ns=4 * MS), with_timeouts(11))
    assert (result.passed, result.why) == (False, "at least the limit")


def test_a_censored_percentile_never_proves_that_a_limit_holds() -> None:
    result = judged(metric_rule("p", 99, limit_ns=100 * MS), with_timeouts(11))
    assert result.passed is None
    assert result.value == 5_003_000
    assert result.why.startswith("undecided: among timed out, dropped or unfinished invocations")


def test_a_maximum_with_a_timeout_is_a_lower_bound() -> None:
    assert judged(metric_rule("max", limit_ns=100 * MS), with_timeouts(1)).passed is None
    assert judged(metric_rule("max", limit_ns=5 * MS), with_timeouts(1)).passed is False


def test_other_metrics_are_of_ok_calls() -> None:
    phase = frame({"ok": [1] * 1000}, metrics={"ok/duration": [7] * 1000, "function_error/duration": [9_000] * 1000})
    result = judged(metric_rule("p", 99, metric=Metric.DURATION, limit_ns=8_000), phase)
    assert (result.passed, result.value) == (True, 7_000)


def test_a_metric_that_no_call_has_is_undecided() -> None:
    assert (
        judged(metric_rule("mean", metric=Metric.DURATION, limit_ns=1), THOUSAND).why == "no invocation has a duration"
    )
    labelled = judged(metric_rule("mean", start="cold", limit_ns=1), THOUSAND)
    assert (labelled.passed, labelled.why) == (None, "no invocation has a cold latency")


def test_a_labelled_start_is_judged_by_its_own_calls() -> None:
    frames = frame({"ok": [9_000] * 1000}, start="cold", final=False), frame({"ok": [5] * 1000}, start="warm", seq=1)
    assert judged(metric_rule("p", 99, start="warm", limit_ns=6_000), *frames).passed is True
    assert judged(metric_rule("p", 99, start="cold", limit_ns=6_000), *frames).passed is False


@pytest.mark.parametrize(("what", "count"), [("errors", 60), ("throttled", 10), ("timeouts", 20), ("dropped", 25)])
def test_shares_are_of_the_planned_invocations(what: str, count: int) -> None:
    phase = frame(
        {"ok": [1] * 940, "throttled": [1] * 10, "timeout": [1] * 20, "dropped": [1] * 25, "function_timeout": [1] * 5}
    )
    why = f"{count} of 1000 planned invocations"
    exactly = count / 1000
    assert judged(ShareRule("rule", None, what, exactly + 1e-6), phase) == ThresholdResult("rule", exactly, True, why)
    assert judged(ShareRule("rule", None, what, exactly), phase) == ThresholdResult("rule", exactly, False, why)


def test_a_share_of_nothing_is_undecided() -> None:
    assert judged(ShareRule("rule", None, "errors", 0.1), frame()).why == "no invocation was planned"


def test_the_achieved_rate_must_be_above_its_limit() -> None:
    """A thousand starts in ten seconds."""
    assert judged(RateRule("rule", None, Rate(99, 10**9)), THOUSAND) == ThresholdResult(
        "rule", 100, True, "above the limit"
    )
    assert judged(RateRule("rule", None, Rate(100, 10**9)), THOUSAND) == ThresholdResult(
        "rule", 100, False, "not above the limit"
    )


def cost_rule(amount: str, phase: str | None = None) -> CostRule:
    return CostRule("rule", phase, Money(Decimal(amount), "CNY"))


def test_cost_is_undecided_without_prices() -> None:
    assert judged(cost_rule("1"), THOUSAND) == ThresholdResult("rule", None, None, "there are no prices")


@pytest.mark.parametrize(
    ("limit", "metered", "passed"),
    [
        ("1000.03", 1000, False),  # exactly what it costs
        ("1000.030001", 1000, True),
        ("1000.030001", 999, None),  # one call did not tell its bill
        ("1000", 999, False),  # whatever that one cost
    ],
)
def test_a_cost_must_be_below_its_limit_and_be_known(limit: str, metered: int, passed: bool | None) -> None:
    told = frame({"ok": range(1, 1001)})
    told.billed_ns, told.metered, told.unmetered = {1024: 3 * 10**9}, metered, 1000 - metered
    book = PriceBook("b", "CNY", "2024-09", Decimal(1_000_000), Decimal("0.01"), MS)  # 1 a request, 0.01 a GB-second
    phase, bill = total(told), partial(billing, book=book)
    for rule in (cost_rule(limit), cost_rule(limit, "steady")):
        (result,) = evaluate(
            [rule], [phase_summary(plan(), phase, (), bill)], totals([plan()], [phase], (), bill), VALID
        )
        assert (result.passed, result.value) == (passed, 1000.03)


def test_a_rule_may_name_its_phase() -> None:
    phases = [total(frame({"ok": [9]}, phase="a")), total(frame({"ok": [5]}, phase="b"))]
    plans = [plan("a"), plan("b")]
    summaries = [phase_summary(each, phase) for each, phase in zip(plans, phases, strict=True)]
    rules = [metric_rule("max", limit_ns=6_000, phase=name) for name in ("a", "b", None, "c")]
    results = evaluate(rules, summaries, totals(plans, phases), VALID)
    assert [result.passed for result in results] == [False, True, False, None]
    assert results[-1].why == "phase c did not run"


@pytest.mark.parametrize(
    ("rule", "withholds", "shown"),
    [
        (metric_rule("p", 99, limit_ns=MS), "tails", False),
        (metric_rule("p", 90, limit_ns=MS), "tails", True),
        (metric_rule("max", limit_ns=2 * MS), "tails", False),
        (metric_rule("mean", limit_ns=MS), "tails", True),
        (metric_rule("mean", limit_ns=MS), "overhead", True),
        (metric_rule("mean", limit_ns=MS), "all", False),
        (ShareRule("rule", None, "errors", 0.1), "tails", True),
        (ShareRule("rule", None, "errors", 0.1), "all", False),
        (RateRule("rule", None, Rate(1, 10**9)), "all", False),
    ],
)
def test_a_withheld_figure_is_undecided(rule: Rule, withholds: str, shown: bool) -> None:
    verdict = Verdict("degraded", [Reason("late_starts", "withheld", "Too late.", None, None, "steady", withholds)])
    result = judged(rule, THOUSAND, verdict=verdict)
    assert result.passed is (True if shown else None)
    if not shown:
        assert (result.value, result.why) == (None, "withheld: Too late.")


def test_named_percentiles_are_each_listed_once() -> None:
    rules: list[Rule] = [
        metric_rule("p", 99.5, limit_ns=1),
        metric_rule("max", limit_ns=1),
        metric_rule("p", 50, limit_ns=1),
        metric_rule("p", 99.5, limit_ns=2),
        RateRule("rule", None, Rate(1, 1)),
    ]
    assert named_percentiles(rules) == (50, 99.5)
