from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.metric import Metric
from loadgen.measure.rule import BaselineRule, CostRule, MetricRule, RateRule, Rule, ShareRule, parse
from loadgen.text.units import Money, Rate

MS = 1_000_000
S = 1000 * MS


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("latency.p99 < 250ms", MetricRule("latency.p99 < 250ms", None, None, Metric.LATENCY, "p", 99.0, 250 * MS)),
        ("latency.p99.9<1s", MetricRule("latency.p99.9<1s", None, None, Metric.LATENCY, "p", 99.9, 1000 * MS)),
        (
            "steady:cold.duration.mean < 5ms",
            MetricRule("steady:cold.duration.mean < 5ms", "steady", "cold", Metric.DURATION, "mean", None, 5 * MS),
        ),
        (
            "cold.latency.p99 < 2s",
            MetricRule("cold.latency.p99 < 2s", None, "cold", Metric.LATENCY, "p", 99.0, 2000 * MS),
        ),
        ("lag.min < 1us", MetricRule("lag.min < 1us", None, None, Metric.LAG, "min", None, 1_000)),
        ("  warm.lag.max < 1ms ", MetricRule("warm.lag.max < 1ms", None, "warm", Metric.LAG, "max", None, MS)),
        ("errors < 0.1%", ShareRule("errors < 0.1%", None, "errors", 0.001)),
        ("errors <= 0%", ShareRule("errors <= 0%", None, "errors", 0.0, "<=")),
        ("steady:dropped<=0.5%", ShareRule("steady:dropped<=0.5%", "steady", "dropped", 0.005, "<=")),
        ("throttled == 0", ShareRule("throttled == 0", None, "throttled", 0.0, "==")),
        ("timeouts < 100%", ShareRule("timeouts < 100%", None, "timeouts", 1.0)),
        ("warm-up_2:dropped < 1%", ShareRule("warm-up_2:dropped < 1%", "warm-up_2", "dropped", 0.01)),
        ("achieved_rate > 100/s", RateRule("achieved_rate > 100/s", None, Rate(100, 10**9))),
        ("cost < 0.50 CNY", CostRule("cost < 0.50 CNY", None, Money(Decimal("0.50"), "CNY"))),
        (
            "latency.p95 < 1s over 30s, abort",
            MetricRule(
                "latency.p95 < 1s over 30s, abort", None, None, Metric.LATENCY, "p", 95.0, 1000 * MS, None, 30 * S, True
            ),
        ),
        ("errors < 1% over 1m30s", ShareRule("errors < 1% over 1m30s", None, "errors", 0.01, "<", None, 90 * S)),
        ("a:b/errors == 0,abort", ShareRule("a:b/errors == 0,abort", "a", "errors", 0.0, "==", "b", None, True)),
        (
            "late.max<1ms  over  2s",
            MetricRule("late.max<1ms  over  2s", None, None, Metric.LATE, "max", None, MS, None, 2 * S),
        ),
        (
            "latency.p99 < 110% of baseline",
            BaselineRule("latency.p99 < 110% of baseline", None, None, "latency_all", 99.0, 1.1),
        ),
        (
            "a:b/cold.latency.p50<99.5 %  of  baseline",
            BaselineRule("a:b/cold.latency.p50<99.5 %  of  baseline", "a", "cold", "latency", 50.0, 0.995, "b"),
        ),
        ("errors < 200% of baseline", BaselineRule("errors < 200% of baseline", None, None, "errors", None, 2.0)),
        ("cost < 105% of baseline", BaselineRule("cost < 105% of baseline", None, None, "cost", None, 1.05)),
        (
            "a:achieved_rate > 95% of baseline",
            BaselineRule("a:achieved_rate > 95% of baseline", "a", None, "achieved_rate", None, 0.95),
        ),
    ],
)
def test_each_form_of_rule_is_read(text: str, rule: Rule) -> None:
    assert parse(text) == rule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a rule such as"),
        ("fast please", "a rule such as"),
        ("latency < 250ms", "latency.min, .max, .mean or a percentile"),
        ("latency.p100 < 250ms", "a percentile between p0 and p100"),
        ("latency.p0 < 250ms", "a percentile between p0 and p100"),
        ("latency.p99 <= 250ms", "latency.p99 compared with <"),
        ("latency.p99 > 250ms", "latency.p99 compared with <"),
        ("latency.p99 < 250", "a number with a unit such as 500us, 10ms, 2s, 5m, 1h or 1m30s after the comparison"),
        ("latncy.p99 < 250ms", "did you mean latency?"),
        ("errrs < 1%", "did you mean errors?"),
        ("achived_rate > 5/s", "did you mean achieved_rate?"),
        ("costs < 5 CNY", "did you mean cost?"),
        ("cold < 250ms", "one of latency,"),
        ("speed.p99 < 250ms", "one of latency, latency_all, service_time,"),
        ("speed.p99 < 250ms", "connect, errors, throttled, timeouts, dropped"),
        ("residual.p99 < 250ms", "one of latency,"),
        ("errors < 1", "a percentage such as 3% or 0.1% after the comparison"),
        ("errors > 1%", "errors compared with <, <= or =="),
        ("errors >= 1%", "errors compared with <, <= or =="),
        ("errors = 0", "errors compared with <, <= or =="),
        ("errors < 0%", "nothing is below 0%; as a threshold, write errors <= 0%"),
        ("dropped < 0.00%", "nothing is below 0%; as a threshold, write dropped <= 0%"),
        ("errors <= 100%", "errors <= 100% always holds"),
        ("errors == 1", "a count of zero, errors == 0"),
        ("errors == 0%", "a count of zero, errors == 0"),
        ("errors <= 0", "a percentage such as 3% or 0.1% after the comparison"),
        ("latency.p99 < 0ms", "a time above zero"),
        ("latency.p99 < 0.999us", "a time of at least 1us, in which times are counted, after the comparison"),
        ("latency.p99 == 0ms", "latency.p99 compared with <"),
        ("achieved_rate == 5/s", "achieved_rate compared with >"),
        ("cost < 0 CNY", "an amount above zero, as nothing costs less"),
        ("cost <= 1 CNY", "cost compared with <"),
        ("achieved_rate < 5/s", "achieved_rate compared with >"),
        ("memory_used.max < 5ms", "memory_used cannot be judged"),
        ("cost < 5", "an amount and a currency"),
        (
            "abort",
            "between brackets one with a comma stands in quotes, as in thresholds: ['errors < 1% over 10s, abort']",
        ),
        ("errors < 1% over 500ms", "a whole number of seconds such as 10s after over"),
        ("errors < 1% over 1500ms", "a whole number of seconds such as 10s after over"),
        ("errors < 1% over 0s", "a time above zero such as 500us, 10ms, 2s, 5m, 1h or 1m30s after over"),
        ("errors < 1% over 10", "a number with a unit such as 500us, 10ms, 2s, 5m, 1h or 1m30s after over"),
        ("errors < 1% over", "over and abort behind the limit, as in errors < 1% over 10s, abort"),
        ("errors < 1%, abort over 10s", "over and abort behind the limit, as in errors < 1% over 10s, abort"),
        ("errors < 1%, stop", "over and abort behind the limit, as in errors < 1% over 10s, abort"),
        ("errors over 10s < 1%", "a rule such as"),
        ("achieved_rate > 5/s over 10s", "achieved_rate without over and abort: it is judged over the whole"),
        ("achieved_rate > 5/s, abort", "achieved_rate without over and abort: it is judged over the whole"),
        ("cost < 5 CNY, abort", "budget.cost ends a run that costs too much"),
        ("late.p99 < 5ms over 10s, abort", "late.p99 without abort: what the load generator itself has a part in"),
        ("latency.min < 5ms, abort", "latency.min with over before abort"),
        ("latency.mean < 5ms, abort", "latency.mean with over before abort"),
    ],
)
def test_a_malformed_rule_says_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("subject", "judged"),
    [
        ("latency.p99", Metric.LATENCY_ALL),
        ("latency.max", Metric.LATENCY_ALL),
        ("latency.min", Metric.LATENCY),
        ("latency.mean", Metric.LATENCY),
        ("latency_all.min", Metric.LATENCY_ALL),
        ("service_time.p99", Metric.SERVICE_TIME),
        ("cold.latency.p99", Metric.LATENCY),
        ("cold.latency_all.p99", Metric.LATENCY),
        ("cold.service_time.max", Metric.SERVICE_TIME),
        ("warm.duration.mean", Metric.DURATION),
    ],
)
def test_a_rule_is_judged_by_its_own_metric_but_tails_of_latency_by_that_of_every_call(
    subject: str, judged: Metric
) -> None:
    """Calls that are not ok have no start label, so a figure of labelled ones is never over every call."""
    rule = parse(f"{subject} < 5ms")
    assert isinstance(rule, MetricRule)
    assert rule.judged is judged


@given(st.text(max_size=40))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    found: object
    try:
        found = parse(text)
    except ValueError as error:
        found = str(error)
    assert found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latency.max < 110% of baseline", "a percentile such as latency.p99"),
        ("latency.p99 > 110% of baseline", "latency.p99 compared with <"),
        ("achieved_rate < 95% of baseline", "achieved_rate compared with >"),
        ("throttled < 110% of baseline", "errors, which"),
        ("latency.p99 < 0% of baseline", "above 0%"),
        ("latency.p99 < 250ms of baseline", "such as 110% of baseline"),
        ("latency.p99 < 110% of baseline over 10s", "without over and abort"),
        ("errors < 110% of baseline, abort", "without over and abort"),
    ],
)
def test_a_rule_of_a_baseline_that_two_runs_cannot_decide_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse(text)
