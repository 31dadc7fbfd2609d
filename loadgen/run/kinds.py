"""Which decision a scenario is played by."""

from __future__ import annotations

from collections.abc import Sequence

from loadgen.experiments.decision import Decision
from loadgen.experiments.load.decision import load
from loadgen.load.phase import Phase
from loadgen.measure.experiment import Experiment
from loadgen.scenario.model import Scenario
from loadgen.targets.registry import tenant_of


def decision(scenario: Scenario) -> Decision[Experiment | None]:
    """The decision of the scenario's kind. What only some kinds need is imported for them alone."""
    timeout_ns = scenario.target.timeout.total_ns
    if scenario.capacity is not None:
        from loadgen.experiments.capacity import kind as capacity

        return capacity.decision(scenario.capacity, timeout_ns)
    if scenario.cold_starts is not None:
        from loadgen.experiments.coldstarts import kind as coldstarts

        return coldstarts.decision(scenario.cold_starts, timeout_ns, scenario.seed, scenario.prices)
    if scenario.memory is not None:
        from loadgen.experiments.memory import kind as memory

        return memory.decision(scenario.memory, timeout_ns, scenario.seed, scenario.prices)
    return load(scenario.phases, told=tenant_of(scenario.target).told)


def widest(scenario: Scenario) -> Sequence[Phase]:
    """Phases with at least as many invocations in flight as any that the decision asks for; at least one."""
    timeout_ns = scenario.target.timeout.total_ns
    if scenario.capacity is not None:
        from loadgen.experiments.capacity import kind as capacity

        return (capacity.widest(scenario.capacity),)
    if scenario.cold_starts is not None:
        from loadgen.experiments.coldstarts import kind as coldstarts

        return (coldstarts.widest(scenario.cold_starts, timeout_ns),)
    if scenario.memory is not None:
        from loadgen.experiments.memory import kind as memory

        return (memory.widest(timeout_ns),)
    return scenario.phases
