"""The line over time is there where something stands out, says when, and leaves the screen as long as it may be."""

from __future__ import annotations

import random
import re

import pytest
from msgspec.structs import replace

from loadgen.measure.summary import Summary
from loadgen.report.screen import screen
from loadgen.report.sparkline import LEVELS, sparkline
from loadgen.report.timeline import Point, Timeline
from tests.report.builders import S, degraded, histogram, invalid, metric, phase, valid

SECONDS = 120


def course(seed: int, *, per_s: int = 100, slow: range = range(0), failed: int = 0, name: str = "steady") -> Timeline:
    """Independent calls, five times as long in some seconds, in which some fail."""
    rng = random.Random(seed)
    points = []
    for n in range(SECONDS):
        times = 5 if n in slow else 1
        drawn = histogram(round(times * rng.lognormvariate(10, 0.3)) for _ in range(per_s))
        points.append(Point(name, n * S, (n + 1) * S, drawn, per_s + (failed if n in slow else 0)))
    return Timeline(tuple(points), 1, 90.0)


def load() -> Summary:
    whole = phase("steady", SECONDS, {"ok": 12_000}, measured={"latency": metric("latency", [22_000] * 12_000)})
    run = replace(valid().run, started_at="2026-11-29T10:05:12.250Z")
    return replace(valid(), run=run, phases=[whole], totals=whole, thresholds=[])


def test_a_run_in_which_nothing_stands_out_has_no_line() -> None:
    said = [sparkline(load(), course(seed), 80) for seed in range(40)]
    assert sum(map(bool, said)) <= 5  # where 5 % have one, 1 in 70 has more


def test_a_slow_stretch_is_drawn_with_its_time_its_height_and_what_failed() -> None:
    said = sparkline(load(), course(1, slow=range(60, 64), failed=3), 80)
    drawn, _, told = said.partition("  ")
    assert drawn.index(LEVELS[-1]) in range(len(drawn) // 2 - 1, len(drawn) // 2 + 2)
    assert len(said) <= 80
    found = re.fullmatch(r"(p9[059]) over time; peak (\d+)\sms at 10:06:(1[0-9])Z, (\d+) failed", told)
    assert found is not None
    assert int(found[2]) > 100
    assert int(found[4]) == 12


def test_points_are_taken_together_until_they_support_a_percentile() -> None:
    assert "p99 over time" in sparkline(load(), course(1, per_s=300, slow=range(60, 90)), 80)
    few = sparkline(load(), course(1, per_s=20, slow=range(60, 90)), 80)
    assert "p90 over time" in few or "p95 over time" in few
    assert sparkline(load(), course(1, per_s=1, slow=range(60, 90)), 80) == ""


@pytest.mark.parametrize(
    ("summary", "timeline"),
    [
        (invalid(), course(1, slow=range(60, 64))),
        (load(), Timeline((), 1, None)),
        (replace(load(), phases=[phase("w", 9, {"ok": 9}, warmup=True)]), course(1, slow=range(9, 30), name="w")),
    ],
    ids=["invalid", "no log", "warm-up"],
)
def test_what_may_not_be_shown_has_no_line(summary: Summary, timeline: Timeline) -> None:
    assert sparkline(summary, timeline, 80) == ""


def test_seconds_that_the_load_generator_disturbed_are_no_peak() -> None:
    timeline = course(1, slow=range(60, 64))
    points = [
        replace(point, disturbed=histogram([9]), disturbed_planned=1) if n in range(60, 64) else point
        for n, point in enumerate(timeline.points)
    ]
    assert sparkline(load(), replace(timeline, points=tuple(points)), 80) == ""


def test_the_line_stands_below_the_times_where_there_is_room() -> None:
    timeline = course(1, slow=range(60, 64))
    lines = screen(load(), timeline, width=80).splitlines()
    at = next(n for n, line in enumerate(lines) if "over time; peak" in line)
    assert at < next(n for n, line in enumerate(lines) if " ok;" in line)
    assert all(len(line) <= 80 for line in lines)
    for built in (load(), valid(), degraded()):
        longest = screen(built, course(1, slow=range(60, 64)), width=80).splitlines()
        assert len(longest) <= 40
    assert screen(load(), width=80) == screen(load(), Timeline((), 1, None), width=80)
