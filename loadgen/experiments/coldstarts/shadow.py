"""What a trace of calls says about cold starts by itself: bounds from replaying it on pools of instances.

Theory of operation. An instance serves one call at a time and ends when it was idle for the keep-alive time. Which idle
instance takes a call is the platform's affair, but two routings enclose all others. Taking the one closest to its end,
with the longest keep-alive time that is possible, needs the fewest cold starts; taking the most recently used one, with
the shortest time, needs the most: by an exchange argument on the sorted remaining lifetimes. So a call that is cold in
the first replay is cold whatever the platform does, and one that is warm in the second is warm.

It holds if nobody else calls the function, the platform starts no instances ahead and ends none early. A count outside
the bounds shows that one of these is not so.

A change of settings ends all instances, but the platform may have others in their place before the next call comes. So
the kindest replay keeps them over a change, and the unkindest begins anew with it.

An instance is busy for less time than the client waits, by up to the time on the network; ``slack_ns`` of it, by which
the replays differ, too.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise

from msgspec import Struct


class Call(Struct, frozen=True):
    """When a call was started and had ended, in ns of one clock; ``renewed``: settings were changed just before."""

    started_ns: int
    ended_ns: int
    renewed: bool = False


class Flags(Struct, frozen=True):
    """Whether a call must have been cold, and whether it can have been."""

    must: bool
    may: bool


def replay(calls: Iterable[Call], shortest_ns: int, longest_ns: int, slack_ns: int = 0) -> list[Flags]:
    """The flags of calls in order of their start, if idle instances live from ``shortest_ns`` to ``longest_ns``."""
    known = list(calls)
    must = _colds(known, longest_ns + slack_ns, -slack_ns, recent=False)
    may = [cold for piece in _pieces(known) for cold in _colds(piece, shortest_ns - slack_ns, 0, recent=True)]
    return [Flags(*each) for each in zip(must, may, strict=True)]


def _pieces(calls: list[Call]) -> Iterator[list[Call]]:
    """The calls between two changes of settings."""
    begins = [0, *(number for number, call in enumerate(calls) if call.renewed and number), len(calls)]
    for begin, end in pairwise(begins):
        yield calls[begin:end]


def _colds(calls: list[Call], keep_ns: int, shift_ns: int, *, recent: bool) -> list[bool]:
    """Which calls start an instance, when it is free ``shift_ns`` after the end that the client saw."""
    busy: list[int] = []
    idle: deque[int] = deque()  # since when, ascending
    colds = []
    for call in calls:
        while busy and busy[0] <= call.started_ns:
            idle.append(heapq.heappop(busy))
        while idle and idle[0] + keep_ns < call.started_ns:
            idle.popleft()
        colds.append(not idle)
        if idle:
            _ = idle.pop() if recent else idle.popleft()
        heapq.heappush(busy, max(call.ended_ns + shift_ns, call.started_ns))
    return colds
