"""What is known of a bill, and whether it is what the duration says."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.bill import GB_SECONDS, Charge, Misbilled, PriceBook, Rates, billing_unit, charge, rates, worse
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome

US, MS, S, HOUR = 1_000, 1_000_000, 1_000_000_000, 3_600_000_000_000
LARGEST_MB = 65_536


@pytest.mark.parametrize(
    ("billed_ns", "size_mb", "charged"),
    [
        (1, 1, Charge.METERED),
        (HOUR, 128, Charge.METERED),
        (HOUR + 1, 128, Charge.UNMETERED),
        (MS, LARGEST_MB, Charge.METERED),
        (MS, LARGEST_MB + 1, Charge.UNMETERED),
    ],
)
def test_a_bill_is_believed_up_to_an_hour_and_64_gb(billed_ns: int, size_mb: int, charged: Charge) -> None:
    facts = Facts(Outcome.THROTTLED, "FSS.0429", 429, billed_duration_ns=billed_ns, memory_size_mb=size_mb)
    assert charge(facts) is charged


@pytest.mark.parametrize(
    ("duration_ns", "billed_ns", "unit"),
    [
        (2 * MS + 1 * US, 2 * MS, MS),
        (2 * MS + 1 * US + 1, 2 * MS, None),
        (2 * MS - 1 * US + 1, 3 * MS, MS),  # it may have been told a µs too short
        (2 * MS - 1 * US, 3 * MS, None),
        (0, MS, MS),
        (0, 0, None),
        (2 * MS, 2 * MS + MS // 2, None),
        (90 * MS, 100 * MS, 100 * MS),
        (890 * MS, S, S),
        (890 * MS, S + 1, None),
    ],
)
def test_a_bill_is_a_whole_number_of_units_to_a_microsecond_of_the_duration(
    duration_ns: int, billed_ns: int, unit: int | None
) -> None:
    assert billing_unit(duration_ns, billed_ns) == unit


def test_of_bills_that_are_equally_far_off_the_first_is_kept() -> None:
    over, under = Misbilled(5 * MS, 9 * MS, "over"), Misbilled(9 * MS, 5 * MS, "under")
    further = Misbilled(5 * MS, 10 * MS, "further")
    assert (worse(over, under), worse(under, over)) == (over, under)
    assert worse(over, further) is worse(further, over) is further
    assert worse(None, over) is worse(over, None) is over


@given(st.integers(1, 1 << 16), st.integers(1, HOUR))
def test_a_calls_cost_is_that_of_the_request_and_of_its_memory_for_as_long_as_it_is_billed(mb: int, ns: int) -> None:
    known = rates(PriceBook("b", "EUR", "2024-09", Decimal(3), Decimal("0.5")))
    assert known == Rates("EUR", 0.5, 3e-6)
    more = mb / 1024 * ns / S
    assert known.more(mb, ns) == pytest.approx(0.5 * more)
    assert known.cost(mb, ns) == pytest.approx(3e-6 + 0.5 * more)
    assert rates(None) is GB_SECONDS
    assert GB_SECONDS.cost(mb, ns) == pytest.approx(more)
