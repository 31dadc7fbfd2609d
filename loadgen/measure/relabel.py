"""Start labels that an experiment found out after its invocations had ended, put where everybody reads them.

Theory of operation. An agent labels what it can when an invocation ends: by a probe, the log, or cuts that it has.
An experiment that keeps every sample knows better in the end. Its labels then replace those of the frames, so that the
Summary, rules and reports are about the same invocations. A phase is labelled anew only where its samples are all of
its ok invocations, down to every count: labels change what stands where, never what was measured.

``late`` and ``waited`` are in no sample and keep the label that they had.
"""

from __future__ import annotations

from collections.abc import Iterable

from loadgen.invocation.outcome import OK
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Key, Sample
from loadgen.measure.merge import BYTES_PER_KIB, NS_PER_US, PhaseTotal

_KIB = "memory_used"
_METRICS = ("latency", "service_time", "lag", "connect", "duration", "billed_duration", "overhead", _KIB)


def relabel(total: PhaseTotal, labelled: Iterable[tuple[Sample, str]]) -> bool:
    """Label the ok invocations of a phase anew; False, and nothing is changed, where these are not all of them."""
    found: dict[Key, Histogram] = {}
    whole = {metric: Histogram() for metric in _METRICS}
    for sample, start in labelled:
        if sample.phase != total.name or sample.outcome != OK:
            continue
        for metric in _METRICS:
            value = value_of(sample, metric)
            if value is not None:
                counted = value // (BYTES_PER_KIB if metric == _KIB else NS_PER_US)
                found.setdefault(Key(start, OK, metric), Histogram()).record(counted)
                whole[metric].record(counted)
    replaced = [key for key in total.histograms if key.outcome == OK and key.metric in _METRICS]
    metrics = {key.metric for key in replaced}
    if any(whole[metric] != total.merged(metric, outcomes=(OK,)) for metric in metrics):
        return False
    for key in replaced:
        del total.histograms[key]
    total.histograms.update({key: histogram for key, histogram in found.items() if key.metric in metrics})
    return True


def value_of(sample: Sample, metric: str) -> int | None:
    """A metric of one invocation in ns (memory: bytes), None where no answer told it."""
    match metric:
        case "latency":
            return sample.ended_ns - sample.intended_ns
        case "service_time":
            return sample.service_ns
        case "lag":
            return None if sample.started_ns is None else sample.started_ns - sample.intended_ns
        case "connect":
            return sample.connect_ns
        case "duration":
            return sample.duration_ns
        case "billed_duration":
            return sample.billed_duration_ns
        case "overhead":
            return None if sample.duration_ns is None else max(0, sample.service_ns - sample.duration_ns)
        case _:
            return sample.memory_used_bytes
