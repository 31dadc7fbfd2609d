"""What a run is charged: the sums that its answers tell, and their price.

Theory of operation. The agents charge each invocation by itself (``bill.charge``) and add up billed durations by
memory size, in whole ns, so that neither rounding nor histograms come between the answers and the bill, and no bill of
one invocation stands for another; multiplication by prices is done once, in decimals, at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Context, Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from loadgen.invocation.bill import Charge, PriceBook, charge, gb_seconds, price
from loadgen.invocation.facts import Facts
from loadgen.invocation.tally import Tally
from loadgen.measure.summary import Audit, Billing, Cost
from loadgen.text.units import NS_PER_S

if TYPE_CHECKING:
    from loadgen.measure.merge import PhaseTotal

_MILLION = 1_000_000
_DIGITS = Context(prec=12)


class Spent(Struct, frozen=True):
    """What invocations used: ``requests`` that may have run, ``metered`` of them with a bill; and those refused."""

    billed_ns: dict[int, int] = {}
    requests: int = 0
    metered: int = 0
    refused: int = 0

    @property
    def unmetered(self) -> int:
        """Requests whose bill is not known: with any of them, GB-seconds and amount are lower bounds."""
        return self.requests - self.metered

    @property
    def gb_seconds(self) -> Decimal:
        """What is known to be billed, exactly."""
        return gb_seconds(self.billed_ns)

    def amount(self, book: PriceBook) -> Decimal:
        """Its price, exactly."""
        return price(book, self.gb_seconds, self.requests)

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            Counter(self.billed_ns) + Counter(other.billed_ns),
            self.requests + other.requests,
            self.metered + other.metered,
            self.refused + other.refused,
        )


def spent(tally: Tally) -> Spent:
    """What the invocations used that ended."""
    return Spent(tally.billed_ns, tally.metered + tally.unmetered, tally.metered, tally.refused)


def spent_on(facts: Facts) -> Spent:
    """What one invocation used, such as the pre-flight."""
    match charge(facts):
        case Charge.METERED:
            assert facts.memory_size_mb is not None
            assert facts.billed_duration_ns is not None
            return Spent({facts.memory_size_mb: facts.billed_duration_ns}, requests=1, metered=1)
        case Charge.UNMETERED:
            return Spent(requests=1)
        case Charge.REFUSED:
            return Spent(refused=1)
        case Charge.NONE:
            return Spent()


def billing(total: PhaseTotal, book: PriceBook | None) -> Billing:
    """What is charged for a phase."""
    tally = total.tally
    used = spent(total.tally)
    return Billing(
        amount=None if book is None else plain(used.amount(book)),
        gb_seconds=plain(used.gb_seconds),
        requests=used.requests,
        unmetered=used.unmetered,
        refused=used.refused,
        audit=Audit(
            units={unit_name(unit): n for unit, n in sorted(tally.billing_units.items())},
            misbilled=tally.misbilled,
            underbilled=tally.underbilled,
            worst=tally.worst_bill,
        ),
    )


def cost(parts: Iterable[Spent], book: PriceBook | None) -> Cost:
    """What is charged for everything together."""
    used = sum(parts, Spent())
    amount = None if book is None else plain(used.amount(book))
    each = None if amount is None or not used.requests else _DIGITS.divide(amount * _MILLION, Decimal(used.requests))
    return Cost(
        currency=None if book is None else book.currency,
        amount=amount,
        per_million=None if each is None else plain(each),
        gb_seconds=plain(used.gb_seconds),
        requests=used.requests,
        unmetered=used.unmetered,
        refused=used.refused,
        price_book=None if book is None else book.name,
        dated=None if book is None else book.dated,
        per_million_requests=None if book is None else book.per_million_requests,
        per_gb_second=None if book is None else book.per_gb_second,
    )


def unit_name(unit_ns: int) -> str:
    """A billing unit as a Summary names it: ``1 ms``, ``1 s``."""
    whole = unit_ns % NS_PER_S == 0
    return f"{unit_ns // NS_PER_S} s" if whole else f"{Decimal(unit_ns).scaleb(-6).normalize():f} ms"


def plain(number: Decimal) -> Decimal:
    """The same number without zeros at its end, and without an exponent that is positive."""
    shorter = number.normalize(Context(prec=60))
    return shorter if shorter.as_tuple().exponent <= 0 else shorter.quantize(Decimal(1))  # type: ignore[operator]
