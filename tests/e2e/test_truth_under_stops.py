"""A run whose agent is stopped beside the same run without stops, over real processes; see ``benchmarks.stops``."""

from __future__ import annotations

import pytest

from benchmarks.delaying_server import COMPILER
from benchmarks.stops import CASES, blamed, compared, run

pytestmark = [
    pytest.mark.wallclock,
    pytest.mark.skipif(COMPILER is None, reason="the server needs a C compiler (Debian: apt-get install gcc)"),
]
OPEN, CLOSED, _ = CASES
SECONDS = 2
STOP_MS = 90


def test_one_stop_leaves_figures_within_5_percent_ranges_that_hold_them_and_no_blame_on_the_target() -> None:
    plain, seen = run(OPEN, SECONDS, 0), run(OPEN, SECONDS, STOP_MS, once=True)
    assert (seen.totals.metrics["late"].max or 0) > STOP_MS * 1_000_000 // 2, "the stop came at no time of the phase"
    assert [each for each in compared(seen, plain, OPEN.metrics) if not each.right] == []
    assert list(blamed(seen, plain)) == []


def test_a_stop_leaves_the_service_times_of_a_closed_phase_single_figures() -> None:
    plain, seen = run(CLOSED, SECONDS, 0), run(CLOSED, SECONDS, STOP_MS, once=True)
    found = list(compared(seen, plain, CLOSED.metrics))
    assert (seen.totals.metrics["unread"].max or 0) > STOP_MS * 1_000_000 // 2, "the stop came at no time of the phase"
    assert [each for each in found if not each.right or each.off is None] == []
    assert list(blamed(seen, plain)) == []
