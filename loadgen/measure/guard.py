"""Whether a run has to end before its load does: what its budget allows is spent, in flight, or failing.

Theory of operation. The guard sees each frame, one a second from each agent, and says why the run has to end, so the
load stops within about a second. Money is spent between two looks, so a budget of money ends the run when

    what was told to be billed
    + what calls that told nothing may be billed: each as if it had run until target.timeout.total, with the largest
      memory that was asked for or told, or the largest there is where none was
    + what is in flight: each call like the dearest so far
    + what the last second cost, for the second until the next look

reaches it. A load that grows, or calls that suddenly take much longer, can still cost more than allowed; the Summary
then says by how much. Shares are over what ended lately: at least ``FEWEST`` invocations and the last ``WINDOW_NS``, so
that neither one bad second nor a good beginning decides.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from msgspec import Struct

from loadgen.functiongraph.outcome import Outcome
from loadgen.measure.cost import Spent, spent
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame
from loadgen.measure.merge import NS_PER_US
from loadgen.scenario.model import MEMORY_SIZES_MB, NS_PER_S, Budget, Metric, Phase, PriceBook

FEWEST = 50
"""Invocations that must have ended before a share of them is judged."""
WINDOW_NS = 5 * NS_PER_S
"""How far back shares look, or further where that holds fewer than ``FEWEST``."""


class _Ended(Struct, frozen=True):
    at_ns: int
    count: int
    errors: int
    throttled: int


class Guard:
    """Watches the frames of a run.

    ``first`` is what the pre-flight used, ``timeout_ns`` how long a call is waited for. ``size_mb`` is the most memory
    that calls ask for, or that of their function where they leave it to that; None where it is not known.
    """

    def __init__(
        self, budget: Budget, prices: PriceBook | None, first: Spent, *, size_mb: int | None, timeout_ns: int
    ) -> None:
        self._budget = budget
        self._prices = prices
        self._spent = first
        self._timeout_ns = timeout_ns
        self._known_mb = max([size_mb or 0, *first.billed_ns])
        self._dearest_ns = max(first.billed_ns.values(), default=0)
        self._in_flight = 0
        self._last: dict[int, Spent] = {}
        self._ended: deque[_Ended] = deque()

    def reached(self, phase: Phase, frame: Frame) -> str | None:
        """Take in a frame of a phase; why the run has to end, None if it may go on."""
        self._in_flight += frame.started - frame.completed - frame.unfinished
        return self._too_many(phase, frame) or self._too_dear(frame) or self._too_bad(frame)

    def _too_many(self, phase: Phase, frame: Frame) -> str | None:
        most = self._budget.in_flight
        if most is None or phase.closed or phase.max_in_flight < most or not frame.short_of_workers:
            return None
        return f"budget.in_flight: all {most} invocations that may be in flight at once were, and another one was due"

    def _too_dear(self, frame: Frame) -> str | None:
        book, limit = self._prices, self._budget.cost
        if book is None or limit is None:
            return None
        latest = spent(frame)
        self._spent += latest
        self._last[frame.agent] = latest
        self._known_mb = max([self._known_mb, *frame.billed_ns])
        self._dearest_ns = max(self._dearest_ns, _longest_bill_ns(frame))
        known = self._spent.amount(book)
        second = sum((each.amount(book) for each in self._last.values()), Decimal(0))
        silent = self._worth(book, self._spent.unmetered, self._timeout_ns)
        flying = self._worth(book, self._in_flight, self._dearest_ns, requests=self._in_flight)
        if known + second + silent + flying < limit.amount:
            return None
        return (
            f"budget.cost: {self._at_least}{_short(known)} {limit.currency} of {limit} are spent; with "
            f"{_short(flying)} for {self._in_flight} in flight{self._unknown(silent)} and {_short(second)} for another "
            "second nothing would be left"
        )

    @property
    def _at_least(self) -> str:
        return "> " if self._spent.unmetered else ""

    def _unknown(self, silent: Decimal) -> str:
        if not silent:
            return ""
        seconds = self._timeout_ns / NS_PER_S
        return (
            f", {_short(silent)} for {self._spent.unmetered} that did not tell their bill (each taken as {seconds:g} s "
            f"with {self._size_mb} MB)"
        )

    @property
    def _size_mb(self) -> int:
        """The memory at which calls are valued that did not tell it."""
        return self._known_mb or MEMORY_SIZES_MB[-1]

    def _worth(self, book: PriceBook, calls: int, each_ns: int, requests: int = 0) -> Decimal:
        return Spent({self._size_mb: calls * each_ns}, requests).amount(book)

    def _too_bad(self, frame: Frame) -> str | None:
        budget, ended = self._budget, self._ended
        if budget.errors is None and budget.throttled is None:
            return None
        outcomes = frame.outcomes
        count = frame.completed + frame.unfinished
        ok, throttled = outcomes.get(Outcome.OK.value, 0), outcomes.get(Outcome.THROTTLED.value, 0)
        ended.append(_Ended(frame.to_ns, count, count - ok, throttled))
        total = sum(each.count for each in ended)
        while total - ended[0].count >= FEWEST and frame.to_ns - ended[0].at_ns >= WINDOW_NS:
            total -= ended.popleft().count
        for name, limit, bad in (
            ("throttled", budget.throttled, sum(each.throttled for each in ended)),
            ("errors", budget.errors, sum(each.errors for each in ended)),
        ):
            if limit is not None and total >= FEWEST and bad > limit * total:
                what = "were throttled" if name == "throttled" else "were not ok"
                return f"budget.{name}: {bad} of the last {total} invocations {what}, more than {100 * limit:.6g} %"
        return None


def _short(amount: Decimal) -> str:
    return f"{Decimal(f'{amount:.4g}').normalize():f}"


def _longest_bill_ns(frame: Frame) -> int:
    """The longest billed duration in a frame, at most a thousandth too long."""
    packed = [packed for key, packed in frame.histograms() if key.metric == Metric.BILLED_DURATION.value]
    return max((Histogram.unpack(each).ceiling_us or 0 for each in packed), default=0) * NS_PER_US
