from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from loadgen.experiments.coldstarts.block import ColdStarts, Induce
from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.load.budget import Budget
from loadgen.load.bursts import Bursts
from loadgen.load.phase import Phase
from loadgen.run.forecast import after, before, fewest, forecast, gb_seconds_expected, in_flight, size_mb, sizes_of
from loadgen.run.forecast import starts as starts_of
from loadgen.scenario.model import Call, FeederOrder, Scenario
from loadgen.scenario.prices import load_price_book
from loadgen.text.units import Money, money
from tests.scenarios import S, closed_phase, feeder, function, http, open_phase, phase, scenario

MS = 1_000_000
FUNCTION = function("https://functiongraph.eu-de.otc.t-systems.com")
BILLED = Facts(Outcome.OK, "ok", 200, duration_ns=9 * MS, billed_duration_ns=10 * MS, memory_size_mb=512)
OPEN, CLOSED = open_phase(200, 30), closed_phase(8, 5)


def made(*phases: Phase, allowed: int | None = None, priced: bool = True, cost: Money | None = None) -> Scenario:
    return msgspec.structs.replace(
        scenario(FUNCTION, *phases),
        budget=Budget(allowed, None, cost=cost),
        prices=load_price_book("huawei-cny-2024-09") if priced else None,
    )


@pytest.mark.parametrize(
    ("phases", "allowed", "at_most", "text"),
    [
        ([OPEN], None, 6001, "6001 invocations"),
        ([OPEN], 100, 100, "100 invocations"),
        ([OPEN, phase(Bursts(50, S, 3), 3)], None, 6151, "6151 invocations"),
        ([CLOSED, OPEN], None, None, "6001 invocations and as many as the target lets it make"),
        ([CLOSED, OPEN], 20_000, 20_000, "at most 20000 invocations"),
    ],
)
def test_schedules_say_how_many_invocations_there_are_and_of_closed_phases_the_budget(
    phases: list[Phase], allowed: int | None, at_most: int | None, text: str
) -> None:
    seen = forecast(made(*phases, allowed=allowed))
    assert (seen.at_most, str(seen)) == (at_most, text)


def fed(rows: int, *phases: Phase, order: FeederOrder = FeederOrder.ONCE, allowed: int | None = None) -> Scenario:
    return msgspec.structs.replace(made(*phases, allowed=allowed), feeder=feeder("/rows.csv", order, rows))


@pytest.mark.parametrize(
    ("scenario", "at_most", "text"),
    [
        (fed(2, open_phase(1, 60)), 3, "3 invocations"),
        (fed(70, open_phase(1, 60), open_phase(1, 60)), 71, "71 invocations"),
        (fed(500, open_phase(1, 60)), 61, "61 invocations"),
        (fed(2, open_phase(1, 60), order=FeederOrder.LOOP), 61, "61 invocations"),
        (fed(2, open_phase(1, 60), order=FeederOrder.RANDOM), 61, "61 invocations"),
        (fed(50, CLOSED), 51, "at most 51 invocations"),
        (fed(50, CLOSED, OPEN), 51, "at most 51 invocations"),
        (fed(50, open_phase(1, 60), allowed=20), 20, "20 invocations"),
        (msgspec.structs.replace(fed(50), kind="capacity"), 51, "at most 51 invocations"),
    ],
)
def test_a_feeder_that_is_read_once_has_a_row_for_so_many_invocations(
    scenario: Scenario, at_most: int, text: str
) -> None:
    seen = forecast(scenario)
    assert (seen.at_most, str(seen)) == (at_most, text)


def test_phases_take_the_rows_of_a_feeder_in_turns() -> None:
    counts = starts_of(fed(70, open_phase(1, 60), open_phase(1, 60), open_phase(1, 60)))
    assert [(each.planned, each.fed, each.cut_short) for each in counts] == [
        (60, 60, False),
        (60, 10, True),
        (60, 0, True),
    ]
    assert [(each.fed, each.uncertain) for each in starts_of(fed(70, CLOSED, open_phase(1, 60)))] == [
        (None, False),
        (60, True),
    ]


