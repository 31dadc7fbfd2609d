"""What the Verdict says of a comparison of memory sizes: whether there was one, and on enough instances."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from loadgen.experiments.memory.findings import MemoryResult
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.starts import Found
from loadgen.measure.summary import Reason

LEAST_INSTANCES = 10
"""Rule few_instances: fewer say little about others, and so about rules, which are about rare invocations."""
_COUNT_AS_ONE = 6


def found(result: MemoryResult) -> Found:
    """What the Verdict is told of it."""
    return Found(partial(_reasons, result))


def _reasons(result: MemoryResult, measured: Sequence[PhaseTotal], asked: Collection[str | None]) -> Iterator[Reason]:
    yield from _nothing_compared(result)
    yield from _few_instances(result)


def _nothing_compared(result: MemoryResult) -> Iterator[Reason]:
    if result.reference_mb is None:
        yield Reason(rule="nothing_compared", severity="warning", message=result.why, value=0, limit=None)


def _few_instances(result: MemoryResult) -> Iterator[Reason]:
    """Of sizes whose rules are open nothing is claimed, and intervals of costs allow for few instances.

    That a smaller size does not break a rule says something of a larger one, too (``evidence.agreed``): of decided
    comparisons those with few instances of their own had 50 and more of these, of ones cut short at most 30.
    """
    recommended = result.recommended_mb
    if not result.rules or recommended is None:
        return
    smaller = [size for size in result.sizes if size.memory_mb < recommended]
    speak = [size for size in smaller if size.rules and all(rule.verdict != "broken" for rule in size.rules)]
    instances = sum(size.cold for size in result.sizes if size.memory_mb == recommended)
    others = sum(size.cold for size in speak)
    if instances + others // _COUNT_AS_ONE < LEAST_INSTANCES:
        yield Reason(
            rule="few_instances",
            severity="warning",
            message=f"That {recommended} MB meets the rules was seen on {instances} instances, and {others} of smaller "
            f"sizes that do not break them, expected at least {LEAST_INSTANCES}, of which {_COUNT_AS_ONE} of smaller "
            "sizes count as one: instances differ, and so few say little about others. Allow more rounds.",
            value=instances,
            limit=LEAST_INSTANCES,
        )
