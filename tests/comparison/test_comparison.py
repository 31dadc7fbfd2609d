from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from loadgen.comparison.compare import compare
from loadgen.comparison.comparison import BETTER, SAME, UNCLEAR, WORSE, Comparison, Pair, Place, Row, applies, decided
from loadgen.comparison.ratio import Estimate, Share
from loadgen.comparison.text import terminal, worst_first
from loadgen.measure.summary import CallSummary, Reason, Summary, Verdict
from tests.comparison.runs import another, run, scenario, slower, totals
from tests.report import builders

PLACE = Place("totals", None, None, "latency", "p95")


def one(base: Estimate | Share, new: Estimate | Share, noise: float = 0.05, **more: Any) -> Row:
    """A comparison of one figure."""
    (row,), _ = decided([Pair(PLACE, base.value, new.value, (base, new), **more)], noise)  # type: ignore[arg-type]
    return row


def between(base: Summary, new: Summary) -> Comparison:
    (found,) = compare(run(base, "base"), [run(new, "new")], 0.05)
    return found


def row(found: Comparison, metric: str, statistic: str, start: str | None = None) -> Row:
    return next(r for r in found.rows if (r.metric, r.statistic, r.start, r.call) == (metric, statistic, start, None))


EXACT = Estimate(100, 100, 100)


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        (Estimate(103, 102, 104.9), SAME),
        (Estimate(103, 101, 106), UNCLEAR),  # the interval is partly outside the noise
        (Estimate(112, 108, 116), WORSE),
        (Estimate(112, 99, 130), UNCLEAR),  # the interval contains 1
        (Estimate(90, 88, 92), BETTER),
        (Estimate(96, 95.5, 96.5), SAME),
    ],
)
def test_a_row_is_decided_by_its_interval_and_the_noise(new: Estimate, verdict: str) -> None:
    assert one(EXACT, new).verdict == verdict


def test_swapping_base_and_new_swaps_better_and_worse() -> None:
    assert one(Estimate(112, 108, 116), EXACT).verdict == BETTER
    assert one(Estimate(104.9, 104.9, 104.9), EXACT).verdict == SAME


def test_more_is_better_of_a_rate() -> None:
    assert one(EXACT, Estimate(112, 110, 114), more_is=BETTER).verdict == BETTER


def test_a_difference_that_two_runs_of_one_function_could_show_is_claimed_by_no_two_runs() -> None:
    new = Estimate(106, 105.9, 106.1)
    assert one(EXACT, new).verdict == UNCLEAR
    assert one(EXACT, new, assumed=False).verdict == WORSE
    assert one(EXACT, Estimate(107, 106.9, 107.1)).verdict == WORSE


def test_what_more_runs_would_tell_is_said() -> None:
    found = between(slower(1), slower(1.06))
    assert row(found, "latency", "p50").verdict == UNCLEAR
    assert any("latency.p50" in note and "three or more NEW runs" in note for note in found.notes)
    assert not any("three or more NEW runs" in note for note in between(slower(1), slower(1)).notes)


def test_how_runs_were_seen_to_differ_makes_the_interval_wider() -> None:
    new = Estimate(112, 108, 116)
    assert one(EXACT, new, run=0.2).verdict == UNCLEAR
    assert (one(EXACT, new, run=0.2).low or 0) < 0.92


def test_more_rows_make_intervals_wider() -> None:
    pair = Pair(PLACE, 100, 112, (EXACT, Estimate(112, 108, 116)))
    few, many = (decided([pair] * n, 0.05).rows[0] for n in (1, 30))
    assert few.low == pytest.approx(1.08)
    assert (many.low or 0) < 1.08
    assert (many.high or 0) > 1.16


@pytest.mark.parametrize(
    ("base", "new", "verdict"),
    [
        (Share(0, 20_000), Share(0, 20_000), SAME),
        (Share(0, 500), Share(0, 500), UNCLEAR),
        (Share(0, 5_000), Share(50, 5_000), WORSE),
        (Share(50, 5_000), Share(0, 5_000), BETTER),
        (Share(0, 1_000_000), Share(100, 1_000_000), SAME),  # a hundredth of a percent of the calls
        (Share(250, 5_000), Share(260, 5_000), UNCLEAR),
    ],
)
def test_a_share_of_failures_is_decided_by_its_interval_and_the_noise(base: Share, new: Share, verdict: str) -> None:
    assert one(base, new).verdict == verdict


def test_a_share_that_was_0_has_no_ratio_and_a_limit_all_the_same() -> None:
    found = one(Share(0, 5_000), Share(50, 5_000))
    assert (found.ratio, found.high) == (None, None)
    assert found.low is not None
    assert found.low > 1


def test_a_run_compared_with_itself_is_the_same_in_every_row() -> None:
    found = between(slower(1), slower(1))
    assert {row.verdict for row in found.rows} == {SAME}
    assert "SAME: all" in terminal(found, 0.05)


