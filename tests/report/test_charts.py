from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure import hlog
from loadgen.measure.ends import Moved
from loadgen.measure.merge import metric_summary
from loadgen.measure.percentile import LISTED
from loadgen.measure.summary import Summary, Verdict
from loadgen.report import charts, drawing
from loadgen.report.drawing import NARROW, WIDE, Axis, Band, Chart, Series, Size
from loadgen.report.figures import View, phases, totals
from loadgen.report.timeline import timeline
from tests.report.builders import (
    HOSTILE,
    S,
    censored,
    degraded,
    empty,
    histogram,
    intervals,
    invalid,
    metrics,
    phase,
    ranged,
    summary,
    valid,
)
from tests.report.test_timeline import log, moved


def test_the_percentile_curve_ends_where_the_sample_no_longer_bounds_it() -> None:
    chart = charts.percentile_curve(totals(valid()))
    assert chart is not None
    for line in chart.series:
        assert line.points[-1][0] <= math.log10(6000 / 10) + 1e-9


def test_the_percentile_curve_gives_the_value_of_the_listed_percentiles() -> None:
    view = totals(valid())
    chart = charts.percentile_curve(view)
    assert chart is not None
    latency = next(line for line in chart.series if line.name == "latency (ok)")
    for item in view.phase.metrics["latency"].percentiles:
        below = [y for x, y in latency.points if x <= -math.log10(1 - item.p / 100) and y is not None]
        if item.low is not None:
            assert below[-1] <= item.value
            assert below[-1] == pytest.approx(item.value, rel=0.03)


def test_the_percentile_curve_stops_before_withheld_tails() -> None:
    chart = charts.percentile_curve(totals(degraded()))
    assert chart is not None
    assert all(x < math.log10(1 / 0.05) for line in chart.series for x, _ in line.points)


def test_the_percentile_curve_stops_before_what_the_generator_leaves_open() -> None:
    """Its p99 is a range, its p95 is not."""
    chart = charts.percentile_curve(totals(ranged()))
    assert chart is not None
    latency = next(line for line in chart.series if line.name == "latency (ok)")
    assert math.log10(1 / 0.06) < latency.points[-1][0] <= math.log10(1 / 0.05)


def test_seconds_that_the_generator_leaves_open_are_strokes_and_no_points_of_a_line() -> None:
    lines = [*moved([20_000] * 100, [90_000] * 12), *log([("p", 1000, 1000, 100, 100)])[4:]]
    view = View(phase("p", 2, {"ok": 212}), "p", Verdict("valid", []))
    chart = charts.latency_over_time(timeline(lines), [view])
    assert chart is not None
    by_name = {series.name: series.points for series in chart.series}
    first, *_ = by_name["max"]
    assert first == (0.5, None)
    assert (0.5, 20_000_000.0) in by_name["left open by the generator"]
    assert (0.5, 90_048_000.0) in by_name["left open by the generator"]
    assert "left open" not in str(charts.latency_over_time(timeline(log([("p", 0, 1000, 100, 100)])), [view]))


def test_the_percentile_curve_of_all_invocations_stops_before_the_censored() -> None:
    chart = charts.percentile_curve(totals(censored()))
    assert chart is not None
    every = next(line for line in chart.series if line.name == "latency_all")
    assert every.points[-1][0] <= math.log10(1 / 0.05) + 1e-9


def test_the_curve_of_all_invocations_is_of_ok_ones_as_far_as_they_reach_however_fast_others_failed() -> None:
    """A quarter is refused within a millisecond: the curve begins as slow as the ok ones, and ends at p75."""
    one = phase("p", 10, {"ok": 1500, "throttled": 500}, measured=metrics(1500, failed=[900] * 500))
    chart = charts.percentile_curve(totals(summary([one], one, Verdict("valid", []))))
    assert chart is not None
    drawn = {line.name: line.points for line in chart.series}
    every, ok = drawn["latency_all"], drawn["latency (ok)"]
    assert every[0][1] == ok[0][1]
    assert every[-1][0] == pytest.approx(math.log10(1 / 0.25))
    assert every[-1][1] == max(y for _, y in every if y is not None) > 40_000_000
    assert "ends where the 25.0 % begin that are not ok" in chart.description.replace("\N{NO-BREAK SPACE}", " ")


