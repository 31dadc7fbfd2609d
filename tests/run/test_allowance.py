from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from loadgen.engine.numbers import ENDLESS, Ranges
from loadgen.engine.workers import COST, INVOCATIONS
from loadgen.fleet.crew import Means
from loadgen.load.budget import Budget
from loadgen.load.phase import Phase
from loadgen.measure.cost import Spent, cost
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.purse import Tariff
from loadgen.run.agents import Agents
from loadgen.run.allowance import Allowance, excess, to_come
from loadgen.scenario.model import FeederOrder, Scenario
from loadgen.scenario.prices import load_price_book
from loadgen.text.units import Money, money
from tests.frames import frame, total
from tests.scenarios import closed_phase, feeder, function, open_phase, scenario

OPEN, CLOSED = open_phase(10, 1), closed_phase(4, 1)
BOOK = load_price_book("huawei-cny-2024-09")
LIMIT = money("1 CNY")


def made(budget: Budget, *, rows: int | None = None, preflight: bool = True) -> Scenario:
    fed = None if rows is None else feeder("/rows.csv", FeederOrder.ONCE, rows)
    target = function("http://127.0.0.1:9", preflight=preflight)
    return msgspec.structs.replace(scenario(target, OPEN, CLOSED), budget=budget, feeder=fed)


def of(scenario: Scenario, tariff: Tariff | None = None, first: Spent = Spent()) -> Allowance:  # noqa: B008 - immutable
    return Allowance(scenario, Agents(2, "asked"), tariff, first)


def started(n: int) -> PhaseTotal:
    return total(frame({"ok": [1000] * n}))


@pytest.mark.parametrize(
    ("budget", "rows", "phase", "means"),
    [
        (None, None, OPEN, Means(2)),
        (None, None, CLOSED, Means(2)),
        (100, None, OPEN, Means(2, allowance=((0, 69),))),  # how many, as their numbers follow from the schedule
        (100, None, CLOSED, Means(2, allowance=((0, 69),))),
        (20, None, CLOSED, Means(2, allowance=())),  # more was made than is allowed: nothing is left
        (None, 5, CLOSED, Means(2, allowance=((0, 5),), rows=True)),
        (None, 5, OPEN, Means(2)),  # each agent sees for itself that its rows are over
        (100, 5, CLOSED, Means(2, allowance=((0, 5),), rows=True)),  # the rows are over before the budget is
        (34, 5, CLOSED, Means(2, allowance=((0, 3),))),  # and the other way round
        (36, 5, CLOSED, Means(2, allowance=((0, 5),))),
    ],
)
def test_a_phase_may_start_what_the_budget_and_the_feeder_leave_after_the_preflight_and_30_calls(
    budget: int | None, rows: int | None, phase: Phase, means: Means
) -> None:
    assert of(made(Budget(budget, None), rows=rows)).means(phase, [started(10), started(20)]) == means


def test_without_a_preflight_the_first_phase_has_all_that_is_allowed() -> None:
    assert of(made(Budget(7, None), preflight=False)).means(CLOSED, []).allowance == ((0, 7),)


def test_what_a_closed_phase_did_not_start_of_the_rows_is_what_the_next_one_begins_with() -> None:
    allowance = of(made(Budget(None, None), rows=9))
    means = allowance.means(CLOSED, [])
    allowance.played(CLOSED, means, started(6), ((2, 5),))
    assert allowance.means(CLOSED, [started(6)]).allowance == ((2, 5),)


def test_a_phase_may_spend_what_the_preflight_and_the_phases_before_left() -> None:
    assert BOOK is not None
    used = Spent({1024: 10**9}, requests=1, metered=1)
    tariff = Tariff(BOOK, size_mb=128, timeout_ns=10**9, sizes_mb=(128,))
    allowance = of(made(Budget(None, None, cost=LIMIT)), tariff, used)
    assert allowance.means(OPEN, []).money == tariff.left(Decimal(1), used)


def test_a_run_ends_for_want_of_money_when_an_agent_says_so_and_learns_what_is_dear() -> None:
    assert BOOK is not None
    tariff = Tariff(BOOK, size_mb=128, timeout_ns=10**9, sizes_mb=(128,))
    allowance = of(made(Budget(None, None, cost=LIMIT)), tariff)
    dear = frame({"ok": [1000]})
    dear.dearest = 10**9
    assert allowance.exhausted(OPEN, dear) is None
    assert tariff.dearest == 10**9
    ended = allowance.exhausted(OPEN, frame({"ok": [1000]}, budget_reached=COST))
    assert ended is not None
    assert ended[0].startswith("budget.cost: what was left of 1 CNY did not cover another call")
    assert ended[1]


def test_a_run_ends_when_too_much_fails() -> None:
    allowance = of(made(Budget(None, None, errors=0.1)))
    ended = allowance.exhausted(OPEN, frame({"ok": [1000] * 40, "timeout": [1000] * 60}))
    assert ended == ("budget.errors: 60 of the last 100 invocations were not ok, more than 10 %", False)


def test_only_a_budget_of_invocations_is_used_up() -> None:
    allowance = of(made(Budget(1, None)))
    assert allowance.used_up(frame({}, budget_reached=COST)) is None
    said = allowance.used_up(frame({}, budget_reached=INVOCATIONS))
    assert said == "budget.invocations: all that are allowed were made"


@pytest.mark.parametrize(
    ("used", "limit", "over"),
    [
        (Spent({1024: 10**9}, 1, 1), None, None),
        (Spent({1024: 10**9}, 1, 1), money("1 CNY"), None),
        (Spent({1024: 10**12}, 1, 1), money("0.1 CNY"), "the run cost 0.111081 CNY, 0.0111 more than allowed"),
        (Spent({1024: 10**12}, 2, 1), money("0.1 CNY"), "the run cost > 0.111083 CNY, > 0.0111 more than allowed"),
    ],
)
def test_what_a_run_cost_beyond_its_budget_is_at_least_what_is_known(
    used: Spent, limit: Money | None, over: str | None
) -> None:
    assert excess(cost([used], BOOK), limit) == over


@pytest.mark.parametrize(
    ("planned", "agents", "numbered"),
    [
        ([7], 1, 7),
        ([4, 3], 2, 7),  # 0 2 4 6 and 1 3 5
        ([2, 4], 2, 8),  # closed workers are not equally fast: 0 2 and 1 3 5 7, so 4 and 6 stay unused
        ([0, 0], 2, 0),
        ([3, 0, 1], 3, 7),
        ([4, 0, 0], 1, 4),  # those that took no part use up none
    ],
)
def test_the_next_phase_numbers_its_arrivals_from_where_the_furthest_agent_stopped(
    planned: list[int], agents: int, numbered: int
) -> None:
    total = PhaseTotal("steady")
    for agent, n in enumerate(planned):
        reported = frame(agent=agent)
        reported.tally.planned = n
        total.add(reported)
    assert to_come(ENDLESS, total, agents, None, ()) == ((numbered, ENDLESS[0][1]),)


def test_numbers_that_a_closed_phase_left_unused_come_before_those_that_it_never_had() -> None:
    holes: Ranges = ((3, 5), (9, 10))
    assert to_come(((0, 20),), PhaseTotal("closed"), 2, ((0, 10),), holes) == ((3, 5), (9, 20))
