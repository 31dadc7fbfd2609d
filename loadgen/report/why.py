"""What most of the slow calls have in common, where that is one thing.

It may be that they are cold starts, failed, of one call of a mix, of one phase, of one stretch of time
(``loadgen.report.stretch``), or slow in the function or on the way.

Theory of operation. Slow are the calls above the limit of the first rule about a time that is broken, of which a
call that is not ok always is, else the ok ones above the highest percentile of latency that is shown. A cause is said
where

- at least ``MOST`` of the slow calls have it, and that it is more than half of them is no chance (a binomial test);
- it is not as common among all calls, so that it tells slow ones from others;
- without its calls the figure would be below the limit, or less than ``BETTER`` of what it is.

Which calls were slow in the function is not in the Summary, but how many took so long there is: as a call takes no
less time than a part of it, each of these is a slow one. So it is for the way (overhead).

Else nothing is said: a tail may have many causes, and most have no name here. How often what is said is true is
simulated (``make simulate``, docs/simulations.md): where labels mean nothing one is named in fewer than 5 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from loadgen.invocation.outcome import OK
from loadgen.invocation.start import COLD
from loadgen.measure.histogram import Histogram, highest, lowest, rank
from loadgen.measure.percentile import supported
from loadgen.measure.rule import MetricRule, Rule, parse
from loadgen.measure.summary import MetricSummary, Summary, ThresholdResult
from loadgen.report import units
from loadgen.report.figures import Shown, shown, totals
from loadgen.stats.beta import incomplete

MOST = 0.75
BETTER = 0.7
RARELY = 0.01
LEAST = 20
"""Slow calls that it takes to say what they have in common."""
_NS_PER_US, _NS_PER_S, _NS_PER_MINUTE = 1_000, 1_000_000_000, 60_000_000_000
_TAILS = (99.0, 95.0, 90.0)


class Slow(Struct, frozen=True):
    """What is slow: above so many µs; ``p`` is the percentile that stands there, ``limit`` says that a rule does."""

    above_us: int
    p: float
    limit: bool
    of: str


class _Cause(Struct, frozen=True):
    """Something that calls may have in common, and its calls, of which ``failed`` besides are not ok."""

    name: str
    calls: Histogram
    failed: int = 0


def why(summary: Summary) -> str:
    """The sentence, without capital and full stop; empty where no one cause stands out."""
    slow = slow_in(summary)
    latency = summary.totals.metrics.get("latency")
    if slow is None or latency is None:
        return ""
    every = _histogram([latency])
    failed = summary.totals.planned - summary.totals.outcomes.get(OK, 0) if slow.limit else 0
    total, slow_ones = every.count + failed, above(every, slow.above_us) + failed
    if slow_ones < LEAST:
        return ""
    for cause in _causes(summary, every, slow, failed):
        own = min(slow_ones, above(cause.calls, slow.above_us) + cause.failed)
        if own < MOST * slow_ones or incomplete(0.5, own, slow_ones - own + 1) > RARELY:
            continue
        if 2 * (cause.calls.count + cause.failed) > total:
            continue  # most calls have it, slow or not
        without_us = _percentile(every, cause.calls, failed - cause.failed, slow.p)
        if without_us is None or without_us >= (slow.above_us if slow.limit else BETTER * slow.above_us):
            continue
        left = units.duration(without_us * _NS_PER_US)
        of = f"{units.count(own)} of the {units.count(slow_ones)} calls above it"
        return f"{slow.of} is {cause.name}, {of}: without them it is {left}"
    return ""


def rule_of(result: ThresholdResult) -> Rule | None:
    """The rule of a result; None of one that is no rule of this version."""
    try:
        return parse(result.rule)
    except ValueError:
        return None


def slow_in(summary: Summary) -> Slow | None:
    """What is slow in this run; None where nothing can be said of it."""
    for result in summary.thresholds:
        rule = rule_of(result)
        if (
            result.passed is False
            and isinstance(rule, MetricRule)
            and rule.metric.value in ("latency", "latency_all")
            and rule.percentile is not None
            and rule.phase is rule.call is rule.start is None
            and rule.over_ns is None
        ):
            return Slow(rule.limit_ns // _NS_PER_US, rule.percentile, True, f"what breaks {rule.text}")
    for p in _TAILS:
        found = shown(totals(summary), "latency", p)
        if isinstance(found, Shown) and found.ends is None:
            return Slow(found.value // _NS_PER_US, p, False, f"the {units.percentile(p)}")
    return None


def _causes(summary: Summary, every: Histogram, slow: Slow, failed: int) -> Iterator[_Cause]:
    """What may have made calls slow, the most telling first."""
    whole = summary.totals
    if failed:
        yield _Cause("calls that failed", Histogram(), failed)
    if (cold := whole.by_start.get(COLD, {}).get("latency")) is not None:
        yield _Cause("cold starts", _histogram([cold]))
    for name, call in whole.by_call.items():
        if (latency := call.metrics.get("latency")) is not None:
            yield _Cause(f"call {name}", _histogram([latency]))
    yield from _times(summary, slow)
    for name, part in (("time in the function", "duration"), ("time on the way (network and platform)", "overhead")):
        if (metric := whole.metrics.get(part)) is not None:
            yield _Cause(name, _slowest(every, above(_histogram([metric]), slow.above_us)))


def _times(summary: Summary, slow: Slow) -> list[_Cause]:
    """Phases and the stretch: what has fewest calls first, the stretch where it is less than half of a phase."""
    found = []
    measured = [phase for phase in summary.phases if not phase.warmup]
    for phase in measured if len(measured) > 1 else ():
        if (latency := phase.metrics.get("latency")) is not None:
            calls = _histogram([latency])
            found.append((calls.count, _Cause(f"phase {phase.name}", calls)))
    if (stretch := summary.stretch) is not None:
        start, end = (_instant(at_ns) for at_ns in (stretch.from_ns, stretch.to_ns))
        calls = Histogram.decode(stretch.histogram)
        failed = stretch.failed if slow.limit else 0
        found.append((2 * calls.count, _Cause(f"calls that ended from {start} to {end} of the run", calls, failed)))
    return [cause for _, cause in sorted(found, key=lambda each: each[0])]


def _instant(ns: int) -> str:
    """When something was, in a run: ``6.30 s``, and from the first minute on to the second, ``11 min 42 s``."""
    return units.duration(ns) if ns < _NS_PER_MINUTE else units.span(round(ns / _NS_PER_S) * _NS_PER_S)


def _slowest(every: Histogram, n: int) -> Histogram:
    """So many of the slowest calls."""
    taken: dict[int, int] = {}
    for at in sorted(every.counts, reverse=True):
        if n <= 0:
            break
        taken[at] = min(n, every.counts[at])
        n -= taken[at]
    return Histogram(taken)


def _histogram(metrics: Iterable[MetricSummary]) -> Histogram:
    """All calls of these, disturbed or not."""
    whole = Histogram()
    for metric in metrics:
        for blob in (metric.histogram, metric.disturbed_histogram):
            if blob:
                whole.add(Histogram.decode(blob))
    return whole


def above(calls: Histogram, us: int) -> int:
    """How many calls took so many µs or more."""
    return sum(n for at, n in calls.counts.items() if lowest(at) >= us)


def _percentile(every: Histogram, without: Histogram, failed: int, p: float) -> int | None:
    """A percentile of all calls but some, ``failed`` ones above, in µs.

    None where it is none of an ok call, or too few are left to show it.
    """
    left = {at: n - without.counts.get(at, 0) for at, n in every.counts.items()}
    count = sum(left.values()) + failed
    if not supported(count, p):
        return None
    wanted, seen = rank(p, count), 0
    for at in sorted(left):
        seen += left[at]
        if seen >= wanted:
            return highest(at)
    return None