def test_what_takes_longer_is_worse_in_every_time_and_nothing_else() -> None:
    found = between(slower(1), slower(1.1))
    verdicts = {(row.metric, row.statistic): row.verdict for row in found.rows}
    assert {verdict for (metric, _), verdict in verdicts.items() if metric != "failures"} == {WORSE, SAME}
    assert all(verdicts[metric, "p95"] == WORSE for metric in ("latency", "service_time", "duration"))
    assert verdicts["achieved_rate", "rate"] == SAME


def test_latency_is_over_all_calls_where_some_failed() -> None:
    found = between(builders.valid(), builders.valid())
    assert {row.metric for row in found.rows} >= {"latency", "service_time", "duration", "cost", "failures"}
    outcomes = {"ok": 99_000, "error": 1_000}
    failing = totals(slower(1), outcomes=outcomes)
    assert row(between(failing, failing), "latency_all", "p50")


Change = Callable[[Summary], Summary]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: replace(s, run=replace(s.run, kind="capacity")), "the kind differs"),
        (lambda s: scenario(s, phases=[{"name": "steady", "rate": "20/s"}]), "rate of phase steady differs"),
        (lambda s: scenario(s, phases=[{"name": "steady", "workers": 3}]), "workers of phase steady differs"),
        (lambda s: scenario(s, target={**s.scenario["target"], "connections": "fresh"}), "connections differs"),
        (lambda s: scenario(s, calls=[{"name": "pay"}]), "calls of the mix differ"),
        (lambda s: replace(s, phases=[]), "phase steady is in base alone"),
    ],
)
def test_runs_of_another_load_are_not_comparable_and_it_is_said_what_differs(change: Change, said: str) -> None:
    base = scenario(slower(1, 1000), phases=[{"name": "steady", "rate": "10/s", "duration": "100s"}])
    found = between(base, change(base))
    assert not found.comparable
    assert found.rows == []
    assert any(said in note for note in found.notes)
    assert "NOT COMPARABLE" in terminal(found, 0.05)


def test_the_same_load_in_other_words_is_comparable() -> None:
    base = scenario(slower(1, 1000), phases=[{"name": "steady", "rate": "1/s", "duration": "60s"}])
    new = scenario(base, phases=[{"name": "steady", "rate": "60/min", "duration": "1m", "arrivals": "constant"}])
    assert between(base, new).comparable


def test_a_load_that_no_scenario_tells_is_told_by_what_became_of_it() -> None:
    base = scenario(slower(1, 1000), phases=None)
    other = replace(base, phases=[replace(base.phases[0], planned_rate=20.0, planned=2000)])
    assert "planned rate" in between(base, other).notes[0]
    assert between(base, base).comparable


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: scenario(s, target={**s.scenario["target"], "function": "b"}), "target.function differs: "),
        (
            lambda s: scenario(s, target={**s.scenario["target"], "memory": "1024MB"}),
            "target.memory differs: not given",
        ),
        (lambda s: scenario(s, checks=["status == 200"]), 'checks differs: not given and ["status == 200"]'),
        (lambda s: replace(s, run=replace(s.run, version="0.2.0")), "version of loadgen differs: 0.1.0 and 0.2.0"),
        (
            lambda s: replace(s, environment=replace(s.environment, cpu_model="X")),
            "cpu_model differs: Example CPU and X",
        ),
        (
            lambda s: replace(s, environment=replace(s.environment, build="compiled")),
            "build differs: pure and compiled",
        ),
        (lambda s: replace(s, run=replace(s.run, interrupted=True)), "new was interrupted"),
        (lambda s: replace(s, run=replace(s.run, partial=True)), "new is partial: the run was cut short"),
    ],
)
def test_what_else_differs_is_noted(change: Change, said: str) -> None:
    base = slower(1, 1000)
    found = between(base, change(base))
    assert found.comparable
    assert any(note.startswith(said) for note in found.notes), found.notes


def test_ranges_and_what_is_withheld_are_unclear_with_a_note() -> None:
    found = between(builders.valid(), builders.ranged())
    assert not found.comparable  # its phases are others
    ranged = replace(builders.ranged(), phases=builders.valid().phases)
    found = between(builders.valid(), ranged)
    p99 = row(found, "latency_all", "p99")
    assert (p99.verdict, p99.new, p99.low) == (UNCLEAR, None, None)
    assert any("latency_all.p99" in note and "the load generator may have moved it" in note for note in found.notes)


def test_rows_of_which_nothing_is_known_are_counted_and_named_with_the_reason() -> None:
    found = between(slower(1, 500), slower(1, 500))
    shown = terminal(found, 0.05)
    assert "(3 more without an interval: see below)" in shown
    assert "latency.p99, service_time.p99, duration.p99: in both runs: p99 needs about" in " ".join(shown.split())


def test_of_an_invalid_run_nothing_is_decided_and_no_row_is_left_out() -> None:
    reason = Reason("rate_missed", "invalid", "half of the calls were never made", None, None, None, "all")
    bad = replace(slower(1), verdict=Verdict("invalid", [reason]))
    found = between(slower(1), bad)
    assert {row.verdict for row in found.rows} == {UNCLEAR}
    assert len(found.rows) == len(between(slower(1), slower(1)).rows)
    assert any("half of the calls were never made" in note for note in found.notes)


