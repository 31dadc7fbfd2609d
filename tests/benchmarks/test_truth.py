"""When figures are called true."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from benchmarks.captured import verdict
from benchmarks.stops import blamed, compared
from benchmarks.tool import Report
from loadgen.measure.summary import Summary
from tests.report import builders

TRUE = {50.0: 1.0, 99.0: 20.0}


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ({50.0: 1.049, 99.0: 20.9}, "yes"),
        ({50.0: 1.06, 99.0: 20.0}, "p50 +6%"),
        ({50.0: 1.2, 99.0: 10.0}, "p99 -50%"),
        ({99.9: 20.0}, "—"),
    ],
)
def test_a_figure_is_true_within_5_percent_or_50_us(printed: dict[float, float], said: str) -> None:
    assert verdict(Report(1, 0, 1.0, printed), TRUE) == said


def slower(summary: Summary, factor: float) -> Summary:
    """The same summary with every latency longer."""
    latency = summary.totals.metrics["latency"]
    longer = [
        replace(
            each,
            value=round(each.value * factor),
            low=None if each.low is None else round(each.low * factor),
            high=None if each.high is None else round(each.high * factor),
        )
        for each in latency.percentiles
    ]
    metrics = {**summary.totals.metrics, "latency": replace(latency, percentiles=longer)}
    return replace(summary, totals=replace(summary.totals, metrics=metrics))


def test_a_run_is_right_beside_itself_and_wrong_where_a_figure_moved_beyond_its_sampling() -> None:
    plain = builders.valid()
    assert all(each.right for each in compared(plain, plain, ("latency",)))
    wrong = [each for each in compared(slower(plain, 3), plain, ("latency",)) if not each.right]
    assert "p50 of latency" in {each.name for each in wrong}


def test_what_only_the_run_with_stops_has_is_put_on_the_target() -> None:
    plain = builders.valid()
    assert list(blamed(plain, plain)) == []
    worse = replace(plain, totals=replace(plain.totals, dropped=3, outcomes={**plain.totals.outcomes, "timeout": 2}))
    assert list(blamed(worse, plain)) == ["2 timeouts", "3 dropped"]
