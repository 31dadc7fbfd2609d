"""Which figures of two runs are set side by side, each with what is known of its error.

Whether a figure may be shown is decided where reports decide it (``loadgen.report.figures``): what a report withholds
or shows as a range is not compared either.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from loadgen.comparison import stretches
from loadgen.comparison.comparison import BETTER, TOTALS, Pair, Place
from loadgen.comparison.ratio import Estimate, Share, Z, estimate, of_variation
from loadgen.comparison.stretches import Stretches, Together
from loadgen.invocation.outcome import OK
from loadgen.measure.ends import of_share
from loadgen.measure.histogram import Histogram, middle
from loadgen.measure.percentile import percentiles
from loadgen.measure.rule import BaselineRule
from loadgen.measure.summary import MetricSummary, Percentile, PhaseSummary, Summary
from loadgen.measure.verdict import bounds_rate, withheld
from loadgen.report import figures
from loadgen.report.figures import Shown, View, Withheld
from loadgen.report.units import percentile as named

PS = (50.0, 90.0, 95.0, 99.0)
"""The percentiles that are compared, in percent."""

_METRICS = ("latency", "service_time", "duration")
_STARTS = ("cold", "warm")


class Run(Struct, frozen=True):
    """What a run left: its Summary, the stretches of its phases, and where it was found."""

    path: str
    summary: Summary
    stretches: Stretches = {}


class Beside(Struct, frozen=True):
    """The same stretch of load, or one call of it, in both runs. ``phase`` is what rows call it.

    ``logged`` is the name of the phase in the interval log, None for all phases together.
    """

    phase: str
    call: str | None
    base: View
    new: View
    logged: str | None


def pairs(base: Run, new: Run) -> Iterator[Pair]:
    """Every figure of two runs that can be compared; a figure that neither has is none."""
    for each in beside(base.summary, new.summary):
        yield from _of(each, base.stretches, new.stretches)
        mine, others = dict(figures.calls(each.base)), dict(figures.calls(each.new))
        for name in mine:
            if name in others:
                part = Beside(each.phase, name, mine[name], others[name], each.logged)
                yield from _of(part, base.stretches, new.stretches)
        for name in sorted(mine.keys() ^ others.keys()):
            place = Place(each.phase, name, None, "latency", named(PS[0]))
            yield Pair(place, None, None, None, f"only {'base' if name in mine else 'new'} tells of this call.")


def of_rule(base: Run, new: Run, rule: BaselineRule) -> Pair | None:
    """The figures that decide a rule of a baseline; None where either run has no such phase or call.

    A rule without a phase is over the one measured phase that both have.
    """
    views = [_of_phase(run.summary, rule.phase) for run in (base, new)]
    if rule.call is not None:
        views = [None if view is None else dict(figures.calls(view)).get(rule.call) for view in views]
    mine, other = views
    if mine is None or other is None:
        return None
    at = Beside(rule.phase or TOTALS, rule.call, mine, other, rule.phase or _only_phase(base.summary))
    match rule.what:
        case "errors":
            return _share(at, base.stretches, new.stretches)
        case "achieved_rate":
            return _rate(at)
        case "cost":
            return _cost(at)
        case metric:
            assert rule.percentile is not None
            logged = at.logged or "", "latency" if metric == "latency_all" else metric
            parts = Together(base.stretches.get(logged, ()), new.stretches.get(logged, ()))
            return _percentile(at, metric, rule.percentile, rule.start, parts)


def fails(summary: Summary, rule: BaselineRule) -> bool:
    """Whether the figure of a rule is that of a call that is not ok, which is longer than any other."""
    view = _of_phase(summary, rule.phase)
    if view is not None and rule.call is not None:
        view = dict(figures.calls(view)).get(rule.call)
    if view is None or rule.percentile is None:
        return False
    found = figures.shown(view, rule.what, rule.percentile, rule.start)
    return isinstance(found, Shown) and found.failed and found.ends is None


def missing(base: Summary, rule: BaselineRule) -> str:
    """Why a baseline has no figure that could decide a rule; empty where it has one."""
    run = Run("", base)
    pair = of_rule(run, run, rule)
    if pair is None:
        where = "call" if rule.call is not None else "phase"
        return f"there is no {where} {rule.call or rule.phase or ''}".rstrip() + " in it."
    return pair.why.removeprefix("in both runs: ") if pair.figures is None else ""


def _of_phase(summary: Summary, name: str | None) -> View | None:
    if name is None:
        return figures.totals(summary)
    return next((view for view in figures.phases(summary) if view.name == name and not view.phase.warmup), None)


def _only_phase(summary: Summary) -> str | None:
    phases = measured(summary)
    return phases[0].name if len(phases) == 1 else None


def measured(summary: Summary) -> list[PhaseSummary]:
    """The phases whose figures count."""
    return [phase for phase in summary.phases if not phase.warmup]


def beside(base: Summary, new: Summary) -> Iterator[Beside]:
    """Each measured phase; the totals where there is but one, and of an experiment, whose phases are its own."""
    if len(measured(base)) <= 1 or base.run.kind != "load":
        yield Beside(TOTALS, None, figures.totals(base), figures.totals(new), _only_phase(base))
        return
    others = {view.name: view for view in figures.phases(new)}
    for view in figures.phases(base):
        if not view.phase.warmup and view.name in others:
            yield Beside(view.phase.name, None, view, others[view.name], view.name)


def _of(at: Beside, base: Stretches, new: Stretches) -> Iterator[Pair]:
    failures = any(_failed(view.phase) for view in (at.base, at.new))
    for start in (None, *_STARTS):
        for metric in _METRICS:
            name = "latency_all" if metric == "latency" and failures and start is None else metric
            if any(_counted(view, name, start) for view in (at.base, at.new)):
                logged = (at.logged or "", metric)
                parts = Together(base.get(logged, ()), new.get(logged, ()))
                yield from (_percentile(at, name, p, start, parts) for p in PS)
    if any(view.phase.billing is not None and view.phase.billing.amount is not None for view in (at.base, at.new)):
        yield _cost(at)
    yield _share(at, base, new)
    yield _rate(at)


def _percentile(at: Beside, metric: str, p: float, start: str | None, parts: Together) -> Pair:
    place = Place(at.phase, at.call, start, metric, named(p))
    shown = [figures.shown(view, metric, p, start) for view in (at.base, at.new)]
    values = _value(shown[0]), _value(shown[1])
    if why := _undecided([_trouble(each) for each in shown]):
        return Pair(place, *values, None, why)
    mine, other = (_estimate(_listed(view, metric, p, start)) for view in (at.base, at.new))
    return Pair(place, *values, (mine, other), run=parts.wander(p, _variance(mine), _variance(other)))


def _value(figure: figures.Figure) -> float | None:
    """A figure that is one number."""
    return figure.value if isinstance(figure, Shown) and figure.ends is None and not figure.failed else None


def _trouble(figure: figures.Figure) -> str:
    """Why a figure cannot be compared; empty where it can."""
    if isinstance(figure, Withheld):
        return figure.why
    if figure.ends is not None:
        return "the load generator may have moved it, and it is a range in the report."
    if figure.failed:
        return "it falls among calls that are not ok; see failures.share."
    if figure.at_least:
        return "it is a lower bound, as calls there were given up."
    return "" if figure.value > 0 else "it is 0, to which there is no ratio."


def _undecided(troubles: Sequence[str]) -> str:
    """Why a pair cannot be decided, naming which run it is."""
    mine, other = troubles
    if mine == other:
        return f"in both runs: {mine}" if mine else ""
    return "; ".join(f"in {which}: {why.rstrip('.')}" for which, why in (("base", mine), ("new", other)) if why) + "."


def _counted(view: View, metric: str, start: str | None) -> bool:
    metrics = view.phase.metrics if start is None else view.phase.by_start.get(start, {})
    found = metrics.get(metric)
    return found is not None and bool(found.count or found.disturbed)


def _listed(view: View, metric: str, p: float, start: str | None) -> Percentile:
    metrics = view.phase.metrics if start is None else view.phase.by_start[start]
    return next(each for each in metrics[metric].percentiles if each.p == p)


def _estimate(found: Percentile) -> Estimate:
    """With its interval, which ends that are too near to be shown as a range make wider."""
    assert found.low is not None
    assert found.high is not None
    low, high = float(found.low), math.inf if found.high_failed else float(found.high)
    if found.low_end is not None:
        low = min(low, found.low_end)
        high = max(high, math.inf if found.high_end is None or found.high_end_failed else found.high_end)
    return estimate(float(found.value), low, high)


def _variance(of: Estimate) -> float:
    """Of the logarithm, from both limits, or twice the nearer one."""
    below = math.log(of.value / of.low) if of.low > 0 else math.inf
    above = math.log(of.high / of.value) if math.isfinite(of.high) else math.inf
    half = (below + above) / 2 if math.isfinite(below + above) else min(below, above)
    return (half / Z) ** 2 if math.isfinite(half) else 0.0


def _share(at: Beside, base: Stretches, new: Stretches) -> Pair:
    place = Place(at.phase, at.call, None, "failures", "share")
    shares, troubles = [], []
    for view, parts in ((at.base, base), (at.new, new)):
        failed, planned = _failed(view.phase), view.phase.planned
        moved = sum(n for outcome, n in view.phase.disturbed.items() if outcome != OK)
        trouble = "no invocation was planned." if not planned else _withheld(view)
        if not trouble and of_share(failed, moved, planned).is_range:
            trouble = f"the load generator disturbed {moved} of the {failed} that failed."
        inflation = stretches.inflation_of_failures(parts, at.logged) if at.logged is not None else 1.0
        shares.append(Share(failed, planned, inflation))
        troubles.append(trouble)
    mine, other = (None if why else each.value for each, why in zip(shares, troubles, strict=True))
    why = _undecided(troubles)
    return Pair(place, mine, other, None if why else (shares[0], shares[1]), why, assumed=False)


def _rate(at: Beside) -> Pair:
    place = Place(at.phase, at.call, None, "achieved_rate", "rate")
    rates = [view.phase.achieved_rate for view in (at.base, at.new)]
    troubles = []
    for view, rate in zip((at.base, at.new), rates, strict=True):
        trouble = _withheld(view)
        if not trouble and (reason := bounds_rate(view.verdict, view.name)) is not None:
            trouble = reason.message
        if not trouble and rate <= 0:
            trouble = "it is 0, to which there is no ratio."
        troubles.append(trouble)
    mine, other = (None if why else rate for rate, why in zip(rates, troubles, strict=True))
    if why := _undecided(troubles):
        return Pair(place, mine, other, None, why, more_is=BETTER)
    closed = any(view.phase.model != "open" for view in (at.base, at.new))
    same = at.base.phase.planned == at.new.phase.planned
    variances = [
        _of_mean(view) if closed else 0.0 if same else 1 / max(1, view.phase.started) for view in (at.base, at.new)
    ]
    estimates = [of_variation(rate, variance) for rate, variance in zip(rates, variances, strict=True)]
    return Pair(place, mine, other, (estimates[0], estimates[1]), assumed=closed, more_is=BETTER)


def _cost(at: Beside) -> Pair:
    place = Place(at.phase, at.call, None, "cost", "per_million")
    costs, troubles = [], []
    for view in (at.base, at.new):
        billing = view.phase.billing
        cost, trouble = None, _withheld(view, "cost")
        if billing is None or billing.amount is None:
            trouble = trouble or "there are no prices."
        elif not billing.requests:
            trouble = trouble or "no invocation was charged."
        elif billing.unmetered:
            trouble = trouble or "it is a lower bound, as not every call told what it is billed."
        else:
            cost = float(billing.amount) * 1e6 / billing.requests
            trouble = trouble or ("" if cost > 0 else "it is 0, to which there is no ratio.")
        costs.append(None if trouble else cost)
        troubles.append(trouble)
    mine, other = costs
    if mine is None or other is None:
        return Pair(place, mine, other, None, _undecided(troubles))
    estimates = [
        of_variation(cost, _of_mean(view, "billed_duration")) for cost, view in ((mine, at.base), (other, at.new))
    ]
    return Pair(place, mine, other, (estimates[0], estimates[1]))


def _of_mean(view: View, metric: str = "latency") -> float:
    """The variance of the logarithm of a mean, and of a rate of workers: that of the times over their number.

    Source: of the rate, the central limit theorem of a renewal process, D. R. Cox, Renewal Theory, 1962.
    """
    found = view.phase.metrics.get(metric)
    latency = view.phase.metrics.get("latency")
    if found is None or latency is None or not found.histogram:
        return 0.0
    counts = Histogram.decode(found.histogram).counts
    n = sum(counts.values())
    mean = sum(middle(at) * k for at, k in counts.items()) / max(1, n)
    if n < 2 or not mean:
        return math.inf
    spread = sum(k * (middle(at) - mean) ** 2 for at, k in counts.items()) / (n - 1)
    return spread / mean**2 / n * _inflation(latency)


def _inflation(found: MetricSummary) -> float:
    """By how much less the calls say than as many independent ones, as the interval of their median was made."""
    median = next((each for each in found.percentiles if each.p == 50.0), None)
    alone = percentiles(Histogram.decode(found.histogram), (50.0,), 1000) if found.histogram else []
    if median is None or not median.low or not median.high or not alone or not alone[0].low or not alone[0].high:
        return 1.0
    own, other = math.log(median.high / median.low), math.log(alone[0].high / alone[0].low)
    return max(1.0, (own / other) ** 2) if other > 0 else 1.0


def _withheld(view: View, metric: str | None = None) -> str:
    """Why counts and costs may not be used; empty where they may."""
    reason = withheld(view.verdict, view.name, metric, None, None, view.call)
    if reason is not None:
        return f"Withheld by {reason.rule}: {reason.message}"
    return "the run is invalid." if view.verdict.status == "invalid" else ""


def _failed(phase: PhaseSummary) -> int:
    return max(0, phase.planned - phase.outcomes.get(OK, 0))
