"""The Summary: the merged, versioned result of a run, and the only thing reports, thresholds and comparisons read.

This module is the published format of summary.json. ``value``s are whole ns (bytes for memory); ``p`` is in percent.
``low`` and ``high`` bound a percentile with 95 % confidence and are null where the sample does not support it: such a
figure is kept in the file but not shown, and a rule on it is decided only where all that it may be agrees.

History of ``schema``: ``loadgen.summary/1``, first version. Added since, with defaults by which older files are read:
``failed``, ``low_failed``, ``high_failed``, ``least`` and ``most`` of a percentile, ``failed`` of a metric (what is not
ok ranks above every ok call in ``latency_all``; before, it ranked by its time), ``decided_by`` of a threshold. With the
clock of arrivals: the ends of a figure, ``disturbed`` calls (before, all were in the figures), ``unread``,
``in_flight_mean`` and ``workers`` of a phase, ``whose``, ``figures`` and ``causes`` of a reason, and the severity
``range``; ``degraded`` means since then that figures are ranges, and nothing else. With mixes of calls: ``by_call`` of
a phase, ``preflights``, and ``call`` of an example. With answers first: ``outcome``, ``answer`` and ``next``. With the
journal: ``run.partial``. With rules of a baseline: ``against`` of a threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from inspect import cleandoc
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct

from loadgen.experiments.capacity.findings import CapacityResult
from loadgen.experiments.coldstarts.findings import ColdStartsResult
from loadgen.experiments.load.findings import LoadResult
from loadgen.experiments.memory.findings import MemoryResult
from loadgen.invocation.bill import Misbilled
from loadgen.invocation.cell import CALL
from loadgen.invocation.sample import Failure, Slow
from loadgen.invocation.tally import Connections
from loadgen.text import foreign

SCHEMA = "loadgen.summary/1"
KERNEL, READ = "kernel", "read"
"""What says when an answer arrived."""
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Run(Struct, frozen=True):
    """Which run this is. Instants are RFC 3339 in UTC.

    ``stopped`` says which budget, or which threshold with ``abort``, ended it early, and why; null if none did.
    ``partial``: the run was cut short (killed, or its disk was full), and this is of what it left.
    """

    id: str
    name: str
    kind: str
    started_at: str
    ended_at: str
    interrupted: bool
    version: str
    stopped: str | None = None
    partial: bool = False


class AgentHost(Struct, frozen=True):
    """A machine of a cluster, and the ``agents`` that were on it; ``host`` is its name, ``address`` that of a worker.

    ``clock_off_ns`` is by how much its time of day was ahead of this machine's at least.
    """

    agents: list[int]
    host: str
    address: str
    kernel: str
    cpu_model: str
    usable_cores: int
    arrival_clock: str
    clock_off_ns: int = 0


class Environment(Struct, frozen=True):
    """Where it ran; the whole of environment.json.

    ``address`` is what the target's name was resolved to, once; ``local_ports`` how many outgoing connections to one
    address there can be; ``agents_why`` why there were so many agents. ``arrival_clock`` is what says when an answer
    arrived: ``kernel``, the stamp of its last segment, or ``read``, when it was read. Where agents ran on a ``cluster``
    (the address of its scheduler), ``hosts`` are their machines, and all else is of the one that it was
    started on.
    """

    version: str
    python: str
    build: str
    uvloop: str | None
    timer: str
    tls_library: str
    kernel: str
    cpu_model: str
    usable_cores: int
    cgroup_cpu_limit: float | None
    cgroup_memory_limit_bytes: int | None
    nofile: int
    agents: int
    scenario_sha256: str
    synthetic: bool
    address: str | None = None
    local_ports: int | None = None
    agents_why: str = ""
    arrival_clock: str = READ
    cluster: str | None = None
    hosts: list[AgentHost] = []


class Preflight(Struct, frozen=True):
    """The invocation made before the load, in none of the counts. ``status`` is null when no answer came.

    ``remedy`` says what happened and what to do about it, null where the call was ok, and ``call`` which of a mix it
    was.
    """

    outcome: str
    reason: str
    status: int | None
    latency_ns: int
    request_id: str | None
    remedy: str | None = None
    call: str = CALL


class Reason(Struct, frozen=True):
    """What a rule of trust found. ``severity`` is ``warning``, ``withheld``, ``range`` or ``invalid``.

    ``phase`` is null for the run as a whole. ``withholds`` names what may not be shown: a metric (``overhead``,
    ``duration``), ``cost``, the invocations of one start label (``cold``, ``warm``; of one call ``pay/cold``), ``all``,
    or nothing; in older files also ``tails`` (percentiles from p95 up and the maximum). ``verdict.withheld`` answers
    for one figure. ``whose`` says what it is about: ``record``, ``generator``, ``load``, ``target``, ``platform`` or
    ``sample``. ``figures`` are those that are ranges (``latency.p99``), and ``causes`` what may have made the generator
    late, by name.
    """

    rule: str
    severity: str
    message: str
    value: float | None
    limit: float | None
    phase: str | None = None
    withholds: str | None = None
    whose: str = ""
    figures: list[str] = []
    causes: list[str] = []


class Verdict(Struct, frozen=True):
    """Whether the Summary may be trusted: ``valid``, ``degraded`` or ``invalid``."""

    status: str
    reasons: list[Reason]


class Ends(Struct, frozen=True, omit_defaults=True):
    """How far the load generator itself can have moved a figure, rounded outwards; see ``loadgen.measure.ends``.

    ``high`` is null where that is not bounded. ``low_failed`` and ``high_failed`` mean that the end is a call that is
    not ok, longer than every time.
    """

    low: int
    high: int | None = None
    low_failed: bool = False
    high_failed: bool = False


class Percentile(Struct, frozen=True, omit_defaults=True):
    """One percentile and its interval. ``low`` is rounded down, ``high`` up.

    ``failed`` means that it falls among the calls that are not ok: it is longer than every ok call took, whatever the
    ``value``, which is the time that was recorded, but never below that of an ok call. ``low_failed`` and
    ``high_failed`` say that of the limits. ``censored`` and ``high_censored``, which imply it, mean besides that the
    call there may have been given up: it would have taken at least so long. Where ``low`` and ``high`` are null,
    ``least`` and ``most`` are the limits that the sample gives nevertheless, null for none; nothing but rules reads
    them.

    ``low_end`` and ``high_end`` say how far the load generator itself can have moved the figure (``Ends``): null where
    it disturbed nothing; ``high_end`` alone is null where that is not bounded. ``least`` and ``most`` contain it.
    """

    p: float
    value: int
    low: int | None
    high: int | None
    censored: bool = False
    high_censored: bool = False
    failed: bool = False
    low_failed: bool = False
    high_failed: bool = False
    least: int | None = None
    most: int | None = None
    low_end: int | None = None
    high_end: int | None = None
    low_end_failed: bool = False
    high_end_failed: bool = False

    @property
    def ends(self) -> Ends | None:
        """How far the generator can have moved it; None where it disturbed nothing."""
        if self.low_end is None:
            return None
        return Ends(self.low_end, self.high_end, self.low_end_failed, self.high_end_failed)


class MetricSummary(Struct, frozen=True, omit_defaults=True):
    """The distribution of one metric; every number null or empty when ``count`` and ``disturbed`` are 0.

    It is that of the ``count`` calls which the load generator did not disturb; ``disturbed`` more are in
    ``disturbed_histogram`` as they were seen, and in the ``ends`` of ``min``, ``mean`` and ``max``. Where all were
    disturbed, the numbers are of those. What tells how the load was made (``lag``, ``waited``, ``late``, ``unread``),
    and ``memory_used``, is over all calls. ``min`` is rounded down, ``max`` up. ``failed`` of the ``count`` are not ok,
    and stand above all others: only ``latency_all`` has them. Then ``max`` is no time that a caller waited, but the
    longest that was recorded; nor is ``min`` where all failed. ``mean`` and ``histogram`` are of all times as recorded,
    whatever became of the calls. ``unit`` is ``ns`` or ``bytes``; ``histogram`` an HdrHistogram V2 blob in base64 that
    counts ``histogram_unit`` (``us`` or ``KiB``).
    """

    unit: str
    count: int
    min: int | None
    max: int | None
    mean: int | None
    percentiles: list[Percentile]
    histogram: str
    histogram_unit: str
    failed: int = 0
    disturbed: int = 0
    disturbed_histogram: str = ""
    ends: dict[str, Ends] = {}


class Examples(Struct, frozen=True):
    """The first three failures of each failing outcome, and the ten slowest answered invocations, slowest first."""

    failures: list[Failure]
    slowest: list[Slow]


class Audit(Struct, frozen=True):
    """Billed durations held against the durations that were reported with them.

    ``units`` counts invocations by the unit that their duration was rounded up to (``1 ms``, …), ``misbilled`` those
    that no unit explains, of which ``underbilled`` were billed for less than they ran; ``worst`` is the one furthest
    off.
    """

    units: dict[str, int]
    misbilled: int
    underbilled: int
    worst: Misbilled | None


class Billing(Struct, frozen=True):
    """What the platform charges for the invocations of a phase; the numbers are exact.

    ``gb_seconds`` is over the invocations whose answer tells its memory size and billed duration, whatever their
    outcome. ``requests`` may have run and count as such, ``unmetered`` of them without telling their bill, so that the
    truth is more; ``refused`` were answered before any code ran. ``amount`` is null without prices.
    """

    amount: Decimal | None
    gb_seconds: Decimal
    requests: int
    unmetered: int
    refused: int
    audit: Audit


class Cost(Struct, frozen=True):
    """What the whole run is charged, pre-flight and warm-up included, free tier and discounts left out.

    ``per_million`` is what a million requests like these cost, to twelve digits. Prices are those that the price book
    lists; what has to do with money is null without one. The rest is as in ``billing``.
    """

    currency: str | None
    amount: Decimal | None
    per_million: Decimal | None
    gb_seconds: Decimal
    requests: int
    unmetered: int
    refused: int
    price_book: str | None
    dated: str | None
    per_million_requests: Decimal | None
    per_gb_second: Decimal | None


class CallSummary(Struct, frozen=True):
    """One call of a mix in a phase, or in all measured phases together: its part of what ``PhaseSummary`` tells."""

    planned: int
    started: int
    completed: int
    dropped: int
    unfinished: int
    planned_rate: float
    achieved_rate: float
    outcomes: dict[str, int]
    reasons: dict[str, int]
    examples: Examples
    metrics: dict[str, MetricSummary]
    by_outcome: dict[str, dict[str, MetricSummary]]
    by_start: dict[str, dict[str, MetricSummary]]
    billing: Billing | None = None
    disturbed: dict[str, int] = {}


class PhaseSummary(Struct, frozen=True):
    """One phase, or (``totals``) all measured phases together.

    ``metrics`` are over ok invocations, but for ``latency_all``, which is over every planned one. ``by_outcome`` holds
    the others by outcome, ``by_start`` the ok ones by start label (cold, warm, ambiguous, unknown). ``notes`` are plain
    sentences about what happened (a feeder ran out, …). ``billing`` is null for a target that is no function.
    ``disturbed`` counts by outcome the invocations that the load generator disturbed, ``unstamped`` answers of which
    the system did not say when they arrived. Of a closed phase, ``workers`` is how many were asked for on average, and
    ``in_flight_mean`` how many calls were in flight at the target at most on average: Σ service_time / duration, which
    is what the latencies are of. ``by_call`` has each call of a mix by its name, in the scenario's order, and is empty
    without one.
    """

    name: str
    warmup: bool
    model: str
    duration_ns: int
    planned: int
    started: int
    completed: int
    dropped: int
    unfinished: int
    planned_rate: float
    achieved_rate: float
    outcomes: dict[str, int]
    reasons: dict[str, int]
    connections: Connections
    examples: Examples
    metrics: dict[str, MetricSummary]
    by_outcome: dict[str, dict[str, MetricSummary]]
    by_start: dict[str, dict[str, MetricSummary]]
    notes: list[str]
    billing: Billing | None = None
    disturbed: dict[str, int] = {}
    unstamped: int = 0
    workers: float | None = None
    in_flight_mean: float | None = None
    by_call: dict[str, CallSummary] = {}


class AgainstBaseline(Struct, frozen=True):
    """The figures of a rule of a baseline: that of the ``run`` with this id, and the ``new`` one, in their own unit.

    The ratio of new to base is from ``low`` to ``high``, which hold for all such rules of a run at once with 95 %
    confidence. Null is what is not known. Of ``cost`` the figures are those of a million calls.
    """

    run: str
    base: float | None
    new: float | None
    low: float | None
    high: float | None


class ThresholdResult(Struct, frozen=True):
    """A threshold and how it ended; ``why`` says so in words, of one over windows by its worst window.

    ``value`` is in the rule's own unit (ns, a share, per second), null where nothing may be shown, and where the figure
    is no time but that of a call that is not ok. ``passed`` is null where that could not be decided. ``decided_by``
    says what did: ``value``, the figure itself; ``bounds``, as every value that the figure may have agrees; null where
    nothing did. Where the figure is a range, ``value`` is null and it lies from ``low_end`` to ``high_end``, which is
    null where it is not bounded. Of a rule of a baseline ``value`` is the share of it, and
    ``against`` has both figures.
    """

    rule: str
    value: float | None
    passed: bool | None
    why: str
    decided_by: str | None = None
    low_end: float | None = None
    high_end: float | None = None
    against: AgainstBaseline | None = None


class AgentHealth(Struct, frozen=True):
    """One agent over the run, and the machine under it; null where the system does not say.

    ``cpu`` is its share of one core, ``loop_lag_ns`` the longest stall of its event loop, ``timer_error_ns`` how late
    its alarm rings by itself, ``gc_pause_ns`` the longest of the ``gc_collections`` while measuring. ``open_files`` and
    ``recent_connections`` (opened within 60 s) are the most at any time. ``least_idle`` is the share of the time in
    which each moment's busiest core was idle, ``stolen`` the share of the cores' time that a hypervisor gave to others;
    ``throttled_ns`` is how long the CPU limit of its control group held it back, ``throttled`` times. ``began_late_ns``
    is how late it began a phase at most, ``clock_step_ns`` by how much its clock of arrivals moved at once at most.
    ``clock_error_ns`` is how well its clock is known on this machine, and ``start_error_ns`` how far from the instant
    that was meant for all agents it may have begun. ``lost`` says how it was lost, null where it was not.
    """

    agent: int
    cpu: float
    rss_bytes: int
    frames: int
    loop_lag_ns: int
    timer_error_ns: int | None
    gc_collections: int
    gc_pause_ns: int
    open_files: int | None
    recent_connections: int
    least_idle: float | None
    stolen: float | None
    throttled: int
    throttled_ns: int
    began_late_ns: int = 0
    clock_step_ns: int = 0
    start_error_ns: int = 0
    clock_error_ns: int = 0
    lost: str | None = None


class Generator(Struct, frozen=True):
    """The load generator's own state over the run: of each figure that of the agent that fared worst.

    ``overhead_floor_ns`` is the p99 of service_time against a target that does nothing, as measured on this machine by
    ``loadgen doctor --calibrate``; null when that was not done.
    """

    agents: list[AgentHealth]
    cpu: float
    loop_lag_ns: int
    timer_error_ns: int | None
    gc_pause_ns: int
    least_idle: float | None
    stolen: float | None
    throttled_ns: int
    overhead_floor_ns: int | None


Experiment = CapacityResult | MemoryResult | LoadResult | ColdStartsResult
"""What any kind of run finds out, told apart by ``kind``."""


class Stretch(Struct, frozen=True):
    """A stretch of the run in which most of its slow calls ended. Instants are ns since the run began.

    ``histogram`` is of the latency of the ok ones that ended in it, of which there are others, too; ``failed`` ended
    otherwise.
    """

    from_ns: int
    to_ns: int
    failed: int
    histogram: str


class Summary(Struct, frozen=True):
    """summary.json.

    Of a mix ``preflights`` has one for each call, of which ``preflight`` is the first that was not ok, else the first.
    ``outcome`` is how the rules ended together: ``passed``, ``failed`` or ``undecided``, null without any. ``answer``
    is what the run found out, in one sentence, ``next`` what would make that better; empty in older files. ``stretch``
    is null where slow calls were not of one, or that was not looked for.
    """

    schema: str
    run: Run
    scenario: dict[str, Any]
    environment: Environment
    preflight: Preflight | None
    verdict: Verdict
    phases: list[PhaseSummary]
    totals: PhaseSummary
    cost: Cost | None
    thresholds: list[ThresholdResult]
    generator: Generator
    experiment: Experiment | None
    preflights: list[Preflight] = []
    outcome: str | None = None
    answer: str = ""
    next: str = ""
    stretch: Stretch | None = None


_OURS = frozenset(
    {
        "schema", "kind", "status", "severity", "model", "outcome", "unit", "histogram", "histogram_unit", "decided_by",
        "verdict", "approach", "bound_by", "by", "policy", "version", "started_at", "ended_at", "currency", "dated",
        "cost_unit", "withholds", "scenario_sha256", "disturbed_histogram", "whose", "arrival_clock",
    }
)  # fmt: skip
"""Fields whose texts are words, figures and instants of this program, in which no text from outside can be."""

_FOREIGN_KEYS = frozenset({"scenario", "reasons", "by_call", "bound_calls"})

T = TypeVar("T")


def texts(value: T, change: Callable[[str], str], *, keys: bool = False) -> T:
    """A Summary, or a part of it, with ``change`` applied to every text in it that may be from outside.

    Keys of mappings are such texts with ``keys`` only, and in the fields ``_FOREIGN_KEYS``.
    """
    if isinstance(value, str):
        return cast("T", change(value))
    if isinstance(value, Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        changed = {
            name: texts(field, change, keys=name in _FOREIGN_KEYS)
            for name, field in fields.items()
            if not (isinstance(field, str) and name in _OURS)
        }
        return msgspec.structs.replace(value, **changed)
    if isinstance(value, dict):
        pairs = ((change(key) if keys else key, texts(inner, change, keys=keys)) for key, inner in value.items())
        return cast("T", dict(pairs))
    if isinstance(value, list | tuple):
        return cast("T", type(value)([texts(inner, change, keys=keys) for inner in value]))
    return value


def encode(summary: Summary) -> bytes:
    """The text of summary.json, indented."""
    return foreign.json(msgspec.json.format(_ENCODER.encode(summary), indent=1))


def encode_line(summary: Summary) -> bytes:
    """The text of summary.json on one line, without its end."""
    return foreign.json(_ENCODER.encode(summary))


def decode(text: bytes) -> Summary:
    """The Summary of a summary.json.

    Raises msgspec.ValidationError or msgspec.DecodeError when it is not one of this version.
    """
    summary = msgspec.json.decode(text, type=Summary)
    if summary.schema != SCHEMA:
        raise msgspec.ValidationError(f"another schema, expected {SCHEMA}")
    return summary


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of summary.json, without words of other dialects.

    It is the same on every version of Python, some of which indent docstrings.
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_cleaned(msgspec.json.schema(Summary))}


def _cleaned(node: Any) -> Any:
    if node == {"type": "string", "format": "decimal"}:
        return {"type": "number"}  # as the encoder writes them
    if isinstance(node, dict):
        return {
            key: cleandoc(value) if key == "description" and isinstance(value, str) else _cleaned(value)
            for key, value in node.items()
            if not (key == "discriminator" and "anyOf" in node)  # OpenAPI's: each of the forms has its own ``kind``
        }
    return [_cleaned(item) for item in node] if isinstance(node, list) else node
