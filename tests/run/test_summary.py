from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from loadgen.engine.environment import environment
from loadgen.measure.cost import Spent
from loadgen.measure.floor import SCHEMA, Floor, Quantiles
from loadgen.measure.rule import parse
from loadgen.measure.summary import Run
from loadgen.run.play import Played
from loadgen.run.summary import Record, Terms, charged, summary, verdict_on
from loadgen.scenario.prices import load_price_book
from tests.frames import clean, frame, plan, total
from tests.scenarios import function, open_phase, scenario

MACHINE = environment(agents=1, scenario_sha256="0" * 64, synthetic=True)
QUANTILES = Quantiles(1000, 1_000_000, 2_000_000, None)
FLOOR = Floor(SCHEMA, "2026-11-22T03:15:00Z", MACHINE, 1000, QUANTILES, QUANTILES, QUANTILES)
RUN = Run("id", "test", "load", "2026-11-22T03:15:00.000Z", "2026-11-22T03:16:00.000Z", False, "0")


def record(played: Sequence[Played], **changes: Any) -> Record:
    asked = changes.pop("scenario", scenario(function("http://127.0.0.1:9"), open_phase(100, 10)))
    terms = Terms.of(asked, {"name": "test"}, {"call": None})
    own = {name: changes.pop(name) for name in ("bills", "asked_mb") if name in changes}
    arguments: dict[str, Any] = {
        "terms": msgspec.structs.replace(terms, **own),
        "machine": MACHINE,
        "preflights": (),
        "played": tuple(played),
        "experiment": None,
        "first": Spent(),
        "floor": None,
        **changes,
    }
    return Record(**arguments)


def steady(drawn: int = 1000) -> Played:
    return Played(plan(drawn=drawn), total(clean()))


def test_a_summary_is_made_of_what_was_played_and_nothing_else() -> None:
    of = record([Played(plan("warm", warmup=True, drawn=1), total(frame({"ok": [9]}, phase="warm"))), steady()])
    made = summary(of, RUN, verdict_on(of, stopped=False), charged(of))
    assert (made.run, made.scenario, made.environment) == (RUN, {"name": "test"}, MACHINE)
    assert [phase.name for phase in made.phases] == ["warm", "steady"]
    assert made.totals.planned == 1000
    assert made.verdict.status == "valid"


def test_a_rule_that_holds_until_a_run_is_interrupted_is_undecided_and_a_broken_one_is_broken() -> None:
    asked = record([steady()])
    rules = tuple(map(parse, ("errors < 1%", "latency.p50 < 1us")))
    of = msgspec.structs.replace(asked, terms=msgspec.structs.replace(asked.terms, rules=rules))
    whole = summary(of, RUN, verdict_on(of, stopped=False), charged(of))
    assert [each.passed for each in whole.thresholds] == [True, False]
    part = summary(of, msgspec.structs.replace(RUN, interrupted=True), verdict_on(of, stopped=True), charged(of))
    assert [each.passed for each in part.thresholds] == [None, False]
    assert "the run was interrupted; over what it left the rule holds" in part.thresholds[0].why


def test_a_run_of_which_nothing_was_played_has_a_summary() -> None:
    of = record([])
    made = summary(of, RUN, verdict_on(of, stopped=True), charged(of))
    assert (made.phases, made.totals.planned) == ([], 0)


def test_a_schedule_that_was_cut_short_is_no_fault_of_a_run_that_was_stopped() -> None:
    of = record([steady(drawn=2000)])
    assert "rate_missed" in {reason.rule for reason in verdict_on(of, stopped=False).reasons}
    assert "rate_missed" not in {reason.rule for reason in verdict_on(of, stopped=True).reasons}


def test_what_the_preflight_used_is_charged_with_the_rest_and_a_plain_url_charges_nothing() -> None:
    billed = clean()
    billed.tally.billed_ns, billed.tally.metered = {1024: 4 * 10**9}, 1000
    priced = msgspec.structs.replace(
        scenario(function("http://127.0.0.1:9"), open_phase(100, 10)), prices=load_price_book("huawei-cny-2024-09")
    )
    first = Spent({1024: 10**9}, requests=1, metered=1)
    of = record([Played(plan(drawn=1000), total(billed))], first=first, scenario=priced)
    cost = charged(of)
    assert cost is not None
    assert (cost.requests, cost.gb_seconds) == (1001, Decimal(5))
    made = summary(of, RUN, verdict_on(of, stopped=False), cost)
    assert made.cost == cost
    assert made.totals.billing is not None
    assert made.totals.billing.gb_seconds == Decimal(4)
    free = record([steady()], bills=False)
    assert charged(free) is None
    assert summary(free, RUN, verdict_on(free, stopped=False), None).totals.billing is None


@pytest.mark.parametrize(
    ("floor", "floor_ns"),
    [
        (None, None),
        (FLOOR, 2_000_000),
        (msgspec.structs.replace(FLOOR, environment=msgspec.structs.replace(MACHINE, kernel="other")), None),
    ],
)
def test_the_floor_of_another_machine_is_none(floor: Floor | None, floor_ns: int | None) -> None:
    assert record([], floor=floor).floor_ns == floor_ns
