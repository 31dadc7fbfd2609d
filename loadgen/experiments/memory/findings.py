"""What a comparison of memory sizes finds out.

It is published as the ``experiment`` object of summary.json, so it carries its ``version``, and its fields say their
unit in their names.
"""

from __future__ import annotations

from msgspec import Struct

from loadgen.measure.figure import Figure


class MemoryRule(Struct, frozen=True):
    """How one size fares with one rule: ``met``, ``broken`` or ``open``.

    ``broken`` of ``invocations`` warm ones break it; ``more`` is about how many more it takes to tell, null where
    nobody needs to know or the share of those is too close to the limit to say.
    """

    rule: str
    verdict: str
    broken: int
    invocations: int
    more: int | None


class MemorySize(Struct, frozen=True):
    """One memory size.

    ``status`` is ``compared``, or ``failed`` for a size that left the comparison; ``why`` says why it did. Of the
    ``invocations``, ``warm`` succeeded on an instance that had served before; ``cold`` waited for a new one, ``unsure``
    may have, ``failed`` had no result. All figures but those named ``cold`` are of warm ones. ``service_time_ns``,
    ``duration_ns`` and ``billed_duration_ns`` are by statistic: ``mean``, ``p50``, ``p95``, ``p99``. ``cost`` is of a
    million invocations, in the result's ``cost_unit``; ``cost_ratio`` and ``duration_ratio`` are to the size
    ``reference_mb``, with intervals that hold for all sizes at once, ``cost_p`` and ``duration_p`` the adjusted
    probabilities of so large a difference between equal sizes. ``cheapest_share`` is how likely the size is the
    cheapest that meets the rules. ``pareto`` says that no other size is both cheaper and faster at the median.
    """

    memory_mb: int
    status: str
    why: str
    invocations: int
    warm: int
    cold: int
    unsure: int
    failed: int
    rounds: int
    service_time_ns: dict[str, Figure]
    duration_ns: dict[str, Figure]
    billed_duration_ns: dict[str, Figure]
    cost: Figure | None
    cost_ratio: Figure | None
    cost_p: float | None
    duration_ratio: Figure | None
    duration_p: float | None
    cold_service_time_p50_ns: float | None
    cold_billed_duration_mean_ns: float | None
    cold_cost: float | None
    rules: list[MemoryRule]
    cheapest_share: float | None
    tied: bool
    pareto: bool


class MemoryResult(Struct, frozen=True, tag="memory", tag_field="kind"):
    """Which memory size to take.

    ``recommended_mb`` is the cheapest size that is shown to meet every rule; null when none is. It is ``decided`` when
    no size that may be cheaper still may meet them, too. ``tied_mb`` are the
    sizes that cannot be told from it by cost, or are cheaper and not ruled out: that the true answer is none of them is
    unlikely. ``why`` says what was decided, ``more_invocations`` about how many more it takes where something is open.
    ``cost_unit`` is a currency, or ``GB-s`` where there are no prices. ``instance_deviation`` is by how much instances
    of one size differ, as the standard deviation of the logarithm of their cost; ``precision`` the half-width of the
    widest interval of a cost ratio among the tied sizes. ``shortened`` says that fewer instances of a size were met
    than the method asks for. ``share_url`` shows the sizes in the viewer of AWS Lambda Power Tuning; everything is in
    the part of it that browsers do not send. ``next`` says what would make the answer better.
    """

    version: int
    by: str
    rules: list[str]
    cost_unit: str
    reference_mb: int | None
    recommended_mb: int | None
    decided: bool
    tied_mb: list[int]
    why: str
    more_invocations: int | None
    rounds: int
    invocations: int
    instance_deviation: float | None
    precision: float | None
    shortened: bool
    share_url: str | None
    sizes: list[MemorySize]
    notes: list[str]
    next: str = ""
