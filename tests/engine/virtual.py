"""Virtual time: a clock that jumps from event to event, and invokers whose answers are scripted."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from loadgen.engine.invoker import Caller, Invoker, Requests
from loadgen.engine.monotonic import Monotonic
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome

MS = 1_000_000
S = 1000 * MS
OK = Facts(Outcome.OK, "ok", 200)


class VirtualTime:
    """A clock and its alarms; ``run`` rings them in order, without waiting."""

    def __init__(self) -> None:
        self.now = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self.clock = VirtualClock(self)

    def at(self, at_ns: int, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(at_ns, self.now), next(self._order), event))

    def alarm(self, ring: Callable[[], None]) -> VirtualAlarm:
        return VirtualAlarm(self, ring)

    def run(self, until_ns: int = 10**15) -> None:
        while self._events and self._events[0][0] <= until_ns:
            at_ns, _, event = heapq.heappop(self._events)
            self.now = max(self.now, at_ns)  # a test may have let time pass: a stall
            event()


class VirtualClock(Monotonic):
    """See loadgen.engine.clock.Monotonic."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time

    def now(self) -> int:
        return self._time.now


class Sends(Requests):
    """What each arrival sends, by its number."""

    def __init__(self, of: Callable[[int], bytes | None]) -> None:
        super().__init__()
        self._of = of

    def of(self, index: int) -> bytes | None:
        return self._of(index)


class VirtualAlarm:
    """See loadgen.engine.timer.Alarm."""

    def __init__(self, time: VirtualTime, ring: Callable[[], None]) -> None:
        self._time = time
        self._ring = ring
        self._setting = 0
        self.closed = False

    def set(self, at_ns: int) -> None:
        self._setting += 1
        setting = self._setting
        self._time.at(at_ns, lambda: self._ring() if setting == self._setting and not self.closed else None)

    def close(self) -> None:
        self.closed = True


class ScriptedInvoker(Invoker):
    """Answers after a delay that a function of the start instant decides; None never answers."""

    def __init__(
        self,
        time: VirtualTime,
        delay: Callable[[int], int | None],
        caller: Caller,
        sent: list[tuple[int, bytes]],
        facts: Facts = OK,
    ) -> None:
        self._time = time
        self._delay = delay
        self._caller = caller
        self._sent = sent
        self._facts = facts
        self._call = 0

    def invoke(self, request: bytes, started_ns: int) -> int:
        self._sent.append((started_ns, request))
        self._call += 1
        call, delay = self._call, self._delay(started_ns)
        if delay is not None:
            self._time.at(started_ns + delay, lambda: self._end(call, started_ns + delay))
        return started_ns

    def _end(self, call: int, arrived_ns: int) -> None:
        if call == self._call:
            self._caller.ended(arrived_ns, self._time.now, self._facts, 0, b"")

    def abandon(self) -> None:
        self._call += 1


def scripted(
    time: VirtualTime, delay: Callable[[int], int | None], sent: list[tuple[int, bytes]], facts: Facts = OK
) -> Callable[[Caller], Invoker]:
    """A factory of scripted invokers that note what they sent."""
    return lambda caller: ScriptedInvoker(time, delay, caller, sent, facts)
