"""Kind ``cold-starts``: the decision of ``loadgen.stats.coldstarts`` for a scenario."""

from __future__ import annotations

from loadgen.measure.experiment import ColdStartsResult
from loadgen.scenario.model import Phase, Scenario
from loadgen.stats import coldstarts
from loadgen.stats.cost import rates
from loadgen.stats.decision import Decision


def decision(scenario: Scenario) -> Decision[ColdStartsResult]:
    """The decision of a scenario of this kind."""
    assert scenario.cold_starts is not None
    return coldstarts.cold_starts(
        scenario.cold_starts, scenario.target.timeout.total_ns, scenario.seed, rates(scenario.prices)
    )


def widest(scenario: Scenario) -> Phase:
    """A phase with as many invocations in flight as any that it asks for."""
    assert scenario.cold_starts is not None
    return coldstarts.widest(scenario.cold_starts, scenario.target.timeout.total_ns)
