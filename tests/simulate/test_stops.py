"""Figures of a generator that stops now and then, on fewer targets than ``make simulate`` has."""

from __future__ import annotations

import pytest

from tests.simulate.stops import Case, cases, hiccups, judged, played, unlabelled

MS = 1_000_000
BUSY = Case("busy", 4, 5 * MS, "steady", 0.8, 60 * MS, 5_000 * MS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [5, pytest.param(150, marks=pytest.mark.soak)])
def test_a_figure_is_close_to_that_of_the_same_schedule_without_stops_and_nearly_every_range_contains_it(
    number: int,
) -> None:
    every = [
        each
        for case in (*cases(number, 7), *hiccups(number, 7), *unlabelled(number, 7))
        for each in judged(played(case, 6_000, 7))
    ]
    assert [each for each in every if not each.right and not each.range] == []
    ranges = [each.right for each in every if each.range]
    assert len(ranges) > number
    assert ranges.count(False) <= 0.01 * len(ranges)


def test_the_check_can_fail() -> None:
    """Were the calls that a stop disturbed taken for any others, the p99 would be that of the stops."""
    summary, truth, *_ = played(BUSY, 6_000)
    seen = [each for each in judged(played(BUSY, 6_000)) if each.name == "p99"]
    assert [(each.range, each.right) for each in seen] == [(True, True)]
    p99 = next(each for each in summary.metrics["latency"].percentiles if each.p == 99)
    assert p99.high_end is not None
    assert p99.high_end > 1.5 * truth[int(0.99 * len(truth))]


def test_a_generator_that_does_not_stop_leaves_nothing_open() -> None:
    never = BUSY._replace(stop_ns=0)
    summary, truth, refused, share = played(never, 6_000)
    assert (share, refused, summary.disturbed) == (0, 0, {})
    assert not any(each.range for each in judged(played(never, 6_000)))
    assert abs((summary.metrics["latency"].max or 0) - truth[-1]) <= 1e-3 * truth[-1]
