"""Frames whose counts agree with their histograms, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from loadgen.invocation.sample import Failure, Slow
from loadgen.invocation.tally import Connections
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import VERSION, Frame, Health
from loadgen.measure.merge import PhasePlan, PhaseTotal
from loadgen.measure.summary import Reason, Verdict

NS_PER_S = 1_000_000_000


def histogram(values: Iterable[int]) -> Histogram:
    result = Histogram()
    for value in values:
        result.record(value)
    return result


def frame(
    latencies: Mapping[str, Iterable[int]] | None = None,
    *,
    phase: str = "steady",
    agent: int = 0,
    seq: int = 0,
    final: bool = True,
    start: str = "unknown",
    metrics: Mapping[str, Iterable[int]] | None = None,
    reasons: Mapping[str, int] | None = None,
    failures: Iterable[Failure] = (),
    slowest: Iterable[Slow] = (),
    clipped: int = 0,
    negative_overhead: int = 0,
    summary_missing: int = 0,
    unbelieved: Mapping[str, int] | None = None,
    feeder_exhausted: bool = False,
    budget_reached: str = "",
) -> Frame:
    """A frame of one second. ``latencies`` are µs by outcome; ``metrics`` more values by ``outcome/metric``."""
    recorded = {outcome: list(values) for outcome, values in (latencies or {}).items()}
    outcomes = {outcome: len(values) for outcome, values in recorded.items()}
    dropped, unfinished = outcomes.get("dropped", 0), outcomes.get("unfinished", 0)
    planned = sum(outcomes.values())
    histograms = {f"{outcome}/latency": values for outcome, values in recorded.items()}
    return Frame(
        v=VERSION,
        agent=agent,
        seq=seq,
        phase=phase,
        from_ns=seq * NS_PER_S,
        to_ns=(seq + 1) * NS_PER_S,
        planned=planned,
        started=planned - dropped,
        completed=planned - dropped - unfinished,
        dropped=dropped,
        unfinished=unfinished,
        outcomes=outcomes,
        reasons=dict(reasons or {}),
        connections=Connections(opened=1, reused=planned),
        hist={
            f"{phase}/{start}/{name}": histogram(values).pack()
            for name, values in {**histograms, **(metrics or {})}.items()
        },
        health=Health(cpu_ns=NS_PER_S // 4, rss_bytes=(seq + 1) * 1000, gc_collections=0),
        clipped=clipped,
        negative_overhead=negative_overhead,
        summary_missing=summary_missing,
        unbelieved=dict(unbelieved or {}),
        failures=list(failures),
        slowest=list(slowest),
        feeder_exhausted=feeder_exhausted,
        budget_reached=budget_reached,
        final=final,
    )


PUNCTUAL = {"ok/late": [5] * 1000, "ok/waited": [0] * 1000}


def clean(**changes: object) -> Frame:
    """A thousand ok calls of 10 to 30 ms, each started within 5 µs of its time."""
    arguments: dict[str, object] = {"latencies": {"ok": range(10_000, 30_000, 20)}, "metrics": PUNCTUAL}
    return frame(**{**arguments, **changes})  # type: ignore[arg-type]  # a builder's keywords, as given


def only(verdict: Verdict) -> Reason:
    (reason,) = verdict.reasons
    return reason


def total(*frames: Frame) -> PhaseTotal:
    result = PhaseTotal(frames[0].phase)
    for each in frames:
        result.add(each)
    return result


def plan(
    name: str = "steady", *, drawn: int | None = None, closed: bool = False, warmup: bool = False, seconds: int = 10
) -> PhasePlan:
    return PhasePlan(name=name, warmup=warmup, closed=closed, duration_ns=seconds * NS_PER_S, drawn=drawn)