def test_started_stands_beside_ended_where_the_log_tells_it() -> None:
    lines = [*log([("p", 0, 1000, 10, 12)]), f"{hlog.text(hlog.Started('p', 0, S, 60))}\n"]
    view = View(phase("p", 1, {"ok": 10, "gateway": 2}), "p", Verdict("valid", []))
    chart = charts.rate_over_time(timeline(lines), [view])
    assert chart is not None
    drawn = {line.name: line.points for line in chart.series}
    assert drawn == {
        "not ok per second": ((0.5, 2.0),), "ok per second": ((0.5, 10.0),), "started per second": ((0.5, 60.0),),
    }  # fmt: skip
    assert chart.y.high >= 60


@pytest.mark.parametrize("built", [invalid(), empty()], ids=["invalid", "empty"])
def test_nothing_is_drawn_of_times_that_may_not_be_shown(built: Summary) -> None:
    assert charts.percentile_curve(totals(built)) is None
    assert charts.latency_over_time(timeline(intervals(built)), phases(built)) is None
    assert charts.rate_over_time(timeline(intervals(built)), phases(built)) is not None


def test_withheld_tails_leave_the_median_of_that_phase_over_time() -> None:
    built = degraded()
    chart = charts.latency_over_time(timeline(intervals(built)), phases(built))
    assert chart is not None
    after = {line.name: [y for x, y in line.points if x > 20 and y is not None] for line in chart.series}
    assert after["p50"]
    assert not after["max"]


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_drawing_is_well_formed_has_a_title_and_escapes_every_text(size: Size) -> None:
    axis = Axis(HOSTILE, 0.0, 1.0, ((0.5, HOSTILE),))
    chart = Chart(
        HOSTILE, HOSTILE, axis, axis, (Series(HOSTILE, "a", ((0.1, 0.2), (0.3, 0.4))),), (Band(HOSTILE, 0, 1, True),)
    )
    text = drawing.svg(chart, size, 0)
    assert "<script" not in text
    assert "\N{ESC}" not in re.sub(r"[\x00-\x1f]", "", text)
    root = ET.fromstring(text.replace("\N{ESC}", ""))
    assert root.attrib["role"] == "img"
    assert root[0].tag == "title"


@given(st.lists(st.floats(1000, 4e12), min_size=1, max_size=8))
def test_every_value_lies_within_its_time_axis(values: list[float]) -> None:
    axis = drawing.time_axis(values)
    assert axis.low <= min(values) or axis.low == 0
    assert axis.high >= max(values) * (1 - 1e-9)
    assert axis.low < axis.high
    assert 2 <= len(axis.ticks) <= 24


@given(st.just(0.0) | st.floats(1e-6, 1e6))
def test_linear_ticks_begin_at_0_and_reach_the_value(high: float) -> None:
    ticks = drawing.linear_ticks(high)
    assert ticks[0] == 0
    assert ticks[-1] >= high * (1 - 1e-6)
    assert 2 <= len(ticks) <= 8


def test_an_unknown_value_breaks_the_line() -> None:
    axis = Axis("x", 0.0, 4.0, ())
    points = ((0.0, 1.0), (1.0, 2.0), (2.0, None), (3.0, 1.0), (4.0, 2.0))
    drawn = drawing.svg(Chart("t", "d", axis, axis, (Series("s", "a", points),)), WIDE, 0)
    assert drawn.count('class="line a"') == 2


def test_a_curve_goes_on_behind_a_percentile_that_is_a_range() -> None:
    """The disturbed calls leave p75 open, and the p90 and what is above it are known."""
    ok = [5_000] * 740 + [500_000] * 260
    metric = metric_summary("latency", histogram(ok), LISTED, moved=Moved(ok=histogram([500_000] * 40)))
    one = phase("p", 10, {"ok": 1040}, measured={**metrics(10), "latency": metric})
    chart = charts.percentile_curve(totals(summary([one], one, Verdict("valid", []))))
    assert chart is not None
    points = next(line for line in chart.series if line.name == "latency (ok)").points
    assert {y is None for x, y in points if 0.5 < 1 - 10**-x < 0.9} == {True}
    assert {y for x, y in points if 1 - 10**-x > 0.91} == {500_223_000.0}