def test_the_cost_is_of_the_invocations_that_there_are_rows_for() -> None:
    assert gb_seconds_expected(fed(99, OPEN), [BILLED]) == Decimal("0.5")


def test_an_experiment_makes_as_many_as_it_needs() -> None:
    assert forecast(msgspec.structs.replace(made(OPEN), kind="capacity")).at_most is None


def test_before_a_call_was_made_the_cost_is_said_as_far_as_it_is_known() -> None:
    assert list(before(made(OPEN), [512])) == [
        "cost: 6001 invocations, 0.00798 CNY as requests",
        "  duration: unknown until the pre-flight; for every 100 ms billed with 512 MB, 300 GB-s, 0.0333 CNY",
        "  prices: huawei-cny-2024-09, as listed in 2024-09; free tier and discounts left out",
    ]
    assert list(before(made(CLOSED, OPEN, priced=False), [None])) == [
        "cost: 6001 invocations and as many as the target lets it make",
        "  duration: unknown, and so is the function's memory; the pre-flight will tell",
        "  prices: none, so money is not known; write prices: huawei-cny-2024-09, or a file of your own",
    ]


def test_a_plain_url_costs_nothing_that_is_known_here() -> None:
    plain = scenario(http("https://example.org/"), OPEN)
    assert list(before(plain, [None])) == []
    assert gb_seconds_expected(plain, [Facts(Outcome.OK, "ok", 200)]) is None


def test_the_preflights_own_bill_stands_for_all_calls() -> None:
    assert list(after(made(OPEN, cost=money("1 CNY")), [BILLED], 20 * MS)) == [
        "expected: 6001 invocations, 30.0 GB-s, 0.0113 CNY if all are billed like the pre-flight, 10 ms with 512 MB, "
        "free tier left out",
        "expected: at most 4 in flight, if all take 20.0\N{NO-BREAK SPACE}ms like the pre-flight",
    ]
    assert gb_seconds_expected(made(OPEN), [BILLED]) == Decimal("30.005")


def test_a_budget_of_money_that_the_run_will_reach_is_said() -> None:
    *_, last = after(made(OPEN, cost=money("0.0112 CNY")), [BILLED], 20 * MS)
    assert last == "warning: that is more than budget.cost, 0.0112 CNY, which will end the run"


