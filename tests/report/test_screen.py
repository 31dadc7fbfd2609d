"""What a run prints fits one screen, keeps its tables tables, and leaves columns out in the order that they say."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from msgspec import structs
from syrupy.assertion import SnapshotAssertion

from loadgen.measure.summary import Summary, ThresholdResult
from loadgen.report.screen import screen
from loadgen.report.timeline import timeline
from tests.report.builders import censored, degraded, empty, intervals, invalid, ranged, valid

Build = Callable[[], Summary]
every = pytest.mark.parametrize(
    "build", [valid, degraded, censored, ranged, invalid, empty], ids=lambda build: build.__name__
)


@every
@pytest.mark.parametrize("width", [80, 120])
def test_screen(build: Build, width: int, snapshot: SnapshotAssertion) -> None:
    assert screen(build(), width=width) == snapshot


@pytest.mark.parametrize("width", [80, 120])
def test_screen_of_a_run_with_a_slow_stretch(width: int, snapshot: SnapshotAssertion) -> None:
    assert screen(valid(), timeline(intervals(valid())), width=width) == snapshot


@every
def test_the_result_of_a_load_fits_a_screen_of_80_by_40(build: Build) -> None:
    lines = screen(build(), width=80).splitlines()
    assert len(lines) <= 40
    assert all(len(line) <= 80 for line in lines if " " in line.strip())


def test_the_maximum_goes_first_where_a_table_is_too_wide_and_the_median_stays() -> None:
    wide, narrow = screen(valid(), width=120), screen(valid(), width=60)
    assert all(title in wide for title in ("p50", "p90", "p99", "max", "calls"))
    header = next(line for line in narrow.splitlines() if "p50" in line)
    assert "max" not in header
    assert "p99" in header


def test_colour_adds_nothing_but_ansi_sequences() -> None:
    assert re.sub(r"\x1b\[[\d;]*m", "", screen(degraded(), colour=True)) == screen(degraded())


def test_no_escape_sequence_of_foreign_text_reaches_the_screen() -> None:
    assert "\x1b" not in screen(empty())


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize(
    "rule", ["latency.p99 < 5s", "a-phase-with-a-rather-long-name-for-a-phase:latency.p99 < 5s over 10s"]
)
def test_a_reason_that_is_long_stands_below_its_rule_and_makes_no_list_of_the_others(width: int, rule: str) -> None:
    long = ThresholdResult(rule, None, None, "the load generator left open which calls were slow. " * 4)
    short = ThresholdResult("errors < 1%", 0.0, True, "", "value")
    told = screen(structs.replace(valid(), thresholds=[long, short]), width=width).splitlines()
    assert all(len(line) <= width for line in told)
    at = next(n for n, line in enumerate(told) if line.split()[:1] == ["?"])
    assert "".join(rule.split()) in "".join("".join(told[at : at + 3]).split())
    passed = next(n for n, line in enumerate(told) if line.startswith("  ✓"))
    assert "errors < 1%" in " ".join(told[passed : passed + 2])
