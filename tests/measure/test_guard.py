from __future__ import annotations

from decimal import Decimal

import pytest

from loadgen.measure.cost import Spent
from loadgen.measure.guard import FEWEST, Guard
from loadgen.measure.interval import Frame
from loadgen.scenario.load import load_price_book
from loadgen.scenario.model import Budget, Money, Phase
from tests.measure.frames import frame
from tests.scenarios import S, closed_phase, open_phase

BOOK = load_price_book("huawei-cny-2024-09")
STEADY = open_phase(100, 60)


def guard(budget: Budget, first: Spent | None = None, size_mb: int | None = None) -> Guard:
    return Guard(budget, BOOK, first or Spent(), size_mb=size_mb, timeout_ns=100 * S)


def second(
    n: int, ok: int = 0, *, throttled: int = 0, timeout: int = 0, in_flight: int = 0, billed_ms: int = 0, agent: int = 0
) -> Frame:
    """What happened in second ``n``: each ok call was billed ``billed_ms`` with 1024 MB."""
    outcomes = {"ok": ok, "throttled": throttled, "timeout": timeout}
    bills = {"ok/billed_duration": [billed_ms * 1000] * ok} if billed_ms else {}
    made = frame({name: [1] * count for name, count in outcomes.items() if count}, seq=n, agent=agent, metrics=bills)
    made.started += in_flight
    made.unmetered, made.refused = timeout + (0 if billed_ms else ok), throttled
    if billed_ms:
        made.billed_ns, made.metered = {1024: ok * billed_ms * 1_000_000}, ok
    return made


def ended_at(watch: Guard, *frames: Frame, phase: Phase = STEADY) -> tuple[int, str] | None:
    for n, each in enumerate(frames):
        if (why := watch.reached(phase, each)) is not None:
            return n, why
    return None


NONE = Budget(None, None)


def test_a_run_without_a_budget_goes_on() -> None:
    assert ended_at(guard(NONE), second(0, timeout=1000), second(1, throttled=1000)) is None


def cny(amount: str) -> Budget:
    return Budget(None, None, cost=Money(Decimal(amount), "CNY"))


def test_money_ends_a_run_before_another_second_would_spend_more_than_is_allowed() -> None:
    """1,000 calls a second, each 10 ms with 1024 MB: 10 GB-s and 1,000 requests are 0.0024408 CNY a second."""
    load = [second(n, 1000, billed_ms=10) for n in range(60)]
    found = ended_at(guard(cny("0.0244")), *load)
    assert found is not None
    assert found[0] == 8  # after nine seconds there are 0.0220 spent, and one more is not left
    assert found[1].startswith("budget.cost: 0.02197 CNY of 0.0244 CNY are spent; with 0 for 0 in flight")


def test_what_is_in_flight_counts_like_the_dearest_call_so_far() -> None:
    """Fifty calls of 1,000 ms with 1024 MB are 50 GB-s, 0.0056205 CNY."""
    load = [second(0, 1, billed_ms=1000), second(1, in_flight=50)]
    assert ended_at(guard(cny("0.0058")), *load) is None
    found = ended_at(guard(cny("0.0057")), *load)
    assert found is not None
    assert found[0] == 1
    assert "for 50 in flight" in found[1]


def test_a_call_that_told_no_bill_counts_as_if_it_had_run_until_its_timeout() -> None:
    """100 s with 1024 MB are 0.011109 CNY."""
    load = [second(0, 1, billed_ms=1), second(1, timeout=10)]
    assert ended_at(guard(cny("0.2")), *load) is None
    found = ended_at(guard(cny("0.11")), *load)
    assert found is not None
    assert "0.1111 for 10 that did not tell their bill" in found[1]
    assert found[1].startswith("budget.cost: > 0.00")  # what is known to be spent is not all


