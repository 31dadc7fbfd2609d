from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.bill import Misbilled, PriceBook, gb_seconds, price
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import UNSENT, Outcome
from loadgen.measure.cost import Spent, billing, cost, plain, spent_on, unit_name
from loadgen.measure.summary import Cost
from loadgen.scenario.prices import load_price_book
from tests.frames import frame, total

MS = 1_000_000
BOOK = load_price_book("huawei-cny-2024-09")


def test_every_reason_that_means_unsent_is_one_that_the_results_reference_lists() -> None:
    from tests.test_docs import ROOT

    text = (ROOT / "docs" / "results.md").read_text()
    assert [reason for reason in UNSENT if f"`{reason}`" not in text] == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(Outcome.OK, "ok", 200, billed_duration_ns=MS, memory_size_mb=128), Spent({128: MS}, 1, 1)),
        (Facts(Outcome.FUNCTION_ERROR, "x", 200, billed_duration_ns=MS, memory_size_mb=128), Spent({128: MS}, 1, 1)),
        (Facts(Outcome.BAD_REQUEST, "x", 400, billed_duration_ns=MS, memory_size_mb=128), Spent({128: MS}, 1, 1)),
        (Facts(Outcome.OK, "ok", 200, billed_duration_ns=MS), Spent({}, 1)),
        (Facts(Outcome.OK, "ok", 200, billed_duration_ns=0, memory_size_mb=128), Spent({}, 1)),
        (Facts(Outcome.OK, "ok", 200, billed_duration_ns=MS, memory_size_mb=10**9), Spent({}, 1)),
        (Facts(Outcome.THROTTLED, "FSS.0429", 429, billed_duration_ns=MS), Spent({}, 1)),
        (Facts(Outcome.THROTTLED, "FSS.0429", 429, billed_duration_ns=0, memory_size_mb=128), Spent(refused=1)),
        (Facts(Outcome.BAD_REQUEST, "x", 400, duration_ns=MS, billed_duration_ns=0, memory_size_mb=128), Spent({}, 1)),
        (Facts(Outcome.THROTTLED, "FSS.0429", 429), Spent(refused=1)),
        (Facts(Outcome.CONNECTION, "refused", 0), Spent()),
        (Facts(Outcome.TIMEOUT, "total", 0), Spent(requests=1)),
    ],
)
def test_the_preflight_is_charged_like_any_call(facts: Facts, expected: Spent) -> None:
    assert spent_on(facts) == expected


parts = st.lists(
    st.builds(
        Spent,
        st.dictionaries(st.sampled_from([128, 512]), st.integers(1, 10**12)),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    max_size=6,
)


@given(parts, st.randoms())
def test_the_cost_of_parts_is_the_cost_of_the_whole_in_any_order(each: list[Spent], order: object) -> None:
    whole = cost(each, BOOK)
    shuffled = list(each)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert cost(shuffled, BOOK) == whole
    assert whole.amount == sum((part.amount(BOOK) for part in each), Decimal(0))


def test_without_prices_there_are_gb_seconds_and_no_money() -> None:
    bare = cost([Spent({1024: 10**9}, 1, 1)], None)
    assert (bare.gb_seconds, bare.requests) == (Decimal(1), 1)
    assert (bare.amount, bare.currency, bare.per_million) == (None, None, None)


def test_the_price_of_a_million_is_that_of_requests_like_these() -> None:
    assert cost([Spent({1024: 3 * 10**9}, 3, 3)], BOOK).per_million == Decimal("1.33") + Decimal("111.08")
    assert cost([Spent(refused=5)], BOOK).per_million is None


def test_money_is_written_and_read_without_losing_a_digit() -> None:
    made = cost([Spent({128: 3 * MS}, 7, 7)], BOOK)
    text = msgspec.json.Encoder(decimal_format="number").encode(made)
    assert msgspec.json.decode(text, type=Cost) == made
    assert made.amount == Decimal("0.000375") * Decimal("0.00011108") + 7 * Decimal("0.00000133")


def test_the_price_of_a_million_is_told_with_twelve_digits() -> None:
    assert cost([Spent({1024: 10**9}, 3, 3)], BOOK).per_million == Decimal("38.3566666667")


@pytest.mark.parametrize(
    ("number", "text"), [("1.500", "1.5"), ("10", "10"), ("100", "100"), ("1E+3", "1000"), ("0", "0"), ("0.00", "0")]
)
def test_numbers_have_neither_spare_zeros_nor_large_exponents(number: str, text: str) -> None:
    assert str(plain(Decimal(number))) == text


def test_no_digit_of_sixty_is_lost() -> None:
    """A price for 10^9 GB-seconds, both with as many digits as they can have, has less than sixty."""
    number = Decimal("1" * 30 + "." + "1" * 30)
    assert plain(number) == number
    book = PriceBook("b", "EUR", "2024-09", Decimal("0.1"), Decimal("1." + "1" * 18))
    used = gb_seconds({1: 10**21 + 1})
    assert Fraction(price(book, used, 1)) == Fraction(used) * Fraction(book.per_gb_second) + Fraction(1, 10**7)


def test_units_are_named_as_people_write_them() -> None:
    assert [unit_name(ns) for ns in (MS, 100 * MS, 1000 * MS, 1500)] == ["1 ms", "100 ms", "1 s", "0.0015 ms"]


def test_the_audit_of_a_phase_is_that_of_all_its_frames() -> None:
    worst = Misbilled(15 * MS, 9 * MS, "b")
    first = frame({"ok": [1, 2]}, billing_units={MS: 1}, misbilled=1, worst_bill=Misbilled(5 * MS, 9 * MS, "a"))
    second = frame({"ok": [3]}, seq=1, misbilled=1, underbilled=1, worst_bill=worst)
    audit = billing(total(first, second), None).audit
    assert (audit.units, audit.misbilled, audit.underbilled, audit.worst) == (
        {"1 ms": 1},
        2,
        1,
        worst,
    )
