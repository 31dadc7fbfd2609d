"""The face of kind ``capacity``: the largest rate that meets the rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from loadgen.experiments.capacity.block import Capacity
from loadgen.experiments.capacity.findings import CapacityResult
from loadgen.experiments.decision import Decision
from loadgen.experiments.kind import Forecast, Given, Kind
from loadgen.load.phase import Phase
from loadgen.load.workers import Workers
from loadgen.text import units
from loadgen.text.units import NS_PER_S

if TYPE_CHECKING:
    from loadgen.measure.summary import Summary
    from loadgen.report.experiment import Answer, Section


def _decision(block: Capacity, given: Given) -> Decision[CapacityResult]:
    from loadgen.experiments.capacity.decision import capacity
    from loadgen.experiments.capacity.plan import plan

    return capacity(plan(block, given.timeout_ns, given.shares))


def _widest(block: Capacity, timeout_ns: int) -> Sequence[Phase]:
    n = block.max_in_flight
    return (Phase("probe", Workers(n, n), 0),)


def _plan(block: Capacity) -> Iterator[str]:
    yield f"rates from {block.from_rate} to {block.to_rate}, at most {block.max_in_flight} in flight"
    yield f"rules: {', '.join(rule.text for rule in block.slo)}"
    most = round(block.to_rate.per_s * block.confirm_ns / NS_PER_S)
    yield f"confirmed for {units.seconds(block.confirm_ns)}: {most} invocations if the largest rate is sustained"


def _forecast(block: Capacity, shares: Mapping[str, float]) -> Forecast:
    from loadgen.experiments.capacity.forecast import forecast

    return forecast(block, shares)


def _answer(summary: Summary, result: CapacityResult) -> Answer:
    from loadgen.experiments.capacity.section import answer

    return answer(result)


def _section(summary: Summary, result: CapacityResult) -> Section:
    from loadgen.experiments.capacity.section import section

    return section(result)


CAPACITY = Kind(
    name="capacity",
    block="capacity",
    result=CapacityResult,
    decision=_decision,
    widest=_widest,
    plan=_plan,
    forecast=_forecast,
    section=_section,
    answer=_answer,
    peak_per_s=lambda block: block.to_rate.per_s,
)
