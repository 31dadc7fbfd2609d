"""What experiments find out: the ``experiment`` object of summary.json, one form for each kind.

A result is published, so each form carries its ``version``; its fields say their unit in their names.
"""

from __future__ import annotations

from msgspec import Struct

from loadgen.invocation.start import Cuts


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
    the part of it that browsers do not send.
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


class Labelling(Struct, frozen=True):
    """How cold invocations were told from warm ones by their overheads, or why not.

    ``fitted`` invocations (of phase ``after`` and earlier) were fitted. ``reason`` is why they do not tell the two
    apart; then ``outliers``, where given, counts those above ``outlier_limit_ns``, which no warm invocation plausibly
    reaches. Otherwise ``cuts`` label an invocation, ``separation`` is Ashman's D of the two kinds, ``cold_modes_ns``
    are the medians of the modes that the cold ones have. By the model itself, ``sensitivity`` of the labelled cold
    invocations are called cold, and ``specificity`` of the warm ones warm.
    """

    after: str
    fitted: int
    reason: str | None
    cuts: Cuts | None = None
    separation: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    cold_modes_ns: list[int] = []
    outliers: int | None = None
    outlier_limit_ns: int | None = None


class LoadResult(Struct, frozen=True, tag="load", tag_field="kind"):
    """What a load with a warm-up phase learned from it."""

    labelling: Labelling
    version: int = 1


class Figure(Struct, frozen=True):
    """A number with its 95 % interval, null where the sample does not support one."""

    value: float
    low: float | None
    high: float | None


class Spread(Struct, frozen=True):
    """The distribution of one time over ``count`` invocations, in ns; null what so few do not support."""

    count: int
    mean_ns: int | None
    p50_ns: Figure | None
    p95_ns: Figure | None
    p99_ns: Figure | None
    max_ns: int | None


class Population(Struct, frozen=True):
    """Invocations that started alike; ``times`` by metric: latency to billed_duration."""

    count: int
    times: dict[str, Spread]


class Means(Struct, frozen=True):
    """What one way of bringing about cold starts gave.

    Of ``invocations`` that were meant to be cold, ``cold`` were, ``warm`` were not, ``ambiguous`` and ``unknown`` may
    have been, and ``failed`` had no outcome to judge. ``cold_share`` is corrected for invocations taken for the other
    kind; null where too little is known.
    """

    name: str
    rounds: int
    invocations: int
    cold: int
    warm: int
    ambiguous: int
    unknown: int
    failed: int
    cold_share: Figure | None
    population: Population


class GapProbe(Struct, frozen=True):
    """An invocation after ``gap_ns`` of silence, and whether it was cold."""

    gap_ns: int
    cold: bool


class KeepAlive(Struct, frozen=True):
    """How long an idle instance lives, from invocations after silences of different lengths.

    ``policy`` is ``fixed`` (one time explains all of them), ``random`` (it does not), ``longer`` or ``shorter`` (than
    any silence tried), or ``unknown``, for which ``why`` is given. ``estimate_ns`` is the time, the median of a random
    one, and lies between ``low_ns`` and ``high_ns``: bounds that hold for a fixed time, a 95 % interval of a random
    one. ``quantiles_ns`` are those of a random time, by percent.
    """

    policy: str
    why: str
    estimate_ns: int | None
    low_ns: int | None
    high_ns: int | None
    quantiles_ns: dict[str, int]
    probes: list[GapProbe]


class PoolCheck(Struct, frozen=True):
    """How many cold starts this traffic must and can have had, by a replay on pools of instances.

    Between ``fewest`` and ``most``, if an idle instance lives between ``low_ns`` and ``high_ns``, nobody else calls the
    function and the platform starts no instances ahead. ``seen`` were labelled cold, ``unclear`` neither cold nor warm.
    """

    fewest: int
    most: int
    seen: int
    unclear: int
    low_ns: int
    high_ns: int


class ColdStartsResult(Struct, frozen=True, tag="cold-starts", tag_field="kind"):
    """Cold and warm invocations beside each other.

    ``evidence`` counts the labelled invocations by what labelled them: ``probe``, ``log``, ``mixture`` (of overheads,
    see ``labelling``) or ``none``. ``cold`` and ``warm`` are the invocations of either label, but for those at other
    memory sizes and of other versions, where handlers may run at another speed; ``means`` are the cold ones by how they
    were brought about.
    ``penalty_ns`` is by how much the median service time of a cold invocation exceeds that of a warm one,
    ``billed_penalty_ns`` by how much its mean billed duration does, and ``penalty_cost`` what a million of them cost
    more for that, in ``cost_unit``: a currency, or ``GB-s`` without prices; null where not all have one known memory
    size.
    ``complete`` is False when the run ended early; ``notes`` say what else should be known.
    """

    version: int
    complete: bool
    evidence: dict[str, int]
    labelling: Labelling | None
    means: list[Means]
    cold: Population
    warm: Population
    penalty_ns: Figure | None
    billed_penalty_ns: Figure | None
    penalty_cost: Figure | None
    cost_unit: str
    keep_alive: KeepAlive | None
    pool: PoolCheck | None
    notes: list[str]


Experiment = CapacityResult | MemoryResult | LoadResult | ColdStartsResult
"""Any of the results, told apart by ``kind``."""
