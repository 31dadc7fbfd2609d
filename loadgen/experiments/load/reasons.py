"""What the Verdict says of a load whose invocations were labelled by their overheads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from loadgen.experiments.load.findings import LoadResult
from loadgen.invocation.metric import Metric
from loadgen.invocation.outcome import OK
from loadgen.invocation.start import AMBIGUOUS, COLD, WARM
from loadgen.measure.labelling import MOST_AMBIGUOUS, MOST_OUTLIERS, Labelling
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.percentile import supported
from loadgen.measure.starts import COLD_AMONG_WARM, NOTHING_FOUND, Found, mixed
from loadgen.measure.summary import Reason

MOST_SHIFT = 1.35
"""By how much warm overheads may be longer or shorter than when cold ones were learned to tell from them."""
_REMEDY = "A probe or the log tail (target.log) tells cold from warm under any load."


def found(result: LoadResult) -> Found:
    """What the Verdict is told of it."""
    if result.labelling is None:
        return NOTHING_FOUND
    return Found(partial(_mixed, result.labelling), result.labelling.reason)


def _mixed(labelling: Labelling, measured: Sequence[PhaseTotal], asked: Collection[str | None]) -> Iterator[Reason]:
    for total in measured:
        count = {start: total.merged("latency", outcomes=(OK,), start=start).count for start in (COLD, WARM, AMBIGUOUS)}
        doubt = _doubt(labelling, total, count) if labelling.cuts is not None else None
        if doubt is None:
            yield from mixed(count[COLD], count[WARM], labelling, asked, total.name)
            continue
        why, value, limit = doubt
        for start in (COLD, WARM):
            if supported(count[start], 50.0) or start in asked:
                yield Reason(
                    rule="mixed_starts",
                    severity="withheld",
                    message=f"{why}: the figures of {start} ones are not shown. {_REMEDY}",
                    value=value,
                    limit=limit,
                    phase=total.name,
                    withholds=start,
                )


def _doubt(labelling: Labelling, total: PhaseTotal, count: dict[str, int]) -> tuple[str, float, float] | None:
    """Why labels by overhead say nothing in a phase, the value and its limit; None where they do.

    Overheads tell starts where they are what they were when that was learned. Waiting in a gateway or a queue makes
    them longer for calls that found an instance, and passes every cut sooner or later. And a label cuts off the very
    tail that a figure of warm ones has: where it takes as few as a network has outliers, nobody can say what these are.
    """
    all_ = sum(count.values())
    if not all_:
        return None
    ambiguous, cold = count[AMBIGUOUS] / all_, count[COLD] / all_
    if ambiguous > MOST_AMBIGUOUS:
        return (
            f"{ambiguous:.1%} of {all_} invocations have an overhead between those of warm and of cold ones, expected "
            f"at most {MOST_AMBIGUOUS:.0%}: calls wait in a queue, or the network has changed",
            ambiguous,
            MOST_AMBIGUOUS,
        )
    median_us = total.merged(Metric.OVERHEAD.value, outcomes=(OK,), start=WARM).value_at(50)
    if median_us is not None and labelling.warm_ns:
        shift = median_us * Metric.OVERHEAD.kind.unit.size / labelling.warm_ns
        if max(shift, 1 / shift) > MOST_SHIFT:
            return (
                f"The median overhead of warm invocations is {shift:.2g} times what it was when cold ones were learned "
                f"to tell from them, expected at most {MOST_SHIFT:g} times: under this load overheads tell nothing",
                shift,
                MOST_SHIFT,
            )
    if COLD_AMONG_WARM < cold < MOST_OUTLIERS:
        return (
            f"{cold:.2%} of {all_} invocations are called cold by their overhead, and so few may be outliers of the "
            f"network as well, expected at least {MOST_OUTLIERS:.0%}",
            cold,
            MOST_OUTLIERS,
        )
    return None
