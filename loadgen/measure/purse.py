"""Money as an allowance: no invocation is started that what is left of the budget does not cover.

Theory of operation. An agent holds its part of what may still be spent in a purse. What is in flight is taken to cost
as much as the dearest bill known, so that another start is covered when

    what is left − (what is in flight + 1) × the dearest bill known

is not below nothing. The bill of a call that ends is taken from the purse; of one that told none, what it would have
cost until ``target.timeout.total`` with the largest memory that was asked for or told (the largest there is where
neither was); what was refused before any code ran costs nothing (``bill.charge``). The dearest bill known is that of
the pre-flight or of any call so far, told by any agent; before there is one, the least that a call can cost. So nothing
but what is in flight can exceed the budget, when it turns out dearer than every call before it.

Amounts are whole trillionths of the price book's currency, each bill rounded up, so that sums are exact and a purse can
travel in a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from functools import lru_cache

from loadgen.invocation.bill import Charge, PriceBook, charge, gb_seconds, price
from loadgen.invocation.facts import Facts
from loadgen.measure.cost import Spent
from loadgen.text.units import NS_PER_S, Money


class Tariff:
    """What calls cost, in trillionths of the book's currency, also where they do not tell.

    ``size_mb`` is the most memory that calls ask for, or that of their function where they leave it to that; None where
    it is not known; ``known_mb`` is that or what an answer told, 0 where neither. ``timeout_ns`` is how long a call is
    waited for. ``sizes_mb`` are the sizes there are, in ascending order, at least one.
    """

    def __init__(self, book: PriceBook, *, size_mb: int | None, timeout_ns: int, sizes_mb: Sequence[int]) -> None:
        self._book = book
        self.known_mb = size_mb or 0
        self._timeout_ns = timeout_ns
        self._largest_mb = sizes_mb[-1]
        self._bill = lru_cache(4096)(self._exactly)
        self.dearest = self._bill(size_mb or sizes_mb[0], book.granularity_ns)

    def _exactly(self, size_mb: int, billed_ns: int) -> int:
        return _trillionths(price(self._book, gb_seconds({size_mb: billed_ns}), 1), ROUND_CEILING)

    @property
    def size_mb(self) -> int:
        """The memory at which calls are valued that did not tell it."""
        return self.known_mb or self._largest_mb

    @property
    def silent(self) -> int:
        """What a call is taken to cost that may have run and did not tell its bill."""
        return self._bill(self.size_mb, self._timeout_ns)

    def learn(self, dearest: int, sizes_mb: Iterable[int] = ()) -> None:
        """Take note of a dear bill, and of memory sizes that were told."""
        self.dearest = max(self.dearest, dearest)
        self.known_mb = max(self.known_mb, *sizes_mb, 0)

    def bill(self, facts: Facts) -> int:
        """What an invocation costs; takes note of it."""
        match charge(facts):
            case Charge.METERED:
                size_mb, billed_ns = facts.memory_size_mb or 0, facts.billed_duration_ns or 0
                bill = self._bill(size_mb, billed_ns)
                self.learn(bill, (size_mb,))
                return bill
            case Charge.UNMETERED:
                return self.silent
        return 0

    def note(self, used: Spent) -> None:
        """Take note of what one invocation used."""
        for size_mb, billed_ns in used.billed_ns.items():
            self.learn(self._bill(size_mb, billed_ns), (size_mb,))

    def reached(self, limit: Money) -> str:
        """Why nothing more is started."""
        return (
            f"budget.cost: what was left of {limit} did not cover another call, at {_words(self.dearest)} "
            f"{limit.currency}, the dearest known, beside those in flight"
        )

    def spent(self, used: Spent) -> str:
        """What was spent in the end."""
        known = price(self._book, used.gb_seconds, used.requests)
        silent = used.unmetered * self.silent
        unknown = (
            f", {_words(silent)} for {used.unmetered} that did not tell their bill (each taken as "
            f"{self._timeout_ns / NS_PER_S:g} s with {self.size_mb} MB)"
        )
        return f"{'> ' if used.unmetered else ''}{_short(known)} are spent{unknown if used.unmetered else ''}"

    def left(self, budget: Decimal, used: Spent) -> int:
        """What is left of a budget."""
        told = _trillionths(price(self._book, gb_seconds(used.billed_ns), used.metered), ROUND_CEILING)
        return _trillionths(budget, ROUND_FLOOR) - told - used.unmetered * self.silent


class Purse:
    """What one agent may spend. ``in_flight`` counts what was started and has no bill yet.

    ``dearer`` is told of a bill that is dearer than any before it.
    """

    def __init__(self, tariff: Tariff, dearer: Callable[[int], None] = lambda bill: None) -> None:
        self.tariff = tariff
        self._dearer = dearer
        self.left = 0
        self.in_flight = 0

    @property
    def free(self) -> int:
        """What is left beside what is in flight, at the dearest bill known."""
        return self.left - self.in_flight * self.tariff.dearest

    @property
    def covers(self) -> bool:
        """Whether another start is covered."""
        return self.free >= self.tariff.dearest

    def settle(self, facts: Facts) -> None:
        """An invocation has ended."""
        known = self.tariff.dearest
        self.in_flight -= 1
        self.left -= self.tariff.bill(facts)
        if self.tariff.dearest > known:
            self._dearer(self.tariff.dearest)

    def give_up(self) -> None:
        """An invocation is not waited for any more; it may cost whatever it does."""
        self.in_flight -= 1
        self.left -= self.tariff.silent

    def cede(self, *, half: bool) -> int:
        """Give away what is free, or all but half of the starts that it covers: what covers none is of no use here."""
        free, each = max(0, self.free), self.tariff.dearest
        given = free - each * (free // each // 2) if half and each else free
        self.left -= given
        return given


def _words(trillionths: int) -> str:
    return _short(Decimal(trillionths).scaleb(-12))


def _short(amount: Decimal) -> str:
    return f"{Decimal(f'{amount:.4g}').normalize():f}"


def _trillionths(amount: Decimal, rounding: str) -> int:
    return int(Context(prec=60, rounding=rounding).scaleb(amount, 12).to_integral_value(rounding))
