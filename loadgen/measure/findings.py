"""Rules about what a run found out: whether cold and warm were told apart well enough, and on enough instances.

Theory of operation. Labels that follow from overheads are wrong for a known share of the invocations: ``sensitivity``
of the cold ones are called cold, ``specificity`` of the warm ones warm. How many of those *called* warm are cold then
depends on how many cold ones there are, which the labels tell as well, corrected for their own errors (Rogan and
Gladen 1978). Where a stretch of load has hardly a cold start, even rare slips make up most of what is called cold.

A figure of warm invocations may hold 0.1 % of cold ones: these are so much slower that more of them would be its p99.9.
A figure of cold ones may hold 1 % of warm ones, for that is what a label promises (a posterior of 0.99), and as much as
a percentile of so few can feel. What is called neither is in neither figure.

Sources: W. J. Rogan and B. Gladen, Estimating Prevalence from the Results of a Screening Test, 1978.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from loadgen.invocation.outcome import OK
from loadgen.invocation.start import COLD, LOG, NONE, PROBE, UNKNOWN, WARM
from loadgen.measure.experiment import ColdStartsResult, Experiment, Labelling, LoadResult, MemoryResult, PoolCheck
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.percentile import supported
from loadgen.measure.summary import Reason

COLD_AMONG_WARM, WARM_AMONG_COLD = 0.001, 0.01
"""Rule mixed_starts: how many of a figure's invocations may be of the other kind."""
UNKNOWN_SHARE = 0.01
"""Rule starts_unknown: how many ok invocations may be left without a label where labels are asked for."""
LEAST_INSTANCES = 10
"""Rule few_instances: fewer say little about others, and so about rules, which are about rare invocations."""


def findings(
    experiment: Experiment | None, measured: Sequence[PhaseTotal], asked: Collection[str | None] = ()
) -> Iterator[Reason]:
    """What is to be said of a run's result. ``asked`` are the start labels that thresholds are about."""
    match experiment:
        case LoadResult(labelling):
            for total in measured:
                yield from _mixed_phase(total, labelling, asked)
        case ColdStartsResult():
            yield from _unlabelled(experiment)
            if experiment.labelling is not None and not experiment.evidence.keys() & {PROBE, LOG}:
                yield from _mixed(experiment.cold.count, experiment.warm.count, experiment.labelling, asked, None)
            yield from _outside_pool(experiment.pool)
        case MemoryResult():
            yield from _nothing_compared(experiment)
            yield from _few_instances(experiment)


def unknown_starts(total: PhaseTotal) -> tuple[int, int] | None:
    """How many of the ok invocations have no label, and of how many; None where that is next to none of them."""
    count, unknown = (total.merged("latency", outcomes=(OK,), start=start).count for start in (None, UNKNOWN))
    return (unknown, count) if unknown > UNKNOWN_SHARE * count else None


def _mixed_phase(total: PhaseTotal, labelling: Labelling, asked: Collection[str | None]) -> Iterator[Reason]:
    cold, warm = (total.merged("latency", outcomes=(OK,), start=start).count for start in (COLD, WARM))
    yield from _mixed(cold, warm, labelling, asked, total.name)


def _mixed(
    cold: int, warm: int, labelling: Labelling, asked: Collection[str | None], phase: str | None
) -> Iterator[Reason]:
    if labelling.sensitivity is None or labelling.specificity is None:
        return
    among_warm, among_cold = mixture_of(cold, warm, labelling.sensitivity, labelling.specificity)
    for start, other, count, part, limit in (
        (WARM, COLD, warm, among_warm, COLD_AMONG_WARM),
        (COLD, WARM, cold, among_cold, WARM_AMONG_COLD),
    ):
        # of fewer nothing is shown but their number
        if part > limit and (supported(count, 50.0) or start in asked):
            yield Reason(
                rule="mixed_starts",
                severity="withheld",
                message=f"Of {count} invocations called {start} by their overhead about {part:.1%} are {other}, "
                f"expected at most {limit:.1%}: their figures are not shown. Labels err more where the two are alike, "
                f"or {other} ones are by far the most; a probe or the log tail (target.log) tells them apart.",
                value=part,
                limit=limit,
                phase=phase,
                withholds=start,
            )


def mixture_of(cold: int, warm: int, sensitivity: float, specificity: float) -> tuple[float, float]:
    """The expected share of cold ones among those called warm, and of warm ones among those called cold."""
    n = cold + warm
    if not n:
        return 0.0, 0.0
    told = sensitivity + specificity - 1
    share = min(1.0, max(0.0, (cold / n + specificity - 1) / told)) if told > 0 else 0.5
    missed, taken = n * share * (1 - sensitivity), n * (1 - share) * (1 - specificity)
    return (min(1.0, missed / warm) if warm else 0.0), (min(1.0, taken / cold) if cold else 0.0)


def _unlabelled(result: ColdStartsResult) -> Iterator[Reason]:
    count, unknown = sum(result.evidence.values()), result.evidence.get(NONE, 0)
    if unknown > UNKNOWN_SHARE * count:
        why = result.labelling.reason if result.labelling is not None else None
        yield Reason(
            rule="starts_unknown",
            severity="warning",
            message=f"{unknown} of {count} ok invocations could not be told cold from warm"
            f"{f' ({why})' if why else ''}, expected at most {UNKNOWN_SHARE:.0%}: they are in no figure. It "
            f"takes {LEAST_COLD} cold and {LEAST_CALIBRATION} warm calls at least; or have the function tell by itself "
            "(cold-starts.probe).",
            value=unknown / count,
            limit=UNKNOWN_SHARE,
        )


def _outside_pool(pool: PoolCheck | None) -> Iterator[Reason]:
    if pool is None or (pool.fewest <= pool.seen + pool.unclear and pool.seen <= pool.most):
        return
    fewer = pool.seen < pool.fewest
    yield Reason(
        rule="pool_mismatch",
        severity="warning",
        message=f"{pool.seen} cold starts were seen, but this traffic alone has {pool.fewest} to {pool.most} with this "
        "keep-alive time: someone else calls the function, or the platform "
        f"{'starts instances ahead' if fewer else 'ends instances early'}. Call a function that nobody else calls.",
        value=pool.seen,
        limit=pool.fewest if fewer else pool.most,
    )


def _nothing_compared(result: MemoryResult) -> Iterator[Reason]:
    if result.reference_mb is None:
        yield Reason(rule="nothing_compared", severity="warning", message=result.why, value=0, limit=None)


def _few_instances(result: MemoryResult) -> Iterator[Reason]:
    """Of sizes whose rules are open nothing is claimed, and intervals of costs allow for few instances."""
    size = next((size for size in result.sizes if size.memory_mb == result.recommended_mb), None)
    if result.rules and size is not None and size.cold < LEAST_INSTANCES:
        yield Reason(
            rule="few_instances",
            severity="warning",
            message=f"That {size.memory_mb} MB meets the rules was seen on {size.cold} instances, expected at least "
            f"{LEAST_INSTANCES}: instances differ, and so few say little about others. Allow more rounds.",
            value=size.cold,
            limit=LEAST_INSTANCES,
        )


LEAST_CALIBRATION = 200
"""Calls that are known to be warm, which it takes to tell cold ones from warm ones by the platform's overhead."""


LEAST_COLD = 30
"""Cold calls that it takes."""
