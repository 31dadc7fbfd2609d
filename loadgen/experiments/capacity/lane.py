"""A short warm lane: how long a call takes without load, and the rate that this predicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadgen.experiments.capacity import erlang
from loadgen.experiments.capacity.attribution import cold_test
from loadgen.experiments.capacity.plan import Plan
from loadgen.invocation.outcome import OK
from loadgen.invocation.sample import Sample
from loadgen.load.phase import Phase
from loadgen.load.workers import Workers
from loadgen.text.units import NS_PER_S

CALLS, WORKERS, LENGTH_S = 200, 4, 30


@dataclass(frozen=True, slots=True)
class Lane:
    """What warm calls are like without load.

    ``cold`` says of an invocation whether it waited for a start, which takes far longer than the lane's. Warm ones hold
    their instance for ``busy_ns`` on average, spend ``overhead_ns`` outside the handler, as a median, and hardly any
    takes more than ``usual_ns``. ``predicted_per_s`` is None where the limit is not known, or the rules are broken
    without load, too.
    """

    cold: Callable[[Sample], bool]
    busy_ns: int
    usual_ns: int
    overhead_ns: int
    predicted_per_s: float | None


def phase(grace_ns: int) -> Phase:
    """A few workers, back to back."""
    return Phase("warm-lane", Workers(WORKERS, WORKERS), LENGTH_S * NS_PER_S, warmup=True, grace_ns=grace_ns)


def lane(plan: Plan, samples: Sequence[Sample]) -> Lane | None:
    """What the lane's samples, in order of intended start, say; None where none of them succeeded."""
    ok = [sample for sample in samples if sample.outcome == OK]
    if not ok:
        return None
    warm = ok[WORKERS:] or ok
    cold = cold_test(warm)
    warm = [sample for sample in warm if not cold(sample)] or warm
    busy_ns = round(sum(map(_busy_ns, warm)) / len(warm))
    # those that failed break rules, too
    judged = [sample for sample in samples[WORKERS:] if sample.outcome != OK or not cold(sample)] or warm
    return Lane(
        cold=cold,
        busy_ns=busy_ns,
        usual_ns=4 * sorted(sample.service_time_ns for sample in warm)[int(0.9 * len(warm))],
        overhead_ns=sorted(sample.overhead_ns or 0 for sample in warm)[len(warm) // 2],
        predicted_per_s=_predicted(plan, judged, busy_ns),
    )


def _predicted(plan: Plan, judged: Sequence[Sample], busy_ns: int) -> float | None:
    alone = {criterion: sum(map(criterion.broken, judged)) / len(judged) for criterion in plan.criteria}
    if plan.limit is None or not busy_ns or any(share >= 0.5 for share in alone.values()):
        return None
    # what breaks a rule without load is taken off; a short lane does not show small shares well
    spare = min(min(max(criterion.limit - share, criterion.limit / 10), 0.5) for criterion, share in alone.items())
    return erlang.offered(plan.limit, spare) / busy_ns * NS_PER_S


def _busy_ns(sample: Sample) -> int:
    """How long a call held its instance: the duration, or all of the service time where that is not told."""
    return sample.service_time_ns if sample.duration_ns is None else sample.duration_ns
