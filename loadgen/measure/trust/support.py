"""Rules about how much there is to go by: samples, their independence, their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadgen.invocation.outcome import OK
from loadgen.measure.dependence import EFFECTIVE_SHARE
from loadgen.measure.merge import PhasePlan, PhaseTotal, combined
from loadgen.measure.percentile import LISTED, bounded, needed, supported
from loadgen.measure.rule import BaselineRule, MetricRule, Rule
from loadgen.measure.starts import UNKNOWN_SHARE, Found, unknown_starts
from loadgen.measure.summary import Reason
from loadgen.measure.trust.rule import WITHHELD, TrustRule, Whose

TOO_FEW = TrustRule("too_few_samples", Whose.SAMPLE, WITHHELD)
DEPENDENT = TrustRule("dependent_samples", Whose.SAMPLE)
STARTS_UNKNOWN = TrustRule("starts_unknown", Whose.PLATFORM)

EXPECTED = (50.0, 75.0, 90.0, 95.0, 99.0)
"""Percentiles whose absence too_few_samples mentions though no threshold asks for them."""


def dependent(plan: PhasePlan, total: PhaseTotal) -> Iterator[Reason]:
    """Slow invocations that come together."""
    inflation = total.inflation(plan.duration_ns)
    count = _undisturbed(total)
    own = {p: inflation.at(p) for p in LISTED if supported(count, p)}
    # of many invocations a small drift is dependence, too, and leaves more than enough: nobody needs to hear of that
    few = [p for p in EXPECTED if p in own and not supported(int(count / own[p]), p)]
    if not few or 1 / max(own[p] for p in few) >= EFFECTIVE_SHARE:
        return
    worst = max(few, key=own.__getitem__)
    effective = max(1, int(count / own[worst]))
    lost = [p for p, each in own.items() if not bounded(count, p, each)]
    unshown = f"; {', '.join(f'p{p:g}' for p in lost)} cannot be shown" if lost else ""
    yield DEPENDENT.found(
        f"Slow invocations come together: the share of those beyond p{worst:g} varies with time as that of far fewer "
        f"independent ones would, so that {count} say as much about it as {effective} ({1 / own[worst]:.1%}), expected "
        f"at least {EFFECTIVE_SHARE:.0%}. Intervals are made wider for it{unshown}. Keep what is not steady in a phase "
        "of its own (a warm-up, a ramp), or run longer.",
        1 / own[worst],
        EFFECTIVE_SHARE,
        total.name,
    )


def starts_unknown(
    rules: Sequence[MetricRule | BaselineRule],
    phases: Sequence[PhaseTotal],
    measured: Sequence[PhaseTotal],
    found: Found,
) -> Iterator[Reason]:
    """Rules about cold or warm invocations where these could not be told apart."""
    why = f" ({found.unlabelled})" if found.unlabelled else ""
    for rule in rules:
        unlabelled = unknown_starts(of_rule(rule, phases, measured))
        if unlabelled is not None:
            unknown, count = unlabelled
            yield STARTS_UNKNOWN.found(
                f"The threshold {rule.text} is about {rule.start} starts, and {unknown} of {count} ok invocations "
                f"could not be told cold from warm{why}, expected at most {UNKNOWN_SHARE:.0%}: {found.remedy}.",
                unknown / count,
                UNKNOWN_SHARE,
                rule.phase,
            )


def of_rule(
    rule: MetricRule | BaselineRule, phases: Sequence[PhaseTotal], measured: Sequence[PhaseTotal]
) -> PhaseTotal:
    """What a rule is about; an empty total where its phase did not run."""
    if rule.phase is None:
        return combined(measured).of(rule.call)
    return next((total for total in phases if total.name == rule.phase), PhaseTotal(rule.phase)).of(rule.call)


def thresholds(rules: Sequence[Rule], phases: Sequence[PhaseTotal], measured: Sequence[PhaseTotal]) -> Iterator[Reason]:
    """Rules about percentiles that there are too few samples for."""
    for rule in rules:
        if not isinstance(rule, MetricRule) or rule.percentile is None or rule.over_ns is not None:
            continue  # what windows have too few of is said where they are judged
        total = of_rule(rule, phases, measured)
        if rule.start is not None and unknown_starts(total) is not None:
            continue  # one cause, one reason
        counted = total.figure(rule.judged.value, OK, rule.start)
        count = counted.size or counted.moved.seen
        if not supported(count, rule.percentile):
            yield TOO_FEW.found(
                f"The threshold {rule.text} needs {_needed(rule.percentile)} to be judged by its figure and has "
                f"{count}, so that only the limits of its interval can decide it: run longer or at a higher rate, or "
                "ask for a lower percentile.",
                count,
                needed(rule.percentile),
                rule.phase,
            )


def percentiles(total: PhaseTotal) -> Iterator[Reason]:
    """Percentiles of latency that are not shown for want of invocations."""
    ok = total.merged("latency", outcomes=(OK,)).count
    count = _undisturbed(total) or ok
    unsupported = [p for p in EXPECTED if not supported(count, p)]
    if unsupported:
        lowest = unsupported[0]
        listed = ", ".join(f"p{p:g}" for p in unsupported)
        which = "ok" if count == ok else "undisturbed ok"
        yield TOO_FEW.found(
            f"{count} {which} invocations are too few for {listed} of latency, not shown: p{lowest:g} needs "
            f"{_needed(lowest)}.",
            count,
            needed(lowest),
            total.name,
        )


def _undisturbed(total: PhaseTotal) -> int:
    return total.merged("latency", outcomes=(OK,), disturbed=False).count


def _needed(p: float) -> str:
    count = needed(p)
    return "more samples than there can be" if count is None else f"{count} samples"
