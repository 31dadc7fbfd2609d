"""The answer stands first in every report, is the same in all of them, and follows from how the rules ended."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from loadgen.measure.summary import Ends, Summary, ThresholdResult
from loadgen.report.answer import answer, head, next_step, outcome
from loadgen.report.html import html
from loadgen.report.markdown import markdown
from loadgen.report.screen import screen
from loadgen.report.terminal import terminal
from loadgen.report.timeline import timeline
from tests.measure.test_calls import summed
from tests.report.builders import censored, degraded, empty, invalid, metrics, phase, ranged, valid

Build = Callable[[], Summary]
HELD = ThresholdResult("latency.p99 < 250ms", 44_100_000, True, "below the limit", "value")
BROKEN = ThresholdResult("latency.p99 < 40ms", 44_100_000, False, "not below the limit", "value")
OPEN = ThresholdResult("latency.p99.9 < 1s", None, None, "too few samples")


def judged(*results: ThresholdResult) -> Summary:
    return replace(valid(), thresholds=list(results))


def plain(text: str) -> str:
    return " ".join(text.replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.mark.parametrize(
    ("results", "ended", "word"),
    [
        ((HELD,), "passed", "PASSED"),
        ((HELD, OPEN), "undecided", "UNDECIDED"),
        ((HELD, OPEN, BROKEN), "failed", "FAILED"),
        ((), None, "MEASURED"),
    ],
)
def test_one_broken_rule_fails_a_run_and_one_open_rule_leaves_it_undecided(
    results: tuple[ThresholdResult, ...], ended: str | None, word: str
) -> None:
    found = judged(*results)
    assert (outcome(found), head(found).word) == (ended, word)


def test_a_broken_rule_is_said_with_its_figure_its_interval_and_by_how_much() -> None:
    said = plain(answer(judged(HELD, BROKEN)))
    assert said.startswith("1 of 2 rules is broken: latency.p99 < 40ms, 44.1 ms, ")
    assert said.endswith("over.")


def test_rules_that_hold_are_said_with_the_one_nearest_to_its_limit() -> None:
    nearer = ThresholdResult("latency.p50 < 22ms", 21_000_000, True, "below the limit", "value")
    assert "the nearest to its limit is latency.p50 < 22ms with 21.0 ms" in plain(answer(judged(HELD, nearer)))


def test_what_is_broken_comes_before_what_is_open_and_that_before_what_holds() -> None:
    assert [each.passed for each in head(judged(HELD, OPEN, BROKEN)).judged] == [False, None, True]


def test_without_rules_the_answer_is_what_was_measured() -> None:
    said = plain(answer(judged()))
    assert said.startswith("Latency p50 21.")
    assert "at 200/s" in said


def test_a_rule_with_too_few_calls_says_how_many_more_it_takes() -> None:
    few = phase("steady", 10, {"ok": 500}, measured=metrics(500))
    found = replace(judged(ThresholdResult("latency.p99 < 1s", None, None, "too few")), phases=[few], totals=few)
    assert "500 more calls" in plain(next_step(found))
    assert next_step(judged(HELD)) == ""


def test_a_rule_about_one_call_of_a_mix_needs_more_calls_of_that_one() -> None:
    steady = replace(summed({"browse": {"ok": [1000] * 3000}, "pay": {"ok": [90_000] * 30}}), name="steady")
    rule = ThresholdResult("steady:pay/latency.p99 < 1s", None, None, "too few")
    found = replace(judged(rule), phases=[steady], totals=replace(steady, name="totals"))
    assert plain(next_step(found)).startswith("p99 of pay latency_all needs 970 more pay calls, ")


def test_a_rule_that_is_decided_by_all_that_a_figure_may_be_says_what_that_is() -> None:
    why = "too few samples: p99 needs 1000 samples and has 400; all that it may be, from 504 to 507 ms, is not below it"
    assert "from 504 to 507 ms" in answer(judged(ThresholdResult("latency.p99 < 100ms", None, False, why, "bounds")))


def test_a_rule_about_windows_is_not_explained_by_figures_of_the_whole_run() -> None:
    windowed = ThresholdResult("latency.p99 < 1s over 10s", None, None, "every window has too few calls")
    few = phase("steady", 10, {"ok": 500}, measured=metrics(500))
    found = replace(judged(windowed), phases=[few], totals=few)
    assert next_step(found) == ""
    assert "every window has too few calls" in answer(found)


def test_a_run_that_the_generator_disturbed_names_the_figures_that_are_ranges() -> None:
    found = head(ranged())
    assert not found.measured_well
    assert "latency.p99" in found.quality
    assert head(valid()).measured_well


def test_nothing_is_said_to_be_the_generators_only_where_no_figure_is_a_range() -> None:
    found = valid()
    latency = replace(found.totals.metrics["latency"], ends={"min": Ends(1_000_000, 9_000_000)})
    left_open = replace(found, totals=replace(found.totals, metrics={**found.totals.metrics, "latency": latency}))
    assert head(left_open).measured_well
    assert "figures of a few calls alone" in head(left_open).quality
    assert "nothing of the load generator's" in head(found).quality


@pytest.mark.parametrize("build", [valid, degraded, censored, ranged, invalid, empty], ids=lambda each: each.__name__)
def test_the_first_lines_of_every_report_hold_the_word_and_the_answer(build: Build) -> None:
    built = build()
    found = head(built)
    page = html(built, timeline([])).partition("<h1>")[2]
    for text in (terminal(built, width=200), screen(built, width=200), markdown(built), page):
        begun = plain("\n".join(text.splitlines()[:8]).replace("\\", ""))
        assert found.word in begun
        assert plain(found.answer)[:20] in begun.replace("&lt;", "<").replace("&gt;", ">")
