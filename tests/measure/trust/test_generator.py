"""The generator is judged by what it did to the figures."""

from __future__ import annotations

import msgspec
import pytest

from loadgen.invocation.metric import Metric
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhasePlan, phase_summary
from loadgen.measure.rule import MetricRule, RateRule, parse
from loadgen.measure.summary import PhaseSummary, Reason, Verdict
from loadgen.measure.threshold import evaluate
from loadgen.measure.verdict import bounds_rate, judge, of_experiment
from loadgen.text.units import NS_PER_S, Rate
from tests.frames import clean, frame, only, plan, total


def judged(*frames: Frame, planned: int = 1000, floor_ns: int | None = None) -> Verdict:
    return judge([plan(drawn=planned)], [total(*frames)], overhead_floor_ns=floor_ns)


# late_starts: p50 of the clean record is 20 ms, its p99 is 29.8 ms, its maximum 30 ms


def test_disturbed_calls_that_can_have_moved_no_figure_leave_the_run_valid() -> None:
    """One among a thousand, which took as long as the others: whatever it would have taken, no figure would show."""
    assert judged(clean(disturbed={"ok": [20_000]}), planned=1001) == Verdict("valid", [])


def test_figures_that_disturbed_calls_can_have_moved_are_ranges_and_the_run_is_degraded() -> None:
    verdict = judged(clean(disturbed={"ok": [60_000] * 12}), planned=1012)
    assert verdict.status == "degraded"
    reason = only(verdict)
    assert (reason.rule, reason.severity, reason.withholds, reason.whose) == ("late_starts", "range", None, "generator")
    assert reason.figures == ["latency.p99", "latency.max", "latency_all.p99", "latency_all.max"]
    assert reason.message.startswith(
        "The load generator itself disturbed 12 of 1012 invocations (1.19%) by starting them late or not at all, "
        "or others around them: p99 and max of latency, and 2 more figures, are shown as ranges. What was in its way "
        "is not known"
    )


def test_a_percentile_that_only_a_threshold_asks_for_is_judged_too() -> None:
    frame = clean(disturbed={"ok": [90_000] * 9})
    rule = MetricRule("latency.p98.7 < 1s", None, None, Metric.LATENCY, "p", 98.7, NS_PER_S)
    assert "latency.p98.7" not in only(judged(frame, planned=1009)).figures
    slower = clean(disturbed={"ok": [90_000] * 14})
    verdict = judge([plan(drawn=1014)], [total(slower)], [rule])
    assert "latency_all.p98.7" in only(verdict).figures


def test_failures_that_the_generator_may_have_caused_make_the_share_of_errors_a_range() -> None:
    frame = clean(disturbed={"gateway": [5_000] * 4})
    reasons = {reason.rule: reason for reason in judged(frame, planned=1004).reasons}
    assert "errors" in reasons["late_starts"].figures
    one = clean(disturbed={"function_error": [5_000]})
    late = [reason for reason in judged(one, planned=1001).reasons if reason.rule == "late_starts"]
    assert not [figure for reason in late for figure in reason.figures if figure == "errors"]


def test_failures_of_undisturbed_calls_are_no_range() -> None:
    frame = clean(latencies={"ok": range(10_000, 30_000, 20), "gateway": [9] * 20}, disturbed={"ok": [90_000] * 12})
    late = next(reason for reason in judged(frame, planned=1032).reasons if reason.rule == "late_starts")
    assert "latency_all.p99" not in late.figures  # it is a failure, whatever the disturbed calls would have taken
    assert "errors" not in late.figures


@pytest.mark.parametrize("start", ["cold", "warm"])
def test_figures_of_a_start_are_ranges_of_their_own(start: str) -> None:
    frame = clean(disturbed={"ok": [60_000] * 12}, start=start)
    assert [name for name in only(judged(frame, planned=1012)).figures if name.startswith(start)] == [
        f"{start}.latency.{statistic}" for statistic in ("p99", "max", "mean")[: 3 if start == "cold" else 2]
    ]


@pytest.mark.parametrize(("met", "status"), [(1, "valid"), (20, "degraded")])
def test_a_few_calls_of_a_start_are_too_few_to_have_figures_that_could_be_ranges(met: int, status: str) -> None:
    """A burst of cold starts, one of which met an instance that the pre-flight had left."""
    burst = clean(start="cold", final=False)
    warm = frame(disturbed={"ok": [20_000] * met}, start="warm", seq=1)
    verdict = judged(burst, warm, planned=1000 + met)
    assert verdict.status == status
    assert {name.split(".")[0] for each in verdict.reasons for name in each.figures} == ({"warm"} if met > 1 else set())


