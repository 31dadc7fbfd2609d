"""Kind ``memory``: its decision for a block of a scenario."""

from __future__ import annotations

from loadgen.experiments.decision import Decision
from loadgen.experiments.memory.block import MemoryComparison
from loadgen.experiments.memory.decision import compare, phase
from loadgen.invocation.bill import PriceBook, rates
from loadgen.load.phase import Phase
from loadgen.measure.experiment import MemoryResult


def decision(block: MemoryComparison, timeout_ns: int, seed: int, prices: PriceBook | None) -> Decision[MemoryResult]:
    """The decision of a scenario of this kind; ``timeout_ns`` is how long a call is waited for."""
    return compare(block, rates(prices), seed, timeout_ns)


def widest(timeout_ns: int) -> Phase:
    """A phase with as many invocations in flight as any that it asks for, for one agent: calls follow one another."""
    return phase("widest", 1, 1, timeout_ns)
