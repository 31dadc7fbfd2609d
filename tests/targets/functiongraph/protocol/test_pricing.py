"""What invocations cost, exactly."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.bill import BILLING_UNITS_NS, Charge, billing_unit, charge, gb_seconds, price
from loadgen.scenario.prices import load_price_book
from loadgen.targets.functiongraph.protocol.response import classify_function
from loadgen.targets.functiongraph.protocol.target import MEMORY_SIZES_MB, ResponseVersion

MS = 1_000_000
BOOK = load_price_book("huawei-cny-2024-09")


def test_the_vendors_own_example_comes_out() -> None:
    """Two million calls of 500 ms with 512 MB are 500,000 GB-seconds; the example then takes off the free tier."""
    used = gb_seconds({512: 2_000_000 * 500 * MS})
    assert used == 500_000
    assert price(BOOK, used, 2_000_000) == Decimal("55.54") + Decimal("2.66")
    assert price(BOOK, used - 400_000, 1_000_000) == Decimal("12.438")


bills = st.lists(st.tuples(st.sampled_from(MEMORY_SIZES_MB), st.integers(1, 900_000)), max_size=50)


@given(bills)
def test_sums_are_exact_whatever_the_sizes_and_durations(each: list[tuple[int, int]]) -> None:
    billed: dict[int, int] = {}
    for mb, ms in each:
        billed[mb] = billed.get(mb, 0) + ms * MS
    exact = sum((Fraction(mb, 1024) * Fraction(ms, 1000) for mb, ms in each), Fraction(0))
    assert Fraction(gb_seconds(billed)) == exact
    cost = exact * Fraction("0.00011108") + Fraction(len(each), 1_000_000) * Fraction("1.33")
    assert Fraction(price(BOOK, gb_seconds(billed), len(each))) == cost


@pytest.mark.parametrize("unit", BILLING_UNITS_NS)
@given(duration_us=st.integers(0, 10**8))
def test_a_duration_rounded_up_to_a_unit_is_explained_by_it_or_a_smaller_one(unit: int, duration_us: int) -> None:
    duration_ns = duration_us * 1000
    found = billing_unit(duration_ns, max(1, -(-duration_ns // unit)) * unit)
    assert found is not None
    assert found <= unit


@given(st.integers(0, 10**9), st.integers(0, 499))
def test_a_duration_told_in_whole_us_may_have_been_rounded_before_it_was_told(us: int, beyond_ns: int) -> None:
    """What ran 2.0004 ms is told as 2.000 ms and billed as 3."""
    true_ns = us * 1000 + beyond_ns
    assert billing_unit(us * 1000, max(1, -(-true_ns // MS)) * MS) == MS


@pytest.mark.parametrize(
    ("duration_ms", "billed_ms"),
    [(12.3, 50), (12.3, 12), (12.3, 14), (0.5, 0), (250, 200), (1510, 1700)],
)
def test_a_bill_that_no_unit_explains_has_none(duration_ms: float, billed_ms: int) -> None:
    assert billing_unit(round(duration_ms * MS), billed_ms * MS) is None


def test_a_price_books_own_unit_explains_bills_too() -> None:
    assert billing_unit(12 * MS, 20 * MS) is None
    assert billing_unit(12 * MS, 20 * MS, (*BILLING_UNITS_NS, 10 * MS)) == 10 * MS


def test_a_refusal_that_tells_a_bill_which_cannot_be_may_have_run() -> None:
    summary = b'{"duration":0,"billingDuration":4000000,"memorySize":128,"memoryUsed":0}'
    absurd = classify_function(429, {b"x-cff-invoke-summary": summary}, b"", ResponseVersion.V0)
    plain = classify_function(429, {}, b"", ResponseVersion.V0)
    assert (charge(absurd), charge(plain)) == (Charge.UNMETERED, Charge.REFUSED)
