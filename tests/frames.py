"""Frames whose counts agree with their histograms, for tests of what is made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from loadgen.invocation.cell import CALL, Cell
from loadgen.invocation.sample import Failure, Sample, Slow
from loadgen.invocation.tally import Connections, Tally
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


def counted(outcomes: Mapping[str, int], **more: Any) -> Tally:
    """A tally in which each invocation has its outcome."""
    dropped, unfinished = outcomes.get("dropped", 0), outcomes.get("unfinished", 0)
    planned = sum(outcomes.values())
    return Tally(
        planned=planned,
        started=planned - dropped,
        completed=planned - dropped - unfinished,
        dropped=dropped,
        unfinished=unfinished,
        outcomes=dict(outcomes),
        **more,
    )


def cell(name: str, phase: str = "steady") -> Cell:
    """The cell of ``outcome/metric``, or of ``start/outcome/metric``, or of those after ``disturbed/``."""
    start, outcome, metric = f"unknown/{name.removeprefix('disturbed/')}".split("/")[-3:]
    return Cell(phase, CALL, start, outcome, metric, name.startswith("disturbed/"))


def packed(histograms: Mapping[str, Histogram], phase: str = "steady") -> dict[Cell, bytes]:
    """Histograms by name, see ``cell``, as they travel."""
    return {cell(name, phase): each.pack() for name, each in histograms.items()}


def blank(
    tally: Tally | None = None,
    hist: dict[Cell, bytes] | None = None,
    *,
    phase: str = "steady",
    agent: int = 0,
    seq: int = 0,
    span: tuple[int, int] | None = None,
    health: Health | None = None,
    **more: Any,
) -> Frame:
    """A frame of second ``seq``, or of another ``span``, of which all that is not given is empty."""
    return Frame(
        VERSION,
        agent,
        seq,
        phase,
        *(span or (seq * NS_PER_S, (seq + 1) * NS_PER_S)),
        tally or Tally(),
        hist or {},
        health or Health(),
        **more,
    )


def frame(
    latencies: Mapping[str, Iterable[int]] | None = None,
    *,
    disturbed: Mapping[str, Iterable[int]] | None = None,
    phase: str = "steady",
    agent: int = 0,
    seq: int = 0,
    final: bool = True,
    start: str = "unknown",
    metrics: Mapping[str, Iterable[int]] | None = None,
    failures: Iterable[Failure] = (),
    slowest: Iterable[Slow] = (),
    feeder_exhausted: bool = False,
    budget_reached: str = "",
    **counts: Any,
) -> Frame:
    """A frame of one second. ``latencies`` are µs by outcome; ``metrics`` more values by ``outcome/metric``.

    ``disturbed`` are the latencies of more calls, that the generator disturbed. ``counts`` are what else is in its
    tally.
    """
    recorded = {outcome: list(values) for outcome, values in (latencies or {}).items()}
    moved = {outcome: list(values) for outcome, values in (disturbed or {}).items()}
    outcomes = Counter({outcome: len(values) for outcome, values in recorded.items()})
    outcomes.update({outcome: len(values) for outcome, values in moved.items()})
    tally = counted(outcomes, disturbed={outcome: len(values) for outcome, values in moved.items()}, **counts)
    tally.connections = Connections(opened=1, reused=tally.planned)
    values = {**{f"{outcome}/latency": values for outcome, values in recorded.items()}, **(metrics or {})}
    named = {f"{start}/{name}": histogram(each) for name, each in values.items()}
    named |= {f"disturbed/{start}/{outcome}/latency": histogram(values) for outcome, values in moved.items()}
    return blank(
        tally,
        packed(named, phase),
        phase=phase,
        agent=agent,
        seq=seq,
        health=Health(cpu_ns=NS_PER_S // 4, rss_bytes=(seq + 1) * 1000, gc_collections=0),
        failures=list(failures),
        slowest=list(slowest),
        feeder_exhausted=feeder_exhausted,
        budget_reached=budget_reached,
        final=final,
    )


def sample(**changes: Any) -> Sample:
    """An ok call of a millisecond whose answer tells nothing about itself, with these changes."""
    fields: dict[str, Any] = {
        "intended_ns": 0,
        "started_ns": 0,
        "ended_ns": 1_000_000,
        "arrived_ns": 1_000_000,
        "read_ns": 1_000_000,
        "phase": "steady",
        "agent": 0,
        "index": 0,
        "outcome": "ok",
        "reason": "ok",
        "status": 200,
        "error_code": None,
        "duration_ns": None,
        "billed_duration_ns": None,
        "memory_size_mb": None,
        "memory_used_bytes": None,
        "connect_ns": None,
        "start": "unknown",
        "start_source": "none",
        "request_id": None,
    }
    if "ended_ns" in changes:
        changes = {"arrived_ns": changes["ended_ns"], "read_ns": changes["ended_ns"], **changes}
    return Sample(**{**fields, **changes})


PUNCTUAL = {"ok/late": [5] * 1000, "ok/waited": [0] * 1000}


def clean(**changes: Any) -> Frame:
    """A thousand ok calls of 10 to 30 ms, each started within 5 µs of its time."""
    arguments: dict[str, Any] = {"latencies": {"ok": range(10_000, 30_000, 20)}, "metrics": PUNCTUAL}
    return frame(**{**arguments, **changes})


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


def labelled(*, cold: int = 0, warm: int = 0, unknown: int = 0) -> PhaseTotal:
    """A phase with so many ok invocations of each label."""
    counts = [(start, n) for start, n in (("cold", cold), ("warm", warm), ("unknown", unknown)) if n]
    frames = [
        frame({"ok": [20_000] * n}, start=start, seq=seq, final=seq == len(counts) - 1)
        for seq, (start, n) in enumerate(counts)
    ]
    return total(*frames)
