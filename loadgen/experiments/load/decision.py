"""Kind ``load``: the scenario's phases, one after another.

After a warm-up phase the parent fits the overheads seen so far, and if warm and cold can be told apart by them, every
later invocation is labelled as it ends. So memory stays constant, and what was judged did not help to judge itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from loadgen.experiments.decision import Ask, Decision, Seen
from loadgen.experiments.load.findings import LoadResult
from loadgen.invocation.metric import Metric
from loadgen.load.phase import Phase
from loadgen.measure.histogram import Histogram
from loadgen.measure.labelling import LEAST_CALIBRATION, LEAST_COLD, MOST_OUTLIERS, Labelling


def load(phases: Iterable[Phase], *, told: bool, tells_starts: bool = False) -> Decision[LoadResult | None]:
    """Ask for the phases; None where nothing could tell cold invocations from warm ones.

    ``told`` says that the target tells its durations, without which there are no overheads, and ``tells_starts`` that
    each answer tells whether its call was cold, so that there is nothing to learn.
    """
    if tells_starts:
        yield Ask(tuple(phases))
        return LoadResult(None)
    labelling: Labelling | None = None
    seen_warm = Histogram()
    waiting = list(phases)
    while waiting:
        phase = waiting.pop(0)
        asked = [phase]
        learns = told and (labelling is None or labelling.cuts is None)
        while waiting and not (learns and asked[-1].warmup):
            asked.append(waiting.pop(0))
        seen: Seen = yield Ask(tuple(asked), cuts=labelling.cuts if labelling is not None else None)
        if seen.stopped:
            break
        if learns and asked[-1].warmup and waiting:
            seen_warm.add(seen.totals[-1].merged(Metric.RESIDUAL.value))
            labelling = _labelling(asked[-1].name, seen_warm)
    return None if labelling is None else LoadResult(labelling, next=_next(labelling))


def _next(labelling: Labelling) -> str:
    if labelling.cuts is None:
        return (
            f"A probe or the log tail (target.log) tells each start; overheads take a warm-up phase with {LEAST_COLD} "
            f"cold starts, {MOST_OUTLIERS:.0%} of its calls, and {LEAST_CALIBRATION} warm ones."
        )
    return "A probe or the log tail (target.log) tells each start, also under a load at which overheads do not."


def _labelling(phase: str, overhead: Histogram) -> Labelling:
    # numpy takes a tenth of a second to import, which runs without a warm-up need not spend
    from loadgen.stats.mixture import fit, labelling

    return labelling(phase, overhead.count, fit(overhead))
