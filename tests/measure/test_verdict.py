"""Each rule fires on a record built to break it, and none on a clean one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec
import pytest

from loadgen.experiments.load.findings import LoadResult
from loadgen.experiments.load.reasons import found
from loadgen.invocation.bill import Misbilled
from loadgen.invocation.metric import Metric
from loadgen.measure.histogram import HIGHEST
from loadgen.measure.interval import Frame
from loadgen.measure.labelling import Labelling
from loadgen.measure.merge import Loss, PhasePlan, PhaseTotal, phase_summary
from loadgen.measure.rule import MetricRule, Rule, ShareRule
from loadgen.measure.starts import Found
from loadgen.measure.summary import Reason, Verdict
from loadgen.measure.threshold import evaluate
from loadgen.measure.verdict import judge, of_experiment, of_generator, withheld
from loadgen.report.tables import why_dropped
from loadgen.text.units import NS_PER_S
from tests.frames import PUNCTUAL, clean, frame, histogram, labelled, only, packed, plan, total


def judged(*frames: Frame, drawn: int | None = 1000, rules: Iterable[Rule] = (), stopped: bool = False) -> Verdict:
    return judge([plan(drawn=drawn)], [total(*frames)], list(rules), stopped=stopped)


def percentile_rule(p: float, metric: Metric = Metric.LATENCY, phase: str | None = None) -> MetricRule:
    return MetricRule(f"{metric.value}.p{p:g} < 1s", phase, None, metric, "p", p, 1_000_000_000)


def test_a_clean_run_is_valid_without_a_reason() -> None:
    assert judged(clean(), rules=[percentile_rule(99)]) == Verdict("valid", [])


def test_a_run_that_measured_nothing_says_so() -> None:
    for verdict in (judge([], []), judge([plan(warmup=True)], [total(clean())])):
        assert verdict.status == "valid"
        assert (only(verdict).rule, only(verdict).severity) == ("nothing_measured", "warning")


def test_a_phase_in_which_no_start_fell_due_measured_nothing() -> None:
    reasons = judged(clean(latencies={}, metrics={}), drawn=0).reasons
    assert [reason.rule for reason in reasons] == ["nothing_measured", "too_few_samples"]


def test_redirects_are_ok_and_mentioned() -> None:
    reason = only(judged(clean(reasons={"ok/redirect": 1000})))
    assert (reason.rule, reason.severity, reason.value) == ("redirects", "warning", 1000)
    assert "Set target.url to where it leads" in reason.message


@pytest.mark.parametrize(
    ("reasons", "count", "advice"),
    [
        ({"ok/status_304": 200}, 200, "leave If-None-Match and If-Modified-Since out of target.headers"),
        ({"ok/status_302": 3, "ok/status_300": 1}, 4, "status 300 or 302, which is counted as ok"),
    ],
)
def test_a_3xx_that_leads_nowhere_is_ok_and_mentioned_and_no_redirect(
    reasons: dict[str, int], count: int, advice: str
) -> None:
    reason = only(judged(clean(reasons=reasons)))
    assert (reason.rule, reason.severity, reason.value, reason.withholds) == ("without_content", "warning", count, None)
    assert advice in reason.message
    assert "where it leads" not in reason.message


def test_a_result_that_tells_a_status_of_its_own_is_an_answer_with_content() -> None:
    assert only(judged(clean(reasons={"ok/status_inside": 3}))).rule == "status_inside"


# unbelievable


@pytest.mark.parametrize(
    ("name", "n", "withheld"),
    [
        ("duration", 1, {None}),  # of 1,000, which is not more than 0.1 %
        ("duration", 2, {"duration", "overhead"}),
        ("billed_duration", 2, {"billed_duration"}),
        ("memory_used", 2, {"memory_used"}),
        ("memory_size", 2, {None}),  # no metric; a cost is a lower bound by itself
    ],
)
def test_a_figure_of_the_platform_that_cannot_be_withholds_itself_and_never_the_run(
    name: str, n: int, withheld: set[str | None]
) -> None:
    told = {f"ok/{name}": [5_000] * (1000 - n)} if name != "memory_size" else {}
    answers = clean(metrics=PUNCTUAL | told, unbelieved={name: n})
    answers.tally.metered = 1000 - n
    verdict = judged(answers)
    assert verdict.status == "valid"
    assert {reason.rule for reason in verdict.reasons} == {"unbelievable"}
    assert {reason.withholds for reason in verdict.reasons} == withheld
    assert verdict.reasons[0].message.startswith(
        f"{n} of 1000 answers ({n / 1000:.2%}) tell a {name.replace('_', ' ')}"
    )


# billing_mismatch


def test_bills_that_follow_from_no_duration_are_mentioned_with_the_one_furthest_off() -> None:
    off = clean()
    off.tally.billing_units = {1_000_000: 990}
    off.tally.misbilled, off.tally.underbilled, off.tally.worst_bill = 10, 1, Misbilled(12_300_000, 50_000_000, "r")
    reason = only(judged(off))
    assert (reason.rule, reason.severity, reason.value, reason.withholds) == ("billing_mismatch", "warning", 10, None)
    assert reason.message.startswith(
        "10 of 1000 invocations were billed for other than their duration rounded up to 1 ms, 100 ms or 1 s, "
        "1 of them for less than they ran; the one furthest off ran 12.3 ms and was billed 50 ms."
    )


# rate_missed


def missed(n: int) -> Frame:
    """A start that the generator missed is one that it disturbed."""
    return clean(disturbed={"dropped": [1] * n} if n else {}, reasons={"dropped/phase_end_late": n} if n else {})


def test_starts_missed_by_the_generator_make_the_run_invalid() -> None:
    verdict = judged(missed(20), drawn=1020)
    assert verdict.status == "invalid"
    assert only(verdict) == Reason(
        rule="rate_missed",
        severity="invalid",
        message="1000 of 1020 planned starts were made: the load generator missed 20 (1.96%), expected at most 1%. "
        "What was in its way is not known; lower the rate, or leave the machine's cores to the run.",
        value=1000 / 1020,
        limit=0.99,
        phase="steady",
        withholds="all",
        whose="generator",
    )


def test_starts_dropped_for_a_lag_of_our_own_are_missed_and_not_the_targets_fault() -> None:
    dropped = clean(disturbed={"dropped": [9] * 50}, reasons={"dropped/max_lag_late": 50})
    verdict = judged(dropped, drawn=1050)
    assert verdict.status == "invalid"
    assert only(verdict).rule == "rate_missed"


@pytest.mark.parametrize(
    ("phase_end", "phase_end_late", "max_lag", "max_lag_late"),
    [(279_225, 9_272, 0, 0), (0, 500, 0, 300), (0, 0, 700, 0), (50, 8, 20, 6), (1_000, 0, 0, 2), (0, 0, 3, 40)],
)
def test_the_verdict_and_the_tables_tell_the_same_numbers_of_planned_started_missed_and_without_a_worker(
    phase_end: int, phase_end_late: int, max_lag: int, max_lag_late: int
) -> None:
    reasons = {
        "dropped/phase_end": phase_end,
        "dropped/phase_end_late": phase_end_late,
        "dropped/max_lag": max_lag,
        "dropped/max_lag_late": max_lag_late,
    }
    ours, theirs = phase_end_late + max_lag_late, phase_end + max_lag
    planned = 1000 + ours + theirs
    made = clean(
        latencies={"ok": range(10_000, 30_000, 20), "dropped": [9] * theirs},
        disturbed={"dropped": [9] * ours},
        reasons={reason: n for reason, n in reasons.items() if n},
    )
    said = {reason.rule: reason for reason in judged(made, drawn=planned).reasons}
    shown = why_dropped(phase_summary(plan(drawn=planned), total(made)))
    assert ("rate_missed" in said) == (ours >= 10 and ours > planned / 100)  # it answers for its own share only
    assert ("dropped" in said) == (theirs > 0)
    if "rate_missed" in said:
        message = said["rate_missed"].message
        assert message.startswith(f"1000 of {planned} planned starts were made: the load generator missed {ours} (")
        assert (f"; {theirs} more lacked a free worker" in message) == (theirs > 0)
    if "dropped" in said:
        assert said["dropped"].message.startswith(f"{theirs} of {planned} planned starts (")
    assert shown == [each for each in (("missed by the generator", ours), ("lacked a free worker", theirs)) if each[1]]


@pytest.mark.parametrize(("made", "n", "invalid"), [(1, 10, False), (1, 11, True), (10, 100, False), (10, 102, True)])
def test_one_start_in_a_hundred_may_be_missed(made: int, n: int, invalid: bool) -> None:
    frame = clean(
        latencies={"ok": [*range(10_000, 30_000, 20)] * made},
        metrics={"ok/late": [5] * 1000 * made},
        disturbed={"dropped": [1] * n},
        reasons={"dropped/phase_end_late": n},
    )
    assert (judged(frame, drawn=1000 * made + n).status == "invalid") == invalid


def test_of_few_starts_nine_may_be_missed() -> None:
    few = clean(
        latencies={"ok": [20_000] * 40},
        metrics={},
        disturbed={"dropped": [1] * 9},
        reasons={"dropped/phase_end_late": 9},
    )
    assert judged(few, drawn=49).status == "degraded"


def test_starts_dropped_for_lack_of_a_worker_are_not_the_generators_fault() -> None:
    dropped = clean(latencies={"ok": range(10_000, 30_000, 20), "dropped": [9] * 50}, reasons={"dropped/phase_end": 50})
    verdict = judged(dropped, drawn=1050)
    assert verdict.status == "valid"
    reason = only(verdict)
    assert (reason.rule, reason.severity, reason.withholds) == ("dropped", "warning", None)
    assert reason.message.startswith("50 of 1050 planned starts (4.76%) were dropped for want of a free worker: ")


@pytest.mark.parametrize(("drawn", "status"), [(1000, "valid"), (1010, "valid"), (1011, "invalid"), (989, "invalid")])
def test_the_starts_may_be_one_percent_off_the_drawn_schedule(drawn: int, status: str) -> None:
    assert judged(clean(), drawn=drawn).status == status


def test_a_schedule_that_was_cut_short_on_purpose_is_no_fault() -> None:
    assert judged(clean(), drawn=5000, stopped=True).status == "valid"
    assert judged(clean(budget_reached="invocations"), drawn=5000).status == "valid"
    assert judged(clean(), drawn=None).status == "valid"


def test_a_feeder_that_ran_out_is_named_with_what_was_planned_and_no_fault_of_the_generator() -> None:
    verdict = judged(clean(feeder_exhausted=True), drawn=5000)
    assert verdict.status == "valid"
    reason = only(verdict)
    assert (reason.rule, reason.severity, reason.withholds) == ("feeder_exhausted", "warning", None)
    assert (reason.value, reason.limit) == (1000, 5000)
    assert reason.message.startswith("The feeder ran out of rows after 1000 of 5000 planned starts")
    assert "order: loop" in reason.message
    assert of_generator(verdict).reasons == []


def test_rows_that_end_a_phase_of_workers_cost_it_no_planned_start() -> None:
    assert judged(clean(feeder_exhausted=True), drawn=None) == Verdict("valid", [])


def test_an_interruption_does_not_excuse_missed_starts() -> None:
    assert judged(missed(500), drawn=1500, stopped=True).status == "invalid"


# connects_in_latency


def connecting(n: int) -> Frame:
    return clean(metrics={"ok/late": [5] * 1000, "ok/connect": [0] * (1000 - n) + [800] * n})


def test_times_that_contain_the_opening_of_a_connection_are_mentioned_beyond_two_percent() -> None:
    assert judged(connecting(20)).reasons == []
    reason = only(judged(connecting(21)))
    assert (reason.rule, reason.severity, reason.withholds) == ("connects_in_latency", "warning", None)
    assert (reason.value, reason.limit) == (0.021, 0.02)
    assert "21 of 1000 undisturbed ok invocations (2.1%) had to open a connection first" in reason.message


def test_connections_that_only_disturbed_invocations_had_to_open_are_not_put_on_the_target() -> None:
    heap = clean(metrics={"ok/late": [5] * 1000, "ok/connect": [0] * 1000}, disturbed={"ok": [90_000] * 100})
    heap.hist |= packed({"disturbed/ok/connect": histogram([800] * 100)})
    assert "connects_in_latency" not in {reason.rule for reason in judged(heap, drawn=1100).reasons}


def test_connections_that_were_meant_to_be_fresh_are_no_surprise() -> None:
    assert judge([plan(drawn=1000)], [total(connecting(1000))], fresh_connections=True).reasons == []


def test_a_failed_connection_is_in_no_time_that_is_shown() -> None:
    refused = clean(
        latencies={"ok": range(10_000, 30_000, 20), "connection": [800]},
        metrics={"ok/late": [5] * 1000, "connection/connect": [800]},
    )
    assert judged(refused, drawn=1001).reasons == []


# too_few_samples


def test_unsupported_percentiles_are_mentioned_but_do_not_degrade() -> None:
    few = clean(latencies={"ok": range(1, 151)}, metrics={})
    verdict = judged(few, drawn=150)
    assert verdict.status == "valid"
    reason = only(verdict)
    assert (reason.rule, reason.severity, reason.phase, reason.value, reason.limit) == (
        "too_few_samples",
        "withheld",
        "steady",
        150,
        200,
    )
    assert reason.message == "150 ok invocations are too few for p95, p99 of latency, not shown: p95 needs 200 samples."


def test_a_percentile_that_a_threshold_needs_and_has_too_few_samples_for_is_named_with_the_threshold() -> None:
    verdict = judged(clean(), rules=[percentile_rule(99.9)])
    assert verdict.status == "valid"
    assert only(verdict).message == (
        "The threshold latency.p99.9 < 1s needs 10000 samples to be judged by its figure and has 1000, so that only "
        "the limits of its interval can decide it: run longer or at a higher rate, or ask for a lower percentile."
    )


def test_a_threshold_on_latency_counts_failed_calls_as_samples() -> None:
    mostly_failed = clean(latencies={"ok": [9] * 900, "timeout": [99] * 100})
    reasons = judged(mostly_failed, rules=[percentile_rule(99)]).reasons
    assert not [reason for reason in reasons if "threshold" in reason.message]


def test_a_threshold_over_all_phases_counts_them_together() -> None:
    plans, phases = [plan("a"), plan("b")], [total(clean(phase="a")), total(clean(phase="b"))]
    assert judge(plans, phases, [percentile_rule(99.5)]).reasons == []
    assert only(judge(plans, phases, [percentile_rule(99.5, phase="a")])).rule == "too_few_samples"


def test_a_threshold_on_the_hundredth_percentile_cannot_be_met() -> None:
    assert "needs more samples than there can be" in only(judged(clean(), rules=[percentile_rule(100)])).message


def test_a_threshold_on_one_phase_counts_the_samples_of_that_phase_alone() -> None:
    few = total(clean(latencies={"ok": range(1, 501)}, metrics={}, phase="b"))
    plans, phases = [plan("a"), plan("b")], [total(clean(phase="a")), few]
    asked = [percentile_rule(99, phase=phase) for phase in ("a", "b", "c")]
    of_rules = [reason for reason in judge(plans, phases, asked).reasons if "threshold" in reason.message]
    assert [(reason.phase, reason.value) for reason in of_rules] == [("b", 500), ("c", 0)]


def test_a_threshold_that_is_about_no_percentile_needs_no_samples() -> None:
    mean = MetricRule("latency.mean < 1s", None, None, Metric.LATENCY, "mean", None, NS_PER_S)
    share = ShareRule("errors < 2%", None, "errors", 0.02)
    few = judged(clean(latencies={"ok": range(1, 11)}, metrics={}), drawn=10, rules=[mean, share])
    assert [reason for reason in few.reasons if "threshold" in reason.message] == []


def test_a_threshold_on_starts_needs_samples_of_its_start_once_these_are_told_apart() -> None:
    rule = MetricRule("cold.latency.p99 < 1s", None, "cold", Metric.LATENCY, "p", 99, NS_PER_S)
    verdict = judge([plan(drawn=1050)], [labelled(cold=50, warm=1000)], [rule])
    (reason,) = [reason for reason in verdict.reasons if "threshold" in reason.message]
    assert (reason.rule, reason.value, reason.limit) == ("too_few_samples", 50, 1000)


def test_of_calls_that_were_all_disturbed_those_count_that_were_seen() -> None:
    seen = judged(
        clean(latencies={}, metrics={}, disturbed={"ok": [20_000] * 150}), drawn=150, rules=[percentile_rule(99)]
    )
    values = {reason.message.split()[0]: reason.value for reason in seen.reasons if reason.rule == "too_few_samples"}
    assert values == {"The": 150, "150": 150}


# the record


def test_clipped_values_make_the_run_invalid() -> None:
    clipped = clean(latencies={"ok": [*range(10_000, 29_980, 20), HIGHEST]}, clipped=1)
    verdict = judged(clipped)
    assert verdict.status == "invalid"
    assert (only(verdict).rule, only(verdict).withholds) == ("clipped", "all")


def test_a_missing_frame_makes_the_run_invalid() -> None:
    half = {"ok": range(10_000, 30_000, 40)}
    verdict = judged(clean(latencies=half, final=False), clean(latencies=half, seq=2))
    assert verdict.status == "invalid"
    reason = only(verdict)
    assert (reason.rule, reason.severity, reason.withholds, reason.phase) == (
        "record_incomplete",
        "invalid",
        "all",
        "steady",
    )
    assert reason.message == (
        "The record is incomplete: 1 frames of agent 0 are missing or came twice. An agent probably died: see its "
        "messages, run again."
    )


def test_frames_missing_between_phases_withhold_the_whole_run() -> None:
    verdict = judge([plan("a"), plan("b")], [total(clean(phase="a")), total(clean(phase="b", seq=2))])
    assert (only(verdict).rule, only(verdict).phase) == ("record_incomplete", None)


def test_a_part_of_a_run_does_not_lack_the_frames_that_came_before_it() -> None:
    later = total(clean(phase="b", seq=7))
    assert judge([plan("b", drawn=1000)], [later], part=True) == Verdict("valid", [])
    assert judge([plan("b", drawn=1000)], [later]).status == "invalid"


# the target


def test_failures_are_a_warning_with_their_kinds() -> None:
    failing = clean(latencies={"ok": range(10_000, 30_000, 20), "gateway": [9] * 2, "throttled": [9] * 3})
    verdict = judged(failing, drawn=1005)
    assert verdict.status == "valid"
    reason = only(verdict)
    assert (reason.rule, reason.severity, reason.withholds) == ("failures", "warning", None)
    assert reason.message.startswith("5 of 1005 invocations (0.50%) failed: 3 throttled, 2 gateway.")


def test_one_failure_in_a_thousand_is_not_worth_a_warning() -> None:
    failing = clean(latencies={"ok": range(10_000, 29_980, 10), "gateway": [9] * 2})
    assert judged(failing, drawn=2000).reasons == []


def test_waiting_for_a_worker_in_an_open_phase_is_a_warning() -> None:
    waiting = clean(metrics={"ok/waited": [0] * 990 + [1_200] * 10})
    reason = only(judged(waiting))
    assert (reason.rule, reason.severity, reason.value) == ("pool_saturated", "warning", 10)
    assert reason.message.startswith("10 of 1000 starts waited for a free worker, up to 1.201 ms:")
    assert judge([plan(closed=True)], [total(waiting)]).reasons == []


def test_negative_overhead_withholds_overhead_alone() -> None:
    verdict = judged(clean(negative_overhead=3))
    assert verdict.status == "valid"
    assert (only(verdict).rule, only(verdict).withholds) == ("negative_overhead", "overhead")


@pytest.mark.parametrize(("missing", "rules"), [(0, []), (1, []), (2, ["summary_missing", "summary_missing"])])
def test_missing_platform_summaries_withhold_duration_and_overhead(missing: int, rules: list[str]) -> None:
    answers = clean(metrics=PUNCTUAL | {"ok/duration": [5_000] * (1000 - missing)}, summary_missing=missing)
    verdict = judged(answers)
    assert [reason.rule for reason in verdict.reasons] == rules
    assert {reason.withholds for reason in verdict.reasons} == ({"duration", "overhead"} if rules else set())


def test_a_warm_up_phase_is_held_to_nothing_but_a_complete_record() -> None:
    rough = clean(
        latencies={"ok": [9], "gateway": [9] * 50},
        metrics={"ok/late": [90_000], "ok/waited": [90_000]},
        clipped=1,
        negative_overhead=1,
        summary_missing=9,
    )
    warmup = plan(warmup=True, drawn=9999)
    assert {reason.rule for reason in judge([warmup], [total(rough)]).reasons} == {"nothing_measured"}
    rough.final = False
    rules = {reason.rule for reason in judge([warmup], [total(rough)]).reasons}
    assert rules == {"nothing_measured", "record_incomplete"}


# throttled


def test_few_throttled_invocations_are_mentioned_though_they_are_no_failures_to_speak_of() -> None:
    one = clean(latencies={"ok": range(10_000, 30_000, 20), "throttled": [9]})
    reason = only(judged(one, drawn=1001))
    assert (reason.rule, reason.severity, reason.value, reason.withholds) == ("throttled", "warning", 1, None)
    assert reason.message.startswith("1 of 1001 invocations were throttled (429), expected none. What is throttled")


def test_many_throttled_invocations_are_failures_that_measure_the_quota() -> None:
    many = clean(latencies={"ok": range(10_000, 30_000, 20), "throttled": [9] * 5})
    reason = only(judged(many, drawn=1005))
    assert reason.rule == "failures"
    assert "What is throttled measures the quota, not the function" in reason.message


# dependent_samples


def stretch(slow: int, seconds: int = 30) -> Verdict:
    """A phase of 100 a second, of which ``slow`` seconds in the middle are four times as slow as the others."""
    frames = []
    for second in range(seconds):
        factor = 4 if 10 <= second < 10 + slow else 1
        latencies = {"ok": [factor * us for us in range(10_000, 30_000, 200)]}
        frames.append(clean(latencies=latencies, metrics={}, seq=second, final=second == seconds - 1))
    return judge([plan(drawn=100 * seconds, seconds=seconds)], [total(*frames)])


def test_seconds_that_are_all_alike_are_independent() -> None:
    assert stretch(0) == Verdict("valid", [])


def test_slow_invocations_that_come_together_are_a_warning_with_what_they_are_worth() -> None:
    reason = only(stretch(2))
    assert (reason.rule, reason.severity, reason.limit, reason.withholds) == ("dependent_samples", "warning", 0.3, None)
    assert reason.value is not None
    assert reason.value < 0.1
    worth = max(1, int(3000 * reason.value))
    assert f"3000 say as much about it as {worth} ({reason.value:.1%}), expected at least 30%" in reason.message
    assert "made wider for it; p90, p95, p99 cannot be shown." in reason.message
    assert of_generator(stretch(2)).reasons == []


def test_a_small_drift_of_very_many_invocations_is_not_worth_a_warning() -> None:
    frames = [
        clean(
            seq=second,
            metrics={},
            final=second == 29,
            latencies={"ok": [*range(10_000, 30_000), *[9_000] * 100 * second]},
        )
        for second in range(30)
    ]
    whole = total(*frames)
    assert whole.inflation(30 * NS_PER_S).at(50.0) > 10
    assert judge([plan(drawn=whole.tally.planned, seconds=30)], [whole]).reasons == []


def test_a_threshold_on_what_is_not_bounded_is_undecided_and_intervals_are_wider() -> None:
    frames = [clean(seq=second, metrics={}, final=second == 29) for second in range(30)]
    slow = [
        clean(
            seq=second,
            metrics={},
            final=second == 29,
            latencies={"ok": [(4 if second in (9, 10) else 1) * 20_000] * 1000},
        )
        for second in range(30)
    ]
    plain, bursts = (phase_summary(plan(seconds=30), total(*each)) for each in (frames, slow))
    for summary, known in ((plain, True), (bursts, False)):
        p99 = next(each for each in summary.metrics["latency"].percentiles if each.p == 99)
        assert (p99.low is not None) is known
    rule = percentile_rule(99)
    result = evaluate([rule], [bursts], bursts, Verdict("degraded", []))[0]
    assert result.passed is None
    assert result.why.startswith("too few independent samples: slow ones come together, and p99 is open; it may be")
    broken = msgspec.structs.replace(rule, limit_ns=10_000_000)
    (result,) = evaluate([broken], [bursts], bursts, Verdict("degraded", []))
    assert (result.passed, result.decided_by) == (False, "bounds")


@pytest.mark.parametrize(("slow", "rules"), [(2, []), (3, ["dependent_samples"])])
def test_calls_that_say_as_much_as_a_third_of_them_are_not_worth_a_warning(slow: int, rules: list[str]) -> None:
    """Ten a second, of which some are slow in every sixth: enough for p90, had they been independent."""
    frames = [
        clean(
            latencies={"ok": [20_000] * (10 - slow) + [20_000 if second % 6 else 90_000] * slow},
            metrics={},
            seq=second,
            final=second == 29,
        )
        for second in range(30)
    ]
    reasons = judge([plan(drawn=300, seconds=30)], [total(*frames)]).reasons
    assert [reason.rule for reason in reasons if reason.rule != "too_few_samples"] == rules


# phase_locked


def test_a_trace_whose_functions_call_at_the_same_second_is_a_warning() -> None:
    for locked, rules in ((None, []), (0.5, []), (0.001, []), (0.0009, ["phase_locked"])):
        planned = msgspec.structs.replace(plan(drawn=1000), locked=locked)
        assert [reason.rule for reason in judge([planned], [total(clean())]).reasons] == rules


# memory_ignored


def test_another_memory_size_than_asked_for_withholds_what_depends_on_it() -> None:
    billed = clean()
    billed.tally.billed_ns = {128: 1_000_000_000, 512: 3_000_000_000}
    for asked, hidden in ((None, []), (512, ["duration", "billed_duration", "cost"])):
        verdict = judge([plan(drawn=1000)], [total(billed)], memory_mb={"call": asked})
        assert [reason.withholds for reason in verdict.reasons] == hidden
    assert {reason.rule for reason in verdict.reasons} == {"memory_ignored"}
    assert verdict.reasons[0].message.startswith(
        "Invocations asked for 512 MB (target.memory), and 25.0% of the billed time was with 128 MB, expected none:"
    )
    billed.tally.billed_ns = {512: 3_000_000_000}
    assert judge([plan(drawn=1000)], [total(billed)], memory_mb={"call": 512}).reasons == []


# starts_unknown


def test_a_threshold_on_starts_that_could_not_be_told_apart_says_why() -> None:
    rule = MetricRule("cold.latency.p50 < 1s", None, "cold", Metric.LATENCY, "p", 50, 1_000_000_000)
    reason = only(judged(clean(), rules=[rule]))
    assert (reason.rule, reason.severity, reason.value) == ("starts_unknown", "warning", 1.0)
    assert "1000 of 1000 ok invocations could not be told cold from warm, expected at most 1%" in reason.message
    abstained = LoadResult(Labelling("warm-up", 40, "too few"))
    verdict = judge([plan(drawn=1000)], [total(clean())], [rule], found=found(abstained))
    assert "cold from warm (too few), expected" in only(verdict).message
    assert "begin with a warm-up phase" in only(verdict).message


def test_a_load_without_such_a_threshold_is_not_degraded_by_labels_that_are_unknown() -> None:
    abstained = LoadResult(Labelling("warm-up", 40, "too few"))
    verdict = judge([plan(drawn=1000)], [total(clean())], [percentile_rule(99)], found=found(abstained))
    assert verdict == Verdict("valid", [])


def test_what_a_run_found_out_about_its_phases_and_the_starts_of_its_rules_is_part_of_the_verdict() -> None:
    asked: list[tuple[list[str], set[str | None]]] = []

    def reasons(measured: Sequence[PhaseTotal], starts: Collection[str | None]) -> list[Reason]:
        asked.append(([phase.name for phase in measured], set(starts)))
        return [Reason("mixed", "withheld", "Mixed.", 1, 0, "steady", "cold")]

    cold = MetricRule("cold.latency.p50 < 1s", None, "cold", Metric.LATENCY, "p", 50, NS_PER_S)
    plans, phases = (
        [plan("warm-up", warmup=True), plan(drawn=1000)],
        [total(clean(phase="warm-up")), total(clean(seq=1))],
    )
    verdict = judge(plans, phases, [cold, percentile_rule(99)], found=Found(reasons))
    assert [reason.rule for reason in verdict.reasons] == ["mixed", "starts_unknown"]
    assert asked == [(["steady"], {"cold"})]


# withheld


def reasoned(withholds: str | None, phase: str | None = "a") -> Verdict:
    return Verdict("degraded", [Reason("rule", "withheld", "why", None, None, phase, withholds)])


@pytest.mark.parametrize(
    ("withholds", "metric", "p", "hidden"),
    [
        ("tails", "latency", 95, True),
        ("tails", "latency_all", 99.9, True),
        ("tails", "service_time", 100, True),
        ("tails", "latency", 90, False),
        ("tails", "latency", None, False),
        ("tails", "duration", 99, False),  # the platform's clock, not ours
        ("tails", "late", 99, False),  # the evidence itself
        ("tails", None, None, False),
        ("overhead", "overhead", 50, True),
        ("overhead", "overhead", None, True),
        ("overhead", "latency", 99, False),
        ("all", "latency", 50, True),
        ("all", None, None, True),
        (None, "latency", 99, False),
    ],
)
def test_what_a_reason_withholds(withholds: str | None, metric: str | None, p: float | None, hidden: bool) -> None:
    verdict = reasoned(withholds)
    assert withheld(verdict, "a", metric, p) == (verdict.reasons[0] if hidden else None)


@pytest.mark.parametrize(("start", "hidden"), [(None, False), ("cold", False), ("warm", True)])
def test_a_reason_about_a_start_withholds_its_figures_alone(start: str | None, hidden: bool) -> None:
    assert (withheld(reasoned("warm"), "a", "latency", 50, start) is not None) is hidden


@pytest.mark.parametrize(
    ("reason_phase", "figure_phase", "hidden"),
    [("a", "a", True), ("a", "b", False), ("a", None, True), (None, "b", True), (None, None, True)],
)
def test_a_reason_reaches_its_phase_and_the_totals(
    reason_phase: str | None, figure_phase: str | None, hidden: bool
) -> None:
    assert (withheld(reasoned("all", reason_phase), figure_phase, "latency", 50) is not None) is hidden


# experiments


def test_a_part_of_an_experiment_in_which_the_generator_failed_is_withheld_and_the_rest_stands() -> None:
    late = Reason("late_starts", "invalid", "Another load.", 1, 0, "probe-02", "all")
    verdict = of_experiment(Verdict("invalid", [late]), ["probe-01", "probe-02"])
    assert (verdict.status, [reason.severity for reason in verdict.reasons]) == ("valid", ["withheld"])
    assert withheld(verdict, "probe-02", "latency") is not None
    assert withheld(verdict, "probe-01", "latency") is None


def test_ranges_of_a_whole_experiment_make_it_no_more_invalid_than_the_part_that_failed() -> None:
    late = Reason("late_starts", "invalid", "Another load.", 1, 0, "probe-02", "all")
    moved = Reason("late_starts", "range", "Ranges.", 1, None, None, figures=["latency.p99"])
    verdict = of_experiment(Verdict("invalid", [late, moved]), ["probe-01", "probe-02"])
    assert (verdict.status, [reason.severity for reason in verdict.reasons]) == ("degraded", ["withheld", "range"])


@pytest.mark.parametrize(("phase", "phases"), [("probe-01", ["probe-01"]), (None, ["probe-01", "probe-02"])])
def test_an_experiment_is_invalid_where_no_part_of_it_can_be_trusted(phase: str | None, phases: list[str]) -> None:
    fault = Reason("clipped", "invalid", "Clipped.", 1, 0, phase, "all")
    assert of_experiment(Verdict("invalid", [fault]), phases).status == "invalid"


@pytest.mark.parametrize(
    ("taken_over", "went"), [(False, "The load lacks its part"), (True, "The others took over from")]
)
def test_a_lost_agent_leaves_the_rate_open_and_a_part_of_an_experiment_to_be_used_for_nothing(
    taken_over: bool, went: str
) -> None:
    phase = PhaseTotal("steady")
    phase.add(frame({"ok": [1000] * 150}, agent=0, final=True))
    phase.add(frame({"ok": [1000] * 50}, agent=1, final=False))
    phase.lose(1, Loss("died", NS_PER_S, taken_over=taken_over))
    meant = PhasePlan("steady", False, False, NS_PER_S, 300)
    of_load, of_part, of_experiment_ = (
        next(each for each in verdict.reasons if each.rule == "agent_lost")
        for verdict in (
            judge([meant], [phase]),
            judge([meant], [phase], part=True),
            judge([meant], [phase], by_phase=False),
        )
    )
    assert (of_load.severity, of_load.value, of_load.figures) == ("range", 1 / 3, ["achieved_rate"])
    assert (of_part.severity, of_part.withholds) == (of_experiment_.severity, of_experiment_.withholds)
    assert (of_part.severity, of_part.withholds) == ("invalid", "all")
    assert went in of_load.message
    assert "100 of 300 planned starts are in no record" in of_load.message
    assert judge([meant], [phase]).status == "degraded"
    assert "rate_missed" not in {reason.rule for reason in judge([meant], [phase]).reasons}


def test_agents_that_may_have_begun_far_apart_are_warned_of_and_a_closed_phase_has_no_schedule_for_that() -> None:
    phase = PhaseTotal("steady")
    for agent in (0, 1):
        phase.add(frame({"ok": [1000] * 50}, agent=agent, final=True))
    phase.note_clocks({0: 0, 1: 9_000_000})
    for closed, error_ns, warned in ((False, 9_000_000, False), (False, 11_000_000, True), (True, 11_000_000, False)):
        phase.note_clocks({1: error_ns})
        meant = PhasePlan("steady", False, closed, NS_PER_S, None if closed else 100)
        assert ("agents_apart" in {reason.rule for reason in judge([meant], [phase]).reasons}) is warned
