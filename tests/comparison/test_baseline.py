from __future__ import annotations

import json

import jsonschema
import pytest
from msgspec.structs import replace

from loadgen.comparison.alike import Load, load_of
from loadgen.comparison.baseline import faults, judged, remarks
from loadgen.comparison.comparison import intervals
from loadgen.comparison.pairs import of_rule
from loadgen.comparison.ratio import z_of
from loadgen.measure.rule import parse
from loadgen.measure.summary import Summary, ThresholdResult, encode, schema
from loadgen.measure.threshold import evaluate
from loadgen.report.junit import junit
from loadgen.report.markdown import markdown
from loadgen.report.screen import screen
from tests.comparison.runs import another, run, scenario, slower, totals


def gated(base: Summary, new: Summary, *texts: str) -> Summary:
    rules = [parse(text) for text in texts]
    new = replace(new, thresholds=evaluate(rules, new.phases, new.totals, new.verdict))
    return judged(run(base), run(new), rules)


def gate(base: Summary, new: Summary, *texts: str) -> list[ThresholdResult]:
    return gated(base, new, *texts).thresholds


def failing(summary: Summary, failed: int) -> Summary:
    n = summary.totals.planned
    return totals(summary, outcomes={"ok": n - failed, "throttled": failed})


@pytest.mark.parametrize(
    ("by", "limit", "passed"),
    [
        (1.0, "110%", True),
        (1.12, "113%", True),  # the whole interval is below, however near
        (1.12, "112%", None),
        (1.12, "111%", None),  # beyond it, but two runs whose level varies by 2 % could show that
        (1.12, "105%", False),
        (0.8, "90%", True),
        (1.0, "90%", False),
    ],
)
def test_a_rule_is_met_or_broken_where_the_whole_interval_of_the_ratio_is_on_one_side(
    by: float, limit: str, passed: bool | None
) -> None:
    (result,) = gate(slower(1), slower(by), f"latency.p50 < {limit} of baseline")
    assert result.passed is passed
    assert result.value == pytest.approx(by, rel=0.002)


def test_few_calls_leave_a_rule_undecided_that_many_decide() -> None:
    rule = "latency.p95 < 104% of baseline"
    few, many = gate(slower(1, 1_000), slower(1, 1_000), rule), gate(slower(1), slower(1), rule)
    assert (few[0].passed, many[0].passed) == (None, True)
    assert "more calls" in few[0].why


def test_the_interval_is_that_of_compare_for_so_many_rules() -> None:
    texts = ["latency.p95 < 110% of baseline", "latency.p50 < 110% of baseline"]
    (first, _), (alone,) = gate(slower(1), slower(1.05), *texts), gate(slower(1), slower(1.05), texts[0])
    rule = parse(texts[0])
    pair = of_rule(run(slower(1)), run(slower(1.05)), rule)  # type: ignore[arg-type]
    assert pair is not None
    for result, z in ((first, z_of(2)), (alone, z_of(1))):
        assert result.against is not None
        assert (result.against.low, result.against.high) == intervals(pair, z).seen[1:]
    assert first.against != alone.against  # of two both have to hold


def test_figures_of_both_runs_and_the_id_of_the_baseline_are_kept() -> None:
    base, new = another(slower(1), "the-base"), slower(1.12)
    summary = gated(base, new, "latency.p95 < 105% of baseline")
    (result,) = summary.thresholds
    assert result.against is not None
    assert result.against.run == "the-base"
    p95 = {which: next(p.value for p in s.totals.metrics["latency"].percentiles if p.p == 95) for which, s in
           (("base", base), ("new", new))}  # fmt: skip
    assert (result.against.base, result.against.new) == (p95["base"], p95["new"])
    assert summary.outcome == "failed"
    assert "latency.p95 < 105% of baseline" in summary.answer
    jsonschema.validate(json.loads(encode(summary)), schema())


@pytest.mark.parametrize("written", [screen, markdown, junit])
def test_every_report_shows_the_ratio_with_its_interval(written: object) -> None:
    summary = gated(slower(1), slower(1.12), "latency.p95 < 105% of baseline")
    text = written(summary)  # type: ignore[operator]
    assert "112\N{NO-BREAK SPACE}% (111–113\N{NO-BREAK SPACE}%)" in text.replace("\N{NARROW NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("before", "after", "limit", "passed"),
    [
        (0, 0, "110%", True),
        (0, 50, "110%", True),  # a difference of less than a thousandth of the calls is none
        (0, 5_000, "110%", False),
        (1_000, 5_000, "200%", False),
        (1_000, 1_000, "150%", True),
        (1_000, 1_000, "101%", True),  # within a thousandth, as well
        (1_000, 990, "50%", False),
        (2_000, 2_200, "105%", None),
    ],
)
def test_errors_are_judged_as_shares_with_what_is_no_difference(
    before: int, after: int, limit: str, passed: bool | None
) -> None:
    base, new = failing(slower(1), before), failing(slower(1), after)
    (result,) = gate(base, new, f"errors < {limit} of baseline")
    assert result.passed is passed


def test_a_rate_is_to_be_above_a_share_of_that_of_the_baseline() -> None:
    new = totals(slower(1), achieved_rate=slower(1).totals.achieved_rate * 0.9)
    low, high = gate(slower(1), new, "achieved_rate > 80% of baseline", "achieved_rate > 95% of baseline")
    assert (low.passed, high.passed) == (True, False)


def test_a_figure_among_failed_calls_is_longer_than_any_of_the_baseline() -> None:
    new = slower(1)
    ranked = new.totals.metrics["latency_all"]
    moved = [replace(p, failed=True, high_failed=True) if p.p >= 99 else p for p in ranked.percentiles]
    metrics = {**new.totals.metrics, "latency_all": replace(ranked, percentiles=moved, failed=2_000)}
    new = totals(failing(new, 2_000), metrics=metrics)
    (result,) = gate(slower(1), new, "latency.p99 < 500% of baseline")
    assert (result.passed, result.value) == (False, None)
    assert "not ok" in result.why
    assert "failed" in screen(gated(slower(1), new, "latency.p99 < 500% of baseline", "errors < 1%"))


def test_runs_that_turn_out_not_to_be_comparable_leave_the_rule_undecided() -> None:
    base = scenario(slower(1), target={"connections": "fresh"})
    (result,) = gate(base, slower(1), "latency.p50 < 110% of baseline")
    assert result.passed is None
    assert "connections" in result.why


def test_what_stands_against_a_baseline_is_known_before_the_load() -> None:
    base = slower(1)
    rules = [parse("latency.p98 < 110% of baseline"), parse("latency.p99 < 110% of baseline")]
    alike = load_of(base)
    to_come = Load(alike.kind, alike.scenario, dict.fromkeys(alike.phases))
    (fault,) = faults(base, to_come, rules)
    assert fault.startswith("latency.p98 < 110% of baseline: ")
    assert "p98" in fault.partition(": ")[2]
    other = Load("load", {**alike.scenario, "target": {"connections": "fresh"}}, to_come.phases)
    (fault,) = faults(base, other, rules)
    assert "connections" in fault
    (fault,) = faults(base, Load("memory", alike.scenario, {}), rules)
    assert "kind differs" in fault
    assert "phase" in faults(base, Load("load", alike.scenario, {"another": None}), rules)[0]


def test_a_baseline_that_ended_early_is_remarked_on() -> None:
    base = slower(1)
    cut = replace(base, run=replace(base.run, interrupted=True, partial=True, stopped="budget.duration: over"))
    assert list(remarks(base)) == []
    assert [remark.split()[-1] for remark in remarks(cut)] == ["short", "interrupted", "over"]
