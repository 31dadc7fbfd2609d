"""The face of kind ``memory``: which memory size to take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from loadgen.experiments.decision import Decision
from loadgen.experiments.kind import Forecast, Given, Kind
from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.experiments.memory.findings import MemoryResult
from loadgen.invocation.bill import rates
from loadgen.load.phase import Phase
from loadgen.text import units

if TYPE_CHECKING:
    from loadgen.measure.starts import Found
    from loadgen.measure.summary import Summary
    from loadgen.report.experiment import Answer, Section


def _decision(block: MemoryComparison, given: Given) -> Decision[MemoryResult]:
    from loadgen.experiments.memory.decision import compare

    return compare(block, rates(given.prices), given.seed, given.timeout_ns)


def _widest(block: MemoryComparison, timeout_ns: int) -> Sequence[Phase]:
    from loadgen.experiments.memory.decision import phase

    # as if calls followed one another on one lane: the few lanes that there are belong to one agent
    return (phase("widest", 1, 1, timeout_ns),)


def _plan(block: MemoryComparison) -> Iterator[str]:
    yield f"sizes by {block.by.value}: {', '.join(f'{size} MB' for size in block.sizes_mb)}"
    yield f"rules: {', '.join(rule.text for rule in block.slo) or 'none'}"
    yield f"at most {block.rounds} rounds, each after {units.seconds(block.gap_ns)} of silence"


def _forecast(block: MemoryComparison, shares: Mapping[str, float]) -> Forecast:
    from loadgen.experiments.memory.forecast import forecast

    return forecast(block)


def _answer(summary: Summary, result: MemoryResult) -> Answer:
    from loadgen.experiments.memory.section import answer

    return answer(result)


def _section(summary: Summary, result: MemoryResult) -> Section:
    from loadgen.experiments.memory.section import section

    return section(result)


def _found(result: MemoryResult) -> Found:
    from loadgen.experiments.memory.reasons import found

    return found(result)


MEMORY = Kind(
    name="memory",
    block="memory",
    result=MemoryResult,
    decision=_decision,
    widest=_widest,
    plan=_plan,
    forecast=_forecast,
    section=_section,
    answer=_answer,
    found=_found,
    changes=lambda block: "its memory size" if block.by is MemoryBy.CONFIG else "",
    one_size=False,
    sizes_mb=lambda block: block.sizes_mb,
)