@pytest.mark.parametrize(("size_mb", "counted_mb"), [(None, 10240), (512, 512)])
def test_where_no_answer_told_a_size_such_a_call_counts_at_what_is_asked_for_or_at_the_largest_there_is(
    size_mb: int | None, counted_mb: int
) -> None:
    """100 s with 10240 MB are 0.11108 CNY, with 512 MB 0.005554 CNY."""
    each = Decimal("0.00011108") * 100 * counted_mb / 1024
    load = [second(0, timeout=4), second(1, timeout=1)]
    assert ended_at(guard(cny(f"{5 * each + Decimal('0.0001')}"), size_mb=size_mb), *load) is None
    found = ended_at(guard(cny(f"{5 * each}"), size_mb=size_mb), *load)
    assert found is not None
    assert found[0] == 1
    assert f"for 5 that did not tell their bill (each taken as 100 s with {counted_mb} MB)" in found[1]


def test_an_unanswered_preflight_alone_counts_at_the_largest_size() -> None:
    assert ended_at(guard(cny("0.12"), Spent(requests=1)), second(0)) is None
    assert ended_at(guard(cny("0.11"), Spent(requests=1)), second(0)) is not None


def test_calls_that_tell_their_bill_are_never_valued_at_a_size_that_nobody_told() -> None:
    """Ten in flight, and a minute of 10 calls a second, 10 ms with 1024 MB each: 6 GB-s, 0.0015 CNY with requests."""
    load = [second(0, in_flight=10), *(second(n, 10, billed_ms=10) for n in range(1, 61))]
    assert ended_at(guard(cny("0.0016")), *load) is None
    assert ended_at(guard(cny("0.0016"), Spent({1024: S // 100}, 1, 1)), *load) is None


def test_the_preflight_is_money_spent_and_says_what_a_call_costs() -> None:
    watch = guard(cny("0.02"), Spent({1024: 100 * S}, 1, 1))
    found = ended_at(watch, second(0, in_flight=1))
    assert found is not None
    assert found[1].startswith("budget.cost: 0.01111 CNY of 0.02 CNY are spent; with 0.01111 for 1 in flight")


def test_the_agents_last_seconds_count_together() -> None:
    load = [second(0, 1000, billed_ms=10, agent=agent) for agent in (0, 1)]
    assert ended_at(guard(cny("0.0099")), *load) is None
    assert ended_at(guard(cny("0.0097")), *load) is not None


@pytest.mark.parametrize("name", ["errors", "throttled"])
def test_a_share_above_its_limit_ends_the_run_once_there_are_enough(name: str) -> None:
    budget = Budget(None, None, **{name: 0.5})  # type: ignore[arg-type]
    half, fewer = FEWEST // 2, FEWEST - 1
    assert ended_at(guard(budget), second(0, throttled=fewer)) is None
    assert ended_at(guard(budget), second(0, half, throttled=half)) is None
    found = ended_at(guard(budget), second(0, throttled=fewer), second(1, throttled=1))
    assert found is not None
    what = "were throttled" if name == "throttled" else "were not ok"
    assert found == (1, f"budget.{name}: 50 of the last 50 invocations {what}, more than 50 %")


def test_failures_that_are_not_throttling_do_not_count_as_throttled() -> None:
    assert ended_at(guard(Budget(None, None, throttled=0.5)), second(0, timeout=1000)) is None


def test_a_good_hour_does_not_hide_an_outage_and_one_bad_second_is_none() -> None:
    budget = Budget(None, None, errors=0.5)
    good = [second(n, 100) for n in range(3600)]
    assert (
        ended_at(guard(budget), *good, second(3600, throttled=100), *(second(n, 100) for n in range(3601, 3620)))
        is None
    )
    found = ended_at(guard(budget), *good, *(second(n, throttled=100) for n in range(3600, 3620)))
    assert found is not None
    assert found[0] in (3602, 3603)


def test_a_start_that_finds_all_allowed_invocations_in_flight_ends_the_run() -> None:
    short = second(0, 5, in_flight=10)
    short.short_of_workers = True
    budget = Budget(None, None, in_flight=10)
    found = ended_at(guard(budget), short, phase=open_phase(100, 1, limit=10))
    assert found is not None
    assert found[1].startswith("budget.in_flight: all 10 invocations")
    assert ended_at(guard(budget), short, phase=open_phase(100, 1, limit=5)) is None  # the phase's own limit
    assert ended_at(guard(budget), short, phase=closed_phase(10, 1)) is None
    assert ended_at(guard(budget), second(0, 5, in_flight=10), phase=open_phase(100, 1, limit=10)) is None
