"""What the page carries and how large it gets, and reports of runs that have next to nothing to show."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Iterator
from functools import cache
from importlib import resources

import msgspec
import pytest

from loadgen.measure import hlog
from loadgen.measure.summary import Summary, Verdict
from loadgen.report import charts, drawing, plots
from loadgen.report.figures import View, phases, totals
from loadgen.report.heat import COLUMNS, ROWS, heat_map
from loadgen.report.html import html
from loadgen.report.parts import parts
from loadgen.report.planned import planned
from loadgen.report.tiles import tiles
from loadgen.report.timeline import MOST_POINTS, Timeline, timeline
from tests.report.builders import (
    HOSTILE,
    S,
    degraded,
    empty,
    histogram,
    intervals,
    invalid,
    metrics,
    phase,
    ranged,
    spread,
    summary,
    valid,
)

HOUR_S = 3600


def test_what_others_wrote_is_carried_as_they_published_it() -> None:
    vendor = resources.files("loadgen.report") / "vendor"
    listed = [line.split() for line in (vendor / "VERSIONS").read_text().splitlines()]
    told = {name: digest for kind, digest, name in (each for each in listed if each[0] == "sha256")}
    carried = {each.name for each in vendor.iterdir() if each.name != "VERSIONS"}
    assert set(told) == carried
    for name, digest in told.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name
    assert "(v1.6.32)" in (vendor / "uPlot.iife.min.js").read_text()[:80]
    assert "Permission is hereby granted" in (vendor / "uPlot.LICENSE").read_text()


@cache
def hour() -> Timeline:
    """An hour at 100 calls a second, five of them failing."""
    return timeline(_lines_of_an_hour())


def _lines_of_an_hour() -> Iterator[str]:
    for text in hlog.header(1_795_317_300_000):
        yield f"{text}\n"
    every = []
    for slow in (1.0, 1.1, 1.3, 1.2):
        ok = histogram(round(value * slow) for value in spread(95, 21_000))
        planned_ = histogram([9_000] * 5)
        planned_.add(ok)
        every.append([hlog.line("steady.latency", 0, S, ok), hlog.line("steady.latency_all", 0, S, planned_)])
    for second in range(HOUR_S):
        for text in every[second % 4]:
            yield text.replace(",0.000,", f",{second}.000,", 1) + "\n"


def test_the_page_of_an_hour_is_below_a_megabyte_and_says_what_a_point_is() -> None:
    outcomes = {"ok": 95 * HOUR_S, "function_error": 5 * HOUR_S}
    measured = metrics(20_000, failed=[9_000] * 200)
    steady, whole = (phase(name, HOUR_S, outcomes, measured=measured) for name in ("steady", "totals"))
    built = summary([steady], whole, Verdict("valid", []))
    over_time = hour()
    assert len(over_time.points) <= MOST_POINTS
    page = html(built, over_time)
    assert len(page.encode()) < 1_000_000
    assert f"in each {over_time.width_s} s" in page
    assert over_time.width_s > 1


def test_a_heat_map_counts_every_call_once_and_its_size_is_bounded() -> None:
    over_time = hour()
    found = heat_map(over_time, [])
    assert found is not None
    assert len(found.tiles) <= COLUMNS * ROWS
    assert sum(tile.count for tile in found.tiles) == 95 * HOUR_S
    assert {tile.shade for tile in found.tiles} <= {1, 2, 3, 4, 5}


@pytest.mark.parametrize("build", [valid, degraded, ranged, invalid, empty], ids=lambda build: build.__name__)
def test_nothing_that_is_withheld_is_in_the_data_of_a_chart(build: object) -> None:
    """What the script draws are the points of the drawings; where those have none, it has none."""
    assert callable(build)
    built: Summary = build()
    over_time = timeline(intervals(built))
    views = phases(built)
    chart = charts.latency_over_time(over_time, views)
    spec = plots.plot([chart], over_time, views)
    if built.verdict.status == "invalid":
        assert spec is None
        assert heat_map(over_time, views) is None
        assert charts.cold_beside_warm(totals(built)) is None
    if spec is None or chart is None:
        return
    for line, series in zip(spec["panels"][0]["series"], [s for s in chart.series if s.style != "open"], strict=True):
        assert [y is None for y in line["y"]] == [y is None for _, y in series.points]


def test_tails_that_are_withheld_in_one_phase_are_in_no_heat_map_of_it() -> None:
    built = degraded()
    found = heat_map(timeline(intervals(built)), phases(built))
    assert found is not None
    assert max(tile.end for tile in found.tiles) <= 20  # peak, from 20 s on, has no maximum


def test_data_in_the_page_ends_no_element_and_is_the_same_after_reading() -> None:
    data = {HOSTILE: ["</script><script>", "<!--", "\u2028", "&amp;", 1.5, None]}
    text = plots.encoded(data)
    assert not set("<>&") & set(text)
    assert "\u2028" not in text
    assert json.loads(text) == data


def test_a_tile_says_what_the_tables_say_and_leads_to_more() -> None:
    found = {tile.label: tile for tile in tiles(degraded())}
    assert found["not ok"].value == "3.6\N{NO-BREAK SPACE}%"
    assert found["not ok"].tone == "bad"
    assert found["p50 latency"].value == "21.1\N{NO-BREAK SPACE}ms"
    assert "p99 latency" not in found
    assert 'href="#outcomes"' in html(degraded(), timeline(intervals(degraded())))
    assert not [tile for tile in tiles(invalid()) if "ms" in tile.value]


@pytest.mark.parametrize(
    ("rate", "curve"),
    [
        ("50/s", [(0, 50), (60, 50)]),
        ({"from": "10/s", "to": "600/min"}, [(0, 10), (60, 10)]),
        ({"steps": ["10/s", "20/s"]}, [(0, 10), (30, 10), (30, 20), (60, 20)]),
    ],
)
def test_what_was_planned_is_read_from_the_scenario(rate: object, curve: list[tuple[float, float]]) -> None:
    blocks = [{"name": "a", "rate": rate, "duration": "1m"}, {"name": "b", "workers": 3, "duration": "1m"}]
    assert planned({"phases": blocks}) == {"a": curve}


@pytest.mark.parametrize(
    "phases", [None, 3, [3], [{"name": "a"}], [{"name": "a", "rate": {"from": 1}, "duration": "x"}]]
)
def test_a_plan_that_cannot_be_read_is_left_out(phases: object) -> None:
    assert planned({"phases": phases}) == {}


def of_calls(ok: int) -> Summary:
    one, whole = (phase(name, 1, {"ok": ok, "connection": 1 - min(ok, 1)}) for name in ("p", "totals"))
    return summary([one], whole, Verdict("valid", []), interrupted=True)


@pytest.mark.parametrize("ok", [0, 1, 2])
def test_a_run_of_next_to_nothing_has_a_page(ok: int) -> None:
    built = of_calls(ok)
    page = html(built, timeline(intervals(built)))
    assert "The run was interrupted" in page
    assert "No percentile curve" in page


def test_a_name_of_ten_thousand_characters_is_cut_in_headings_and_whole_in_a_fold() -> None:
    named = msgspec.structs.replace(valid(), run=msgspec.structs.replace(valid().run, name="n" * 10_000))
    page = html(named, timeline([]))
    heading = re.search(r"<h1>(.*?)</h1>", page, re.DOTALL)
    assert heading is not None
    assert len(heading[1]) < 400
    assert "n" * 10_000 in page


def test_parts_of_the_time_are_drawn_where_they_make_up_the_whole() -> None:
    drawn = parts(totals(valid()))
    assert drawn is not None
    widths = [float(each) for each in re.findall(r'width="([\d.]+)" height', drawn.drawing)]
    assert sum(widths) == pytest.approx(960, abs=0.2)
    assert parts(totals(ranged())) is None, "the generator disturbed some, of which the waiting is told alone"
    unlike = {**metrics(6000), "duration": metrics(6000)["overhead"]}
    assert parts(View(phase("p", 30, {"ok": 6000}, measured=unlike), None, Verdict("valid", []))) is None


def test_without_an_ok_call_the_picture_is_the_rate() -> None:
    page = html(empty(), timeline(intervals(empty())))
    assert re.search(r'<figure class="picture" id="rate-over-time"', page)


def test_a_density_has_its_peak_where_most_calls_are() -> None:
    axis = drawing.log_time_axis([1e6, 1e9])
    points = charts.density(histogram(spread(400, 21_000)), axis)
    peak = max(points, key=lambda point: point[1] or 0.0)
    assert peak[0] == pytest.approx(21e6, rel=0.1)
    assert peak[1] == 1.0
    areas = sum((y or 0.0) for _, y in points) * math.log10(axis.high / axis.low) / len(points)
    assert 0.1 < areas < 1


def test_a_page_is_made_within_a_second() -> None:
    built = valid()
    over_time = timeline(intervals(built))
    html(built, over_time)
    began = time.process_time()
    html(built, over_time)
    assert time.process_time() - began < 1
