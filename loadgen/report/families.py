"""What a monitoring system is told of a run: counts by phase, call, outcome and start, and whole distributions.

One list for all of them, whether a run goes on or has ended, and whatever carries it: the text of OpenMetrics, a
scrape, OTLP. Everything is counted since the run began and only grows, but for gauges. Of invocations that are ok the
start is told (cold, warm, ambiguous, unknown), of the others it is empty, as they have none to speak of. Calls that the
load generator disturbed are in the distributions as they were seen, and counted beside.

**Buckets.** A classic bucket counts what took at most its bound. HDR slots are merged for it: a slot is in the first
bucket whose bound nothing in the slot exceeds. So a bucket never counts what took longer, and what it leaves to the
next one lies within one slot below its bound: at most a 1,024th of it, or 1 µs. The sum takes each slot at its middle.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from msgspec import Struct, field, structs

from loadgen.invocation.cell import CALL
from loadgen.invocation.metric import Metric
from loadgen.invocation.outcome import OK
from loadgen.invocation.start import UNKNOWN
from loadgen.measure.histogram import Histogram, ceiling
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.summary import CallSummary, MetricSummary, PhaseSummary, Summary

METRICS = (Metric.LATENCY, Metric.SERVICE_TIME, Metric.DURATION, Metric.BILLED_DURATION, Metric.LATE)
"""Of which the distributions are told; all but latency of ok invocations alone."""
BOUNDS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0,
    30.0, 60.0, 100.0, 300.0, 900.0,
)  # fmt: skip
"""Upper bounds of the buckets, in seconds."""
MOST_PARTS = 100
"""So many calls of phases have series of their own; each has some 200 of them."""
OTHERS = "(others)"
"""The phase of what is beyond; no phase of a scenario is called so."""
US_PER_S = 1_000_000
_BOUNDS_US = [round(bound * US_PER_S) for bound in BOUNDS_S]
_COUNTS = {
    "planned": "Invocations that fell due.",
    "started": "Invocations that were started.",
    "completed": "Invocations that ended by themselves.",
    "dropped": "Invocations that fell due and were not started.",
    "unfinished": "Invocations that were in flight when they were given up.",
}
_SAYS = {
    Metric.LATENCY: "From the instant when an invocation was due to its end.",
    Metric.SERVICE_TIME: "From the start of an ok invocation to its end.",
    Metric.DURATION: "The duration that the platform reports, of ok invocations.",
    Metric.BILLED_DURATION: "The duration that the platform bills, of ok invocations.",
    Metric.LATE: "How late the load generator itself started ok invocations.",
}

Histograms = Mapping[tuple[str, str, Metric], Histogram]
"""By start, empty of what is not ok, outcome and metric."""


class Part(Struct, frozen=True):
    """What was counted of one call in one phase."""

    phase: str
    call: str
    planned: int
    started: int
    completed: int
    dropped: int
    unfinished: int
    outcomes: dict[str, int]
    disturbed: int
    histograms: Histograms


class Standing(Struct, frozen=True):
    """How a run stands. ``rules`` have their text and whether they are met, None for open."""

    name: str
    kind: str
    version: str
    parts: tuple[Part, ...] = ()
    in_flight: int = 0
    rules: tuple[tuple[str, bool | None], ...] = ()


class Point(Struct, frozen=True):
    """One series of a family, and its value."""

    labels: dict[str, str]
    value: float | Histogram


class Family(Struct, frozen=True):
    """Series of one name, of which ``_total`` of a counter is no part. ``unit`` is empty, or ``seconds``."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    says: str
    unit: str = ""
    points: list[Point] = field(default_factory=list)


def families(standing: Standing) -> Iterator[Family]:
    """All there is to tell; none without a series."""
    found = [*_counts(standing.parts), *_distributions(standing.parts), *_gauges(standing)]
    return (family for family in found if family.points)


def of_total(total: PhaseTotal) -> Iterator[Part]:
    """What a phase counted so far, copied, as it goes on counting: a part for each call, none before the first."""
    if not total.tally.planned:
        return
    for call, part in total.calls.items() or ((CALL, total),):
        tally = part.tally
        yield Part(
            phase=total.name,
            call=call,
            planned=tally.planned,
            started=tally.started,
            completed=tally.completed,
            dropped=tally.dropped,
            unfinished=tally.unfinished,
            outcomes=dict(tally.outcomes),
            disturbed=sum(tally.disturbed.values()),
            histograms=_of_cells(part),
        )


def of_summary(summary: Summary) -> Standing:
    """How a run ended. Raises ValueError for a histogram that is none."""
    parts: list[Part] = []
    for phase in summary.phases:
        each_call: dict[str, CallSummary | PhaseSummary] = {**phase.by_call} or {CALL: phase}
        parts += [_of_call(phase.name, call, part) for call, part in each_call.items()]
    rules = tuple((each.rule, each.passed) for each in summary.thresholds)
    return Standing(summary.run.name, summary.run.kind, summary.run.version, together(parts), rules=rules)


