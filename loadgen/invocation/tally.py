"""What is counted of many invocations: in an interval, in a phase, in all of them. Tallies add up."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from loadgen.invocation.bill import Misbilled, worse


class Connections(Struct):
    """Connection events of an interval. ``reused`` counts invocations on a connection that had answered before."""

    opened: int = 0
    reused: int = 0
    closed_idle: int = 0
    failed: int = 0


class Tally(Struct):
    """Counts of planned invocations; ``loadgen.measure.verdict`` judges whether they agree.

    ``planned`` are ``started`` and ``dropped``, ``started`` are ``completed`` and ``unfinished``; each has one of the
    ``outcomes``. ``reasons`` counts those that were not simply ok by ``outcome/reason``. ``clipped`` counts values
    above the largest one that a histogram holds (they are recorded as that one), ``negative_overhead`` those recorded
    as 0, ``summary_missing`` ok answers of a function without a duration, ``unbelieved`` answers by the figure of the
    platform's that cannot be and so is in no histogram (``metering.UNBELIEVABLE``), ``unstamped`` answers of which the
    system did not say when they arrived. ``disturbed`` counts by outcome those that the load generator disturbed
    (``loadgen.measure.ends``).

    ``billed_ns`` is what the ``metered`` invocations were billed, by memory size (MB). The ``unmetered`` ones may have
    run and told no bill to go by, the ``refused`` ones were answered before any code ran (``bill.charge``); all are 0
    of a target that is no function. ``billing_units`` counts invocations by the unit (ns) that their duration was
    rounded up to, ``misbilled`` those without one, of which ``underbilled`` were billed for less than they ran;
    ``worst_bill`` is the one furthest off.
    """

    planned: int = 0
    started: int = 0
    completed: int = 0
    dropped: int = 0
    unfinished: int = 0
    outcomes: dict[str, int] = {}
    disturbed: dict[str, int] = {}
    reasons: dict[str, int] = {}
    clipped: int = 0
    negative_overhead: int = 0
    summary_missing: int = 0
    unbelieved: dict[str, int] = {}
    unstamped: int = 0
    billed_ns: dict[int, int] = {}
    metered: int = 0
    unmetered: int = 0
    refused: int = 0
    billing_units: dict[int, int] = {}
    misbilled: int = 0
    underbilled: int = 0
    worst_bill: Misbilled | None = None
    connections: Connections = field(default_factory=Connections)

    def add(self, other: Tally) -> None:
        """Count what another tally did, too."""
        _add(self, other)


def _add(known: Struct, other: Struct) -> None:
    for name in known.__struct_fields__:
        setattr(known, name, _sum(getattr(known, name), getattr(other, name)))


def _sum(known: Any, other: Any) -> Any:
    match known:
        case int():
            return known + other
        case dict():
            return {key: known.get(key, 0) + other.get(key, 0) for key in {**known, **other}}
        case Connections():
            _add(known, other)
            return known
        case _:
            return worse(known, other)
