from __future__ import annotations

from msgspec.structs import replace

from loadgen.experiments.coldstarts.findings import GapProbe, KeepAlive
from loadgen.experiments.coldstarts.picture import pictures, tiles
from loadgen.measure.summary import Summary
from tests.experiments.coldstarts.test_section import S, population, result
from tests.report.builders import metric, spread, valid

PROBES = [GapProbe(int(at * S), at >= 2) for at in (1.0, 1.0, 1.01, 1.5, 1.98, 1.99, 2.0, 2.0, 3.0)]
KEPT = KeepAlive("fixed", "all agree", 2 * S, int(1.99 * S), 2 * S, {}, PROBES)


def measured(cold: int = 80) -> Summary:
    """With the times of which the result of ``test_section`` tells."""
    starts = {
        "cold": {"service_time": metric("service_time", spread(cold, 400_000))},
        "warm": {"service_time": metric("service_time", spread(520, 20_000))},
    }
    return replace(valid(), totals=replace(valid().totals, by_start=starts))


def test_warm_and_cold_calls_are_two_hills_with_the_medians_of_the_result() -> None:
    chart, _ = pictures(measured(), result(), ())
    assert chart is not None
    assert [series.name for series in chart.series] == ["warm", "cold"]
    warm, cold = chart.spots
    assert (warm.x, warm.x_range) == (20e6, (18e6, 22e6))
    assert (cold.x, cold.x_range) == (400e6, (360e6, 440e6))
    assert "400" in cold.name


def test_hills_that_are_of_other_calls_than_the_result_are_not_drawn() -> None:
    assert pictures(measured(cold=95), result(), ())[0] is None
    assert pictures(measured(), result(), ("cold",))[0] is None


def test_every_call_after_a_silence_is_in_one_mark_and_the_lifetime_is_a_band() -> None:
    _, chart = pictures(measured(), result(keep_alive=KEPT), ())
    assert chart is not None
    told = [spot.tip.partition(": ")[2].split(" ")[:3] for spot in chart.spots]
    assert sum(int(n) for _, _, n in told) == len(PROBES)
    assert sum(int(cold) for cold, _, _ in told) == 3
    assert [(band.start, band.end) for band in chart.bands] == [(1.99, 2.0)]


def test_tiles_leave_out_what_is_withheld_and_a_cost_that_may_be_nothing() -> None:
    labels = {tile.label: tile.value for tile in tiles(result(), (), "2.00 s (1.99 s – 2.00 s)")}
    assert labels["an idle instance lives"] == "2.00 s"
    assert "a million cold starts" not in labels
    hidden = {tile.label: tile.value for tile in tiles(result(cold=population(80, 400)), ("cold",), "—")}
    assert hidden["cold, median"] == "—"
    assert "a cold start adds" not in hidden
