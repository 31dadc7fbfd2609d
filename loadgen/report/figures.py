"""Which figures may be shown, decided once for every renderer.

summary.json holds what was measured; a report shows only what the sample supports and the Verdict lets stand. What it
does not show it replaces with a dash and the reason. What the load generator itself may have moved by more than a
figure can hide is shown as a range.
"""

from __future__ import annotations

from msgspec import Struct, structs

from loadgen.invocation.metric import TIME
from loadgen.invocation.outcome import CENSORED, OK
from loadgen.measure.ends import is_range
from loadgen.measure.percentile import needed
from loadgen.measure.summary import Ends, MetricSummary, Percentile, PhaseSummary, Reason, Summary, Verdict
from loadgen.measure.verdict import withheld
from loadgen.report import units

DASH = "—"
FAILED = "failed"
"""What stands in the place of a time among the calls that are not ok."""
TOO_FEW = "n < "
"""What ``Withheld.brief`` begins with when the sample is too small; the number needed follows."""
GENERATOR = "generator"
"""What stands below a range that the load generator itself leaves open."""
BURSTS = "bursts"
"""``Withheld.brief`` when the sample is large enough, but says too little, as slow invocations come together."""


class View(Struct, frozen=True):
    """The stretch of load whose figures are shown: one phase, or (``name`` None) all measured phases together.

    ``call`` is the one of a mix that alone is shown, None for all.
    """

    phase: PhaseSummary
    name: str | None
    verdict: Verdict
    call: str | None = None


class Shown(Struct, frozen=True):
    """A figure that may be shown. ``low`` and ``high`` are its 95 % interval, None for what has none (min, mean, max).

    ``failed`` means that it is no time: it falls among the calls that are not ok, and so above every time that was
    ``low``, unless ``low_failed``, too. ``at_least`` and ``high_at_least`` mark lower bounds: the true number may be
    larger. ``unit`` is ``ns`` or ``bytes``. With ``ends`` it is a range: the load generator may have moved it that far.
    """

    value: int
    unit: str
    low: int | None = None
    high: int | None = None
    at_least: bool = False
    high_at_least: bool = False
    failed: bool = False
    low_failed: bool = False
    ends: Ends | None = None

    def __str__(self) -> str:
        """The figure as it is printed: ``1.23 ms``, ``≥ 1.23 ms``, ``failed``, ``1.23–4.56 ms``."""
        if self.ends is not None:
            return spread(self.ends, self.unit)
        return FAILED if self.failed else ("≥ " if self.at_least else "") + _quantity(self.unit, self.value)

    @property
    def interval(self) -> str:
        """What stands below it: its interval, or how long was waited at least; empty when there is neither."""
        if self.ends is not None:
            return GENERATOR
        if self.failed and self.at_least:
            return f"≥ {_quantity(self.unit, self.value)}"
        if self.failed and self.low_failed:
            return ""
        if self.low is None or self.high is None:
            return ""
        if self.high_at_least:
            return f"from {_quantity(self.unit, self.low)}"
        return units.between(*(_quantity(self.unit, value) for value in (self.low, self.high, self.value)))


class Withheld(Struct, frozen=True):
    """A figure that may not be shown. ``why`` is a sentence, ``brief`` fits under the dash."""

    why: str
    brief: str

    def __str__(self) -> str:
        """A dash."""
        return DASH


Figure = Shown | Withheld


def totals(summary: Summary) -> View:
    """All measured phases together."""
    return View(summary.totals, None, summary.verdict)


def phases(summary: Summary) -> list[View]:
    """Each phase, warm-ups included, in order."""
    return [View(phase, phase.name, summary.verdict) for phase in summary.phases]


def calls(view: View) -> list[tuple[str, View]]:
    """Each call of a mix in a stretch of load, by name: the stretch as if there were nothing but that call."""
    return [
        (name, View(structs.replace(view.phase, by_call={}, **structs.asdict(each)), view.name, view.verdict, name))
        for name, each in view.phase.by_call.items()
    ]


