"""How far the load generator itself can have moved a figure.

Theory of operation. A call that the generator disturbed (``loadgen.measure.recorder`` says which those are) met a
target in another state than was planned: what it would have shown is not known. A figure is that of the undisturbed
calls, and has two ends.

- Low end: disturbed calls count as the fastest of all. So the percentile of rank k among n calls, d of them disturbed,
  is the undisturbed call of rank k - d; of a rank up to d nothing is known from below. But where no start of a heap
  came later than by δ, none of its calls ended later than by δ either: when calls end follows from when they begin by
  maxima, minima and adding what each takes, none of which makes a difference larger. So a call counts as δ less than it
  was seen to take, where it and δ are not out of the ordinary (``loadgen.measure.recorder``), so that the target did
  what it would have done; where it did not (refusals, timeouts, cold starts) nothing of this holds. Decision 034.
- High end: disturbed calls count as they were seen. In a target that lets no work wait while it is free, a start that
  comes later lets no call end sooner, so that each call, counted from its intended start, would have taken at most as
  long as was seen. That does not hold where disturbed calls were refused, timed out or met cold starts: a call that is
  refused leaves room to others. There they count as the slowest of all, so that the percentile is the undisturbed call
  of rank k, and open above the last of these.

A minimum is only as low as a call that was seen. Disturbed calls which failed might have been ok: of figures that are
over ok calls alone they are ``astray``. A heap of starts adds failures and takes none away, so a share lies between
that of the undisturbed failures and that of all.

Where the clock of arrivals moved by S against the one of starts, m calls are wrong by at most S, whichever way: an
order statistic x₍ₖ₎ then lies between max(x₍ₖ₎ - S, x₍ₖ₋ₘ₎) and min(x₍ₖ₎ + S, x₍ₖ₊ₘ₎).

A figure is that of the undisturbed calls, but never below its low end: what is known of the others to have taken so
long at least is not left out of it.

The two ends do not contain the sampling error: they are of these arrivals, not of others like them.

Sources: for the high end, the recursion of D. V. Lindley, The Theory of Queues with a Single Server, 1952, and of J.
Kiefer and J. Wolfowitz, On the Theory of Queues with Many Servers, 1955: departures of a first-come-first-served queue
do not decrease where arrivals do not. The simulation holds it to pools of instances, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import Struct

from loadgen.measure.histogram import Histogram, ceiling, lowest, rank
from loadgen.measure.ranking import Place, Ranking
from loadgen.measure.summary import Ends

NEGLIGIBLE = 0.05
NEGLIGIBLE_NS = 50_000
"""Ends that differ by no more than this share of the figure, or these ns, are shown as one figure."""
NEGLIGIBLE_SHARE = 0.001
"""The same of shares: a part of the planned invocations."""


class Moved(Struct, frozen=True):
    """What the generator did to the calls of a figure.

    ``ok``, ``failed`` and (of these) ``censored`` are the disturbed calls as they were seen, ``astray`` more of them
    that were seen elsewhere and might have been of this figure. ``open`` says that what they met was of their own
    making. ``stepped`` calls are wrong by up to ``step_us`` either way. ``least`` is what ok ones would have taken at
    least, of as many as that is known of.
    """

    ok: Histogram = Histogram()
    failed: Histogram = Histogram()
    censored: Histogram = Histogram()
    astray: int = 0
    open: bool = False
    stepped: int = 0
    step_us: int = 0
    least: Histogram = Histogram()

    @property
    def seen(self) -> int:
        """The disturbed calls of the figure."""
        return self.ok.count + self.failed.count

    @property
    def any(self) -> bool:
        """Whether it did anything."""
        return bool(self.seen or self.astray or self.stepped)


class End(NamedTuple):
    """One end of a figure, in counted units, rounded outwards; ``at`` None: not bounded.

    ``failed``: it is a call that is not ok, longer than every time.
    """

    at: int | None
    failed: bool = False


class Bracket:
    """The two ends of order statistics of undisturbed calls (``ok``, ``failed``, ``censored``) and disturbed ones.

    A low end is of a rank among ``count`` calls, a high end of one among ``high_count``.
    """

    def __init__(self, ok: Histogram, failed: Histogram | None, censored: Histogram | None, moved: Moved) -> None:
        self.undisturbed = Ranking(ok, failed, censored)
        self.observed = Ranking(
            together(ok, moved.ok), together(failed, moved.failed), together(censored, moved.censored)
        )
        self._moved = moved
        self._bounded = Ranking(together(ok, moved.least), failed, censored) if moved.least.counts else self.undisturbed
        self.count = self.undisturbed.count + moved.seen + moved.astray
        self.high_count = self.count if moved.open else self.observed.count

    def low(self, k: int) -> End:
        """The low end of rank ``k``."""
        return _lowered(self._bounded, k - (self.count - self._bounded.count), self._moved)

    def high(self, k: int) -> End:
        """The high end of rank ``k``."""
        return _raised(self.undisturbed if self._moved.open else self.observed, k, self._moved)

    def around(self, p: float, own: Place) -> tuple[End, End]:
        """Both ends of the percentile ``p`` (in percent), which is ``own`` of the undisturbed calls, or more."""
        high = self.high(rank(p, self.high_count))
        return self.low(rank(p, self.count)), longer(high, End(ceiling(own.slot), own.failed))


def _lowered(ranking: Ranking, k: int, moved: Moved) -> End:
    if k < 1:
        return End(0)
    place = ranking.at((k,))[k]
    if place.failed:
        return End(lowest(place.slot), failed=True)
    before = k - moved.stepped
    least = lowest(ranking.at((before,))[before].slot) if before >= 1 else 0
    return End(max(least, lowest(place.slot) - moved.step_us))


def _raised(ranking: Ranking, k: int, moved: Moved) -> End:
    if k > ranking.count:
        return End(None)
    place = ranking.at((k,))[k]
    if place.failed:
        return End(ceiling(place.slot), failed=True)
    most, after = ceiling(place.slot) + moved.step_us, k + moved.stepped
    beyond = ranking.at((after,))[after] if after <= ranking.count else None
    return End(most if beyond is None or beyond.failed else min(most, ceiling(beyond.slot)))


def longer(one: End, other: End) -> End:
    """The longer of two ends: what is not bounded, else what failed, else by time."""
    if one.at is None or other.at is None:
        return End(None)
    return max(one, other, key=lambda end: (end.failed, end.at))


def together(one: Histogram | None, other: Histogram) -> Histogram:
    """What both have counted."""
    whole = Histogram(dict(one.counts) if one is not None else {})
    whole.add(other)
    return whole


def of_extremes(ok: Histogram, failed: Histogram, moved: Moved, unit: int) -> dict[str, Ends]:
    """The ends of ``min``, ``mean`` and ``max``, by name; none where there is no call, no mean where some failed."""
    bracket = Bracket(ok, failed, None, moved)
    undisturbed, observed = bracket.undisturbed, bracket.observed
    if not observed.count:
        return {}
    first = _raised(undisturbed if undisturbed.count else observed, 1, moved)
    found = {
        "min": (_lowered(observed, 1, moved), first),
        "max": (bracket.low(bracket.count), End(None) if moved.open else _raised(observed, observed.count, moved)),
    }
    if not (failed.count or moved.failed.count):
        found["mean"] = _mean(ok, moved, bracket.count)
    return {name: ends(low, high, unit) for name, (low, high) in found.items()}


def _mean(ok: Histogram, moved: Moved, count: int) -> tuple[End, End]:
    """Disturbed calls count as the least that they would have taken, or as they were seen."""
    slipped = moved.step_us * moved.stepped
    low = End(max(0, _sum(ok, lowest) + _sum(moved.least, lowest) - slipped) // count)
    if moved.open:
        return low, End(None)
    parts = [histogram for histogram in (ok, together(ok, moved.ok)) if histogram.count]
    return low, End(max(-(-(_sum(each, ceiling) + slipped) // each.count) for each in parts))


def _sum(histogram: Histogram, edge: Callable[[int], int]) -> int:
    return sum(edge(at) * n for at, n in histogram.counts.items())


def ends(low: End, high: End, unit: int) -> Ends:
    """Two ends as they stand in a Summary; ``unit`` is what one count is worth."""
    return Ends(
        low=(low.at or 0) * unit,
        high=None if high.at is None else high.at * unit,
        low_failed=low.failed,
        high_failed=high.failed,
    )


def is_range(found: Ends | None, value: int, *, times: bool = True) -> bool:
    """Whether the ends of a figure are so far apart that it is shown as a range."""
    if found is None or (found.low_failed and found.high_failed):
        return False
    if found.high is None or found.low_failed != found.high_failed:
        return True
    return found.high - found.low > max(NEGLIGIBLE * value, NEGLIGIBLE_NS if times else 0)


class ShareEnds(NamedTuple):
    """What part of the planned invocations has a fate: the least and the most that it would have been undisturbed."""

    low: float
    high: float

    @property
    def is_range(self) -> bool:
        """Whether they are so far apart that they are shown as a range."""
        return self.high - self.low > max(NEGLIGIBLE * self.high, NEGLIGIBLE_SHARE)


def of_share(counted: int, disturbed: int, planned: int) -> ShareEnds:
    """The ends of a share: so many are ``counted``, ``disturbed`` of them, of the ``planned`` ≥ 1 invocations."""
    return ShareEnds((counted - disturbed) / planned, counted / planned)


def names(ranges: Sequence[str]) -> str:
    """Figures in words, all of the first one's metric, and how many more there are: ``p99 and max of latency``."""
    metric, _ = _parted(ranges[0])
    own = [statistic for of, statistic in map(_parted, ranges) if of == metric]
    of, more = f" of {metric}" if metric else "", len(ranges) - len(own)
    others = f", and {more} more figure{'s' if more > 1 else ''}," if more else ""
    return f"{_listed(own)}{of}{others}"


def _parted(figure: str) -> tuple[str, str]:
    """The metric and the statistic of ``cold.latency.p99.9``; no metric of a share."""
    found = re.fullmatch(r"(?:(.+)\.)?(min|mean|max|p[\d.]+|[a-z]+)", figure)
    return (found[1] or "", found[2]) if found else ("", figure)


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
