"""What a run will take, as far as that can be known before it: invocations, GB-seconds, money, calls in flight.

How many invocations open phases make follows from their schedules, and from the rows of a feeder that is read once.
Closed phases and experiments make as many as the target lets them, so of those only the budget and such a feeder say
anything. What a call is billed is known once one has been: the pre-flight's own bill stands for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate

from msgspec import Struct, structs

from loadgen.experiments.registry import is_experiment, sizes_mb
from loadgen.invocation.bill import WRITE_PRICES, Charge, PriceBook, charge, gb_seconds, price
from loadgen.invocation.facts import Facts
from loadgen.load.phase import Phase
from loadgen.report import units
from loadgen.scenario.model import FeederOrder, Scenario
from loadgen.targets.registry import tenant_of
from loadgen.targets.settings import settings_of
from loadgen.text.units import NS_PER_S

_EXAMPLE_NS = 100_000_000
_COUNTED = 1_000_000  # starts, or seconds, that are counted one by one


class Forecast(Struct, frozen=True):
    """Invocations of a run, pre-flight included.

    ``scheduled`` are those of the schedules (on average where they are Poisson) and of bursts. ``open_ended`` says that
    closed phases or an experiment make more. ``allowed`` is what the budget and the feeder allow, None for any number.
    ``first`` are those of the pre-flight.
    """

    scheduled: int
    open_ended: bool
    allowed: int | None
    first: int = 0

    @property
    def of_schedules(self) -> int:
        """Those that are scheduled, without the pre-flight."""
        return self.scheduled - self.first

    @property
    def at_most(self) -> int | None:
        """The most there can be, None if there is no telling."""
        if self.open_ended:
            return self.allowed
        return self.scheduled if self.allowed is None else min(self.scheduled, self.allowed)

    @property
    def invocations(self) -> int:
        """What to expect: all that may be, or where there is no telling what is scheduled at least."""
        return self.scheduled if self.at_most is None else self.at_most

    def __str__(self) -> str:
        if self.at_most is None and not self.of_schedules:
            return "as many invocations as the target lets it make"
        if self.at_most is None:
            return f"{self.scheduled} invocations and as many as the target lets it make"
        return f"at most {self.at_most} invocations" if self.open_ended else f"{self.at_most} invocations"


class Starts(Struct, frozen=True):
    """The starts of a phase: ``planned`` by its schedule, None for a closed one; of those there are rows for ``fed``.

    ``uncertain`` says that there may be fewer, as a closed phase before takes rows, too.
    """

    planned: int | None
    fed: int | None
    uncertain: bool = False

    @property
    def cut_short(self) -> bool:
        """Whether the feeder ends the phase before its schedule does."""
        return self.fed != self.planned


def rows_allow(scenario: Scenario) -> int | None:
    """How many starts there are rows for; None for any number. The pre-flight takes none: it sends the first one."""
    feeder = scenario.feeder
    return feeder.rows if feeder is not None and feeder.order is FeederOrder.ONCE else None


def starts(scenario: Scenario) -> list[Starts]:
    """How many starts each phase has; phases take the rows of a feeder that is read once in turns."""
    left, uncertain = rows_allow(scenario), False
    found = []
    for phase in scenario.phases:
        planned = phase.expected()
        fed = planned if planned is None or left is None else min(planned, left)
        found.append(Starts(planned, fed, uncertain))
        left = left if left is None or fed is None else left - fed
        uncertain |= planned is None and left is not None
    return found


def fewest(phase: Phase, seed: int, over_ns: int) -> float | None:
    """How many starts are planned in the emptiest window of so many whole seconds; None for a closed phase.

    Of a very long or fast phase it is that of a mean window. Expects a phase that is as long.
    """
    planned, last = phase.expected(), phase.duration_ns // NS_PER_S - 1
    if planned is None:
        return None
    if planned > _COUNTED or last > _COUNTED:
        return planned * over_ns / phase.duration_ns
    each = Counter(min(offset // NS_PER_S, last) for offset in phase.offsets(seed))
    before = [0, *accumulate(each[second] for second in range(last + 1))]
    length = over_ns // NS_PER_S
    return min(after - begun for begun, after in zip(before, before[length:], strict=False))


def forecast(scenario: Scenario) -> Forecast:
    """What the scenario's phases, feeder and budget say."""
    counts = [each.fed for each in starts(scenario)]
    rows, first = rows_allow(scenario), scenario.preflights
    limits = [scenario.budget.invocations, None if rows is None else rows + first]
    return Forecast(
        scheduled=sum(count for count in counts if count is not None) + first,
        open_ended=None in counts or is_experiment(scenario.kind),
        allowed=min((limit for limit in limits if limit is not None), default=None),
        first=first,
    )


def sizes_of(scenario: Scenario, configured_mb: Sequence[int | None] = ()) -> list[int | None]:
    """The memory of each call: what it asks for, else what its function is configured with; None if that is unknown.

    Where an experiment asks for several sizes, the largest.
    """
    calls = scenario.each_call
    configured = configured_mb or [None] * len(calls)
    settings, asked = settings_of(scenario.target), sizes_mb(scenario)
    own = [
        settings.call_mb(structs.replace(scenario, target=call.target), mb)
        for call, mb in zip(calls, configured, strict=True)
    ]
    return [max([mb or 0, *asked]) or None for mb in own]


