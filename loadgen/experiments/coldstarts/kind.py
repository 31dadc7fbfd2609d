"""The face of kind ``cold-starts``: how slow cold and warm starts are, and how long instances are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from loadgen.experiments.coldstarts.block import ColdStarts, Induce
from loadgen.experiments.coldstarts.findings import ColdStartsResult
from loadgen.experiments.decision import Decision
from loadgen.experiments.kind import Forecast, Given, Kind
from loadgen.invocation.bill import rates
from loadgen.load.phase import Phase

if TYPE_CHECKING:
    from loadgen.measure.starts import Found
    from loadgen.measure.summary import Summary
    from loadgen.report.experiment import Answer, Section


def _decision(block: ColdStarts, given: Given) -> Decision[ColdStartsResult]:
    from loadgen.experiments.coldstarts.decision import cold_starts

    return cold_starts(block, given.timeout_ns, given.seed, rates(given.prices))


def _widest(block: ColdStarts, timeout_ns: int) -> Sequence[Phase]:
    from loadgen.experiments.coldstarts.decision import widest

    return (widest(block, timeout_ns),)


def _plan(block: ColdStarts) -> Iterator[str]:
    means = ", ".join(each.value for each in block.induce)
    yield f"cold starts by {means}: {block.cold} wanted, and {block.warm} warm ones"


def _forecast(block: ColdStarts, shares: Mapping[str, float]) -> Forecast:
    from loadgen.experiments.coldstarts.forecast import forecast

    return forecast(block)


def _answer(summary: Summary, result: ColdStartsResult) -> Answer:
    from loadgen.experiments.coldstarts.section import answer

    return answer(summary, result)


def _section(summary: Summary, result: ColdStartsResult) -> Section:
    from loadgen.experiments.coldstarts.section import section

    return section(summary, result)


def _found(result: ColdStartsResult) -> Found:
    from loadgen.experiments.coldstarts.reasons import found

    return found(result)


COLD_STARTS = Kind(
    name="cold-starts",
    block="cold_starts",
    result=ColdStartsResult,
    decision=_decision,
    widest=_widest,
    plan=_plan,
    forecast=_forecast,
    section=_section,
    answer=_answer,
    found=_found,
    changes=lambda block: "LOADGEN_RUN in its environment" if Induce.CONFIG in block.induce else "",
    one_size=False,
    sizes_mb=lambda block: block.sizes_mb if Induce.MEMORY in block.induce else (),
    probe=lambda block: block.probe,
)