def test_a_minimum_alone_degrades_no_run_but_is_named_beside_others() -> None:
    """One disturbed call was the fastest of all; where more were, other figures are ranges, too."""
    fastest = judged(clean(disturbed={"ok": [100]}), planned=1001)
    assert (fastest.status, fastest.reasons) == ("valid", [])
    many = judged(clean(disturbed={"ok": [100] * 600}), planned=1600)
    assert many.status == "degraded"
    assert "latency.min" in many.reasons[0].figures


@pytest.mark.parametrize(
    ("start", "disturbed", "rule", "figure"),
    [
        ("unknown", 100, "latency.min < 1ms", "latency.min"),
        ("unknown", 100, "steady:latency.min < 1ms", "latency.min"),
        ("warm", 20_000, "warm.latency.max < 1ms", "warm.latency.max"),
        ("warm", 20_000, "warm.latency.mean < 1ms", "warm.latency.mean"),
    ],
)
def test_a_range_that_a_rule_is_about_degrades_the_run_though_it_is_of_a_call_or_two(
    start: str, disturbed: int, rule: str, figure: str
) -> None:
    measured = total(clean(final=False), frame(disturbed={"ok": [disturbed]}, start=start, seq=1))
    asked = judge([plan(drawn=1001)], [measured], [parse(rule)])
    assert asked.status == "degraded"
    assert figure in asked.reasons[0].figures
    assert judge([plan(drawn=1001)], [measured], [parse("service_time.p99 < 1ms")]).status == "valid"


def test_a_range_of_all_phases_together_is_said_once() -> None:
    plans = [plan("a"), plan("b")]
    phases = [total(clean(phase=name, disturbed={"ok": [90_000] * 12})) for name in "ab"]
    assert [reason.phase for reason in judge(plans, phases).reasons] == ["a", "b"]


def test_where_only_figures_of_all_phases_are_shown_only_these_are_ranges() -> None:
    """Twelve disturbed calls of one phase are too few to move the p99 of ten."""
    plans = [plan(str(n), drawn=1000 + 12 * (n == 0)) for n in range(10)]
    calls = {"ok": [60_000] * 12}
    phases = [total(clean(phase=each.name, disturbed=calls if n == 0 else None)) for n, each in enumerate(plans)]
    assert "latency.p99" in judge(plans, phases).reasons[0].figures
    together = only(judge(plans, phases, by_phase=False))
    assert (together.phase, "latency.p99" in together.figures, "latency.max" in together.figures) == (None, False, True)
    assert judge(plans, phases, part=True).reasons == []


def test_of_a_single_phase_too_the_figures_of_all_are_ranges_where_only_these_are_shown() -> None:
    phase = total(clean(disturbed={"ok": [60_000] * 12}))
    (alone,), (whole,) = (judge([plan(drawn=1012)], [phase], by_phase=by_phase).reasons for by_phase in (True, False))
    assert (alone.phase, whole.phase, alone.figures) == ("steady", None, whole.figures)


@pytest.mark.parametrize("by_phase", [True, False])
def test_where_a_phase_may_not_be_used_the_figures_of_all_have_no_ranges(by_phase: bool) -> None:
    lost = clean(phase="lost", latencies={"ok": [20_000] * 1000}, metrics={"ok/late": [5] * 900 + [50_000] * 100})
    moved = clean(phase="moved", disturbed={"ok": [90_000] * 30})
    verdict = judge([plan("lost"), plan("moved")], [total(lost), total(moved)], by_phase=by_phase)
    found = [(reason.severity, reason.phase) for reason in verdict.reasons]
    assert found == [("invalid", "lost"), ("range", "moved")][: 2 if by_phase else 1]


def test_a_phase_that_may_not_be_used_has_no_ranges() -> None:
    frame = clean(metrics={"ok/late": [5] * 900 + [50_000] * 100}, disturbed={"ok": [90_000] * 12})
    assert [reason.severity for reason in judged(frame, planned=1012).reasons] == ["invalid"]


# another load


