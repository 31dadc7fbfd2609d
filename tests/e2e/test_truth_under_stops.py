"""A run whose agent is stopped beside the same run without stops, over real processes; see ``benchmarks.stops``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.delaying_server import COMPILER
from benchmarks.stops import CASES, Stop, blamed, compared, run
from loadgen.measure.summary import Summary

pytestmark = [
    pytest.mark.soak,  # its figures take a quiet machine
    pytest.mark.wallclock,
    pytest.mark.skipif(COMPILER is None, reason="the server needs a C compiler (Debian: apt-get install gcc)"),
]
SECONDS = 2
NONE, STOP = Stop(0), Stop(90, once=True)
OPEN, CLOSED, _ = CASES
FEW = replace(OPEN, text=OPEN.text.replace("200/s", "60/s"))
"""Of which too few starts fall due in the stop for another load."""


def longest_ms(summary: Summary, metric: str) -> float:
    return (summary.totals.metrics[metric].max or 0) / 1e6


def test_one_stop_leaves_figures_within_5_percent_ranges_that_hold_them_and_no_blame_on_the_target() -> None:
    plain, seen = run(FEW, SECONDS, NONE), run(FEW, SECONDS, STOP)
    assert longest_ms(seen, "late") > STOP.ms / 2, "the stop came at no time of the phase"
    assert seen.verdict.status != "invalid"
    found = list(compared(seen, plain, FEW.metrics))
    assert "p50 of latency" in {each.name for each in found}
    assert [each for each in found if not each.right] == []
    assert list(blamed(seen, plain)) == []


def test_a_stop_leaves_the_service_times_of_a_closed_phase_single_figures() -> None:
    plain, seen = run(CLOSED, SECONDS, NONE), run(CLOSED, SECONDS, STOP)
    assert longest_ms(seen, "unread") > STOP.ms / 2, "the stop came at no time of the phase"
    found = list(compared(seen, plain, CLOSED.metrics))
    assert [each for each in found if not each.right or each.off is None] == []
    assert list(blamed(seen, plain)) == []
