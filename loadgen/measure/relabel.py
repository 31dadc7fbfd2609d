"""Start labels that an experiment found out after its invocations had ended, put where everybody reads them.

Theory of operation. An agent labels what it can when an invocation ends: by a probe, the log, or cuts that it has.
An experiment that keeps every sample knows better in the end. Its labels then replace those of the frames, so that the
Summary, rules and reports are about the same invocations. A phase is labelled anew only where its samples are all of
its ok invocations, down to every count: labels change what stands where, never what was measured.

``late`` and ``waited`` are in no sample and keep the label that they had.
"""

from __future__ import annotations

from collections.abc import Iterable

from loadgen.invocation.cell import CALL, Cell, chosen
from loadgen.invocation.metric import Metric
from loadgen.invocation.outcome import OK
from loadgen.invocation.sample import Sample
from loadgen.measure.histogram import Histogram
from loadgen.measure.merge import PhaseTotal

_METRICS = tuple(metric for metric in Metric if metric.kind.reported and hasattr(Sample, metric.field))


def relabel(total: PhaseTotal, labelled: Iterable[tuple[Sample, str]]) -> bool:
    """Label the ok invocations of a phase anew; False, and nothing is changed, where these are not all of them."""
    found: dict[Cell, Histogram] = {}
    whole = {metric.value: Histogram() for metric in _METRICS}
    for sample, start in labelled:
        if sample.phase != total.name or sample.outcome != OK:
            continue
        for metric in _METRICS:
            value = sample.value(metric)
            if value is not None:
                counted = value // metric.kind.unit.size
                cell = Cell(total.name, CALL, start, OK, metric.value, sample.disturbed)
                found.setdefault(cell, Histogram()).record(counted)
                whole[metric.value].record(counted)
    replaced = [cell for cell in chosen(total.histograms, outcomes=(OK,)) if cell.metric in whole]
    metrics = {cell.metric for cell in replaced}
    if any(whole[metric] != total.merged(metric, outcomes=(OK,)) for metric in metrics):
        return False
    for cell in replaced:
        del total.histograms[cell]
    total.least.clear()  # by labels that were
    total.histograms.update({cell: histogram for cell, histogram in found.items() if cell.metric in metrics})
    return True
