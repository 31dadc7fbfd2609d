"""The ends of a figure bracket it, and whatever the disturbed calls may have shown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.ends import Moved, is_range, names, of_extremes, of_share
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhaseTotal, metric_summary, phase_summary
from loadgen.measure.percentile import LISTED, UNMOVED
from loadgen.measure.summary import Ends, MetricSummary, Percentile
from tests.frames import cell, frame, histogram, plan, total

MS = 1_000_000
times = st.lists(st.integers(0, 200_000), max_size=60)
some = st.lists(st.integers(0, 200_000), min_size=1, max_size=60)
NOTHING = Histogram()


def at(summary: MetricSummary, p: float) -> Percentile:
    return next(each for each in summary.percentiles if each.p == p)


def latency(undisturbed: list[int], disturbed: list[int], *, open_: bool = False) -> MetricSummary:
    moved = Moved(ok=histogram(disturbed), open=open_)
    return metric_summary("latency", histogram(undisturbed), LISTED, moved=moved)


def percentile(values: list[int], p: float) -> int:
    """In ns, exactly; ``values`` are µs."""
    return sorted(values)[max(1, math.ceil(round(p * len(values), 9) / 100)) - 1] * 1000


@given(some, times, st.sampled_from(LISTED), st.booleans())
def test_the_ends_bracket_the_figure(undisturbed: list[int], disturbed: list[int], p: float, open_: bool) -> None:
    found = at(latency(undisturbed, disturbed, open_=open_), p)
    if not disturbed:
        assert found.ends is None
        return
    assert found.low_end is not None
    assert found.low_end <= found.value
    assert found.high_end is None or found.value <= found.high_end
    assert found.high_end is not None or open_


@given(some, some, st.sampled_from(LISTED), st.data())
def test_the_ends_bracket_whatever_disturbed_calls_would_have_taken_up_to_what_they_did(
    undisturbed: list[int], disturbed: list[int], p: float, data: st.DataObject
) -> None:
    shorter = [data.draw(st.integers(0, seen)) for seen in disturbed]
    found = at(latency(undisturbed, disturbed), p)
    assert found.low_end is not None
    assert found.high_end is not None
    assert found.low_end <= percentile([*undisturbed, *shorter], p) <= found.high_end


moved_calls = st.lists(
    st.tuples(st.integers(0, 200_000), st.integers(0, 100_000), st.booleans()), min_size=1, max_size=60
)


@given(times, moved_calls, times, st.sampled_from(LISTED), st.data())
def test_the_ends_bracket_what_disturbed_calls_would_have_taken_of_which_the_least_is_known(
    undisturbed: list[int], calls: list[tuple[int, int, bool]], failed: list[int], p: float, data: st.DataObject
) -> None:
    """Each took so long, by so much more than it would have at most where that is known, and else by all of it."""
    least = {n: max(0, seen - by) for n, (seen, by, known) in enumerate(calls) if known}
    true = [data.draw(st.integers(least.get(n, 0), seen)) for n, (seen, _, _) in enumerate(calls)]
    moved = Moved(ok=histogram(seen for seen, _, _ in calls), least=histogram(least.values()))
    ok = histogram(undisturbed)
    found = metric_summary("latency_all", ok, LISTED, failed=histogram(failed), moved=moved)
    wanted = at(found, p)
    assert wanted.low_end is not None
    assert wanted.failed or wanted.low_end <= wanted.value
    every = sorted([*undisturbed, *true])
    rank = max(1, math.ceil(round(p * (len(every) + len(failed)), 9) / 100))
    if rank <= len(every):
        assert not wanted.low_end_failed
        assert wanted.low_end <= every[rank - 1] * 1000
        assert wanted.high_end is not None
        assert wanted.high_end_failed or every[rank - 1] * 1000 <= wanted.high_end
    without = metric_summary("latency_all", ok, LISTED, failed=histogram(failed), moved=Moved(ok=moved.ok))
    assert wanted.low_end >= (at(without, p).low_end or 0)
    if not failed:
        figures = {"max": 1000.0 * every[-1], "mean": 1000.0 * sum(every) / len(every)}
        for name, true_ns in figures.items():
            ends = found.ends[name]
            assert ends.high is not None
            assert ends.low <= min(true_ns, getattr(found, name))
            assert max(true_ns, getattr(found, name)) <= ends.high + 1


def test_calls_that_were_a_little_late_leave_a_figure_that_is_one() -> None:
    """Half of the calls take 5 ms and half 10, thirty of 1,000 0.3 ms more: as nothing they would be the fastest."""
    undisturbed, late = [5_000] * 480 + [10_000] * 490, [5_300] * 15 + [10_300] * 15
    known = Moved(ok=histogram(late), least=histogram(seen - 300 for seen in late))
    summaries = [
        metric_summary("latency", histogram(undisturbed), LISTED, moved=each) for each in (known, Moved(ok=known.ok))
    ]
    figures = [at(each, 50) for each in summaries]
    assert [is_range(each.ends, each.value) for each in figures] == [False, True]


def test_where_calls_were_refused_in_a_heap_nothing_is_known_of_the_others_from_below() -> None:
    calls = {"ok": [10_000] * 50}
    least = {cell("disturbed/ok/latency"): histogram([9_000] * 20).pack()}
    known = frame(calls, disturbed={"ok": [10_000] * 20})
    known.least = least
    refused = frame(calls, disturbed={"ok": [10_000] * 20, "throttled": [10]})
    refused.least = least
    low = [total(each).figure("latency").moved.least.count for each in (known, refused)]
    assert low == [20, 0]


@given(some, some, st.sampled_from(LISTED), st.data())
def test_open_ends_bracket_whatever_disturbed_calls_would_have_taken(
    undisturbed: list[int], disturbed: list[int], p: float, data: st.DataObject
) -> None:
    others = [data.draw(st.integers(0, 10**7)) for _ in disturbed]
    found = at(latency(undisturbed, disturbed, open_=True), p)
    truth = percentile([*undisturbed, *others], p)
    assert found.low_end is not None
    assert found.low_end <= truth
    assert found.high_end is None or truth <= found.high_end


@given(some, times, st.booleans(), st.data())
def test_the_ends_of_mean_maximum_and_minimum_bracket_them_and_the_truth(
    undisturbed: list[int], disturbed: list[int], open_: bool, data: st.DataObject
) -> None:
    found = latency(undisturbed, disturbed, open_=open_)
    most = 10**7 if open_ else None
    true = [*undisturbed, *(data.draw(st.integers(0, most or seen)) for seen in disturbed)]
    if not disturbed:
        assert found.ends == {}
        return
    for name, truth in (("mean", 1000 * sum(true) / len(true)), ("max", 1000 * max(true))):
        ends, value = found.ends[name], getattr(found, name)
        assert ends.low <= value
        assert ends.low <= truth
        assert (ends.high is None) == open_
        assert ends.high is None or (value <= ends.high and truth <= ends.high)
    assert found.ends["min"].low <= (found.min or 0)


@given(some, st.integers(1, 60), st.integers(1, 5_000), st.sampled_from(LISTED), st.data())
def test_where_the_clock_was_set_the_ends_bracket_every_error_of_that_size(
    seen: list[int], stepped: int, step_us: int, p: float, data: st.DataObject
) -> None:
    stepped = min(stepped, len(seen))
    wrong = data.draw(st.permutations(range(len(seen))))[:stepped]
    true = [max(0, us + data.draw(st.integers(-step_us, step_us)) * (n in wrong)) for n, us in enumerate(seen)]
    found = metric_summary("latency", histogram(seen), LISTED, moved=Moved(stepped=stepped, step_us=step_us))
    each = at(found, p)
    assert each.low_end is not None
    assert each.high_end is not None
    assert each.low_end <= percentile(true, p) <= each.high_end
    mean = found.ends["mean"]
    assert mean.high is not None
    assert mean.low <= 1000 * sum(true) / len(true) <= mean.high


def test_an_end_is_never_below_the_figure_though_disturbed_calls_were_all_faster() -> None:
    found = at(latency([100_000], [5] * 20), 50)
    assert (found.low_end, found.value, found.high_end) == (0, 100_031_000, 100_032_000)


def test_a_set_clock_moves_an_order_statistic_no_further_than_as_many_ranks_as_calls_ended_meanwhile() -> None:
    """Five calls of 10 to 50 ms, and a clock that was set by a second while one or two of them ended."""
    for stepped, low_ms, high_ms in ((1, 20, 40), (2, 10, 50)):
        moved = Moved(stepped=stepped, step_us=1_000_000)
        found = at(metric_summary("latency", histogram(range(10_000, 60_000, 10_000)), LISTED, moved=moved), 50)
        assert found.low_end is not None
        assert found.high_end is not None
        assert (found.low_end / MS, found.high_end / MS) == pytest.approx((low_ms, high_ms), rel=0.002)


def test_a_set_clock_makes_no_ok_call_of_one_that_failed_and_none_that_failed_bounds_an_ok_one() -> None:
    """Two ok calls of 10 ms and two that failed at once; the clock was set by 5 ms while one of the four ended."""
    moved = Moved(stepped=1, step_us=5_000)
    ok, failed = histogram([10_000] * 2), histogram([1_000] * 2)
    found = metric_summary("latency_all", ok, (50.0, 75.0, 99.0), failed=failed, moved=moved)
    each = [(one.low_end, one.low_end_failed, one.high_end, one.high_end_failed) for one in found.percentiles]
    assert each == [
        (10_000_000, False, 15_008_000, False),
        (10_000_000, True, 10_008_000, True),
        (10_000_000, True, 10_008_000, True),
    ]


@given(some, times, some, st.sampled_from(LISTED))
def test_among_calls_that_are_not_ok_an_end_is_no_time(
    ok: list[int], failed: list[int], disturbed: list[int], p: float
) -> None:
    moved = Moved(failed=histogram(disturbed))
    found = at(metric_summary("latency_all", histogram(ok), LISTED, failed=histogram(failed), moved=moved), p)
    n, k = len(ok) + len(failed) + len(disturbed), 0
    k = max(1, math.ceil(round(p * n, 9) / 100))
    assert found.high_end_failed == (k > len(ok))
    assert found.low_end_failed == (k - len(disturbed) > len(ok))


@given(some, st.sampled_from(LISTED))
def test_calls_that_were_all_disturbed_are_shown_as_they_were_seen_and_from_nothing(seen: list[int], p: float) -> None:
    found = latency([], seen)
    assert (found.count, found.disturbed) == (0, len(seen))
    assert at(found, p).value >= percentile(seen, p)
    assert at(found, p).low_end == 0


@given(some, st.sampled_from(LISTED))
def test_what_nothing_disturbed_is_as_if_there_were_no_ends(seen: list[int], p: float) -> None:
    plain = metric_summary("latency", histogram(seen), LISTED)
    assert plain == metric_summary("latency", histogram(seen), LISTED, moved=UNMOVED)
    assert (at(plain, p).ends, plain.ends, plain.disturbed, plain.disturbed_histogram) == (None, {}, 0, "")
    assert of_extremes(histogram(seen), NOTHING, Moved(ok=histogram([1])), 1000) != {}


@pytest.mark.parametrize(
    ("low", "high", "value", "shown"),
    [
        (100_000, 150_000, 100_000, False),  # 50 µs are nothing
        (100_000, 150_001, 100_000, True),
        (1 * MS, 1 * MS + 50_000, 1 * MS, False),
        (1 * MS, 1 * MS + 51_000, 1 * MS, True),
        (98 * MS, 103 * MS, 100 * MS, False),  # nor is a twentieth
        (98 * MS, 103 * MS + 1_000, 100 * MS, True),
        (98 * MS, None, 100 * MS, True),
    ],
)
def test_ends_far_apart_are_a_range(low: int, high: int | None, value: int, shown: bool) -> None:
    assert is_range(Ends(low, high), value) is shown
    assert is_range(None, value) is False


def test_an_end_among_failures_makes_a_range_and_both_make_none() -> None:
    assert is_range(Ends(1, 2, high_failed=True), 1)
    assert not is_range(Ends(1, 2_000 * MS, low_failed=True, high_failed=True), 1)


def test_of_sizes_there_is_no_absolute_tolerance() -> None:
    assert is_range(Ends(1000, 1100), 1000, times=False)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_a_share_lies_between_what_the_generator_disturbed_left_out_and_counted(own: int, ours: int, ok: int) -> None:
    planned = own + ours + ok
    if planned:
        low, high = of_share(own + ours, ours, planned)
        assert 0 <= low <= high <= 1
        assert of_share(own, 0, planned).is_range is False


@pytest.mark.parametrize(("ours", "shown"), [(10, False), (11, True)])
def test_a_share_that_may_be_off_by_a_thousandth_of_the_invocations_is_no_range(ours: int, shown: bool) -> None:
    assert of_share(ours, ours, 10_000).is_range is shown


def test_of_calls_that_were_all_disturbed_those_that_were_given_up_are_told_from_those_that_failed() -> None:
    phase = total(frame(disturbed={"ok": [10], "gateway": [20], "timeout": [30]}))
    p50, p99 = (at(phase_summary(plan(), phase).metrics["latency_all"], p) for p in (50, 99))
    assert (p50.failed, p50.censored, p99.failed, p99.censored) == (True, False, True, True)


def test_a_high_end_among_disturbed_calls_that_failed_is_what_the_last_of_these_took_at_most() -> None:
    moved = Moved(failed=histogram([50_000]))
    found = at(metric_summary("latency_all", histogram([1_000]), LISTED, failed=NOTHING, moved=moved), 99)
    assert (found.value, found.high_end, found.high_end_failed) == (1_000_000, 50_016_000, True)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (["latency.p99", "latency.p99.9", "latency.max"], "p99, p99.9 and max of latency"),
        (["cold.latency.p50", "errors"], "p50 of cold.latency, and 1 more figure,"),
        (["errors"], "errors"),
    ],
)
def test_figures_are_named_by_their_metric(figures: list[str], said: str) -> None:
    assert names(figures) == said


# phases


latencies = st.dictionaries(st.sampled_from(["ok", "throttled", "timeout"]), some)


def bounded(own: dict[str, list[int]], moved: dict[str, list[int]], *, seq: int = 0, final: bool = True) -> Frame:
    """A frame of which half of what each disturbed ok call took is known to be the least of it."""
    made = frame(own, disturbed=moved, seq=seq, final=final)
    if "ok" in moved:
        made.least = {cell("disturbed/ok/latency"): histogram(each // 2 for each in moved["ok"]).pack()}
    return made


@given(st.lists(st.tuples(latencies, latencies), min_size=1, max_size=5))
def test_the_sum_of_frames_equals_one_frame_with_everything_disturbed_calls_included(
    parts: list[tuple[dict[str, list[int]], dict[str, list[int]]]],
) -> None:
    everything: tuple[dict[str, list[int]], dict[str, list[int]]] = {}, {}
    for part in parts:
        for whole, each in zip(everything, part, strict=True):
            for outcome, values in each.items():
                whole.setdefault(outcome, []).extend(values)
    last = len(parts) - 1
    split = total(*(bounded(own, moved, seq=seq, final=seq == last) for seq, (own, moved) in enumerate(parts)))
    once = total(bounded(everything[0], everything[1]))
    assert split.histograms == once.histograms
    assert split.least == once.least
    assert PhaseTotal.restored("steady", split.kept()).least == once.least
    assert split.tally.disturbed == once.tally.disturbed
    assert list(split.faults()) == []
    summaries = [phase_summary(plan(), phase) for phase in (split, once)]
    assert summaries[0].metrics == summaries[1].metrics
    assert summaries[0].disturbed == once.tally.disturbed
    merged = PhaseTotal("totals")
    merged.merge(split)
    assert (merged.disturbed, merged.exposed) == (once.disturbed, once.exposed)
    assert merged.figure("latency") == once.figure("latency")


@pytest.mark.parametrize(
    ("disturbed", "start", "exposed"),
    [
        ({"ok": [5]}, "unknown", False),
        ({"ok": [5]}, "warm", False),
        ({"ok": [5]}, "cold", True),
        ({"throttled": [5]}, "unknown", True),
        ({"timeout": [5]}, "unknown", True),
        ({"connection": [5]}, "unknown", True),
        ({"dropped": [5]}, "unknown", False),
        ({"function_error": [5]}, "unknown", False),
    ],
)
def test_what_disturbed_calls_met_is_of_their_own_making_where_they_were_refused_timed_out_or_were_cold(
    disturbed: dict[str, list[int]], start: str, exposed: bool
) -> None:
    assert total(frame({"ok": [5]}, disturbed=disturbed, start=start)).exposed is exposed


def test_disturbed_calls_that_failed_may_have_been_ok_ones() -> None:
    """Of 98 ok calls the p99 is the slowest; with ten more of any time it may be one that is far shorter."""
    phase = total(frame({"ok": range(1, 99)}, disturbed={"function_error": [5] * 10}))
    found = at(phase_summary(plan(), phase).metrics["latency"], 99)
    assert (found.value, found.low_end, found.high_end) == (98_000, 97_000, 99_000)


def test_what_tells_how_the_load_was_made_is_told_as_it_was() -> None:
    late = {"ok/late": [5] * 10, "disturbed/unknown/ok/late": [9_000]}
    phase = total(frame({"ok": [10] * 10}, disturbed={"ok": [10]}))
    for name, values in late.items():
        cells = total(frame(metrics={name.replace("disturbed/unknown/", "disturbed/"): values}, final=True)).histograms
        phase.histograms.update(cells)
    found = phase_summary(plan(), phase).metrics["late"]
    assert (found.count, found.disturbed, found.ends) == (11, 0, {})


def test_a_set_clock_moves_nothing_that_the_platform_tells_or_that_ends_before_the_answer() -> None:
    ok = {
        f"ok/{name}": [9_000] * 10
        for name in ("service_time", "duration", "overhead", "connect", "memory_used", "late")
    }
    phase = total(frame({"ok": [10_000] * 10}, metrics=ok))
    phase.stepped, phase.step_us = 10, 3_000
    found = phase_summary(plan(), phase).metrics
    assert {name for name, metric in found.items() if metric.ends} == {
        "latency",
        "latency_all",
        "service_time",
        "overhead",
    }


def test_disturbed_calls_that_failed_or_were_cold_may_have_been_warm_ones_and_none_of_these_was_cold() -> None:
    """Of 90 calls of each start; three disturbed ones failed and five were cold."""
    frames = [
        frame({"ok": range(1, 91)}, start="warm", final=False),
        frame({"ok": range(1, 91)}, disturbed={"ok": [95] * 5}, start="cold", seq=1, final=False),
        frame(disturbed={"function_error": [5] * 3}, seq=2),
    ]
    phase = total(*frames)
    astray = {start: phase.figure("latency", start=start).moved.astray for start in (None, "warm", "cold")}
    assert astray == {None: 3, "warm": 8, "cold": 0}
    assert phase.figure("latency", "function_error").moved.astray == 0


def test_what_disturbed_calls_took_is_told_beside_the_figures() -> None:
    found = latency([10_000], [20_000, 30_000])
    assert Histogram.decode(found.disturbed_histogram) == histogram([20_000, 30_000])
    moved = Moved(ok=histogram([20_000]))
    assert metric_summary("latency", histogram([10]), LISTED, moved=moved, blobs=False).disturbed_histogram == ""
    assert (found.count, found.disturbed) == (1, 2)


def test_where_only_disturbed_calls_failed_there_is_no_mean_either() -> None:
    found = metric_summary("latency_all", histogram([10_000]), LISTED, moved=Moved(failed=histogram([1_000])))
    assert set(found.ends) == {"min", "max"}


def test_where_some_failed_there_is_no_mean_and_the_last_of_all_failed() -> None:
    moved = Moved(ok=histogram([20_000]))
    found = metric_summary("latency_all", histogram([10_000]), LISTED, failed=histogram([1_000]), moved=moved)
    assert "mean" not in found.ends
    assert (found.ends["max"].low_failed, found.ends["max"].high_failed) == (True, True)
    assert (found.ends["min"].low_failed, found.ends["min"].high_failed) == (False, False)
