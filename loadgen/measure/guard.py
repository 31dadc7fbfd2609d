"""Whether a run has to end before its load does: what its budget allows is in flight, or failing.

The guard sees each frame, one a second from each agent, and says why the run has to end, so the load stops within about
a second. Shares are over what ended lately: at least ``FEWEST`` invocations and the last ``WINDOW_NS``, so that neither
one bad second nor a good beginning decides. Invocations and money are no business of the guard: agents hold them in
leases, so that no start exceeds them (``loadgen.measure.purse``).
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from loadgen.invocation.outcome import OK, Outcome
from loadgen.load.budget import Budget
from loadgen.load.phase import Phase
from loadgen.measure.interval import Frame
from loadgen.text.units import NS_PER_S

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
    """Watches the frames of a run."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._ended: deque[_Ended] = deque()

    def reached(self, phase: Phase, frame: Frame) -> str | None:
        """Take in a frame of a phase; why the run has to end, None if it may go on."""
        return self._too_many(phase, frame) or self._too_bad(frame)

    def _too_many(self, phase: Phase, frame: Frame) -> str | None:
        most = self._budget.in_flight
        if most is None or phase.closed or phase.max_in_flight < most or not frame.short_of_workers:
            return None
        return f"budget.in_flight: all {most} invocations that may be in flight at once were, and another one was due"

    def _too_bad(self, frame: Frame) -> str | None:
        budget, ended = self._budget, self._ended
        if budget.errors is None and budget.throttled is None:
            return None
        tally = frame.tally
        count = tally.completed + tally.unfinished
        ok, throttled = tally.outcomes.get(OK, 0), tally.outcomes.get(Outcome.THROTTLED.value, 0)
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
