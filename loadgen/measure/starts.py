"""Rules about start labels: whether cold and warm invocations were told apart well enough.

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

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from msgspec import Struct

from loadgen.invocation.outcome import OK
from loadgen.invocation.start import COLD, UNKNOWN, WARM
from loadgen.measure.labelling import LEAST_CALIBRATION, LEAST_COLD, Labelling
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.percentile import supported
from loadgen.measure.summary import Reason

COLD_AMONG_WARM, WARM_AMONG_COLD = 0.001, 0.01
"""Rule mixed_starts: how many of a figure's invocations may be of the other kind."""
UNKNOWN_SHARE = 0.01
"""Rule starts_unknown: how many ok invocations may be left without a label where labels are asked for."""
Reasons = Callable[[Sequence[PhaseTotal], Collection[str | None]], Iterable[Reason]]
"""What is to be said of a result, from the measured phases and the start labels that thresholds are about."""


def _none(measured: Sequence[PhaseTotal], asked: Collection[str | None]) -> Iterable[Reason]:
    return ()


class Found(Struct, frozen=True):
    """What the Verdict is told of what a run found out.

    ``unlabelled`` is why invocations could not be labelled, None where that is not known; ``remedy`` what it takes.
    """

    reasons: Reasons = _none
    unlabelled: str | None = None
    remedy: str = (
        f"begin with a warm-up phase in which {LEAST_COLD} instances start and {LEAST_CALIBRATION} calls are warm"
    )


NOTHING_FOUND = Found()


def unknown_starts(total: PhaseTotal) -> tuple[int, int] | None:
    """How many of the ok invocations have no label, and of how many; None where that is next to none of them."""
    count, unknown = (total.merged("latency", outcomes=(OK,), start=start).count for start in (None, UNKNOWN))
    return (unknown, count) if unknown > UNKNOWN_SHARE * count else None


def mixed(
    cold: int, warm: int, labelling: Labelling, asked: Collection[str | None], phase: str | None
) -> Iterator[Reason]:
    """Rule mixed_starts, of so many invocations called cold and warm; ``asked`` are the labels of thresholds."""
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
