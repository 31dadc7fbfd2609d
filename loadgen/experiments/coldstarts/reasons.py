"""What the Verdict says of the experiment on cold starts: whether calls could be labelled, and others called, too."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from loadgen.experiments.coldstarts.findings import ColdStartsResult, PoolCheck
from loadgen.invocation.start import LOG, NONE, PROBE
from loadgen.measure.labelling import LEAST_CALIBRATION, LEAST_COLD
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.starts import UNKNOWN_SHARE, Found, mixed
from loadgen.measure.summary import Reason


def found(result: ColdStartsResult) -> Found:
    """What the Verdict is told of it."""
    remedy = (
        f"it takes {LEAST_COLD} cold and {LEAST_CALIBRATION} warm calls, or a function that tells by itself (probe)"
    )
    if not result.complete:
        remedy = f"the run ended early, let it come to its end; {remedy}"
    return Found(partial(_reasons, result), remedy=remedy)


def _reasons(
    result: ColdStartsResult, measured: Sequence[PhaseTotal], asked: Collection[str | None]
) -> Iterator[Reason]:
    yield from _unlabelled(result)
    if result.labelling is not None and not result.evidence.keys() & {PROBE, LOG}:
        yield from mixed(result.cold.count, result.warm.count, result.labelling, asked, None)
    yield from _outside_pool(result.pool)


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
