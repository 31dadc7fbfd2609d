"""The experiment ``capacity``, as a scenario describes it."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from loadgen.invocation.metric import Metric
from loadgen.measure import rule
from loadgen.measure.rule import MetricRule, Rule, ShareRule, unwatched
from loadgen.text.fault import Found
from loadgen.text.form import INVALID, Count, Duration, PositiveRate, Share, doc, items, listed, without_unit
from loadgen.text.units import NS_PER_S, Rate, rate_text, share_text


class Capacity(Struct, frozen=True, rename=without_unit):
    """The experiment that finds the largest rate at which rules hold.

    ``precision`` is that of the estimate. ``max_in_flight`` is the number of workers.
    """

    slo: Annotated[
        tuple[
            Annotated[MetricRule | ShareRule, rule.WRITTEN, Meta(examples=["latency.p99 < 250ms", "errors < 0.1%"])],
            ...,
        ],
        items(1),
        doc("Rules that must hold: percentiles of latency, and shares."),
    ]
    from_rate: Annotated[PositiveRate, doc("The smallest rate worth knowing about.")] = Rate(1, NS_PER_S)
    to_rate: Annotated[PositiveRate, doc("The largest rate that is tried.")] = Rate(1000, NS_PER_S)
    confirm_ns: Annotated[Duration, doc("How long the rate that is reported was held.")] = 300 * NS_PER_S
    precision: Annotated[Share, doc("Half the width of the 95 % interval that sampling leaves.")] = 0.05
    keep_alive_ns: Annotated[Duration, doc("How long idle instances live.")] = 60 * NS_PER_S
    limit: Annotated[
        Count | None,
        doc(
            "How many invocations may run at once; default the emulator's setting, elsewhere 100, of a mix of several "
            "functions not known."
        ),
    ] = None
    max_in_flight: Annotated[Count, doc("Most invocations in flight.")] = 1000


def rules(block: dict[str, Any]) -> Found:
    """What does not go together in it."""
    for index, parsed in enumerate(listed(block, "slo")):
        if parsed is not INVALID and (fault := _fault(parsed)):
            yield ("slo", index), fault
    low, high = block.get("from", Rate(1, NS_PER_S)), block.get("to", Rate(1000, NS_PER_S))
    if isinstance(low, Rate) and isinstance(high, Rate) and low.per_s >= high.per_s:
        yield (), f"from is {rate_text(low)} and to is {rate_text(high)}; from must be the smaller rate"
    precision = block.get("precision")
    if isinstance(precision, float) and not 0.001 <= precision <= 0.5:
        yield ("precision",), f"got {share_text(precision)}, expected a share from 0.1% to 50%"


def _fault(parsed: Rule) -> str | None:
    """Why a rule cannot be one of a rate that is searched for; None when it can."""
    if (fault := unwatched(parsed)) is not None:
        return fault
    if parsed.phase is not None:
        return f"the search makes its own phases; remove {parsed.phase}:"
    if isinstance(parsed, MetricRule):
        if parsed.metric not in (Metric.LATENCY, Metric.LATENCY_ALL) or parsed.start is not None:
            return "expected a percentile of latency, which is what a caller waits, such as latency.p99 < 250ms"
        if parsed.percentile is None or parsed.percentile < 50:
            return "expected a percentile from p50 up, such as latency.p99 < 250ms, which says how many may be slower"
        return None
    if isinstance(parsed, ShareRule):
        return None if 0 < parsed.limit < 1 else "expected a share above 0% and below 100%, which can be shown to hold"
    return "expected a percentile of latency such as latency.p99 < 250ms, or a share such as errors < 0.1%"
