"""What monitoring systems are told."""

from __future__ import annotations

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loadgen.invocation.metric import Metric
from loadgen.measure.histogram import HIGHEST
from loadgen.measure.merge import phase_summary
from loadgen.report.families import (
    BOUNDS_S,
    MOST_PARTS,
    OTHERS,
    Family,
    Standing,
    cumulative,
    families,
    of_summary,
    of_total,
    together,
)
from tests.examples import fewer
from tests.frames import frame, plan, total
from tests.report.builders import histogram, valid

PLAYED = total(
    frame(
        {"ok": range(10_000, 30_000, 20), "throttled": [400] * 7},
        disturbed={"ok": [90_000] * 3},
        metrics={"ok/service_time": range(9_000, 29_000, 20), "ok/duration": [8_000] * 900},
        start="warm",
    )
)


@fewer(2)
@given(st.lists(st.one_of(st.integers(0, 5_000), st.integers(0, HIGHEST)), max_size=50))
def test_a_bucket_counts_nothing_that_took_longer_and_leaves_out_no_more_than_a_slot_below_its_bound(
    values: list[int],
) -> None:
    """A value in whole µs was rounded down: what it was of is less than one more, but for 0, which is 0."""
    ends = sorted(value + 1 if value else 0 for value in values)
    counts = cumulative(histogram(values))
    for bound_s, n in zip(BOUNDS_S, counts, strict=False):
        bound = round(bound_s * 1_000_000)
        assert bisect_right(ends, bound - max(1, bound // 1024)) <= n <= bisect_right(ends, bound)
    assert counts[-1] == len(values)


def test_what_is_told_of_a_phase_that_goes_on_is_what_is_told_of_it_at_the_end() -> None:
    ended = replace(valid(), phases=[phase_summary(plan(), PLAYED)])
    assert list(of_total(PLAYED)) == list(of_summary(ended).parts)


def test_disturbed_calls_are_in_the_distribution_and_what_failed_has_no_start() -> None:
    (part,) = of_total(PLAYED)
    assert part.histograms["warm", "ok", Metric.LATENCY].count == 1003
    assert part.histograms["", "throttled", Metric.LATENCY].count == 7
    assert part.disturbed == 3


def test_what_was_told_does_not_grow_with_the_phase() -> None:
    growing = total(frame({"ok": [20_000] * 5}, final=False))
    (part,) = of_total(growing)
    growing.add(frame({"ok": [20_000] * 5}, seq=1))
    assert (part.planned, part.outcomes) == (5, {"ok": 5})
    assert [each.count for each in part.histograms.values()] == [5]


def test_phases_of_one_name_are_added_up_and_stay_as_they_were() -> None:
    first, second = (next(of_total(total(frame({"ok": [20_000] * n})))) for n in (5, 7))
    (both,) = together([first, second])
    assert (both.planned, both.outcomes) == (12, {"ok": 12})
    assert both.histograms["unknown", "ok", Metric.LATENCY].count == 12
    assert first.histograms["unknown", "ok", Metric.LATENCY].count == 5


def test_there_are_no_more_parts_however_many_phases_and_none_is_taken_back() -> None:
    (part,) = of_total(total(frame({"ok": [20_000] * 5})))
    phases = [replace(part, phase=f"gap-{n}") for n in range(3 * MOST_PARTS)]
    before: dict[str, int] = {}
    for n in range(0, len(phases), 50):
        now = {each.phase: each.planned for each in together(phases[:n])}
        assert len(now) <= MOST_PARTS + 1
        assert all(now[phase] >= planned for phase, planned in before.items())
        before = now
    whole = together(phases)
    assert sum(each.planned for each in whole) == 5 * len(phases)
    assert whole[-1].phase == OTHERS


def test_a_rule_stands_in_one_of_three_ways() -> None:
    standing = Standing("a", "load", "0", rules=(("errors < 1%", True), ("latency.p99 < 1s", None)))
    states = [
        (point.labels["rule"], point.labels["state"])
        for family in families(standing)
        if family.name == "loadgen_rule"
        for point in family.points
        if point.value
    ]
    assert states == [("errors < 1%", "met"), ("latency.p99 < 1s", "open")]


def test_no_name_occurs_twice_and_no_series_of_one() -> None:
    found: list[Family] = list(families(replace(of_summary(valid()), in_flight=3)))
    assert len({family.name for family in found}) == len(found)
    for family in found:
        assert len({tuple(point.labels.items()) for point in family.points}) == len(family.points), family.name
