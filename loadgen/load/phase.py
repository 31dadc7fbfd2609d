"""Phases: stretches of load, each by a law."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import replace

from loadgen.load.bursts import Bursts
from loadgen.load.constant import ConstantRate
from loadgen.load.law import Arrivals, random_stream
from loadgen.load.ramp import RampRate
from loadgen.load.steps import StepRates
from loadgen.load.think import Think, think
from loadgen.load.trace import Trace, Wanted
from loadgen.load.workers import Workers
from loadgen.text import units
from loadgen.text.fault import Found
from loadgen.text.form import (
    OPTIONAL,
    POSITIVE_RATE,
    Count,
    Duration,
    DurationOrZero,
    Name,
    Rate,
    doc,
    items,
    mapping,
    without_unit,
    written,
)

Shape = ConstantRate | RampRate | StepRates | Bursts | Trace | Workers
"""Every law that there is."""


class RateShape(Struct, rename=without_unit):
    """A rate that changes: `from` and `to` for a ramp, or `steps`."""

    from_: Annotated[Rate, OPTIONAL, doc("The rate at the start of a ramp.")]
    to: Annotated[Rate, OPTIONAL, doc("The rate at the end of a ramp.")]
    steps: Annotated[tuple[Rate, ...], OPTIONAL, items(1, 1000), doc("Rates, each for an equal share of the duration.")]


class Laws(Struct):
    """How the law of a phase is written: by one of these keys, see ``law``."""

    rate: Annotated[
        Any,
        OPTIONAL,
        written(Annotated[str, POSITIVE_RATE] | RateShape),
        doc("Open model: starts per time, whatever the target does."),
    ]
    burst: Annotated[Bursts, OPTIONAL, doc("Open model: many starts at once.", title="Burst")]
    workers: Annotated[
        Any,
        OPTIONAL,
        written(Count | Workers, title="WorkersRamp"),
        doc("Closed model: workers that invoke back to back."),
    ]
    trace: Annotated[Wanted, OPTIONAL, doc("Open model: the arrivals of a published trace.", title="Trace")]


class Phase(Struct, frozen=True, rename=without_unit):
    """One stretch of load: exactly one of rate, burst, workers and trace.

    ``duration_ns`` of a burst phase is ``repeat``·``gap_ns``. ``max_in_flight`` is the number of workers of an open
    phase and unused in a closed one. A start that waits longer than ``max_lag_ns`` for a free worker is dropped; None
    drops nothing. Invocations in flight at the end of the phase get ``grace_ns`` to end. A worker of a closed phase
    waits as ``think`` says before its next call; None: not at all.
    """

    name: Annotated[Name, doc("Unique name, used in rules and reports.")]
    shape: Annotated[Shape, Meta(extra={"keys": Laws})]
    duration_ns: Annotated[Duration, OPTIONAL, doc("Length of the phase; not written with burst.")] = field(
        name="duration"
    )
    warmup: Annotated[bool, doc("Whether the phase only warms up and is not judged.")] = False
    arrivals: Annotated[Arrivals, OPTIONAL, doc("How starts spread around the rate; default constant.")] = (
        Arrivals.CONSTANT
    )
    max_in_flight: Annotated[Count, OPTIONAL, doc("Most invocations in flight in an open phase; default 1000.")] = 1000
    max_lag_ns: Annotated[
        DurationOrZero | None, doc("A start that waits longer for a free worker is dropped; default never.")
    ] = None
    grace_ns: Annotated[
        DurationOrZero, OPTIONAL, doc("Time that invocations in flight get at the end; default target.timeout.total.")
    ] = 0
    think: Annotated[
        Think | None, written(Duration | Think), doc("How long a worker waits before its next call.", "500ms")
    ] = None

    @property
    def closed(self) -> bool:
        """Whether the target's speed sets the load (workers) rather than a schedule (rate, burst)."""
        return self.shape.closed

    @property
    def max_workers(self) -> int:
        """The largest number of invocations this phase can have in flight."""
        return self.shape.at_once() or 0 if self.closed else self.max_in_flight

    def offsets(self, seed: int) -> Iterator[int]:
        """Intended start offsets of an open phase.

        Yields ns since the start of the phase: non-decreasing, each at least 0 and below ``duration_ns``, possibly
        none. The same seed and name give the same sequence. Raises ValueError for a closed phase.
        """
        return self.shape.offsets(self.duration_ns, self.arrivals, partial(random_stream, seed, "arrivals", self.name))

    def spans(self) -> list[tuple[int, int]]:
        """When each worker of a closed phase is active: (from, to) in ns since its start, one per worker, in order.

        Raises ValueError for an open phase.
        """
        return self.shape.spans(self.duration_ns)

    def expected(self) -> int | None:
        """How many starts an open phase has, on average where they are Poisson; None when closed."""
        return self.shape.expected(self.duration_ns, self.arrivals)

    def peak_rate(self) -> float:
        """The largest number of starts per second that the phase plans; 0 where there is no rate (bursts, workers)."""
        return self.shape.peak_rate()

    def in_flight(self, service_ns: float) -> int:
        """The most invocations in flight if each takes so long."""
        return min(self.shape.in_flight(service_ns), self.max_workers)

    def capped(self, most: int) -> Self:
        """The phase with never more than so many invocations in flight."""
        return replace(self, shape=self.shape.capped(most), max_in_flight=min(self.max_in_flight, most))


