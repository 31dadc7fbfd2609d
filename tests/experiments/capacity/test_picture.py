from __future__ import annotations

import pytest
from msgspec.structs import replace

from loadgen.experiments.capacity.picture import picture, tiles
from loadgen.experiments.capacity.section import section
from loadgen.stats.proportion import proportion
from tests.experiments.capacity.test_section import PROBE, RESULT

PASSED = replace(PROBE, verdict="pass", rate_per_s=10, broken=[4], inflation=2.0)
BOTH = replace(RESULT, probes=[PROBE, PASSED], confirmed_per_s=10, estimate_low_per_s=12.0, estimate_high_per_s=18.0)


def test_each_probe_is_a_mark_with_its_interval_filled_where_it_passed() -> None:
    chart = picture(BOTH)
    assert chart is not None
    fail, passed = chart.spots
    assert (fail.x, fail.y, fail.shape) == (20, 0.75, "ring")
    assert fail.y_range == pytest.approx(proportion(1500, 2000))
    assert (passed.x, passed.y, passed.shape, passed.bold) == (10, 0.002, "disc", True)
    assert passed.y_range == pytest.approx(proportion(2, 1000)), "as 2,000 dependent calls say as much as 1,000"
    assert [(band.start, band.end) for band in chart.bands] == [(12.0, 18.0)]
    assert [limit.value for limit in chart.limits] == [0.01]
    assert chart.series == ()


def test_a_percentile_is_drawn_as_the_share_of_calls_that_may_be_slower() -> None:
    chart = picture(replace(BOTH, rules=["latency.p95 < 500ms"]))
    assert chart is not None
    assert chart.limits[0].value == pytest.approx(0.05)


def test_the_rule_that_is_nearest_to_its_limit_is_drawn() -> None:
    probes = [replace(PASSED, broken=[40, 2])]
    chart = picture(replace(RESULT, rules=["errors < 5%", "latency.p99.9 < 1s"], probes=probes))
    assert chart is not None
    assert "latency.p99.9" in chart.limits[0].name


@pytest.mark.parametrize("probes", [[], [replace(PROBE, verdict="invalid")], [replace(PROBE, invocations=0)]])
def test_without_a_probe_that_says_something_there_is_no_picture(probes: list[object]) -> None:
    assert section(replace(RESULT, probes=probes)).pictures == (None,)


def test_nothing_is_called_sustained_that_is_not_confirmed() -> None:
    assert tiles(RESULT, "")[0].value == "—"
    assert not [spot for spot in getattr(picture(replace(BOTH, confirmed_per_s=None)), "spots", ()) if spot.bold]