def size_mb(scenario: Scenario, configured_mb: Sequence[int | None] = ()) -> int | None:
    """The largest memory of a call, see ``sizes_of``; None where one is unknown."""
    known = [mb for mb in sizes_of(scenario, configured_mb) if mb is not None]
    return max(known) if len(known) == len(scenario.each_call) else None


def _largest_mb(scenario: Scenario, facts: Facts) -> int:
    """The largest memory size of a call, the pre-flight with these facts included."""
    return max((facts.memory_size_mb or 0, *sizes_mb(scenario)))


def before(scenario: Scenario, sizes: Sequence[int | None]) -> Iterator[str]:
    """What can be said of the cost before any call was made, as lines of plain text; nothing without bills.

    ``sizes`` are the memory sizes of the calls.
    """
    if not tenant_of(scenario.target).bills:
        return
    book, seen = scenario.prices, forecast(scenario)
    requests = (
        f", {units.amount(price(book, Decimal(0), seen.invocations))} {book.currency} as requests" if book else ""
    )
    yield f"cost: {seen}{requests}"
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        yield "  duration: unknown, and so is the function's memory; the pre-flight will tell"
    else:
        used = _used(scenario, [(size, _EXAMPLE_NS) for size in known])
        spread = f"{known[0]} MB" if len(set(known)) == 1 else f"{min(known)} to {max(known)} MB, as the calls have it"
        yield (
            f"  duration: unknown until the pre-flight; for every 100 ms billed with {spread}, "
            f"{'at least ' if seen.at_most is None else ''}{units.amount(used)} GB-s{_price(book, used)}"
        )
    yield f"  prices: {_listed(book)}"


def after(scenario: Scenario, told: Sequence[Facts], service_ns: int) -> Iterator[str]:
    """What the pre-flight's answers, one of each call, say of the run, as lines; nothing where one told no bill."""
    used = gb_seconds_expected(scenario, told)
    if used is None:
        return
    book, seen = scenario.prices, forecast(scenario)
    total = _price(book, used, seen.invocations)
    least = "at least " if seen.at_most is None else ""
    left_out = ", free tier left out" if book else ""
    sizes = f", and all at the largest size, {_largest_mb(scenario, told[0])} MB" if sizes_mb(scenario) else ""
    bills = [f"{(each.billed_duration_ns or 0) / 1e6:g} ms with {each.memory_size_mb} MB" for each in told]
    like = "all are billed like the pre-flight"
    if scenario.calls:
        like = "each call is billed like its pre-flight"
        bills = [f"{call.name} {bill}" for call, bill in zip(scenario.calls, bills, strict=True)]
    yield (f"expected: {seen}, {least}{units.amount(used)} GB-s{total} if {like}, {', '.join(bills)}{sizes}{left_out}")
    if (flying := in_flight(scenario, service_ns)) is not None:
        yield f"expected: at most {flying} in flight, if all take {units.duration(service_ns)} like the pre-flight"
    limit = scenario.budget.cost
    if book is not None and limit is not None and price(book, used, seen.invocations) >= limit.amount:
        yield f"warning: that is more than budget.cost, {limit}, which will end the run"


def gb_seconds_expected(scenario: Scenario, told: Sequence[Facts]) -> Decimal | None:
    """GB-seconds of all invocations if each is billed like its call's one with these facts; None if that is unknown."""
    if any(charge(each) is not Charge.METERED for each in told):
        return None
    return _used(scenario, [(_largest_mb(scenario, each), each.billed_duration_ns or 0) for each in told])


def _used(scenario: Scenario, bills: Sequence[tuple[int, int]]) -> Decimal:
    """GB-seconds of all invocations if each call is billed so long (ns) with so much memory (MB)."""
    seen, calls = forecast(scenario), scenario.each_call
    weights = sum(call.weight for call in calls)
    billed: Counter[int] = Counter()
    for call, (size, ns) in zip(calls, bills, strict=True):
        n = Fraction(call.weight, weights) * (seen.invocations - seen.first) + Fraction(seen.first, len(calls))
        billed[size] += round(n * ns)
    return gb_seconds(billed)


def in_flight(scenario: Scenario, service_ns: int) -> int | None:
    """The most invocations in flight at once if each takes so long (Little's law); None for an experiment."""
    return max((max(1, phase.in_flight(service_ns)) for phase in scenario.phases), default=None)


def _price(book: PriceBook | None, used: Decimal, requests: int = 0) -> str:
    return "" if book is None else f", {units.amount(price(book, used, requests))} {book.currency}"


def _listed(book: PriceBook | None) -> str:
    if book is None:
        return f"none, so money is not known; {WRITE_PRICES}, or a file of your own"
    return f"{book.name}, as listed in {book.dated}; free tier and discounts left out"
