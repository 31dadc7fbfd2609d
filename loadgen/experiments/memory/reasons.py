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

    That a smaller size does not break a rule says so of a larger one, too (``evidence.agreed``).
    """
    recommended = result.recommended_mb
    if not result.rules or recommended is None:
        return
    smaller = [size for size in result.sizes if size.memory_mb < recommended]
    speak = [size for size in smaller if size.rules and all(rule.verdict != "broken" for rule in size.rules)]
    own = [size for size in result.sizes if size.memory_mb == recommended]
    instances = sum(size.cold for size in (*own, *speak))
    if instances < LEAST_INSTANCES:
        yield Reason(
            rule="few_instances",
            severity="warning",
            message=f"That {recommended} MB meets the rules was seen on {instances} instances of it and of smaller "
            f"sizes that do not break them, expected at least {LEAST_INSTANCES}: instances differ, and so few say "
            "little about others. Allow more rounds.",
            value=instances,
            limit=LEAST_INSTANCES,
        )
