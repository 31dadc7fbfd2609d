"""A phase is the sum of its frames; the totals are the sum of the measured phases; nothing is lost or averaged."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.sample import Failure, Slow
from loadgen.invocation.tally import Connections
from loadgen.measure.histogram import Histogram
from loadgen.measure.merge import Loss, PhaseTotal, combined, generator, missing_frames, phase_summary, totals
from loadgen.measure.summary import MetricSummary, Percentile, PhaseSummary
from tests.frames import cell, frame, histogram, plan, total

latencies = st.dictionaries(
    st.sampled_from(["ok", "throttled", "timeout", "dropped", "unfinished"]),
    st.lists(st.integers(0, 100_000), min_size=1, max_size=20),
)


def percentile(metric: MetricSummary, p: float) -> Percentile:
    return next(listed for listed in metric.percentiles if listed.p == p)


@given(st.lists(latencies, min_size=1, max_size=6))
def test_the_sum_of_frames_equals_one_frame_with_everything(parts: list[dict[str, list[int]]]) -> None:
    everything: dict[str, list[int]] = {}
    for part in parts:
        for outcome, values in part.items():
            everything.setdefault(outcome, []).extend(values)
    split = total(*(frame(part, seq=seq, final=seq == len(parts) - 1) for seq, part in enumerate(parts)))
    whole = total(frame(everything))
    assert split.histograms == whole.histograms
    split.tally.connections = whole.tally.connections  # one opened in each frame
    assert split.tally == whole.tally
    assert list(split.faults()) == []
    assert split.latency_all().count == split.tally.planned


def test_agents_may_interleave() -> None:
    phase = total(
        frame({"ok": [1]}, agent=0, seq=0, final=False),
        frame({"ok": [2]}, agent=1, seq=0, final=False),
        frame({"ok": [3]}, agent=1, seq=1),
        frame({"ok": [4]}, agent=0, seq=1),
    )
    assert list(phase.faults()) == []
    assert phase.latency_all() == histogram([1, 2, 3, 4])


def test_a_missing_frame_is_a_fault() -> None:
    phase = total(frame({"ok": [1]}, seq=0, final=False), frame({"ok": [2]}, seq=2))
    assert list(phase.faults()) == ["1 frames of agent 0 are missing or came twice"]


def test_a_frame_that_comes_twice_is_a_fault_and_counts_once() -> None:
    once, phase = frame({"ok": [1]}), PhaseTotal("steady")
    assert [phase.add(once), phase.add(once)] == [True, False]
    assert list(phase.faults()) == ["1 frames of agent 0 are missing or came twice"]
    assert phase.tally.planned == 1
    assert phase.latency_all() == histogram([1])


def test_an_agent_that_stops_in_the_middle_is_a_fault() -> None:
    assert list(total(frame({"ok": [1]}, final=False)).faults()) == ["the last frame of agent 0 is missing"]


def test_counts_that_do_not_add_up_are_faults() -> None:
    broken = frame({"ok": [1, 2]})
    broken.tally.planned, broken.tally.completed = 5, 1
    broken.tally.outcomes = {"ok": 3}
    assert list(total(broken).faults()) == [
        "5 were planned, but 2 started and 0 were dropped",
        "2 started, but 1 completed and 0 were unfinished",
        "5 were planned, but 3 have an outcome",
        "3 ended as ok, but 2 of those have a latency",
    ]


def test_outcomes_and_their_latencies_are_counted_alike_disturbed_ones_too() -> None:
    broken = frame({"ok": [1], "gateway": [2]}, disturbed={"ok": [3], "timeout": [4]})
    broken.tally.outcomes = {"ok": 2, "timeout": 1, "auth": 1}
    broken.tally.disturbed = {"ok": 2}
    assert list(total(broken).faults()) == [
        "1 ended as auth, but 0 of those have a latency",
        "0 ended as gateway, but 1 of those have a latency",
        "2 ended as ok, disturbed, but 1 of those have a latency",
        "0 ended as timeout, disturbed, but 1 of those have a latency",
    ]


@pytest.mark.parametrize("numbered", ["over the run", "over each phase"])
def test_an_agent_may_number_its_frames_over_the_run_or_over_each_phase(numbered: str) -> None:
    second = 2 if numbered == "over the run" else 0
    phases = [
        total(frame(phase="a", seq=0, final=False), frame(phase="a", seq=1)),
        total(frame(phase="b", seq=second)),
    ]
    assert list(missing_frames(phases)) == []


def test_frames_missing_between_phases_are_noticed() -> None:
    phases = [total(frame(phase="a", seq=0)), total(frame(phase="b", seq=2))]
    assert list(missing_frames(phases)) == ["the first frames of agent 0 in phase b are missing"]


def test_a_phase_that_an_agent_is_silent_about_is_noticed() -> None:
    phases = [total(frame(phase="a", agent=0), frame(phase="a", agent=1)), total(frame(phase="b", agent=0))]
    assert list(missing_frames(phases)) == ["agent 1 reported nothing of phase b"]


def test_a_frame_of_another_phase_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a frame of phase 'other', expected one of 'steady'$"):
        PhaseTotal("steady").add(frame(phase="other"))


def test_a_histogram_of_another_phase_is_refused() -> None:
    stray = frame()
    stray.hist = {cell("ok/latency", "other"): b""}
    with pytest.raises(ValueError, match=r"^a histogram of Cell\(phase='other', .*\), expected one of phase 'steady'$"):
        PhaseTotal("steady").add(stray)


def test_a_phase_name_may_hold_a_slash() -> None:
    assert total(frame({"ok": [5]}, phase="a/b")).latency_all() == histogram([5])


def test_the_first_three_failures_of_each_outcome_are_kept() -> None:
    def failures(outcome: str, *numbers: int) -> list[Failure]:
        return [Failure(outcome, str(number), 500, None, None, "") for number in numbers]

    phase = total(
        frame(failures=failures("gateway", 1, 2), final=False),
        frame(seq=1, failures=[*failures("gateway", 3, 4), *failures("auth", 5)]),
    )
    examples = phase_summary(plan(), phase).examples
    assert [(failure.outcome, failure.reason) for failure in examples.failures] == [
        ("auth", "5"),
        ("gateway", "1"),
        ("gateway", "2"),
        ("gateway", "3"),
    ]


def test_the_ten_slowest_are_kept_slowest_first() -> None:
    slow = [Slow(latency_ns, latency_ns, "ok", str(latency_ns)) for latency_ns in range(30)]
    phase = total(frame(slowest=slow[:15], final=False), frame(seq=1, slowest=slow[15:]))
    assert [one.latency_ns for one in phase_summary(plan(), phase).examples.slowest] == list(range(29, 19, -1))


def summary_of_a_mixed_phase() -> PhaseSummary:
    phase = total(
        frame(
            {"ok": range(1, 985), "throttled": [50] * 6, "timeout": [5000] * 6, "dropped": [3000] * 4},
            metrics={"ok/memory_used": [100, 200], "ok/duration": [7]},
            reasons={"throttled/status_429": 6, "timeout/total": 6, "dropped/phase_end": 4},
        )
    )
    return phase_summary(plan(seconds=2), phase, (99.5,))


def test_a_phase_summary_counts_everything_once() -> None:
    summary = summary_of_a_mixed_phase()
    assert (summary.planned, summary.started, summary.completed, summary.dropped) == (1000, 996, 996, 4)
    assert (summary.planned_rate, summary.achieved_rate) == (500, 498)
    assert summary.outcomes == {"ok": 984, "throttled": 6, "timeout": 6, "dropped": 4}
    assert list(summary.reasons) == ["throttled/status_429", "timeout/total", "dropped/phase_end"]
    assert summary.connections == Connections(opened=1, reused=1000)
    assert summary.model == "open"


def test_what_is_recorded_for_a_fit_alone_is_in_no_summary() -> None:
    phase = total(frame({"ok": [5]}, metrics={"ok/residual": [3], "ok/overhead": [3]}))
    assert phase.metrics() == ["latency", "overhead"]


def test_failures_are_those_of_all_calls_or_of_the_disturbed_ones() -> None:
    phase = total(frame({"ok": [5] * 3, "gateway": [5] * 4}, disturbed={"ok": [5] * 2, "timeout": [5]}))
    assert (phase.failed(), phase.failed(disturbed=True), phase.disturbed) == (5, 1, 3)


def test_equal_counts_are_told_by_name_in_whatever_order_they_came() -> None:
    phase = total(frame({"timeout": [5] * 2, "ok": [1], "throttled": [5] * 2, "gateway": [5] * 3}))
    assert list(phase_summary(plan(), phase).outcomes) == ["gateway", "throttled", "timeout", "ok"]


def test_metrics_are_of_ok_invocations_and_the_others_stand_by_outcome() -> None:
    summary = summary_of_a_mixed_phase()
    latency = summary.metrics["latency"]
    assert (latency.count, latency.min, latency.max, latency.mean) == (984, 1_000, 985_000, 492_500)
    assert Histogram.decode(latency.histogram) == histogram(range(1, 985))
    assert {outcome: metrics["latency"].count for outcome, metrics in summary.by_outcome.items()} == {
        "throttled": 6,
        "timeout": 6,
        "dropped": 4,
    }
    assert summary.by_start["unknown"]["latency"] == latency


def test_percentiles_are_those_always_listed_and_those_asked_for() -> None:
    listed = [each.p for each in summary_of_a_mixed_phase().metrics["latency"].percentiles]
    assert listed == [50, 75, 90, 95, 99, 99.5, 99.9, 99.99]


def test_latency_all_holds_every_planned_invocation_and_marks_the_censored() -> None:
    everything = summary_of_a_mixed_phase().metrics["latency_all"]
    assert (everything.count, everything.failed) == (1000, 16)
    assert percentile(everything, 99).failed
    assert not percentile(everything, 99).censored  # it is a refusal, which was over soon
    assert percentile(everything, 99.5).censored
    assert not percentile(everything, 95).failed


def test_memory_is_in_bytes() -> None:
    memory = summary_of_a_mixed_phase().metrics["memory_used"]
    assert (memory.unit, memory.histogram_unit, memory.min, memory.max) == ("bytes", "KiB", 102_400, 205_824)


def test_a_phase_without_an_ok_invocation_still_has_its_metrics_with_a_count_of_0() -> None:
    summary = phase_summary(plan(), total(frame({"gateway": [7]})))
    latency = summary.metrics["latency"]
    assert (latency.count, latency.min, latency.max, latency.mean, latency.percentiles) == (0, None, None, None, [])
    assert Histogram.decode(latency.histogram) == Histogram()
    assert "duration" not in summary.metrics
    assert summary.by_start == {}


def test_starts_are_told_apart() -> None:
    phase = total(frame({"ok": [900]}, start="cold", final=False), frame({"ok": [5, 6]}, start="warm", seq=1))
    summary = phase_summary(plan(), phase)
    assert {start: metrics["latency"].count for start, metrics in summary.by_start.items()} == {"cold": 1, "warm": 2}
    assert summary.metrics["latency"].count == 3


def test_totals_are_the_measured_phases_merged() -> None:
    phases = [
        total(frame({"ok": [1_000_000]}, phase="warm-up")),
        total(frame({"ok": range(1, 501)}, phase="a")),
        total(frame({"ok": range(501, 1001)}, phase="b")),
    ]
    plans = [plan("warm-up", warmup=True), plan("a", drawn=500), plan("b", closed=True, seconds=30)]
    summary = totals(plans, phases)
    latency = summary.metrics["latency"]
    assert (summary.name, summary.warmup, summary.model) == ("totals", False, "mixed")
    assert (summary.planned, summary.duration_ns, summary.achieved_rate) == (1000, 40_000_000_000, 25)
    assert percentile(latency, 99) == Percentile(99, 990_000, 983_000, 998_000)


@pytest.mark.parametrize(("closed", "model"), [(False, "open"), (True, "closed")])
def test_a_phase_and_totals_of_one_kind_of_phase_are_of_that_model(closed: bool, model: str) -> None:
    phase = total(frame())
    assert phase_summary(plan(closed=closed), phase).model == totals([plan(closed=closed)], [phase]).model == model


def test_totals_without_a_measured_phase_are_empty() -> None:
    summary = totals([plan(warmup=True)], [total(frame({"ok": [1]}))])
    assert (summary.planned, summary.duration_ns, summary.achieved_rate) == (0, 0, 0)
    assert summary.metrics["latency"].count == 0


def test_combining_phases_leaves_them_as_they_were() -> None:
    one, other = total(frame({"ok": [1]}, phase="a")), total(frame({"ok": [1]}, phase="b"))
    assert combined([one, other]).name == "totals"
    assert one.latency_all().count == other.latency_all().count == 1
    assert one.tally.connections == Connections(opened=1, reused=1)


def test_notes_say_what_ended_a_phase_early() -> None:
    phase = total(frame({"ok": [1, 2]}, feeder_exhausted=True, budget_reached="invocations"))
    assert phase_summary(plan(), phase).notes == [
        "The feeder ran out of rows and ended the phase after 2 invocations.",
        "The budget of invocations was spent and ended the phase after 2 invocations.",
    ]


def test_an_agents_health_is_over_all_phases_and_the_generators_that_of_the_busiest() -> None:
    busy = frame(phase="b", agent=1, seq=0)
    busy.health = msgspec.structs.replace(busy.health, cpu_ns=900_000_000)
    result = generator([total(frame(phase="a", seq=0)), total(frame(phase="b", seq=1), busy)])
    assert [(agent.agent, agent.cpu, agent.rss_bytes, agent.frames) for agent in result.agents] == [
        (0, 0.25, 2000, 2),
        (1, 0.9, 1000, 1),
    ]
    assert result.cpu == 0.9


def test_of_what_stood_still_the_longest_is_told_over_frames_phases_and_agents() -> None:
    def stopped(phase: str, agent: int, seq: int, ms: int) -> PhaseTotal:
        own = frame(phase=phase, agent=agent, seq=seq)
        pause_ns = ms * 1_000_000
        own.health = msgspec.structs.replace(
            own.health, loop_lag_ns=2 * pause_ns, gc_collections=1, gc_pause_ns=pause_ns
        )
        return total(msgspec.structs.replace(own, began_late_ns=3 * pause_ns))

    phases = [
        stopped(phase, agent, seq, ms) for phase, agent, seq, ms in (("a", 0, 0, 2), ("b", 0, 1, 9), ("c", 1, 0, 4))
    ]
    result = generator(phases)
    assert (result.loop_lag_ns, result.gc_pause_ns) == (18_000_000, 9_000_000)
    told = [(each.loop_lag_ns, each.gc_collections, each.gc_pause_ns, each.began_late_ns) for each in result.agents]
    assert told == [(18_000_000, 2, 9_000_000, 27_000_000), (8_000_000, 1, 4_000_000, 12_000_000)]


def test_what_an_agent_that_is_lost_had_in_flight_is_unfinished_and_the_rest_of_its_record_stands() -> None:
    phase = PhaseTotal("steady")
    cut = frame({"ok": [1000] * 5}, agent=1, seq=0, final=False)
    cut.tally.planned += 3
    cut.tally.started += 3  # which its next frame would have told the end of
    for each in (frame({"ok": [1000] * 7}, agent=0, seq=0, final=True), cut):
        phase.add(each)
    phase.lose(1, Loss("died", 10**9, taken_over=False))
    phase.lose(1, Loss("died again", 10**9, taken_over=False))
    tally = phase.tally
    assert (tally.planned, tally.started, tally.completed, tally.unfinished) == (15, 15, 12, 3)
    assert tally.outcomes == {"ok": 12, "unfinished": 3}
    assert tally.reasons["unfinished/agent_lost"] == 3
    assert phase.latency_all().count == 15
    assert list(phase.faults()) == []
    assert phase.losses[1].how == "died"


def test_where_every_agent_is_lost_the_record_is_incomplete() -> None:
    phase = PhaseTotal("steady")
    phase.add(frame({"ok": [1000]}, agent=0, seq=0, final=False))
    phase.lose(0, Loss("died", 10**9, taken_over=False))
    assert list(phase.faults()) == ["the last frame of agent 0 is missing"]
