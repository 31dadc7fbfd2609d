"""What the live display says, in virtual time: golden lines at 80 and 120 columns."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import pytest

from loadgen.cli import drawing
from loadgen.cli.watched import Watched
from loadgen.experiments.capacity.block import Capacity
from loadgen.experiments.coldstarts.block import ColdStarts
from loadgen.experiments.decision import Ask
from loadgen.invocation.bill import PriceBook
from loadgen.load.budget import Budget
from loadgen.measure.cost import Spent
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.rule import parse
from loadgen.scenario.model import Scenario
from loadgen.text.units import Money
from tests.cli.displays import GRACE_NS, S, frame, scenario
from tests.frames import plan

BOOK = PriceBook("ours", "CNY", "2024-09", Decimal("1.33"), Decimal("0.00011108"))


def drawn(watched: Watched, now_ns: int, columns: int = 80) -> list[str]:
    """The lines of the display, with blanks of one kind."""
    lines = drawing.lines(watched.rows(now_ns), columns)
    return ["".join(text for text, _ in line).replace("\u00a0", " ").replace("\u202f", " ").rstrip() for line in lines]


def row(watched: Watched, label: str, now_ns: int) -> str | None:
    found = (each for each in watched.rows(now_ns) if each.label == label)
    return next((each.text.replace("\u00a0", " ").replace("\u202f", " ") for each in found), None)


def begun(of: Scenario, at_ns: int = 0, *, name: str = "steady", seconds: int = 30) -> tuple[Watched, PhaseTotal]:
    watched, total = Watched(of), PhaseTotal(name)
    watched.load_started(Spent(), bills=True, now_ns=at_ns)
    watched.asked(Ask(of.phases), at_ns)
    watched.phase_started(plan(name, drawn=6000, seconds=seconds), total, GRACE_NS, at_ns)
    return watched, total


def tell(watched: Watched, total: PhaseTotal, frames: Iterable[Frame]) -> None:
    for each in frames:
        total.add(each)
        watched.frame(each)
    watched.judge()


def test_a_load_is_shown_whole_at_80_columns() -> None:
    rules = ("latency.p50 < 250ms", "errors < 0.1%", "cold.latency.p99 < 1s")
    of = scenario(
        thresholds=tuple(map(parse, rules)),
        budget=Budget(10_000, 300 * S, Money(Decimal(5), "CNY")),
        prices=BOOK,
    )
    watched, total = begun(of)
    tell(
        watched, total, (frame(second, ok=200 + 10 * (second % 5), failed=3, flying=not second) for second in range(12))
    )
    assert drawn(watched, 12 * S) == [
        "run        ████░░░░░░░░░░░░░░░░ 20 %, 48 s left",
        "now        steady: 18 s left of 30 s",
        "rate       planned 213/s, achieved 213/s in the last second; 1 in flight",
        "last 10 s  p50 21.0 ms, p95 34.4 ms, p99 41.8 ms, max 49.6 ms",
        "so far     p50 21.0 ms, p95 34.4 ms, p99 41.8 ms, max 49.6 ms",
        "calls                        ▇▇▇██▇▇▇██▇▇ ended in each second, 243 at most",
        "outcomes   ok 2 610, throttled 36",
        "rules      1 met, 1 broken, 1 open",
        "broken     errors < 0.1% (1.4 %)",
        "used       2 648 of 10 000 invocations, 0 of 5 CNY, 12 s of 5 min",
    ]


def test_a_load_is_shown_whole_at_120_columns() -> None:
    of = scenario(thresholds=(parse("latency.p99 < 250ms"),))
    watched, total = begun(of)
    tell(watched, total, (frame(second, ok=2000) for second in range(28)))
    assert drawn(watched, 28 * S, 120) == [
        "run        █████████░░░░░░░░░░░ 46 %, 32 s left",
        "now        steady: 2 s left of 30 s",
        "rate       planned 2 000/s, achieved 2 000/s in the last second; 0 in flight",
        "last 10 s  p50 21.0 ms, p95 34.4 ms, p99 42.1 ms, max 59.7 ms",
        "so far     p50 21.0 ms, p95 34.4 ms, p99 42.1 ms, max 59.7 ms",
        "p99          ████████████████████████████ of each second, 42.1 ms at most",
        "outcomes   ok 56 000",
        "rules      1 met",
    ]


def cold_starts() -> Scenario:
    return scenario(kind="cold-starts", phases=(), cold_starts=ColdStarts(keep_alive_ns=None))


def test_a_silence_is_counted_down_with_what_it_is_for_and_what_is_known() -> None:
    watched = Watched(cold_starts())
    watched.load_started(Spent(), bills=False, now_ns=0)
    watched.asked(
        Ask((), idle_ns=61 * S, purpose="20 calls at once, turn 2 of 3", found="300 of 300 warm calls"), 120 * S
    )
    assert drawn(watched, 138 * S) == [
        "run        █░░░░░░░░░░░░░░░░░░░ 2 min 18 s passed; forecast: 12 min 42 s to",
        "           27 min 42 s more",
        "now        silence of 1 min 1 s, 43 s left, then 20 calls at once, turn 2 of 3",
        "by now     300 of 300 warm calls",
    ]
    assert watched.silent(138 * S)
    assert not watched.silent(181 * S)
    assert row(watched, "now", 181 * S) == "getting ready for 20 calls at once, turn 2 of 3"


def test_a_rate_of_an_experiment_stands_with_its_verdict_so_far() -> None:
    capacity = Capacity((parse("latency.p99 < 250ms"),))  # type: ignore[arg-type]
    watched = Watched(scenario(kind="capacity", phases=(), capacity=capacity))
    watched.load_started(Spent(), bills=False, now_ns=0)
    said = iter(["this rate is settling", "met at this rate so far"])
    known = "the rules are met at 80/s, not met at 140/s"
    watched.asked(Ask((), purpose="hold 105/s", found=known, standing=lambda: next(said)), 0)
    total = PhaseTotal("probe-04")
    watched.phase_started(plan("probe-04", seconds=40), total, GRACE_NS, 0)
    tell(watched, total, [frame(0, name="probe-04"), frame(1, name="probe-04")])
    assert row(watched, "now", 12 * S) == "probe-04, hold 105/s: 12 s, at most 28 s more"
    assert row(watched, "by now", 12 * S) == f"{known}; met at this rate so far"
    watched.phase_ended()
    assert row(watched, "now", 20 * S) == "deciding what comes next"


def test_calls_in_flight_at_the_end_of_a_phase_are_waited_for_until_their_grace_ends() -> None:
    watched, total = begun(scenario())
    tell(watched, total, [frame(0, flying=3)])
    assert row(watched, "now", 29 * S) == "steady: 1 s left of 30 s"
    assert row(watched, "now", 34 * S) == "steady: waiting for 3 calls, grace ends in 6 s"


def test_the_grace_of_a_phase_that_has_shown_enough_begins_there() -> None:
    watched, total = begun(scenario())
    tell(watched, total, [frame(0, flying=1)])
    watched.enough(5 * S)
    assert row(watched, "now", 6 * S) == "steady: waiting for 1 call, grace ends in 9 s"


def test_a_stopped_run_drains_and_counts_what_is_in_flight_down() -> None:
    watched, total = begun(scenario())
    tell(watched, total, [frame(0, flying=3)])
    watched.stopping(2 * S)
    assert watched.draining
    assert drawn(watched, 3 * S)[:2] == [
        "run        ending after 3 s",
        "now        draining 3: calls are in flight and awaited, 9 s at most",
    ]
    tell(watched, total, [ended(1, 2)])
    assert row(watched, "now", 4 * S) == "draining 1: one call is in flight and awaited, 8 s at most"
    tell(watched, total, [ended(2, 1)])
    assert row(watched, "now", 5 * S) == "ending: nothing is in flight"


def ended(second: int, calls: int) -> Frame:
    """A second in which calls ended that had started before."""
    each = frame(second, ok=calls)
    each.tally.planned = each.tally.started = 0
    return each


def test_a_run_that_is_stopped_in_silence_does_not_count_on() -> None:
    watched = Watched(cold_starts())
    watched.load_started(Spent(), bills=False, now_ns=0)
    watched.asked(Ask((), idle_ns=61 * S), 0)
    watched.stopping(5 * S)
    assert not watched.silent(6 * S)
    assert row(watched, "now", 6 * S) == "ending: nothing is in flight"


def test_the_time_left_is_that_of_all_phases_or_what_the_budget_leaves() -> None:
    watched, _ = begun(scenario(), name="warm-up")
    assert row(watched, "run", 15 * S) == "25 %, 45 s left"
    watched.phase_ended()
    assert row(watched, "run", 31 * S) == "50 %, 30 s left"
    short, _ = begun(scenario(budget=Budget(None, 40 * S)), name="warm-up")
    assert row(short, "run", 15 * S) == "37 %, 25 s left"


def test_how_far_an_experiment_is_is_said_by_its_forecast() -> None:
    watched = Watched(cold_starts())
    watched.load_started(Spent(), bills=False, now_ns=0)
    assert row(watched, "run", 60 * S) == "1 min passed; forecast: 14 min to 29 min more"
    assert row(watched, "run", 1000 * S) == "16 min 40 s passed; forecast: at most 13 min 20 s more"
    assert row(watched, "run", 10_000 * S) == "2 h 46 min 40 s passed, the forecast was at most 30 min"


def test_rules_are_counted_by_how_they_stand_and_the_broken_ones_named() -> None:
    rules = ("latency.p50 < 1ms", "errors < 10%", "warm.latency.p99 < 1s", "achieved_rate > 500/s")
    watched, total = begun(scenario(thresholds=tuple(map(parse, rules))))
    tell(watched, total, [frame(0, failed=3)])
    assert row(watched, "rules", S) == "1 met, 2 broken, 1 open"
    assert row(watched, "broken", S) == "latency.p50 < 1ms (21.1 ms); achieved_rate > 500/s (203/s)"


def test_rules_stay_as_they_stood_while_a_decision_may_be_at_work_on_the_totals() -> None:
    watched, total = begun(scenario(thresholds=(parse("errors < 1%"),)))
    tell(watched, total, [frame(0)])
    watched.phase_ended()
    total.tally.outcomes["throttled"] = 100
    watched.judge()
    assert row(watched, "rules", S) == "1 met"


def test_money_is_what_calls_told_with_the_pre_flight_and_more_where_some_did_not_tell() -> None:
    of = scenario(prices=BOOK, budget=Budget(None, None, Money(Decimal(5), "CNY")))
    watched, total = begun(of)
    each = frame(0, ok=100)
    each.tally.metered, each.tally.billed_ns = 100, {1024: 100 * S}
    tell(watched, total, [each])
    assert row(watched, "used", S) == "0.0112 of 5 CNY"
    later = frame(1, ok=100)
    later.tally.unmetered = 1
    tell(watched, total, [later])
    assert row(watched, "used", 2 * S) == "> 0.0112 of 5 CNY"


def test_a_percentile_that_its_sample_does_not_support_says_how_many_calls_it_takes() -> None:
    watched, total = begun(scenario())
    tell(watched, total, [frame(0, ok=100)])
    assert (
        row(watched, "last 10 s".replace(" s", "\u00a0s"), S) == "p50 20.9 ms, p95 n < 200, p99 n < 1 000, max 45.5 ms"
    )


def test_figures_of_the_last_seconds_forget_what_was_before_them() -> None:
    watched, total = begun(scenario())
    tell(watched, total, [frame(second, ok=10 if second else 500) for second in range(11)])
    assert "p95 n < 200" in (row(watched, "last 10\u00a0s", 11 * S) or "")
    assert "p95 34.4 ms" in (row(watched, "so far", 11 * S) or "")


@pytest.mark.parametrize("columns", range(40, 140, 7))
def test_no_line_of_the_whole_display_is_too_wide_and_no_number_is_broken(columns: int) -> None:
    of = scenario(
        thresholds=tuple(map(parse, ("latency.p50 < 1ms", "errors < 0.1%", "achieved_rate > 100/s"))),
        budget=Budget(10_000, 300 * S, Money(Decimal(5), "CNY")),
        prices=BOOK,
    )
    watched, total = begun(of)
    tell(watched, total, (frame(second, ok=1234, failed=3, flying=2) for second in range(12)))
    rows = list(watched.rows(12 * S))
    lines = ["".join(text for text, _ in line) for line in drawing.lines(rows, columns)]
    assert max(map(drawing.cells, lines)) <= columns
    words = {word for line in lines for word in line.split(" ")}
    assert {word for each in rows for word in each.text.split(" ")} <= words
