"""What an invocation that breaks a rule owes it to, and what a rate owes its broken rules to.

Each violation has one cause, the first that applies: the platform refused it (quota), the generator or its
``max_in_flight`` held it back (generator), the handler failed or alone took too long (execution), as many were under
way as may run at once (quota, too: the platform let it wait), the gateway gave up on it (execution, as it had an
instance), it waited for an instance to start (cold starts), or what remains: the network, the gateway, a queue before
the function (queueing).

Some violations are there at any rate. What binds a rate is therefore the cause whose share grew most since a rate that
is met, see ``excess``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush

from loadgen.invocation.outcome import Fault, Outcome, names
from loadgen.invocation.sample import Sample

QUOTA, COLD, EXECUTION, QUEUEING, GENERATOR = "quota", "cold starts", "execution", "queueing", "generator"

_OWN_FAULTS = names(lambda traits: traits.fault is Fault.FUNCTION)

_CUT = 504


def cold_test(warm: Sequence[Sample]) -> Callable[[Sample], bool]:
    """Whether an invocation was cold, judged by its label, else by an overhead far above those of warm ones.

    Without warm overheads to compare with, only a label makes an invocation cold.
    """
    overheads = sorted(over for sample in warm if (over := sample.overhead_ns) is not None)
    most_ns = 4 * overheads[int(0.9 * len(overheads))] if overheads else None

    def cold(sample: Sample) -> bool:
        if sample.start in ("cold", "warm"):
            return sample.start == "cold"
        over = sample.overhead_ns
        return over is not None and most_ns is not None and over > most_ns

    return cold


def full(samples: Sequence[Sample], limit: int | None) -> list[bool]:
    """At which invocations, in order of intended start, as many were under way as may run at once.

    Where that limit is not known, at none of them.
    """
    ends: list[int] = []
    found = []
    for sample in samples:
        while ends and ends[0] <= sample.intended_ns:
            heappop(ends)
        found.append(limit is not None and len(ends) >= limit)
        if sample.outcome != Outcome.THROTTLED.value:
            heappush(ends, sample.ended_ns)
    return found


def causes(
    samples: Sequence[Sample],
    colds: Sequence[bool],
    fulls: Sequence[bool],
    violates: Callable[[Sample], bool],
    longest_ns: int | None,
) -> dict[str, float]:
    """The share of the invocations that violate, by cause.

    ``colds`` and ``fulls`` say of each whether it waited for a start, and whether it found the limit reached. A handler
    that runs for ``longest_ns`` breaks a rule even where nothing else takes longer than usual.
    """
    found = Counter(
        _cause(sample, cold, at_limit, longest_ns)
        for sample, cold, at_limit in zip(samples, colds, fulls, strict=True)
        if violates(sample)
    )
    return {cause: count / len(samples) for cause, count in found.items()}


def excess(broken: dict[str, float], met: Iterable[dict[str, float]]) -> dict[str, float]:
    """How much of the growth of the violations each cause makes up, largest first; empty where nothing grew.

    ``met`` are rates at which the rules are met; the one with fewest violations is compared with.
    """
    base = min(met, key=lambda shares: sum(shares.values()), default={})
    grown = {cause: share - base.get(cause, 0.0) for cause, share in broken.items() if share > base.get(cause, 0.0)}
    total = sum(grown.values())
    return {cause: share / total for cause, share in sorted(grown.items(), key=lambda item: -item[1])} if total else {}


def _cause(sample: Sample, cold: bool, at_limit: bool, longest_ns: int | None) -> str:
    if sample.outcome == Outcome.THROTTLED.value:
        return QUOTA
    if sample.outcome == Outcome.DROPPED.value or sample.lag_ns > 0.5 * sample.latency_ns:
        return GENERATOR
    too_long = sample.duration_ns is not None and longest_ns is not None and sample.duration_ns >= longest_ns
    if too_long or sample.outcome in _OWN_FAULTS:
        return EXECUTION
    if at_limit:
        return QUOTA
    if sample.outcome == Outcome.GATEWAY.value and sample.status == _CUT:
        return EXECUTION  # it had an instance, and still the gateway gave up on it
    return COLD if cold else QUEUEING
