from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from loadgen.experiments.coldstarts.findings import (
    ColdStartsResult,
    GapProbe,
    KeepAlive,
    Means,
    PoolCheck,
    Population,
    Spread,
)
from loadgen.invocation.start import Cuts
from loadgen.measure.figure import Figure
from loadgen.measure.labelling import Labelling
from loadgen.measure.summary import Reason, Summary, Verdict, decode, encode
from loadgen.report.html import html
from loadgen.report.markdown import markdown
from loadgen.report.terminal import terminal
from loadgen.report.timeline import timeline
from tests.report.builders import intervals, valid

MS = 1_000_000
S = 1_000 * MS
TOLD = Labelling("again-4", 612, None, Cuts(60 * MS, 90 * MS), 12.0, 1.0, 1.0, [380 * MS])

RENDERERS: list[Callable[[Summary], str]] = [
    terminal,
    markdown,
    lambda summary: html(summary, timeline(intervals(summary))),
]


def population(count: int, median_ms: float) -> Population:
    median = Figure(median_ms * MS, median_ms * MS * 0.9, median_ms * MS * 1.1)
    spread = Spread(count, round(median_ms * MS), median, None, None, round(9 * median_ms * MS))
    return Population(count, dict.fromkeys(("latency", "service_time", "overhead", "duration"), spread))


def result(**changes: object) -> ColdStartsResult:
    made = ColdStartsResult(
        version=1,
        complete=True,
        evidence={"mixture": 612},
        labelling=TOLD,
        means=[Means("burst", 4, 80, 76, 3, 1, 0, 2, Figure(0.96, 0.9, 0.99), population(76, 400))],
        cold=population(80, 400),
        warm=population(520, 20),
        penalty_ns=Figure(380 * MS, 360 * MS, 400 * MS),
        billed_penalty_ns=Figure(0.2 * MS, -1 * MS, 1.4 * MS),
        penalty_cost=Figure(0.01, -0.05, 0.08),
        cost_unit="CNY",
        keep_alive=KeepAlive("fixed", "all agree", 60 * S, 59 * S, 61 * S, {}, [GapProbe(59 * S, False)]),
        pool=PoolCheck(78, 84, 80, 0, 59 * S, 61 * S),
        notes=["Someone else calls the function."],
    )
    return replace(made, **changes)


def summary(experiment: ColdStartsResult) -> Summary:
    return decode(encode(replace(valid(), experiment=experiment)))


def said(experiment: ColdStartsResult) -> str:
    """What the terminal says, as one line without no-break spaces."""
    return " ".join(terminal(summary(experiment), width=200).replace("\u00a0", " ").split())


@pytest.mark.parametrize("render", RENDERERS)
def test_every_report_has_the_answer_the_means_and_the_keep_alive_time(render: Callable[[Summary], str]) -> None:
    text = render(summary(result()))
    for title in ("Cold and warm starts", "How cold starts were brought about", "Keep-alive time of an idle instance"):
        assert title in text


def test_the_penalty_comes_with_its_interval_and_a_difference_that_may_be_none_says_so() -> None:
    text = said(result())
    assert "A cold start costs 380 ms (360 ms – 400 ms) of service time, comparing medians." in text
    assert "It is billed no differently (-1.0 to +1.4 ms)" in text


def test_a_percentile_of_too_few_calls_is_withheld_with_the_number_that_it_needs() -> None:
    assert "n < 200" in said(result())


def test_what_was_told_by_what_and_what_the_trace_allows_is_said() -> None:
    text = said(result())
    assert "Told apart: 612 by its overhead." in text
    assert "80 cold starts were seen; with this keep-alive time this traffic alone has 78 to 84." in text
    assert "Someone else calls the function." in text


def test_a_run_cut_short_says_so_first() -> None:
    assert "The run ended early: this is what was known by then." in said(result(complete=False))


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (KeepAlive("longer", "none ended it", None, 120 * S, None, {}, []), "> 120 s"),
        (KeepAlive("shorter", "all ended it", None, None, 10 * S, {}, []), "≤ 10.0 s"),
        (KeepAlive("unknown", "no labels", None, None, None, {}, []), "no labels"),
        (KeepAlive("random", "it varies", 60 * S, 50 * S, None, {"5": 40 * S}, []), "60.0 s (at least 50.0 s)"),
    ],
)
def test_a_keep_alive_time_that_is_only_bounded_is_shown_as_a_bound(found: KeepAlive, text: str) -> None:
    assert text in said(result(keep_alive=found))


def test_what_cold_starts_cost_is_said_where_it_is_not_nothing() -> None:
    assert "a million cold starts" not in said(result())
    dearer = result(penalty_cost=Figure(1.234, 1.1, 1.4))
    assert "So a million cold starts cost 1.23 CNY (1.10–1.40) more than warm ones." in said(dearer)


def test_figures_of_a_label_that_holds_too_many_of_the_other_kind_are_not_shown() -> None:
    reason = Reason("mixed_starts", "withheld", "of 80 about 5% are warm", 0.05, 0.01, None, "cold")
    mixed = replace(summary(result()), verdict=Verdict("degraded", [reason]))
    text = terminal(mixed, width=200).replace("\u00a0", " ")
    assert "400 ms" not in text
    assert "20.0 ms" in text
    assert "A cold start costs" not in text
    assert "Figures of cold starts, and what compares them, are withheld" in text


def test_reasons_that_many_phases_of_an_experiment_share_are_said_once() -> None:
    busy = [Reason("cores_busy", "warning", "A core was busy.", 0.0, 0.05, f"warm-{n}") for n in (1, 2, 3)]
    made = replace(summary(result()), verdict=Verdict("degraded", busy))
    made = replace(made, run=replace(made.run, kind="cold-starts"))
    text = terminal(made, width=200)
    assert text.count("A core was busy.") == 1
    assert "cores_busy: phase warm-1 and 2 more: A core was busy." in text