def test_a_preflight_that_told_no_bill_says_nothing() -> None:
    assert list(after(made(OPEN), [Facts(Outcome.OK, "ok", 200, billed_duration_ns=MS)], MS)) == []


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        ([OPEN], 100),  # 200/s for half a second each
        ([OPEN, CLOSED], 100),
        ([open_phase(200, 1, limit=30)], 30),
        ([phase(Bursts(50, S, 3), 3)], 50),
        ([], None),
    ],
)
def test_what_is_in_flight_follows_from_rate_and_time(phases: list[Phase], expected: int | None) -> None:
    assert in_flight(made(*phases), S // 2) == expected


def test_the_memory_is_what_is_asked_for_else_what_is_configured() -> None:
    asked = scenario(msgspec.structs.replace(FUNCTION, memory_mb=1024), OPEN)
    assert [size_mb(asked, [512]), size_mb(made(OPEN), [512]), size_mb(made(OPEN))] == [1024, 512, None]


def test_a_comparison_of_memory_sizes_is_expected_to_cost_what_the_largest_does() -> None:
    compared = msgspec.structs.replace(
        made(),
        kind="memory",
        memory=MemoryComparison((128, 2048, 512), MemoryBy.HEADER, 20, 10, (), 0.02, 90 * S),
        budget=Budget(1000, None),
    )
    assert size_mb(compared) == 2048
    assert gb_seconds_expected(compared, [BILLED]) == Decimal("20")
    assert "all at the largest size, 2048 MB" in next(iter(after(compared, [BILLED], 9 * MS)))


def starts(*induce: Induce) -> Scenario:
    settings = ColdStarts(induce, 90 * S, 20, 60, 400, None, (128, 4096, 512), None)
    return msgspec.structs.replace(made(), kind="cold-starts", cold_starts=settings, budget=Budget(1000, None))


def test_cold_starts_induced_by_memory_sizes_are_expected_to_cost_what_the_largest_does() -> None:
    induced = starts(Induce.GAP, Induce.MEMORY)
    assert [size_mb(induced), size_mb(induced, [512]), size_mb(induced, [8192])] == [4096, 4096, 8192]
    assert gb_seconds_expected(induced, [BILLED]) == Decimal("40")
    assert "all at the largest size, 4096 MB" in next(iter(after(induced, [BILLED], 9 * MS)))


def test_memory_sizes_that_no_cold_start_is_induced_by_cost_nothing() -> None:
    induced = starts(Induce.GAP)
    assert [size_mb(induced), size_mb(induced, [512])] == [None, 512]
    assert gb_seconds_expected(induced, [BILLED]) == Decimal("5")
    assert "largest size" not in next(iter(after(induced, [BILLED], 9 * MS)))


def mix(*phases: Phase, allowed: int | None = None) -> Scenario:
    """Three calls to one that asks for more memory."""
    calls = (
        Call("small", 3, FUNCTION, "{}"),
        Call("large", 1, msgspec.structs.replace(FUNCTION, memory_mb=1024), "{}"),
    )
    return msgspec.structs.replace(made(*phases, allowed=allowed), calls=calls)


def test_a_mix_makes_each_call_once_before_the_load() -> None:
    assert str(forecast(mix(OPEN))) == "6002 invocations"
    assert str(forecast(mix(CLOSED))) == "as many invocations as the target lets it make"


def test_the_cost_of_a_mix_is_that_of_each_call_by_its_share() -> None:
    large = Facts(Outcome.OK, "ok", 200, duration_ns=19 * MS, billed_duration_ns=20 * MS, memory_size_mb=1024)
    # 4501 calls of 10 ms with 512 MB, and 1501 of 20 ms with 1024 MB
    expected = (Decimal(4501) * 512 * 10 + Decimal(1501) * 1024 * 20) / 1024 / 1000
    assert gb_seconds_expected(mix(OPEN), [BILLED, large]) == expected
    assert next(iter(after(mix(OPEN), [BILLED, large], 20 * MS))) == (
        "expected: 6002 invocations, 52.5 GB-s, 0.0138 CNY if each call is billed like its pre-flight, small 10 ms "
        "with 512 MB, large 20 ms with 1024 MB, free tier left out"
    )


def test_a_mix_of_which_one_call_told_no_bill_has_no_expected_cost() -> None:
    assert gb_seconds_expected(mix(OPEN), [BILLED, Facts(Outcome.TIMEOUT, "total", 0)]) is None


def test_the_memory_of_a_mix_is_that_of_each_call() -> None:
    assert sizes_of(mix(OPEN), [256, 256]) == [256, 1024]
    assert [size_mb(mix(OPEN), [256, 256]), size_mb(mix(OPEN))] == [1024, None]
    assert "100 ms billed with 256 to 1024 MB, as the calls have it, " in list(before(mix(OPEN), [256, 1024]))[1]
    assert "unknown, and so is the function's memory" in list(before(mix(OPEN), [None, 1024]))[1]


@pytest.mark.parametrize(
    ("planned", "seconds", "expected"),
    [
        (open_phase(200, 30), 5, 1000),
        (closed_phase(8, 5), 5, None),
        (phase(Bursts(7, 3 * S, 4), 12), 3, 7),
        (phase(Bursts(7, 3 * S, 4), 12), 2, 0),
        (open_phase(10, 2.5), 1, 10),  # the last second takes the half that is left
        (open_phase(10**6, 10), 2, 2 * 10**6),
    ],
)
def test_the_emptiest_window_is_found(planned: Phase, seconds: int, expected: float | None) -> None:
    assert fewest(planned, 1, seconds * S) == expected