def shown(view: View, metric: str, statistic: float | str, start: str | None = None) -> Figure:
    """A statistic of a metric: a percentile (in percent), ``min``, ``mean`` or ``max``, or why it may not be shown.

    It is over the ok invocations with a ``start`` label, None for all. Withheld is what has no observations, what a
    reason of the Verdict withholds (everything when the run is invalid), and a percentile whose sample gives its
    interval no limits.
    """
    metrics = view.phase.metrics if start is None else view.phase.by_start.get(start, {})
    distribution = metrics.get(metric)
    if distribution is None or not (distribution.count or distribution.disturbed):
        return Withheld(f"{metric}: no invocation has one.", "none")
    reason = withholding(view, metric, statistic, start)
    if reason is not None:
        return Withheld(_because(reason), reason.rule)
    failed = view.phase.planned - view.phase.outcomes.get(OK, 0)
    if metric == "latency_all" and failed and not (distribution.failed or distribution.disturbed):
        return Withheld("An earlier version wrote this summary, in which what failed stands by its time.", "not ranked")
    censored = metric == "latency_all" and any(view.phase.outcomes.get(outcome) for outcome in CENSORED)
    if isinstance(statistic, str):
        return _extreme(distribution, metric, statistic, censored)
    found = next((item for item in distribution.percentiles if item.p == statistic), None)
    if found is None:
        return Withheld(f"{units.percentile(statistic)} of {metric} is not in this summary.", "not listed")
    return _percentile(distribution, found)


def withholding(view: View, metric: str, statistic: float | str, start: str | None = None) -> Reason | None:
    """The first reason for which the Verdict withholds a statistic of a metric, None when it lets it stand."""
    p = {"min": None, "mean": None, "max": 100.0}[statistic] if isinstance(statistic, str) else statistic
    reason = withheld(view.verdict, view.name, metric, p, start, view.call)
    if reason is not None:
        return reason
    if view.verdict.status == "invalid":
        return next((reason for reason in view.verdict.reasons if reason.severity == "invalid"), _INVALID)
    return None


_INVALID = Reason("invalid", "invalid", "the run is invalid", None, None)


def _because(reason: Reason) -> str:
    where = f" in phase {reason.phase}" if reason.phase is not None else ""
    return f"Withheld by {reason.rule}{where}: {reason.message}"


def _extreme(distribution: MetricSummary, metric: str, statistic: str, censored: bool) -> Figure:
    value = {"min": distribution.min, "mean": distribution.mean, "max": distribution.max}[statistic]
    if value is None:
        return Withheld(f"{metric}: no invocation has one.", "none")
    ends = distribution.ends.get(statistic)
    if statistic == "mean" and (distribution.failed or (distribution.ends and ends is None)):
        return Withheld(f"{metric} has no mean where calls fail.", "calls failed")
    failed = 0 < distribution.failed == distribution.count if statistic == "min" else bool(distribution.failed)
    return Shown(
        value,
        distribution.unit,
        at_least=censored and statistic != "min",
        failed=failed,
        low_failed=failed,
        ends=ranged(ends, value, distribution.unit),
    )


def _percentile(distribution: MetricSummary, found: Percentile) -> Figure:
    if found.low is None or found.high is None:
        fewest = needed(found.p)
        name = units.percentile(found.p)
        if fewest is None:
            return Withheld(f"{name}: this sample does not bound it.", "unbounded")
        if (distribution.count or distribution.disturbed) >= fewest:
            return Withheld(f"{name}: slow invocations come together, and so this sample does not bound it.", BURSTS)
        return Withheld(f"{name} needs about {units.count(fewest)} invocations.", f"{TOO_FEW}{units.count(fewest)}")
    return Shown(
        found.value,
        distribution.unit,
        found.low,
        found.high,
        at_least=found.censored,
        high_at_least=found.censored or found.high_censored or found.high_failed,
        failed=found.failed,
        low_failed=found.low_failed,
        ends=ranged(found.ends, found.value, distribution.unit),
    )


def ranged(ends: Ends | None, value: int, unit: str) -> Ends | None:
    """The ends of a figure where it is shown as a range, None where it stands."""
    return ends if is_range(ends, value, times=unit == TIME.name) else None


def spread(ends: Ends, unit: str) -> str:
    """A range in words: ``21.2–47.1 ms``, ``21.2 ms–failed``, ``from 21.2 ms``."""
    low = FAILED if ends.low_failed else _quantity(unit, ends.low) if ends.low else None
    high = FAILED if ends.high_failed else None if ends.high is None else _quantity(unit, ends.high)
    return units.spread(low, high)


def _quantity(unit: str, value: int) -> str:
    return units.duration(value) if unit == "ns" else units.size(value)
