"""A sample tells the times that the recorder counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.facts import Facts
from loadgen.invocation.metric import RECORDED, Metric
from loadgen.invocation.outcome import Outcome
from loadgen.measure.histogram import Histogram
from loadgen.measure.recorder import Recorder

ns = st.integers(0, 10**9)
UNTOLD = (Metric.WAITED, Metric.LATE)
"""What part of a lag was whose is in no sample."""


@given(ns, ns, ns, ns, st.none() | ns, st.none() | ns, st.booleans())
def test_each_metric_of_a_sample_is_what_was_recorded_of_it(
    lag_ns: int,
    service_ns: int,
    connect_ns: int,
    unread_ns: int,
    duration_ns: int | None,
    memory: int | None,
    disturbed: bool,
) -> None:
    facts = Facts(
        Outcome.OK,
        "ok",
        200,
        duration_ns=duration_ns,
        billed_duration_ns=duration_ns,
        memory_used_bytes=memory,
    )
    recorder = Recorder(
        "p", 0, origin_ns=0, closed=False, expects_summary=True, sampled=lambda: True, evidence=True, residual=True
    )
    arrived_ns = 5 + lag_ns + service_ns
    recorder.record(
        facts, 0, 5, 5 + lag_ns, arrived_ns, arrived_ns + unread_ns, 0, min(connect_ns, service_ns), b"", disturbed
    )
    taken = recorder.take()
    (sample,) = taken.samples
    assert sample.disturbed == disturbed
    recorded = {cell.metric: Histogram.unpack(packed) for cell, packed in taken.packed()}
    for metric in (Metric(name) for name in RECORDED):
        if metric in UNTOLD:
            continue
        value, expected = sample.value(metric), Histogram()
        if value is not None:
            expected.record(value // metric.kind.unit.size)
        assert recorded.get(metric.value, Histogram()) == expected


@pytest.mark.parametrize("metric", [*UNTOLD, Metric.LATENCY_ALL])
def test_what_no_sample_tells_is_no_number(metric: Metric) -> None:
    recorder = Recorder("p", 0, origin_ns=0, closed=False, expects_summary=False, sampled=lambda: True)
    recorder.dropped(0, 0, 7, "phase_end")
    (sample,) = recorder.take().samples
    assert (sample.latency_ns, sample.service_time_ns, sample.lag_ns, sample.overhead_ns) == (7, 7, 7, None)
    with pytest.raises(AttributeError):
        sample.value(metric)
