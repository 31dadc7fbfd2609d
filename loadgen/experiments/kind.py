"""Which decision a scenario is played by."""

from __future__ import annotations

from collections.abc import Sequence

from loadgen.experiments.load import load
from loadgen.measure.experiment import Experiment
from loadgen.scenario.model import Phase, Scenario
from loadgen.stats.decision import Decision


def decision(scenario: Scenario) -> Decision[Experiment | None]:
    """The decision of the scenario's kind. What only some kinds need is imported for them alone."""
    if scenario.kind == "capacity":
        from loadgen.experiments import capacity

        return capacity.decision(scenario)
    if scenario.kind == "cold-starts":
        from loadgen.experiments import coldstarts

        return coldstarts.decision(scenario)
    if scenario.kind == "memory":
        from loadgen.experiments import memory

        return memory.decision(scenario)
    return load(scenario)


def widest(scenario: Scenario) -> Sequence[Phase]:
    """Phases with at least as many invocations in flight as any that the decision asks for; at least one."""
    if scenario.kind == "capacity":
        from loadgen.experiments import capacity

        return (capacity.widest(scenario),)
    if scenario.kind == "cold-starts":
        from loadgen.experiments import coldstarts

        return (coldstarts.widest(scenario),)
    if scenario.kind == "memory":
        from loadgen.experiments import memory

        return (memory.widest(scenario),)
    return scenario.phases
