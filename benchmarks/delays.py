"""Injected delays, and the latencies that they make the truth.

An answer is held for a time that depends only on the number of its request and on when it arrives. So the latency of
every arrival of a schedule is known before any tool has sent one: the time its answer would be held, had it been sent
at its intended instant. The network and the tool itself add what they add, some 0.1 to 0.3 ms on loopback; a server
that answers one request at a time is not part of this model, and the recording server is not one.

A stall is counted from the first request that the server saw, a schedule from its own first arrival. Where the two
differ, by a pre-flight for instance, the stall begins elsewhere in the schedule, but it still covers the same share of
it: its waits are the same but for less than one gap between arrivals.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Protocol

_S = 1_000_000_000
_MS = 1_000_000


class Delay(Protocol):
    """How long answers are held."""

    def held_ns(self, number: int, at_ns: int) -> int:
        """For the ``number``-th request (from 0), which arrives ``at_ns`` after the first."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same."""

    ns: int

    def held_ns(self, number: int, at_ns: int) -> int:
        """See Delay."""
        return self.ns


@dataclass(frozen=True, slots=True)
class Bimodal:
    """``slow_ns`` for a random ``share`` of the requests, which depends on their numbers alone."""

    fast_ns: int
    slow_ns: int
    share: float

    def held_ns(self, number: int, at_ns: int) -> int:
        """See Delay."""
        return self.slow_ns if Random(number).random() < self.share else self.fast_ns


@dataclass(frozen=True, slots=True)
class Stall:
    """Requests that arrive between ``from_ns`` and ``to_ns`` are answered at ``to_ns``, others at once."""

    from_ns: int
    to_ns: int

    def held_ns(self, number: int, at_ns: int) -> int:
        """See Delay."""
        return self.to_ns - at_ns if self.from_ns <= at_ns < self.to_ns else 0


DELAYS: dict[str, Delay] = {
    "none": Fixed(0),
    "fixed": Fixed(20 * _MS),
    "bimodal": Bimodal(10 * _MS, 200 * _MS, 0.05),
    "stall": Stall(5 * _S, 7 * _S),
    "slow": Fixed(2 * _S),
}


def true_latencies_ns(delay: Delay, rate: int, seconds: float) -> list[int]:
    """The latencies of all arrivals of a constant schedule, in order of size."""
    arrivals = (number * _S // rate for number in range(int(rate * seconds)))
    return sorted(delay.held_ns(number, at_ns) for number, at_ns in enumerate(arrivals))