def together(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Parts, those of one call in phases of one name added up, as an experiment plays some more than once.

    From ``MOST_PARTS`` on they are told together as those of the phase ``OTHERS``, so that series do not grow without
    end.
    """
    found: dict[tuple[str, str], Part] = {}
    for part in parts:
        known = (part.phase, part.call) in found or len(found) < MOST_PARTS
        of = part if known else structs.replace(part, phase=OTHERS)
        key = (of.phase, of.call)
        found[key] = _sum(found[key], of) if key in found else of
    return tuple(found.values())


def _sum(one: Part, other: Part) -> Part:
    outcomes = {
        each: one.outcomes.get(each, 0) + other.outcomes.get(each, 0) for each in {**one.outcomes, **other.outcomes}
    }
    histograms: dict[tuple[str, str, Metric], Histogram] = {}
    for part in (one, other):
        for key, histogram in part.histograms.items():
            histograms.setdefault(key, Histogram()).add(histogram)
    counts = {name: getattr(one, name) + getattr(other, name) for name in (*_COUNTS, "disturbed")}
    return structs.replace(one, outcomes=outcomes, histograms=histograms, **counts)


def cumulative(histogram: Histogram) -> list[int]:
    """How many are in each bucket or in one before it; all of them in the last, which has no bound."""
    counts = [0] * (len(_BOUNDS_US) + 1)
    for slot, n in histogram.counts.items():
        counts[bisect_left(_BOUNDS_US, ceiling(slot))] += n
    for at in range(1, len(counts)):
        counts[at] += counts[at - 1]
    return counts


def sum_s(histogram: Histogram) -> float:
    """The sum of all, in seconds."""
    return (histogram.mean_us or 0.0) * histogram.count / US_PER_S


def _of_cells(total: PhaseTotal) -> Histograms:
    found: dict[tuple[str, str, Metric], Histogram] = {}
    for cell, histogram in total.histograms.items():
        metric = Metric(cell.metric)
        if metric in METRICS and (cell.outcome == OK or metric is Metric.LATENCY):
            start = cell.start if cell.outcome == OK else ""
            found.setdefault((start, cell.outcome, metric), Histogram()).add(histogram)
    return found


def _of_call(phase: str, call: str, part: CallSummary | PhaseSummary) -> Part:
    found: dict[tuple[str, str, Metric], Histogram] = {}
    for metric in METRICS:
        by = {start: metrics[metric.value] for start, metrics in part.by_start.items() if metric.value in metrics}
        if not by and metric.value in part.metrics:
            by = {UNKNOWN: part.metrics[metric.value]}
        found.update({(start, OK, metric): _whole(each) for start, each in by.items()})
    for outcome, metrics in part.by_outcome.items():
        if (latency := metrics.get(Metric.LATENCY.value)) is not None:
            found["", outcome, Metric.LATENCY] = _whole(latency)
    return Part(
        phase=phase,
        call=call,
        planned=part.planned,
        started=part.started,
        completed=part.completed,
        dropped=part.dropped,
        unfinished=part.unfinished,
        outcomes=part.outcomes,
        disturbed=sum(part.disturbed.values()),
        histograms={key: each for key, each in found.items() if each.counts},
    )


def _whole(found: MetricSummary) -> Histogram:
    """All that was recorded, disturbed or not."""
    whole = Histogram.decode(found.histogram) if found.count else Histogram()
    if found.disturbed:
        whole.add(Histogram.decode(found.disturbed_histogram))
    return whole


def _counts(parts: Iterable[Part]) -> Iterator[Family]:
    every = list(parts)
    outcomes = Family("loadgen_invocations", "counter", "Invocations that fell due, by how they ended.")
    for part in every:
        outcomes.points.extend(Point({**_labels(part), "outcome": each}, n) for each, n in part.outcomes.items())
    yield outcomes
    for name, says in _COUNTS.items():
        yield Family(
            f"loadgen_{name}", "counter", says, points=[Point(_labels(part), getattr(part, name)) for part in every]
        )
    says = "Invocations that the load generator itself disturbed."
    yield Family("loadgen_disturbed", "counter", says, points=[Point(_labels(part), part.disturbed) for part in every])


def _distributions(parts: Iterable[Part]) -> Iterator[Family]:
    every = list(parts)
    for metric in METRICS:
        family = Family(f"loadgen_{metric.value}_seconds", "histogram", _SAYS[metric], "seconds")
        for part in every:
            for (start, outcome, of), histogram in part.histograms.items():
                if of is metric:
                    labels = {**_labels(part), "start": start, "outcome": outcome}
                    family.points.append(Point(labels, histogram))
        yield family


def _gauges(standing: Standing) -> Iterator[Family]:
    run = {"name": standing.name, "kind": standing.kind, "version": standing.version}
    yield Family("loadgen_run", "gauge", "Which run this is; always 1.", points=[Point(run, 1)])
    says = "Invocations in flight, as last reported."
    yield Family("loadgen_in_flight", "gauge", says, points=[Point({}, standing.in_flight)])
    rules = Family("loadgen_rule", "gauge", "1 for how a rule stands: met, broken or open; 0 for how it does not.")
    for text, passed in dict(standing.rules).items():
        for state, word in ((True, "met"), (False, "broken"), (None, "open")):
            rules.points.append(Point({"rule": text, "state": word}, int(passed is state)))
    yield rules


def _labels(part: Part) -> dict[str, str]:
    return {"phase": part.phase, "call": part.call}