def late(starts: int, us: int, of: int = 1000) -> Frame:
    """Some starts that were late by so much."""
    latencies = {"ok": [*range(10_000, 30_000, 20)] * (of // 1000)} if of >= 1000 else {"ok": [20_000] * of}
    return clean(latencies=latencies, metrics={"ok/late": [5] * (of - starts) + [us] * starts})


@pytest.mark.parametrize(
    ("starts", "us", "of", "status"),
    [
        (10, 11_000, 1000, "valid"),  # one in a hundred
        (11, 11_000, 1000, "invalid"),
        (500, 10_000, 1000, "valid"),  # not that late; what it did is seen in the calls
        (500, 10_008, 1000, "invalid"),  # the next that a histogram tells apart
        (9, 90_000, 40, "valid"),  # so few say nothing about the load
        (10, 90_000, 40, "invalid"),
        (101, 11_000, 10_000, "invalid"),
    ],
)
def test_many_very_late_starts_are_another_load_than_was_asked_for(starts: int, us: int, of: int, status: str) -> None:
    verdict = judged(late(starts, us, of), planned=of)
    assert verdict.status == status
    found = [reason for reason in verdict.reasons if reason.rule == "late_starts"]
    assert [(reason.severity, reason.withholds) for reason in found] == [("invalid", "all")] * (status == "invalid")


def test_a_slow_target_allows_a_tenth_of_its_p99() -> None:
    slow = {"ok": range(1_000_000, 3_000_000, 2_000)}
    for us, status in ((290_000, "valid"), (300_000, "invalid")):
        frame = clean(latencies=slow, metrics={"ok/late": [5] * 900 + [us] * 100})
        assert judged(frame).status == status


def test_lateness_is_judged_over_every_outcome_and_with_what_was_missed() -> None:
    mixed = clean(
        latencies={"ok": [20_000] * 989, "timeout": [100_000] * 6},
        metrics={"ok/late": [5] * 989, "timeout/late": [50_000] * 6},
        disturbed={"dropped": [9] * 5},
        reasons={"dropped/paused": 5},
    )
    reasons = {reason.rule: reason for reason in judged(mixed).reasons}
    assert reasons["late_starts"].severity == "invalid"
    assert reasons["late_starts"].value == 0.011
    assert reasons["late_starts"].message.startswith(
        "11 of 1000 starts (1.10%) came more than 10 ms late or not at all"
    )


# generator_limits


def refused(n: int, ok: int = 1000) -> Frame:
    """Calls for which this machine had no connection are disturbed."""
    return clean(
        disturbed={"connection": [10] * n} if n else {},
        reasons={"connection/local_limit": n} if n else {},
    )


def test_connections_that_this_machine_refused_are_the_generators_fault_and_many_make_the_run_invalid() -> None:
    assert judged(refused(0)).reasons == []
    few = {reason.rule: reason for reason in judged(refused(10), planned=1010).reasons}
    assert (few["generator_limits"].severity, few["generator_limits"].value) == ("warning", 10)
    assert "10 of 1010 invocations found no open file, local port or memory left" in few["generator_limits"].message
    many = judged(refused(11), planned=1011)
    assert (many.status, only(many).rule, only(many).withholds) == ("invalid", "generator_limits", "all")


def test_other_failed_connections_are_the_targets() -> None:
    other = clean(latencies={"ok": range(10_000, 30_000, 20), "connection": [10] * 11})
    other.tally.reasons = {"connection/refused": 11}
    assert [reason.rule for reason in judged(other, planned=1011).reasons] == ["failures"]


# clock_stepped


def stepped(ns: int) -> Frame:
    frame = clean()
    frame.health = msgspec.structs.replace(frame.health, clock_step_ns=ns)
    return frame


def test_a_clock_that_was_set_is_a_reason_where_it_can_have_moved_a_figure() -> None:
    assert judged(stepped(100_000)) == Verdict("valid", [])
    reason = only(judged(stepped(3_000_000)))
    assert (reason.rule, reason.severity, reason.value) == ("clock_stepped", "range", 3_000_000)
    assert "latency.p50" in reason.figures
    assert reason.message.startswith("This machine's clock was set by up to 3 ms while 1000 invocations ended")


def test_a_set_clock_is_not_blamed_for_what_late_starts_did() -> None:
    frame = clean(disturbed={"ok": [90_000] * 12}, final=False)
    other = clean(seq=1, latencies={"ok": [20_000]}, metrics={})
    other.health = msgspec.structs.replace(other.health, clock_step_ns=1_000)
    assert [reason.rule for reason in judged(frame, other, planned=1013).reasons] == ["late_starts"]


# generator_bound


def workers(late_us: int, unread_us: int, **changes: object) -> tuple[PhasePlan, Frame]:
    """A thousand calls of 1 ms in 10 s by two workers, between which the generator took so long."""
    frame = clean(
        latencies={"ok": [1_000] * 1000},
        metrics={
            "ok/service_time": [1_000] * 1000,
            "ok/late": [late_us] * 1000,
            "ok/unread": [unread_us] * 1000,
        },
    )
    return msgspec.structs.replace(plan(closed=True), workers=2.0), msgspec.structs.replace(frame, **changes)


def bounded(planned: PhasePlan, frame: Frame) -> tuple[Verdict, PhaseSummary]:
    phase = total(frame)
    return judge([planned], [phase]), phase_summary(planned, phase)


@pytest.mark.parametrize(("late_us", "unread_us", "bound"), [(20, 30, False), (30, 25, True), (0, 60, True)])
def test_the_rate_of_workers_is_the_generators_where_it_takes_a_twentieth_of_a_call(
    late_us: int, unread_us: int, bound: bool
) -> None:
    verdict, _ = bounded(*workers(late_us, unread_us))
    assert [reason.rule for reason in verdict.reasons] == ["generator_bound"] * bound
    if bound:
        reason = only(verdict)
        assert (reason.severity, reason.figures, reason.withholds) == ("range", ["achieved_rate"], None)


@pytest.mark.parametrize("lost", [{"paused_ns": 200_000_000}, {"began_late_ns": 200_000_000}])
def test_workers_that_stood_still_say_nothing_about_the_rate_of_the_target(lost: dict[str, int]) -> None:
    verdict, _ = bounded(*workers(0, 0, **lost))
    reason = only(verdict)
    assert (reason.rule, reason.value, reason.limit) == ("generator_bound", 0.02, 0.01)
    assert "the target's: it stood still for 2.0% of the time, expected at most 1%. Times" in reason.message


def test_workers_that_stood_still_for_a_hundredth_of_the_time_lost_next_to_nothing() -> None:
    assert bounded(*workers(0, 0, paused_ns=100_000_000))[0] == Verdict("valid", [])
    assert "stood still for" not in only(bounded(*workers(60, 0, paused_ns=100_000_000))[0]).message.partition("In")[0]


def test_workers_have_no_schedule_to_be_late_for_and_an_open_phase_no_rate_of_its_own() -> None:
    planned, frame = workers(50_000, 50_000)
    assert [reason.rule for reason in bounded(planned, frame)[0].reasons] == ["generator_bound"]
    opened, punctual = plan(drawn=1000), workers(0, 50_000)[1]
    assert bounded(opened, punctual)[0].reasons == []


def test_workers_that_had_no_time_lost_none() -> None:
    planned, frame = workers(0, 0, paused_ns=200_000_000)
    assert bounded(msgspec.structs.replace(planned, duration_ns=0), frame)[0] == Verdict("valid", [])


def test_a_rate_that_the_generator_bounds_can_meet_a_rule_and_never_break_it() -> None:
    verdict, summary = bounded(*workers(60, 0))
    for limit, passed in ((99, True), (101, None)):
        rule = RateRule(f"achieved_rate > {limit}/s", None, Rate(limit, NS_PER_S))
        (result,) = evaluate([rule], [summary], summary, verdict)
        assert result.passed is passed
    assert result.low_end == 100
    free, _ = bounded(*workers(0, 0))
    (result,) = evaluate([rule], [summary], summary, free)
    assert result.passed is False


def test_a_phase_of_workers_says_how_many_calls_were_really_in_flight() -> None:
    _, summary = bounded(*workers(0, 0))
    assert summary.workers == 2
    assert summary.in_flight_mean == pytest.approx(0.1, rel=0.01)  # 1,000 times 1 ms in 10 s


def test_no_more_calls_are_in_flight_than_there_are_workers_though_one_outlasts_the_phase() -> None:
    planned, _ = workers(0, 0)
    hung = clean(latencies={"ok": [99_000_000]}, metrics={"ok/service_time": [99_000_000]})
    assert phase_summary(planned, total(hung)).in_flight_mean == 2


def test_an_experiment_asks_nothing_of_the_rate_of_its_workers() -> None:
    verdict, _ = bounded(*workers(60, 0))
    assert of_experiment(verdict, ["steady"]) == Verdict("valid", [])


def test_the_rate_of_all_phases_is_bounded_by_one_of_them() -> None:
    reason = Reason("generator_bound", "range", "why", 1, 0, "a", figures=["achieved_rate"])
    verdict = Verdict("degraded", [reason])
    assert [bounds_rate(verdict, phase) for phase in ("a", "b", None)] == [reason, None, reason]


# overhead_floor


def test_a_p99_within_ten_times_of_the_floor_is_a_warning_with_both_values() -> None:
    assert judged(clean(), floor_ns=2_900_000).reasons == []
    assert judged(clean(), floor_ns=2_979_100).reasons == []  # the tenth part of 29.791 ms
    verdict = judged(clean(), floor_ns=3_000_000)
    reason = only(verdict)
    assert (verdict.status, reason.rule, reason.severity, reason.limit) == (
        "valid", "overhead_floor", "warning", 30_000_000,
    )  # fmt: skip
    assert reason.value == pytest.approx(29_800_000, rel=0.001)
    assert "p99 of latency is 29.79 ms" in reason.message
    assert "10 times the 3 ms that loadgen takes here" in reason.message


def test_a_p99_that_is_not_reported_is_not_held_against_the_floor() -> None:
    few = clean(latencies={"ok": [20_000] * 999}, metrics={})
    assert [reason.rule for reason in judged(few, floor_ns=30_000_000, planned=999).reasons] == ["too_few_samples"]
