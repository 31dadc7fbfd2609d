"""The face of kind ``load``: phases that the scenario lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from loadgen.experiments.decision import Decision
from loadgen.experiments.kind import Given, Kind
from loadgen.experiments.load.findings import LoadResult
from loadgen.load.phase import Phase

if TYPE_CHECKING:
    from loadgen.measure.starts import Found
    from loadgen.measure.summary import Summary
    from loadgen.report.experiment import Section

Phases = tuple[Phase, ...]


def _decision(phases: Phases, given: Given) -> Decision[LoadResult | None]:
    from loadgen.experiments.load.decision import load

    return load(phases, told=given.told, tells_starts=given.tells_starts)


def _widest(phases: Phases, timeout_ns: int) -> Sequence[Phase]:
    return phases


def _section(summary: Summary, result: LoadResult) -> Section:
    from loadgen.experiments.load.section import section

    return section(summary, result)


def _found(result: LoadResult) -> Found:
    from loadgen.experiments.load.reasons import found

    return found(result)


LOAD = Kind(
    name="load",
    block="phases",
    result=LoadResult,
    decision=_decision,
    widest=_widest,
    section=_section,
    found=_found,
)
