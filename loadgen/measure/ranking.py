"""The order in which calls stand: what is not ok ranks above every ok call, whatever its time.

A function that refuses three calls of four within a millisecond is not fast. So whatever a caller waits is judged over
every planned call, and one that is not ok counts as longer than any that is: ``latency_all``, the rules on latency, the
capacity of a function and the memory size that it needs all follow this order, and all ask here.

Among themselves those that are not ok stand by their time. It is shown nowhere as a time that a caller waited; a call
that was given up (timed out, dropped, not finished) would have taken at least that long.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from loadgen.measure.histogram import Histogram, rank


class Place(NamedTuple):
    """What stands at a rank: the ``slot`` of its time, at least the slowest ok call's for one that ``failed``.

    ``censored``: it failed, and may be one whose time is only known to be at least that.
    """

    slot: int
    failed: bool
    censored: bool


class Ranking:
    """Calls in order: ``ok`` ones by their time, then ``failed`` ones, of which ``censored`` were given up."""

    def __init__(self, ok: Histogram, failed: Histogram | None = None, censored: Histogram | None = None) -> None:
        self._ok = ok.order()
        self._failed = (failed or Histogram()).order()
        self._slowest_ok = max(ok.counts, default=0)
        self._first_censored = min(censored.counts, default=None) if censored is not None else None
        self._ok_count = ok.count
        self.count = self._ok_count + (failed.count if failed is not None else 0)

    def at(self, ranks: Iterable[int]) -> dict[int, Place]:
        """What stands at 1-based ranks. Raises ValueError for one outside 1 to ``count``."""
        wanted = sorted(set(ranks))
        of_ok = [k for k in wanted if is_ok(k, self._ok_count)]
        others = wanted[len(of_ok) :]
        places = {k: Place(at, False, False) for k, at in zip(of_ok, self._ok.slots_at(of_ok), strict=True)}
        slots = self._failed.slots_at(k - self._ok_count for k in others)
        return places | {k: self._failure(at) for k, at in zip(others, slots, strict=True)}

    def _failure(self, at: int) -> Place:
        censored = self._first_censored is not None and self._first_censored <= at
        return Place(max(at, self._slowest_ok), True, censored)


def is_ok(k: int, ok: int) -> bool:
    """Whether the call of 1-based rank ``k`` is an ok one, where ``ok`` calls are."""
    return k <= ok


def percentile_fails(p: float, ok: int, count: int) -> bool:
    """Whether the percentile ``p`` (in percent) of ``count`` ≥ 1 calls, ``ok`` of them ok, is one that is not."""
    return not is_ok(rank(p, count), ok)


def breaks(ok: bool, time_ns: int | None, limit_ns: int) -> bool:
    """Whether a call is one that a percentile's limit allows only few of: not ok, or not known to be below it."""
    return not ok or time_ns is None or time_ns >= limit_ns
