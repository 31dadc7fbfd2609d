"""Kind ``memory``: the decision of ``loadgen.stats.memory`` for a scenario."""

from __future__ import annotations

from loadgen.measure.experiment import MemoryResult
from loadgen.scenario.model import Phase, Scenario
from loadgen.stats import memory
from loadgen.stats.cost import rates
from loadgen.stats.decision import Decision


def decision(scenario: Scenario) -> Decision[MemoryResult]:
    """The decision of a scenario of this kind."""
    assert scenario.memory is not None
    return memory.compare(scenario.memory, rates(scenario.prices), scenario.seed, scenario.target.timeout.total_ns)


def widest(scenario: Scenario) -> Phase:
    """A phase with as many invocations in flight as any that it asks for, for one agent: calls follow one another."""
    return memory.phase("widest", 1, 1, scenario.target.timeout.total_ns)