def test_a_run_without_any_ok_call_is_worse_in_its_failures_and_unclear_in_its_times() -> None:
    none = totals(
        slower(1, 1000), outcomes={"connection": 1000}, metrics={}, disturbed={}, planned=1000, achieved_rate=10.0
    )
    found = between(slower(1, 1000), none)
    assert row(found, "failures", "share").verdict == WORSE
    assert row(found, "latency_all", "p50").verdict == UNCLEAR


def test_one_call_decides_nothing() -> None:
    found = between(slower(1, 1), slower(1, 1))
    assert {row.verdict for row in found.rows if row.metric != "achieved_rate"} == {UNCLEAR}


def test_three_new_runs_say_how_much_runs_differ_and_two_do_not() -> None:
    base = run(slower(1))
    apart = [run(another(slower(by), str(by))) for by in (1.0, 1.1, 1.2)]
    verdicts = [next(r.verdict for r in each.rows if r.statistic == "p95") for each in compare(base, apart, 0.05)]
    assert verdicts == [UNCLEAR] * 3
    near = [run(another(slower(by), str(by))) for by in (1.1, 1.101, 1.102)]
    found = compare(base, near, 0.05)
    assert [next(r.verdict for r in each.rows if r.statistic == "p95") for each in found] == [WORSE] * 3
    assert any("3 runs of the new scenario" in note for note in found[0].notes)
    two = compare(base, apart[:2], 0.05)
    assert [next(r.verdict for r in each.rows if r.statistic == "p95") for each in two] == [SAME, WORSE]


def test_one_run_given_three_times_is_no_repeat() -> None:
    base, new = run(slower(1)), run(slower(1.054))
    assert [next(r.verdict for r in each.rows if r.statistic == "p95") for each in compare(base, [new] * 3, 0.05)] == [
        UNCLEAR
    ] * 3


def test_a_call_that_only_one_run_tells_of_is_a_row_with_a_note() -> None:
    base = slower(1, 1000)
    part = {name: getattr(base.totals, name) for name in CallSummary.__struct_fields__}
    found = between(totals(base, by_call={"pay": CallSummary(**part)}), base)
    (row,) = [row for row in found.rows if row.call == "pay"]
    assert row.verdict == UNCLEAR
    assert any("only base tells of this call" in note for note in found.notes)


def test_each_call_of_a_mix_has_rows_of_its_own() -> None:
    base, new = slower(1), slower(1.2)
    runs = []
    for summary in (base, new):
        part = {name: getattr(summary.totals, name) for name in CallSummary.__struct_fields__}
        runs.append(totals(slower(1), by_call={"pay": CallSummary(**part)}))
    rows = [row for row in between(*runs).rows if row.metric == "latency" and row.statistic == "p95"]
    assert {row.call: row.verdict for row in rows} == {None: SAME, "pay": WORSE}


def test_cold_and_warm_starts_have_rows_where_they_are_labelled() -> None:
    base, new = (totals(slower(1), by_start={"warm": slower(by).totals.metrics}) for by in (1, 1.2))
    found = between(base, new)
    assert row(found, "latency", "p95").verdict == SAME
    assert row(found, "latency", "p95", "warm").verdict == WORSE


def test_each_measured_phase_has_rows_where_there_are_several() -> None:
    one = slower(1, 1000)
    phases = [replace(one.phases[0], name=name, warmup=name == "first") for name in ("first", "low", "high")]
    found = between(replace(one, phases=phases), replace(one, phases=phases))
    assert {row.phase for row in found.rows} == {"low", "high"}


def test_unclear_rows_count_where_unclear_is_not_wanted_and_worse_ones_always() -> None:
    unclear, worse = between(slower(1, 100), slower(1, 100)), between(slower(1), slower(1.2))
    same = between(slower(1), slower(1))
    assert [applies("worse", [each]) for each in (same, unclear, worse)] == [False, False, True]
    assert [applies("unclear", [each]) for each in (same, unclear, worse)] == [False, True, True]
    assert not applies(None, [worse])


def test_the_worst_rows_come_first_and_the_answer_before_them() -> None:
    found = between(slower(1), slower(1.12))
    shown = terminal(found, 0.05)
    answer = shown.splitlines()[2]
    assert answer.startswith("WORSE: ")
    assert "+12\N{NO-BREAK SPACE}% (" in answer
    verdicts = [row.verdict for row in worst_first(found.rows)]
    assert verdicts == sorted(verdicts, key=[WORSE, UNCLEAR, BETTER, SAME].index)


@pytest.mark.parametrize("width", [80, 40])
def test_no_line_is_longer_than_the_terminal_whatever_the_names(width: int) -> None:
    long = replace(slower(1, 1000), run=replace(slower(1, 1000).run, name="n" * 10_000 + "\x1b[31m"))
    found = between(long, scenario(long, tags={"a": "x" * 10_000}))
    shown = terminal(found, 0.05, width=width)
    assert max(map(len, shown.splitlines())) <= width
    assert "\x1b" not in shown
