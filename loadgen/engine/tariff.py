"""What calls of a scenario cost, for whoever has to keep within its budget of money: the run, and each agent."""

from __future__ import annotations

from loadgen.measure.purse import Tariff
from loadgen.scenario.model import Scenario
from loadgen.targets.registry import tenant_of


def tariff_of(scenario: Scenario, size_mb: int | None) -> Tariff | None:
    """The tariff of a scenario with a budget of money, None of any other; ``size_mb`` as in Tariff."""
    if scenario.budget.cost is None or scenario.prices is None:
        return None
    sizes_mb = tenant_of(scenario.target).memory_sizes_mb
    timeout_ns = scenario.target.timeout.total_ns
    return Tariff(scenario.prices, size_mb=size_mb, timeout_ns=timeout_ns, sizes_mb=sizes_mb)
