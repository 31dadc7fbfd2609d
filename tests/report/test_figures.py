from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.percentile import LISTED, needed, supported
from loadgen.measure.summary import Reason, Verdict
from loadgen.report.figures import Shown, View, Withheld, phases, shown, totals
from tests.examples import fewer
from tests.report.builders import censored, degraded, empty, invalid, metrics, phase, summary, valid

VALID = Verdict("valid", [])


def test_a_supported_percentile_of_a_valid_run_is_shown_with_its_interval() -> None:
    figure = shown(totals(valid()), "latency", 99.0)
    assert isinstance(figure, Shown)
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low <= figure.value <= figure.high


@fewer(2)
@given(st.integers(0, 400), st.sampled_from(LISTED))
def test_a_percentile_is_shown_exactly_when_the_sample_supports_it(n: int, p: float) -> None:
    figure = shown(View(phase("p", 10, {"ok": n}), "p", Verdict("valid", [])), "lag", p)
    assert isinstance(figure, Shown) == supported(n, p)


def test_an_unsupported_percentile_says_how_many_invocations_it_needs() -> None:
    figure = shown(View(phase("p", 10, {"ok": 500}), "p", Verdict("valid", [])), "latency", 99.9)
    assert isinstance(figure, Withheld)
    assert needed(99.9) == 10_000
    assert figure.why.replace("\u202f", "") == "p99.9 needs about 10000 invocations."


@pytest.mark.parametrize("statistic", [50.0, 99.0, "min", "mean", "max"])
def test_an_invalid_run_shows_no_figure_of_any_phase(statistic: float | str) -> None:
    built = invalid()
    for view in (totals(built), *phases(built)):
        assert isinstance(shown(view, "latency", statistic), Withheld)


@pytest.mark.parametrize(
    ("statistic", "kept"), [(50.0, True), (90.0, True), (95.0, False), (99.0, False), ("max", False), ("mean", True)]
)
def test_withheld_tails_hide_p95_and_up_and_the_maximum_in_that_phase_and_in_the_totals(
    statistic: float | str, kept: bool
) -> None:
    built = degraded()
    steady, peak = phases(built)
    assert isinstance(shown(steady, "latency", statistic), Shown)
    if statistic != 99.0:  # 800 invocations do not support p99 anyway
        assert isinstance(shown(peak, "latency", statistic), Shown) == kept
    assert isinstance(shown(totals(built), "latency", statistic), Shown) == kept


def test_a_reason_that_withholds_one_metric_leaves_the_others() -> None:
    reason = Reason("negative_overhead", "withheld", "the clocks disagree", 3.0, 0.0, None, "overhead")
    one = phase("p", 10, {"ok": 2000})
    view = totals(summary([one], one, Verdict("degraded", [reason])))
    overhead = shown(view, "overhead", 50.0)
    assert overhead == Withheld("Withheld by negative_overhead: the clocks disagree", "negative_overhead")
    assert isinstance(shown(view, "latency", 50.0), Shown)


def test_a_percentile_among_the_calls_given_up_is_no_time_and_says_how_long_was_waited() -> None:
    figure = shown(totals(censored()), "latency_all", 99.0)
    assert isinstance(figure, Shown)
    assert (str(figure), figure.interval) == ("failed", "≥ 100\N{NO-BREAK SPACE}s")


def test_of_all_invocations_the_maximum_is_no_time_and_there_is_no_mean_when_some_failed() -> None:
    view = totals(censored())
    assert str(shown(view, "latency_all", "max")) == "failed"
    assert str(shown(view, "latency_all", "min")).endswith("ms")
    assert isinstance(shown(view, "latency_all", "mean"), Withheld)
    for statistic in ("min", "mean", "max"):
        assert str(shown(view, "latency", statistic)).endswith("ms")


def test_refusals_within_a_millisecond_make_no_percentile_fast() -> None:
    """Three of four are refused at once: the median is one of them, and so is everything above."""
    measured = metrics(500, failed=[900] * 1500)
    view = totals(summary([one := phase("p", 10, {"ok": 500, "throttled": 1500}, measured=measured)], one, VALID))
    assert [str(shown(view, "latency_all", p)) for p in (50.0, 99.0, "max")] == ["failed"] * 3
    assert str(shown(view, "latency", 50.0)).startswith("21.")
    everything = totals(summary([one := phase("p", 10, {"throttled": 50}, measured=metrics(0, [9] * 50))], one, VALID))
    assert [str(shown(everything, "latency_all", p)) for p in ("min", 50.0, "max")] == ["failed"] * 3


def test_a_metric_without_observations_has_no_figure() -> None:
    assert shown(totals(empty()), "latency", 50.0) == Withheld("latency: no invocation has one.", "none")
    assert isinstance(shown(totals(empty()), "no such metric", 50.0), Withheld)


def test_an_unlisted_percentile_is_not_made_up() -> None:
    assert isinstance(shown(totals(valid()), "latency", 97.3), Withheld)


def test_memory_is_a_size() -> None:
    view = View(phase("p", 10, {"ok": 100}, measured=metrics(100)), "p", Verdict("valid", []))
    assert str(shown(view, "memory_used", 50.0)).endswith("MiB")
