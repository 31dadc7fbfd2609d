"""The section of a report that belongs to one kind of experiment."""

from __future__ import annotations

from msgspec import Struct

from loadgen.measure.experiment import CapacityResult, ColdStartsResult, LoadResult, MemoryResult
from loadgen.measure.summary import Summary
from loadgen.report import capacity, coldstarts, memory, tables
from loadgen.report.charts import Chart
from loadgen.report.tables import Table


class Section(Struct, frozen=True):
    """Tables and charts, the answer first.

    ``mixed`` says that the run's invocations are of different things, so that times of all of them mean nothing.
    """

    tables: tuple[Table, ...] = ()
    charts: tuple[Chart | None, ...] = ()
    mixed: bool = False


def section(summary: Summary) -> Section:
    """What the experiment found out; empty where there was none."""
    result = summary.experiment
    if isinstance(result, CapacityResult):
        return Section((capacity.answer(result), capacity.probes(result)), (capacity.latency_by_rate(result),))
    if isinstance(result, ColdStartsResult):
        without = coldstarts.hidden(summary.verdict)
        starts = (coldstarts.answer(result, without), coldstarts.means(result, without), coldstarts.keep_alive(result))
        return Section(starts, mixed=True)
    if isinstance(result, MemoryResult):
        found = (memory.answer(result), memory.rules(result), memory.colds(result), memory.link(result))
        return Section(found, (memory.pareto(result),), mixed=True)
    if isinstance(result, LoadResult):
        return Section((coldstarts.labelled(summary, result),))
    return Section()


def in_order(summary: Summary, found: Section) -> tuple[Table, ...]:
    """The section's tables and that of the times: the answer of an experiment first, of a load the times."""
    if found.mixed:
        return found.tables
    times = (tables.headline(summary),)
    return (*times, *found.tables) if summary.run.kind == "load" else (*found.tables, *times)
