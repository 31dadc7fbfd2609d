"""A threshold passes only on a figure that is known well enough to say so."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

import pytest

from loadgen.invocation.bill import PriceBook
from loadgen.invocation.metric import Metric
from loadgen.measure.cost import billing
from loadgen.measure.interval import Frame
from loadgen.measure.merge import phase_summary, totals
from loadgen.measure.rule import CostRule, MetricRule, RateRule, Rule, ShareRule, parse
from loadgen.measure.summary import Reason, ThresholdResult, Verdict
from loadgen.measure.threshold import evaluate, named_percentiles
from loadgen.text.units import Money, Rate
from tests.frames import frame, plan, total

VALID = Verdict("valid", [])
MS = 1_000_000
S = 1000 * MS


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
    ("statistic", "percentile", "value", "least", "most"),
    [
        ("p", 99, 990_000, 990_000, 991_000),
        ("p", 98.5, 985_000, 985_000, 986_000),
        ("min", None, 1_000, 1_000, 2_000),
        ("max", None, 1_001_000, 1_000_000, 1_001_000),
        ("mean", None, 500_500, 500_500, 501_500),
    ],
)
def test_a_metric_must_be_below_its_limit_and_rounding_decides_nothing(
    statistic: str, percentile: float | None, value: int, least: int, most: int
) -> None:
    """What was recorded as 990 µs is some time from 990 to 991 µs."""
    assert judged(metric_rule(statistic, percentile, limit_ns=most), THOUSAND) == ThresholdResult(
        "rule", value, True, "below the limit", "value"
    )
    assert judged(metric_rule(statistic, percentile, limit_ns=least), THOUSAND) == ThresholdResult(
        "rule", value, False, "not below the limit", "value"
    )
    between = judged(metric_rule(statistic, percentile, limit_ns=most - 1), THOUSAND)
    assert (between.value, between.passed, between.decided_by) == (value, None, None)
    assert between.why.startswith("the limit lies within what the figure is known to: from")


def test_what_is_nothing_is_below_every_limit() -> None:
    phase = frame({"ok": [5] * 30}, metrics={"ok/lag": [0] * 30})
    for statistic, p in (("max", None), ("mean", None), ("min", None), ("p", 50)):
        assert judged(metric_rule(statistic, p, metric=Metric.LAG, limit_ns=1), phase).passed is True


def test_a_time_below_the_limit_is_not_broken_by_rounding_up() -> None:
    """18.9918 ms is recorded as 18,991 µs, and its maximum shown as 18.992 ms."""
    phase = frame({"ok": [18_991]})
    assert judged(metric_rule("max", limit_ns=18_992_000), phase).passed is True
    assert judged(metric_rule("max", limit_ns=18_976_000), phase).passed is False


# too few samples


def test_too_few_samples_decide_nothing_where_their_limits_do_not() -> None:
    assert judged(metric_rule("p", 99.9, limit_ns=10**12), THOUSAND) == ThresholdResult(
        "rule",
        None,
        None,
        "too few samples: p99.9 needs 10000 samples and has 1000; it may be from 997 µs",
    )


FIVE_HUNDRED = frame({"ok": range(1, 501)})


@pytest.mark.parametrize(
    ("limit_us", "passed"), [(501, True), (500, None), (491, None), (490, False), (1, False), (10**6, True)]
)
def test_limits_that_too_few_samples_have_decide_a_rule_that_lies_outside_them(
    limit_us: int, passed: bool | None
) -> None:
    """Five hundred do not support p99, but its interval has both limits: the 490th and the 500th value."""
    result = judged(metric_rule("p", 99, limit_ns=limit_us * 1000), FIVE_HUNDRED)
    assert (result.passed, result.value) == (passed, None)
    assert result.decided_by == (None if passed is None else "bounds")
    assert result.why.startswith("too few samples: p99 needs 1000 samples and has 500; ")
    assert "from 490 µs to 501 µs" in result.why


def test_where_only_the_lower_limit_exists_it_can_only_break() -> None:
    for limit_us, passed in ((10**6, None), (90, False)):
        assert judged(metric_rule("p", 99, limit_ns=limit_us * 1000), frame({"ok": range(1, 101)})).passed is passed


# calls that are not ok


def test_latency_percentiles_are_over_every_planned_call() -> None:
    """Of a thousand ten failed: p99 is the slowest ok call, which it would not be of the ok ones alone."""
    phase = frame({"ok": range(1, 991), "timeout": [5_000] * 10})
    assert judged(metric_rule("p", 99, limit_ns=MS), phase).value == 990_000


@pytest.mark.parametrize(
    ("outcomes", "why"),
    [
        ({"ok": [800_000] * 50, "throttled": [1_140] * 150}, "75 % of the calls failed: 150 throttled"),
        ({"ok": [20_000] * 76, "throttled": [900] * 124}, "62 % of the calls failed: 124 throttled"),
        ({"connection": [80] * 200}, "100 % of the calls failed: 200 connection"),
        ({"function_error": [2_000] * 200}, "100 % of the calls failed: 200 function_error"),
        (
            {"ok": [9] * 40, "timeout": [9] * 80, "dropped": [9] * 50, "unfinished": [9] * 20, "gateway": [9] * 10},
            "80 % of the calls failed: 80 timeout, 50 dropped, 20 unfinished, others",
        ),
    ],
)
def test_a_percentile_among_calls_that_are_not_ok_breaks_every_limit(outcomes: dict[str, list[int]], why: str) -> None:
    for limit_ns in (100 * MS, 10**15):
        for rule in (metric_rule("p", 50, limit_ns=limit_ns), metric_rule("max", limit_ns=limit_ns)):
            assert judged(rule, frame(outcomes)) == ThresholdResult("rule", None, False, why, "value")


@pytest.mark.parametrize(("ok", "passed"), [(500, True), (499, False)])
def test_at_the_boundary_one_failure_more_breaks_the_median(ok: int, passed: bool) -> None:
    phase = frame({"ok": [9_000] * ok, "throttled": [1] * (1000 - ok)})
    assert judged(metric_rule("p", 50, limit_ns=10 * MS), phase).passed is passed


def test_few_calls_that_all_failed_break_what_their_lower_limit_is() -> None:
    """Of six, the first bounds the median from below; of five, nothing does."""
    for n, passed in ((6, False), (5, None)):
        result = judged(metric_rule("p", 50, limit_ns=MS), frame({"connection": [80] * n}))
        assert (result.passed, result.value) == (passed, None)


def test_over_all_calls_the_minimum_is_that_of_ok_ones_and_there_is_no_mean_where_some_failed() -> None:
    phase = frame({"ok": [5_000] * 10, "throttled": [1]})
    least = judged(metric_rule("min", metric=Metric.LATENCY_ALL, limit_ns=2 * MS), phase)
    assert (least.passed, least.value) == (False, 5_000_000)
    mean = judged(metric_rule("mean", metric=Metric.LATENCY_ALL, limit_ns=MS), phase)
    assert (mean.passed, mean.value) == (None, None)
    assert mean.why == "latency_all has no mean where calls fail: 9.09 % of the calls failed: 1 throttled"
    none = judged(metric_rule("min", metric=Metric.LATENCY_ALL, limit_ns=2 * MS), frame({"throttled": [1]}))
    assert none.passed is False


def test_a_share_of_failures_is_never_rounded_to_all_or_none() -> None:
    almost = frame({"ok": [1], "throttled": [1] * 99_999})
    assert judged(metric_rule("max", limit_ns=MS), almost).why.startswith("more than 99.9 % of the calls failed")
    hardly = frame({"ok": [1] * 99_999, "throttled": [1]})
    assert judged(metric_rule("max", limit_ns=MS), hardly).why.startswith("0.001 % of the calls failed")


def test_other_metrics_are_of_ok_calls() -> None:
    phase = frame({"ok": [1] * 1000}, metrics={"ok/duration": [7] * 1000, "function_error/duration": [9_000] * 1000})
    result = judged(metric_rule("p", 99, metric=Metric.DURATION, limit_ns=8_000), phase)
    assert (result.passed, result.value) == (True, 7_000)


def test_a_metric_of_ok_calls_says_how_many_these_are_where_others_failed() -> None:
    phase = frame({"ok": [5] * 900, "throttled": [1] * 100}, metrics={"ok/service_time": [7] * 900})
    for rule in (metric_rule("mean", limit_ns=MS), metric_rule("p", 50, metric=Metric.SERVICE_TIME, limit_ns=MS)):
        why = "below the limit; of the 900 ok calls, 100 of 1000 planned were not ok"
        assert judged(rule, phase).why == why
    labelled = judged(metric_rule("max", start="cold", limit_ns=MS), frame({"ok": [5], "throttled": [1]}, start="cold"))
    assert labelled.why == "below the limit; of the 1 ok cold calls, 1 of 2 planned were not ok"


def test_a_metric_that_no_call_has_is_undecided() -> None:
    assert (
        judged(metric_rule("mean", metric=Metric.DURATION, limit_ns=1), THOUSAND).why == "no invocation has a duration"
    )
    labelled = judged(metric_rule("mean", start="cold", limit_ns=1), THOUSAND)
    assert (labelled.passed, labelled.why) == (None, "none of 1000 ok invocations is known to be cold")


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
    for limit, sign, passed in (
        (exactly + 1e-6, "<", True),
        (exactly, "<", False),
        (exactly, "<=", True),
        (exactly - 1e-6, "<=", False),
        (0, "==", False),
    ):
        ended = ThresholdResult("rule", exactly, passed, why, "value")
        assert judged(ShareRule("rule", None, what, limit, sign), phase) == ended


@pytest.mark.parametrize(("failed", "passed"), [(0, True), (1, False)])
def test_no_errors_at_all_can_be_asked_for(failed: int, passed: bool) -> None:
    phase = frame({"ok": [1] * (100_000 - failed), "gateway": [1] * failed})
    for text in ("errors <= 0%", "errors == 0"):
        assert judged(parse(text), phase).passed is passed


def test_a_share_of_nothing_is_undecided() -> None:
    assert judged(ShareRule("rule", None, "errors", 0.1), frame()).why == "no invocation was planned"


def test_the_achieved_rate_must_be_above_its_limit() -> None:
    """A thousand starts in ten seconds."""
    assert judged(RateRule("rule", None, Rate(99, 10**9)), THOUSAND) == ThresholdResult(
        "rule", 100, True, "above the limit", "value"
    )
    assert judged(RateRule("rule", None, Rate(100, 10**9)), THOUSAND) == ThresholdResult(
        "rule", 100, False, "not above the limit", "value"
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
    told.tally.billed_ns, told.tally.metered, told.tally.unmetered = {1024: 3 * 10**9}, metered, 1000 - metered
    book = PriceBook("b", "CNY", "2024-09", Decimal(1_000_000), Decimal("0.01"), MS)  # 1 a request, 0.01 a GB-second
    phase, bill = total(told), partial(billing, book=book)
    for rule in (cost_rule(limit), cost_rule(limit, "steady")):
        (result,) = evaluate(
            [rule], [phase_summary(plan(), phase, (), bill)], totals([plan()], [phase], (), bill), VALID
        )
        assert (result.passed, result.value) == (passed, 1000.03)
        decided_by = "value" if metered == 1000 else "bounds"  # a lower bound can break, and meet nothing
        assert result.decided_by == (None if passed is None else decided_by)


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
        (metric_rule("mean", limit_ns=MS), "overhead", True),
        (ShareRule("rule", None, "errors", 0.1), "overhead", True),
        (metric_rule("mean", limit_ns=MS), "all", False),
        (ShareRule("rule", None, "errors", 0.1), "all", False),
        (RateRule("rule", None, Rate(1, 10**9)), "all", False),
    ],
)
def test_a_withheld_figure_is_undecided(rule: Rule, withholds: str, shown: bool) -> None:
    verdict = Verdict("degraded", [Reason("late_starts", "withheld", "Too late.", None, None, "steady", withholds)])
    result = judged(rule, THOUSAND, verdict=verdict)
    assert result.passed is (True if shown else None)
    if not shown:
        assert (result.value, result.decided_by, result.why) == (None, None, "withheld: Too late.")


# what the load generator disturbed


def disturbed(n: int = 40, **failed: list[int]) -> Frame:
    """1,980 calls of 10 to 29.8 ms, and ``n`` that a stop of the generator made to take 40 ms, or to fail."""
    moved = {"ok": [40_000] * n} if n else {}
    return frame({"ok": [10_000 + 10 * at for at in range(1980)]}, disturbed={**moved, **failed})


@pytest.mark.parametrize(
    ("limit_ms", "passed", "decided_by"),
    [(41, True, "bounds"), (35, None, None), (29.7, None, None), (29.5, False, "bounds"), (20, False, "bounds")],
)
def test_a_figure_that_is_a_range_decides_where_both_its_ends_agree(
    limit_ms: float, passed: bool | None, decided_by: str | None
) -> None:
    """The p99 of the undisturbed calls is 29.6 ms; the 40 others may have been anything up to 40 ms."""
    result = judged(metric_rule("p", 99, limit_ns=round(limit_ms * MS)), disturbed())
    assert (result.passed, result.decided_by, result.value) == (passed, decided_by, None)
    assert result.low_end == pytest.approx(29.59 * MS, rel=0.002)
    assert result.high_end == pytest.approx(40 * MS, rel=0.002)
    assert result.why.startswith("the load generator disturbed 40 of 2020 invocations; ")


def test_a_maximum_that_the_generator_made_longer_breaks_no_rule() -> None:
    for limit_ms, passed in ((50, True), (35, None), (20, False)):
        assert judged(metric_rule("max", limit_ns=limit_ms * MS), disturbed(n=1)).passed is passed


def test_ends_that_are_close_together_are_one_figure_and_still_decide_by_both() -> None:
    """One call in a thousand moves the p50 by one rank."""
    near = disturbed(n=1)
    figure = judged(metric_rule("p", 50, limit_ns=25 * MS), near)
    assert (figure.passed, figure.decided_by, figure.low_end) == (True, "value", None)
    assert figure.value == pytest.approx(19.89 * MS, rel=0.001)
    between = judged(metric_rule("p", 50, limit_ns=round(figure.value or 0)), near)
    assert (between.passed, between.decided_by) == (None, None)


def test_refused_calls_leave_the_high_end_open() -> None:
    """Some of the heap were refused, which left room to the others: how long they would have taken is not known."""
    result = judged(metric_rule("p", 99, limit_ns=S), disturbed(n=39, throttled=[900]))
    assert (result.passed, result.high_end) == (None, None)
    assert result.low_end == pytest.approx(29.59 * MS, rel=0.002)
    assert judged(metric_rule("p", 90, limit_ns=S), disturbed(n=39, throttled=[900])).passed is True
    assert judged(metric_rule("p", 99, limit_ns=5 * MS), disturbed(n=39, throttled=[900])).passed is False


def test_a_percentile_that_only_disturbed_failures_reach_is_open() -> None:
    result = judged(metric_rule("p", 99, limit_ns=10**15), disturbed(n=0, function_error=[5_000] * 40))
    assert (result.passed, result.decided_by) == (None, None)
    undisturbed = frame({"ok": [10_000] * 1980, "function_error": [5_000] * 40})
    assert judged(metric_rule("p", 99, limit_ns=10**15), undisturbed).passed is False


def test_percentiles_that_their_samples_do_not_support_have_limits_that_contain_both_ends() -> None:
    few = frame({"ok": range(1, 501)}, disturbed={"ok": [900] * 5})
    """The 490th and the 500th value bound it; five more may have been any time up to 0.9 ms."""
    for limit_us, passed in ((901, True), (900, None), (495, None), (490, False)):
        assert judged(metric_rule("p", 99, limit_ns=limit_us * 1000), few).passed is passed


@pytest.mark.parametrize("reason", ["dropped/phase_end_late", "dropped/max_lag_late", "connection/local_limit"])
def test_a_rule_that_only_what_the_generator_missed_would_break_is_open(reason: str) -> None:
    outcome = reason.partition("/")[0]
    phase = frame({"ok": [1_000] * 9_999}, disturbed={outcome: [5]}, reasons={reason: 1})
    failed = [metric_rule("max", limit_ns=5 * S), metric_rule("p", 99, limit_ns=5 * S)]
    rules: list[Rule] = [failed[0], ShareRule("errors == 0", None, "errors", 0.0, "==")]
    for rule in rules:
        result = judged(rule, phase)
        assert (result.passed, result.decided_by) == (None, None)
        assert "the load generator disturbed 1 of 10000 invocations" in result.why
    assert judged(failed[1], phase).passed is True
    target = frame({"ok": [1_000] * 9_998, "throttled": [5]}, disturbed={outcome: [5]}, reasons={reason: 1})
    assert judged(failed[0], target).passed is False  # one is the target's
    assert judged(ShareRule("errors == 0", None, "errors", 0.0, "=="), target).passed is False


def test_a_share_is_decided_where_it_is_with_and_without_what_the_generator_disturbed() -> None:
    phase = frame({"ok": [9] * 960, "gateway": [9] * 10}, disturbed={"gateway": [9] * 30})
    for limit, passed in ((0.05, True), (0.04, None), (0.011, None), (0.01, False)):
        result = judged(ShareRule("rule", None, "errors", limit), phase)
        assert (result.passed, result.value) == (passed, None)
        assert (result.low_end, result.high_end) == (0.01, 0.04)


@pytest.mark.parametrize("rule", [RateRule("rule", None, Rate(1, 1)), CostRule("rule", None, Money(Decimal(1), "CNY"))])
def test_where_nothing_was_planned_no_rule_is_decided(rule: Rule) -> None:
    result = judged(rule, frame({}))
    assert (result.passed, result.value, result.why) == (None, None, "no invocation was planned")


def test_named_percentiles_are_each_listed_once() -> None:
    rules: list[Rule] = [
        metric_rule("p", 99.5, limit_ns=1),
        metric_rule("max", limit_ns=1),
        metric_rule("p", 50, limit_ns=1),
        metric_rule("p", 99.5, limit_ns=2),
        RateRule("rule", None, Rate(1, 1)),
    ]
    assert named_percentiles(rules) == (50, 99.5)


@pytest.mark.parametrize("n", [5, 6, 100])
def test_calls_of_which_the_generator_missed_every_one_break_nothing(n: int) -> None:
    missed = frame(disturbed={"dropped": [900] * n}, reasons={"dropped/max_lag_late": n})
    for rule in (metric_rule("p", 50, limit_ns=MS), metric_rule("max", limit_ns=MS)):
        result = judged(rule, missed)
        assert (result.passed, result.value, result.decided_by) == (None, None, None)
        assert "it may be anything" in result.why


def test_a_metric_of_ok_calls_is_undecided_where_none_was_ok() -> None:
    for statistic, p in (("max", None), ("mean", None), ("min", None), ("p", 50)):
        result = judged(metric_rule(statistic, p, metric=Metric.SERVICE_TIME, limit_ns=MS), frame({"throttled": [1]}))
        assert (result.passed, result.why) == (None, "no invocation has a service_time")


def test_where_three_outcomes_failed_all_are_named_and_there_are_no_others() -> None:
    phase = frame({"ok": [9] * 4, "timeout": [9] * 3, "gateway": [9] * 2, "auth": [9]})
    assert judged(metric_rule("max", limit_ns=MS), phase).why.endswith("failed: 3 timeout, 2 gateway, 1 auth")


@pytest.mark.parametrize("what", ["errors", "throttled", "timeouts", "dropped"])
def test_of_calls_that_were_all_ok_no_share_is_above_nothing(what: str) -> None:
    assert judged(parse(f"{what} == 0"), THOUSAND) == ThresholdResult(
        f"{what} == 0", 0, True, "0 of 1000 planned invocations", "value"
    )