def phase(block: dict[str, Any], timeout_ns: int, trace: Trace | None) -> Phase:
    """The Phase of a block without faults; ``trace`` is what was read of the one that it names."""
    law = trace or _law(block)
    whole: dict[str, Any] = {"grace": timeout_ns, "duration": law.length_ns(), **block, "shape": law}
    if "think" in block:
        whole["think"] = think(block["think"])
    return msgspec.convert({key: value for key, value in whole.items() if key not in KEYS}, Phase)


def _law(block: dict[str, Any]) -> Shape:
    if "burst" in block:
        return msgspec.convert(block["burst"], Bursts)
    if "workers" in block:
        ramp = block["workers"]
        return Workers(ramp, ramp) if isinstance(ramp, int) else msgspec.convert(ramp, Workers)
    rate = block["rate"]
    if isinstance(rate, units.Rate):
        return ConstantRate(rate)
    return StepRates(tuple(rate["steps"])) if "steps" in rate else RampRate(rate["from"], rate["to"])


KEYS = Laws.__struct_fields__


def rules(block: dict[str, Any]) -> Found:
    """What does not go together in a phase."""
    laws = [key for key in KEYS if key in block]
    one = f"{', '.join(KEYS[:-1])} and {KEYS[-1]}"
    if not laws:
        yield (), f"no load: write one of {one}"
    for key in laws[1:]:
        yield (key,), f"{laws[0]} is written too; a phase has one of {one}"
    if "trace" in block and "arrivals" in block:
        yield ("arrivals",), "a trace has its own arrivals; remove arrivals"
    if mapping(block, "trace").get("keep") == 0:
        yield ("trace", "keep"), "nothing would be kept, so there would be no load"
    if "workers" in laws:
        for key in ("arrivals", "max_in_flight", "max_lag"):
            if key in block:
                yield (key,), f"{key} belongs to an open phase, but workers start when they are free; remove it"
    if "think" in block and laws and "workers" not in laws:
        yield ("think",), "think belongs to workers; a rate starts calls whatever became of the others; remove it"
    if "burst" in laws:
        yield from _burst(block, laws)
    elif "duration" not in block:
        yield (), "duration is missing: how long the phase lasts"
    if isinstance(block.get("rate"), dict):
        yield from _changing(block["rate"])


def _burst(block: dict[str, Any], laws: list[str]) -> Found:
    if "duration" in block and laws == ["burst"]:
        yield ("duration",), "a burst phase lasts repeat times gap; remove duration"
    if block.get("arrivals") is Arrivals.POISSON:
        yield ("arrivals",), "the starts of a burst are all at once; remove arrivals"
    gap_ns, repeat = mapping(block, "burst").get("gap"), mapping(block, "burst").get("repeat", 1)
    if isinstance(gap_ns, int) and isinstance(repeat, int) and repeat * gap_ns > units.LONGEST_NS:
        yield ("burst", "repeat"), "the phase would last more than a year"


def _changing(rate: dict[str, Any]) -> Found:
    ends = [key for key in ("from", "to") if key in rate]
    if "steps" in rate:
        for key in ends:
            yield ("rate", key), f"steps is written too; write either steps, or from and to (not {key} alone)"
        if isinstance(rate["steps"], list) and _all_zero(rate["steps"]):
            yield ("rate", "steps"), "every step is zero, so there would be no load"
    elif len(ends) < 2:
        missing = " and ".join(key for key in ("from", "to") if key not in ends)
        yield ("rate",), f"{missing} missing: a changing rate is {{from: 10/s, to: 200/s}} or {{steps: [50/s, 100/s]}}"
    elif _all_zero([rate["from"], rate["to"]]):
        yield ("rate",), "both ends are zero, so there would be no load"


def _all_zero(rates: list[Any]) -> bool:
    return all(isinstance(rate, units.Rate) and not rate.events for rate in rates)


def at_once(block: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """How many calls a phase makes at once by what it is, and by which key."""
    for key, inner in (("workers", ("from", "to")), ("burst", ("size",))):
        law = block.get(key)
        counts = [law.get(name) for name in inner] if isinstance(law, dict) else [law]
        yield key, max((count for count in counts if isinstance(count, int)), default=0)


def length_ns(block: dict[str, Any]) -> int | None:
    """How long a phase lasts; None where its block does not say that well."""
    burst = mapping(block, "burst")
    gap_ns, repeat = burst.get("gap"), burst.get("repeat", 1)
    if isinstance(gap_ns, int) and isinstance(repeat, int):
        return gap_ns * repeat
    duration = block.get("duration")
    return duration if isinstance(duration, int) else None
