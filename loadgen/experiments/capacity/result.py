"""The result of a search: what was held, where the limit is, and what binds the rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from loadgen.experiments.capacity.attribution import excess
from loadgen.experiments.capacity.findings import CapacityResult
from loadgen.experiments.capacity.held import Probe
from loadgen.experiments.capacity.lane import Lane
from loadgen.experiments.capacity.placing import Placing, interval
from loadgen.experiments.capacity.sequential import PASS
from loadgen.text.units import NS_PER_S

VERSION = 1
CONFIRM_NS = 300 * NS_PER_S
CONFIRM_LIFETIMES = 5
"""How long the method holds a rate that it reports: five minutes, and five times as long as an instance lives idle."""


def result(placing: Placing, lane: Lane | None, why: str, search_ns: int, notes: Sequence[str]) -> CapacityResult:
    """The result; ``lane`` is None where no call succeeded, ``why`` says why there is no confirmed rate, if so."""
    plan, probes = placing.plan, placing.probes
    notes = list(notes)
    estimate = low = high = None
    if placing.both_sides:
        crossing = placing.crossing()
        low, high = crossing.interval
        within = math.sqrt(high / low) - 1
        estimate, (low, high) = crossing.estimate, interval(crossing)
        if within > plan.precision:
            notes.append(
                f"Sampling alone leaves the estimate uncertain by ±{within:.1%}, and ±{plan.precision:.1%} was "
                "asked for: more would take longer probes."
            )
    bound = _bound(placing, lambda probe: probe.shares)
    calls = _bound(placing, lambda probe: probe.calls) if plan.shares else {}
    cold = [probe for probe in probes if probe.report.approach == "cold" and probe.verdict == PASS]
    warm = next((probe for probe in probes if probe.report.approach == "warm" and probe.verdict == PASS), None)
    confirmed = None if warm is None else cold[-1]
    debt = cold[0].report if cold else None
    return CapacityResult(
        version=VERSION,
        rules=[criterion.text for criterion in plan.criteria],
        confirmed_per_s=None if confirmed is None else confirmed.rate,
        confirmed_ns=0 if confirmed is None else confirmed.report.measured_ns,
        shortened=plan.confirm_ns < max(CONFIRM_NS, CONFIRM_LIFETIMES * plan.keep_alive_ns),
        estimate_per_s=estimate,
        estimate_low_per_s=low,
        estimate_high_per_s=high,
        why=why,
        predicted_per_s=None if lane is None else lane.predicted_per_s,
        limit=plan.limit,
        busy_ns=None if lane is None else lane.busy_ns,
        cold_per_s=max((probe.rate for probe in cold), default=None),
        warm_per_s=None if warm is None else warm.rate,
        bound_by=next(iter(bound), None),
        bound_shares=bound,
        bound_call=next(iter(calls), None),
        bound_calls=calls,
        debt_ns=None if debt is None else debt.settling_ns,
        debt_colds=None if debt is None else debt.settling_colds,
        search_ns=search_ns,
        probes=[probe.report for probe in probes],
        notes=notes,
        next=_next(
            placing,
            None if confirmed is None else confirmed.rate,
            None if low is None or high is None else math.sqrt(high / low) - 1,
        ),
    )


def _next(placing: Placing, confirmed: float | None, within: float | None) -> str:
    """What would make the answer better."""
    plan = placing.plan
    if not placing.probes:
        return "Calls that succeed without load: see the failure examples."
    if confirmed is None and within is None:
        if placing.met:
            return f"A larger capacity.to than {plan.to_per_s:g}/s, or a budget.duration that lets the search end."
        return f"A smaller capacity.from than {plan.from_per_s:g}/s, or a looser capacity.slo: no rate met it."
    if confirmed is None:
        return "A longer budget, or a looser capacity.slo: the rates near the limit could not be held."
    if plan.confirm_ns < max(CONFIRM_NS, CONFIRM_LIFETIMES * plan.keep_alive_ns):
        wanted = max(CONFIRM_NS, CONFIRM_LIFETIMES * plan.keep_alive_ns) / NS_PER_S
        return f"capacity.confirm of {wanted:g}s: so long a rate has to hold to be called sustained."
    spread = (
        ""
        if within is None
        else f" The limit is known to ±{within:.0%}; four times the probes halve what sampling has of it."
    )
    return f"A longer capacity.confirm than {plan.confirm_ns / NS_PER_S:g}s covers what changes more slowly.{spread}"


def _bound(placing: Placing, shares: Callable[[Probe], dict[str, float]]) -> dict[str, float]:
    """What the violations just beyond the limit owe their growth to, by cause or by call."""
    if not placing.over:
        return {}
    nearest = sorted(placing.over, key=lambda probe: probe.rate)[:3]
    n = sum(probe.n for probe in nearest)
    names = {name for probe in nearest for name in shares(probe)}
    broken = {name: sum(shares(probe).get(name, 0.0) * probe.n for probe in nearest) / n for name in names}
    return excess(broken, [shares(probe) for probe in placing.met])
