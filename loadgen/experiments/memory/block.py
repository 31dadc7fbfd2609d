"""The experiment ``memory``, as a scenario describes it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from loadgen.invocation.metric import Metric
from loadgen.measure import rule
from loadgen.measure.rule import MetricRule, Rule, ShareRule, unwatched
from loadgen.targets.registry import Memory
from loadgen.text.fault import Found
from loadgen.text.form import INVALID, OPTIONAL, Duration, Share, doc, items, listed, twice, within, without_unit
from loadgen.text.units import NS_PER_S, megabytes_text

_OF_A_SIZE = frozenset({Metric.LATENCY, Metric.LATENCY_ALL, Metric.SERVICE_TIME, Metric.DURATION})


class MemoryBy(Enum):
    """How a memory size is chosen: for each call by X-Cff-Instance-Memory, or by changing the function's settings."""

    HEADER = "header"
    CONFIG = "config"


class MemoryComparison(Struct, frozen=True, rename=without_unit):
    """The experiment that finds the cheapest memory size that meets rules.

    Each of the ``rounds`` is on new instances, which ``gap_ns`` of silence before it makes sure of; in a round every
    size is called ``blocks`` times, fewer in the first rounds.
    """

    sizes_mb: Annotated[tuple[Memory, ...], OPTIONAL, items(2), doc("The sizes to compare; default all.")]
    by: Annotated[
        MemoryBy,
        doc(
            "`header`: X-Cff-Instance-Memory, which needs dynamic memory; `config`: by changing the "
            "function's memory size, which is put back."
        ),
    ] = MemoryBy.HEADER
    blocks: Annotated[int, within(2, 10_000), doc("Calls of each size in a round.")] = 20
    rounds: Annotated[int, within(2, 1000), doc("Most rounds, each on new instances.")] = 10
    slo: Annotated[
        tuple[
            Annotated[MetricRule | ShareRule, rule.WRITTEN, Meta(examples=["latency.p99 < 300ms", "errors < 1%"])], ...
        ],
        doc("Rules that the size has to meet: percentiles of warm calls, and errors."),
    ] = ()
    tie: Annotated[Share, doc("Costs that differ by less are as good as each other.")] = 0.02
    gap_ns: Annotated[Duration, doc("Silence that ends every instance; default 1.5 times 60s.")] = 90 * NS_PER_S


def memory_comparison(block: dict[str, Any], sizes_mb: Sequence[int]) -> MemoryComparison:
    """The MemoryComparison of a block without faults; ``sizes_mb`` are all that there are."""
    return msgspec.convert({**block, "sizes": sorted(block.get("sizes", sizes_mb))}, MemoryComparison)


def rules(block: dict[str, Any]) -> Found:
    """What does not go together in it."""
    for index, parsed in enumerate(listed(block, "slo")):
        if parsed is not INVALID and (fault := _fault(parsed)):
            yield ("slo", index), fault
    yield from twice(("sizes",), listed(block, "sizes"), megabytes_text)


def _fault(parsed: Rule) -> str | None:
    """Why a rule cannot be one that a memory size has to meet; None when it can."""
    if (fault := unwatched(parsed)) is not None:
        return fault
    if parsed.phase is not None:
        return f"the comparison makes its own phases; remove {parsed.phase}:"
    if isinstance(parsed, MetricRule):
        if parsed.start is not None:
            return f"rules are about warm calls; remove {parsed.start}."
        if parsed.metric not in _OF_A_SIZE or parsed.percentile is None or parsed.percentile < 50:
            return "expected a percentile from p50 up of latency, service_time or duration, such as latency.p99 < 300ms"
        return None
    if isinstance(parsed, ShareRule) and parsed.what == "errors":
        return None if 0 < parsed.limit < 1 else "expected a share above 0% and below 100%, which can be shown to hold"
    return "expected a percentile such as latency.p99 < 300ms, or errors < 1%"
