from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.bill import PriceBook, gb_seconds, price
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.measure.cost import Spent, spent_on
from loadgen.measure.purse import Purse, Tariff
from loadgen.scenario.prices import load_price_book
from loadgen.text.units import Money
from tests.scenarios import S

BOOK = load_price_book("huawei-cny-2024-09")
MS = 1_000_000
REFUSED = Facts(Outcome.THROTTLED, "FSS.0429", 429)
SILENT = Facts(Outcome.TIMEOUT, "total", 0)


def tariff(book: PriceBook = BOOK, size_mb: int | None = None, timeout_s: int = 100) -> Tariff:
    return Tariff(book, size_mb=size_mb, timeout_ns=timeout_s * S, sizes_mb=(128, 10240))


def purse(amount: str, known: Tariff) -> Purse:
    held = Purse(known)
    held.left = known.left(Decimal(amount), Spent())
    return held


def metered(ms: int, mb: int = 1024) -> Facts:
    return Facts(Outcome.OK, "ok", 200, billed_duration_ns=ms * MS, memory_size_mb=mb)


def trillionths(amount: str) -> int:
    return int(Decimal(amount) * 10**12)


def test_what_is_in_flight_counts_like_the_dearest_call_so_far() -> None:
    """A call of 1,000 ms with 1024 MB is 1 GB-s: 0.00011108 CNY, and 0.00000133 for the request."""
    held = purse("0.0005", tariff())
    held.in_flight = 1
    held.settle(metered(1000))
    each = BOOK.per_gb_second + BOOK.per_million_requests.scaleb(-6)
    assert held.left == trillionths(str(Decimal("0.0005") - each))
    covered = int((Decimal("0.0005") - each) / each)
    for _ in range(covered):
        assert held.covers
        held.in_flight += 1
    assert not held.covers
    held.settle(metered(1))  # one was cheaper than it was taken to be, which is enough for another
    held.settle(metered(1))
    assert held.covers


def test_before_any_bill_is_known_a_call_counts_as_the_least_that_it_can_cost() -> None:
    assert tariff().dearest == price(BOOK, gb_seconds({128: MS}), 1).scaleb(12)  # a whole number of trillionths
    assert tariff(size_mb=10240).dearest > tariff(size_mb=128).dearest


def test_a_purse_begins_empty_and_covers_a_start_to_the_last_trillionth() -> None:
    held = Purse(tariff())
    assert (held.left, held.in_flight, held.covers) == (0, 0, False)
    held.left, held.in_flight = 3 * held.tariff.dearest, 2
    assert held.covers
    held.left -= 1
    assert not held.covers


@pytest.mark.parametrize(("size_mb", "counted_mb"), [(None, 10240), (512, 512)])
def test_a_call_that_told_no_bill_counts_as_if_it_had_run_until_its_timeout(
    size_mb: int | None, counted_mb: int
) -> None:
    """With what is asked for, or the most there is."""
    held = purse("1", tariff(size_mb=size_mb))
    held.in_flight = 2
    held.settle(SILENT)
    held.give_up()
    each = price(BOOK, gb_seconds({counted_mb: 100 * S}), 1)
    assert held.left == pytest.approx(trillionths(str(1 - 2 * each)), abs=2)
    assert held.in_flight == 0


def test_a_size_that_was_told_stands_for_one_that_was_not() -> None:
    held = purse("1", tariff())
    held.in_flight = 2
    held.settle(metered(1, 256))
    assert held.tariff.size_mb == 256


def test_a_dear_bill_without_a_size_says_nothing_of_sizes_and_the_largest_that_was_told_stands() -> None:
    known = tariff()
    known.learn(5)
    assert (known.known_mb, known.size_mb) == (0, 10240)
    for told_mb in (256, 128):
        known.learn(5, (told_mb,))
        assert known.size_mb == 256


def test_a_refused_call_costs_nothing_and_frees_what_was_kept_for_it() -> None:
    held = purse("1", tariff())
    before = held.free
    held.in_flight += 1
    assert held.free < before
    held.settle(REFUSED)
    assert held.free == before


def test_the_preflight_says_what_a_call_costs() -> None:
    known = tariff()
    known.note(spent_on(metered(3000)))
    assert known.dearest == trillionths(str(price(BOOK, Decimal(3), 1)))
    known.note(spent_on(REFUSED))
    known.note(Spent(requests=1))
    assert known.dearest == trillionths(str(price(BOOK, Decimal(3), 1)))


def test_the_sentence_tells_what_is_spent_what_is_not_known_and_what_a_call_may_cost() -> None:
    known = tariff(size_mb=512)
    known.note(spent_on(metered(1000)))
    said = known.reached(Money(Decimal("0.02"), "CNY"))
    assert said.startswith("budget.cost: what was left of 0.02 CNY did not cover another call, at 0.0001124 CNY, the")
    assert known.spent(Spent({1024: 100 * S}, 102, 100)) == (
        "> 0.01124 are spent, 0.02222 for 2 that did not tell their bill (each taken as 100 s with 1024 MB)"
    )
    assert known.spent(Spent({1024: 100 * S}, 100, 100)) == "0.01124 are spent"


def test_a_bill_that_is_dearer_than_all_before_it_is_told_at_once() -> None:
    told: list[int] = []
    held = Purse(tariff(), told.append)
    held.in_flight = 4
    for ms in (1000, 10, 1000, 2000):
        held.settle(metered(ms))
    assert len(told) == 2
    assert told[-1] == held.tariff.dearest > told[0]


@given(
    bills=st.lists(st.tuples(st.integers(1, 900_000), st.sampled_from([128, 512, 768, 10240])), max_size=50),
    silent=st.integers(0, 3),
)
def test_one_by_one_or_together_the_sum_is_the_same_and_never_too_small(
    bills: list[tuple[int, int]], silent: int
) -> None:
    held = purse("1000000", tariff(size_mb=10240))
    held.in_flight = len(bills) + silent
    told = Spent(requests=silent)
    for ms, mb in bills:
        held.settle(metered(ms, mb))
        told += spent_on(metered(ms, mb))
    for _ in range(silent):
        held.settle(SILENT)
    together = held.tariff.left(Decimal(1000000), told)
    assert 0 <= together - held.left <= len(bills)
    exact = 1_000_000 - price(BOOK, told.gb_seconds, told.metered) - silent * Decimal(held.tariff.silent).scaleb(-12)
    assert Decimal(together) <= exact.scaleb(12)


@given(left=st.integers(0, 10**6), in_flight=st.integers(0, 5), each=st.integers(0, 10**5), half=st.booleans())
def test_ceding_gives_nothing_away_that_is_needed_for_what_is_in_flight(
    left: int, in_flight: int, each: int, half: bool
) -> None:
    book = PriceBook("test", "CNY", "2024-09", Decimal(0), Decimal(0), MS)
    held = Purse(Tariff(book, size_mb=128, timeout_ns=S, sizes_mb=(128,)))
    held.tariff.learn(each)
    held.left, held.in_flight = left, in_flight
    free = held.free
    given_away = held.cede(half=half)
    assert held.left + given_away == left
    if free >= 0:
        assert held.free == (each * (free // each // 2) if half and each else 0)
        assert not free or given_away > 0
    else:
        assert given_away == 0
