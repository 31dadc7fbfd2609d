"""What a search for the capacity finds out.

It is published as the ``experiment`` object of summary.json, so it carries its ``version``, and its fields say their
unit in their names.
"""

from __future__ import annotations

from msgspec import Struct


class CapacityProbe(Struct, frozen=True):
    """One rate that was held.

    ``approach`` is ``cold`` (the function had been left alone for longer than its instances live), ``warm`` (a higher
    rate came right before) or ``next`` (the search came from another rate). ``verdict`` is ``pass``, ``fail``,
    ``undecided`` or ``invalid``, and ``why`` says what decided it. Counts are of the settled ``measured_ns``;
    ``broken`` counts the invocations that break each rule, in the order of the rules. ``inflation`` is by how much
    their number varies more than if they were independent. ``settling_ns`` passed and ``settling_colds`` cold starts
    happened before the rate had settled. ``p50_ns`` to ``p99_ns`` are of latency over all of its invocations, null
    where one that failed or too few of them are in the way.
    """

    phase: str
    rate_per_s: float
    approach: str
    verdict: str
    why: str
    invocations: int
    broken: list[int]
    throttled: int
    failed: int
    colds: int
    inflation: float
    measured_ns: int
    settling_ns: int
    settling_colds: int
    p50_ns: int | None
    p95_ns: int | None
    p99_ns: int | None


class CapacityResult(Struct, frozen=True, tag="capacity", tag_field="kind"):
    """The largest rate that meets the rules in steady state.

    ``confirmed_per_s`` was held for ``confirmed_ns`` and met every rule, from a cold pool and coming from a higher
    rate; null when none did. ``estimate_per_s`` with its 95 % interval is where the rules stop being met, from all
    probes together. ``why`` says why there is no number, or what limits what can be said. ``predicted_per_s`` was
    expected before any load, from ``limit`` invocations at once and ``busy_ns`` each. ``cold_per_s`` is the largest
    rate that was held from a cold pool, ``warm_per_s`` the one that was met coming from a higher rate. ``bound_by``
    is what breaks the rules first: ``quota``, ``cold starts``, ``execution``, ``queueing`` (network, gateway or a queue
    of the platform) or ``generator``; ``bound_shares`` how much of the excess violations each makes up. ``debt_*`` is
    what scaling up from nothing to the confirmed rate took. ``probes`` are in the order in which they ran.
    ``next`` says what would make the answer better. Of a mix all rates are of its calls together; ``bound_call`` is the
    call that breaks the rules first, and ``bound_calls`` how much of the excess violations each makes up.
    """

    version: int
    rules: list[str]
    confirmed_per_s: float | None
    confirmed_ns: int
    shortened: bool
    estimate_per_s: float | None
    estimate_low_per_s: float | None
    estimate_high_per_s: float | None
    why: str
    predicted_per_s: float | None
    limit: int | None
    busy_ns: int | None
    cold_per_s: float | None
    warm_per_s: float | None
    bound_by: str | None
    bound_shares: dict[str, float]
    debt_ns: int | None
    debt_colds: int | None
    search_ns: int
    probes: list[CapacityProbe]
    notes: list[str]
    next: str = ""
    bound_call: str | None = None
    bound_calls: dict[str, float] = {}
