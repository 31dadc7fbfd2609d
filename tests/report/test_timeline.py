from __future__ import annotations

import pytest

from loadgen.measure import hlog
from loadgen.measure.summary import Ends
from loadgen.report.timeline import MOST_POINTS, timeline
from tests.report.builders import S, degraded, histogram, intervals, spread, valid


def log(entries: list[tuple[str, int, int, int, int]]) -> list[str]:
    """Lines of (phase, start, length, ok, planned); times in ms."""
    lines = hlog.header(0)
    for phase, start, length, ok, planned in entries:
        values = spread(ok, 20_000)
        for metric, counted in (("latency", values), ("latency_all", [*values, *[1] * (planned - ok)])):
            lines.append(hlog.line(f"{phase}.{metric}", start * 1_000_000, length * 1_000_000, histogram(counted)))
    return [f"{line}\n" for line in lines]


def test_every_second_is_a_point_with_its_rate_of_ok_and_failed() -> None:
    points = timeline(log([("p", 0, 1000, 40, 50), ("p", 1000, 1000, 30, 30)])).points
    assert [(point.ok_per_s, point.failed_per_s) for point in points] == [(40, 10), (30, 0)]


def test_what_was_started_stands_beside_what_ended_and_is_unknown_of_an_older_log() -> None:
    lines = log([("p", 0, 1000, 10, 10), ("p", 2000, 1000, 90, 90)])
    assert [point.started_per_s for point in timeline(lines).points] == [None, None]
    lines += [f"{hlog.text(hlog.Started('p', at * S, S, n))}\n" for at, n in ((0, 60), (1, 40))]
    points = timeline(lines).points
    assert [(point.started_per_s, point.ok_per_s) for point in points] == [(60, 10), (40, 0), (0, 90)]


def test_agents_of_the_same_second_are_added() -> None:
    points = timeline(log([("p", 0, 1000, 40, 40), ("p", 3, 1000, 20, 25)])).points
    assert [(point.latency.count, point.planned) for point in points] == [(60, 65)]


def test_a_jitter_of_the_intervals_moves_no_invocation_into_another_second() -> None:
    points = timeline(log([("p", 0, 1002, 30, 30), ("p", 1002, 997, 30, 30), ("p", 1999, 1001, 30, 30)])).points
    assert len(points) == 3


def test_a_point_never_spans_two_phases() -> None:
    points = timeline(log([("a", 0, 500, 30, 30), ("b.c", 500, 1000, 30, 30)])).points
    assert [point.phase for point in points] == ["a", "b.c"]


def test_a_stub_at_the_end_of_a_phase_joins_the_point_before() -> None:
    points = timeline(log([("p", 0, 1000, 30, 30), ("p", 1000, 0, 1, 1)])).points
    assert [(point.latency.count, point.end_ns) for point in points] == [(31, S)]


def test_a_point_without_length_has_no_rate() -> None:
    (point,) = timeline(log([("p", 0, 0, 1, 1)])).points
    assert point.ok_per_s is None


def test_a_long_run_is_merged_into_fewer_points_and_loses_no_invocation() -> None:
    seconds = 2 * MOST_POINTS + 100
    line = timeline(log([("p", 1000 * i, 1000, 25, 26) for i in range(seconds)]))
    assert len(line.points) <= MOST_POINTS
    assert line.width_s == 4
    assert sum(point.planned for point in line.points) == 26 * seconds


def test_neighbours_are_merged_until_a_median_is_known() -> None:
    line = timeline(log([("p", 1000 * i, 1000, 5, 5) for i in range(60)]))
    assert line.width_s == 4
    assert all(point.figure_ns(50.0) is not None for point in line.points)


def test_the_upper_percentile_is_the_highest_that_a_typical_point_supports() -> None:
    assert timeline(log([("p", 0, 1000, 1000, 1000)])).upper == 99.0
    assert timeline(log([("p", 0, 1000, 200, 200)])).upper == 95.0
    assert timeline(log([("p", 0, 1000, 30, 30)])).upper is None


def test_a_percentile_of_too_few_invocations_is_not_given() -> None:
    (point,) = timeline(log([("p", 0, 1000, 30, 30)])).points
    assert point.figure_ns(50.0) is not None
    assert point.figure_ns(99.0) is None


def test_no_log_has_no_points() -> None:
    assert timeline([]).points == ()


def test_a_torn_last_line_is_left_out() -> None:
    whole = log([("p", 0, 1000, 30, 30)])
    assert timeline([*whole, whole[-1][:40]]) == timeline(whole)


def test_a_broken_line_is_an_error_with_its_own_number_also_behind_other_metrics() -> None:
    lines = [*log([("p", 0, 1000, 30, 30)]), hlog.line("p.lag", 0, S, histogram([1])) + "\n", "nonsense\n", "\n"]
    with pytest.raises(ValueError, match=f"line {len(lines) - 1}"):
        timeline(lines)


def test_the_whole_run_is_in_the_points() -> None:
    for built in (valid(), degraded()):
        line = timeline(intervals(built))
        assert sum(p.latency.count for p in line.points) == sum(p.outcomes["ok"] for p in built.phases)


def test_many_phases_too_short_to_be_merged_stay_points_of_their_own() -> None:
    line = timeline(log([(f"probe-{i}", 1000 * i, 100, 1, 1) for i in range(60)]))
    assert len(line.points) == 60


def moved(ok: list[int], disturbed: list[int], refused: int = 0) -> list[str]:
    """A second with such latencies, the disturbed ones in lines of their own."""
    of = {
        "latency": ok,
        "latency_all": ok,
        "disturbed.latency": disturbed,
        "disturbed.latency_all": [*disturbed, *[1] * refused],
    }
    lines = [hlog.line(f"p.{tag}", 0, S, histogram(values)) for tag, values in of.items()]
    return [f"{line}\n" for line in (*hlog.header(0), *lines)]


def test_disturbed_invocations_count_in_the_rates_and_are_in_no_figure() -> None:
    (point,) = timeline(moved([20_000] * 500, [90_000] * 2, refused=3)).points
    assert (point.phase, point.ok_per_s, point.failed_per_s, point.planned) == ("p", 502, 3, 505)
    assert point.figure_ns(50.0) == 20_015_000


def test_a_second_is_judged_by_its_own_calls() -> None:
    """A stop of the generator in one second makes the figures of that second ranges, and no others."""
    stop, calm = moved([20_000] * 100, [90_000] * 12), log([("p", 1000, 1000, 100, 100)])
    first, second = timeline([*stop, *calm[len(hlog.header(0)) :]]).points
    assert first.figure_ns("max") == Ends(20_000_000, 90_048_000)
    assert isinstance(second.figure_ns("max"), int)
    refused = timeline(moved([20_000] * 100, [90_000] * 12, refused=1)).points[0].figure_ns("max")
    assert isinstance(refused, Ends)
    assert refused.high is None
