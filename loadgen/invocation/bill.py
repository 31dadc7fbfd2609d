"""What the platform charges for invocations: exact sums, and nothing guessed.

An invocation costs a request and, for as long as it is billed, the memory of its instance in GB-seconds: MB / 1024 ×
s. The memory is the configured one (or the one asked for with X-Cff-Instance-Memory), not what was used.

What an answer says about its bill decides, before what it says about its success: whatever carries a bill ran and is
billed, also when it failed, ran into its timeout or was answered with a 4xx. What tells none ran or not (``charge``):
answers that refuse a call before any code runs (throttled, no permission, no such function) are no requests here, as
whether the platform counts them is not documented, and neither are calls that never got a connection. Everything else
may have run (a timeout, a lost connection, a gateway's answer, what is unfinished) and is a request, but what it is
billed is unknown, so a sum over such calls is a lower bound. A bill of nothing, without a memory size, or beyond belief
is none: the time that anything ran is rounded up.

An account's monthly free tier, discounts and packages are left out: what else the account used is not known here.

Source: FunctionGraph price details, billing items (functiongraph_00_0010: durations are rounded up to 1 ms today, older
pages say 100 ms and 1 s) and examples (functiongraph_00_0011).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Context, Decimal
from enum import Enum
from typing import Annotated

from msgspec import Struct

from loadgen.invocation.believed import LARGEST_MB, LONGEST_MS, NS_PER_MS
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import UNSENT, Outcome
from loadgen.text import units
from loadgen.text.form import DERIVED, Duration, doc, matching, text, without_unit
from loadgen.text.units import NS_PER_S

BILLING_UNITS_NS = (1_000_000, 100_000_000, 1_000_000_000)
"""What durations are, or once were, rounded up to."""
RESOLUTION_NS = 1_000
"""Durations are told in ms with three decimals, so the true one may be that much longer or shorter."""
LONGEST_NS = LONGEST_MS * NS_PER_MS
"""What is believed of a bill, as of any figure: no answer that was read tells more."""


class Charge(Enum):
    """What is known of an invocation's bill."""

    METERED = "metered"
    """It ran, and the answer tells for how long it is billed, and with how much memory."""
    UNMETERED = "unmetered"
    """It may have run: its bill is not known."""
    REFUSED = "refused"
    """It was answered before any code ran."""
    NONE = "none"
    """It never left this machine: there is nothing to bill."""


_EXACT = Context(prec=60)
_MB_NS_PER_GB_S = 1024 * NS_PER_S


def charge(facts: Facts) -> Charge:
    """What is known of the bill of an invocation that was planned, from how it ended."""
    billed_ns, size = facts.billed_duration_ns, facts.memory_size_mb
    if billed_ns and size and billed_ns <= LONGEST_NS and size <= LARGEST_MB:
        return Charge.METERED
    if billed_ns or facts.duration_ns or facts.unbelieved:
        return Charge.UNMETERED
    if facts.outcome.traits.refused:
        return Charge.REFUSED
    unsent = facts.outcome is Outcome.DROPPED or f"{facts.outcome.value}/{facts.reason}" in UNSENT
    return Charge.NONE if unsent else Charge.UNMETERED


def gb_seconds(billed_ns: Mapping[int, int]) -> Decimal:
    """The exact GB-seconds of billed durations (ns) by memory size (MB)."""
    return _EXACT.divide(Decimal(sum(mb * ns for mb, ns in billed_ns.items())), Decimal(_MB_NS_PER_GB_S))


def price(book: PriceBook, used: Decimal, requests: int) -> Decimal:
    """The exact price, in the book's currency, of ``used`` GB-seconds and so many requests."""
    duration = _EXACT.multiply(used, book.per_gb_second)
    return _EXACT.add(duration, _EXACT.multiply(Decimal(requests).scaleb(-6), book.per_million_requests))


def billing_unit(duration_ns: int, billed_ns: int, units_ns: Iterable[int] = BILLING_UNITS_NS) -> int | None:
    """The first unit to which rounding the duration up gives what was billed, at least one; None if there is none."""
    for unit in units_ns:
        whole, rest = divmod(billed_ns, unit)
        if not rest and _steps(duration_ns - RESOLUTION_NS, unit) <= whole <= _steps(duration_ns + RESOLUTION_NS, unit):
            return unit
    return None


def _steps(duration_ns: int, unit: int) -> int:
    return max(1, -(-duration_ns // unit))


class Misbilled(Struct, frozen=True):
    """An invocation that was billed for other than its duration rounded up to any known unit."""

    duration_ns: int
    billed_duration_ns: int
    request_id: str | None


def worse(known: Misbilled | None, other: Misbilled | None) -> Misbilled | None:
    """The one whose bill is further from its duration, the first of equals."""
    if known is None or other is None:
        return known or other
    off, known_off = (abs(each.billed_duration_ns - each.duration_ns) for each in (other, known))
    return other if off > known_off else known


WRITE_PRICES = "write prices: huawei-cny-2024-09"
"""What to do where there is no price book: write one that comes with loadgen, or another."""
_PRICE = text(units.price, str, units.PRICE, "1.33", "0.00011108")


class PriceBook(Struct, frozen=True, rename=without_unit):
    """What the platform charges.

    ``name`` is what the scenario calls it. Prices are exact. Durations are billed in multiples of ``granularity_ns``.
    """

    name: Annotated[str, DERIVED]
    currency: Annotated[
        str,
        matching(r"^[A-Z]{3}$", "the three letters of a currency such as CNY or EUR"),
        doc("The three letters of the currency (ISO 4217)."),
    ]
    dated: Annotated[
        str,
        matching(
            r"^[0-9]{4}-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12][0-9]|3[01]))?$",
            "a month or day such as 2024-09 or 2024-09-30",
        ),
        doc("When these prices were listed."),
    ]
    per_million_requests: Annotated[Decimal, _PRICE, doc("The price of a million requests.")]
    per_gb_second: Annotated[Decimal, _PRICE, doc("The price of 1024 MB for a second.")]
    granularity_ns: Annotated[Duration, doc("Billed durations are multiples of this.")] = 1_000_000

    def __post_init__(self) -> None:
        """Refuse what is no number, which the record of a run may hold that somebody else wrote."""
        if not (self.per_million_requests.is_finite() and self.per_gb_second.is_finite()):
            raise ValueError("expected prices that are numbers")


class Rates(Struct, frozen=True):
    """Prices as statistics use them, in floats: ``per_gb_s`` for each GB-second and ``per_call``, in ``unit``."""

    unit: str
    per_gb_s: float
    per_call: float

    def cost(self, memory_mb: int, billed_ns: float) -> float:
        """The cost of one call; of the mean of several, the mean cost."""
        return self.per_call + self.more(memory_mb, billed_ns)

    def more(self, memory_mb: int, billed_ns: float) -> float:
        """What it costs that a call is billed for so much longer."""
        return self.per_gb_s * (memory_mb * billed_ns / _MB_NS_PER_GB_S)


GB_SECONDS = Rates("GB-s", 1.0, 0.0)
"""The rates where there are no prices."""


def rates(book: PriceBook | None) -> Rates:
    """The exact prices of a book, if there is one, as rates."""
    if book is None:
        return GB_SECONDS
    return Rates(book.currency, float(price(book, Decimal(1), 0)), float(price(book, Decimal(0), 1)))
