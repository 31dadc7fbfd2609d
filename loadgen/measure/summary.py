"""The Summary: the merged, versioned result of a run, and the only thing reports, thresholds and comparisons read.

This module is the published format of summary.json. ``value``s are whole ns (bytes for memory); ``p`` is in percent.
``low`` and ``high`` bound a percentile with 95 % confidence and are null where the sample does not support it: such a
figure is kept in the file but neither shown nor judged.

History of ``schema``: ``loadgen.summary/1``, first version.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

import msgspec
from msgspec import Struct

from loadgen.measure.interval import Connections, Failure, Slow

SCHEMA = "loadgen.summary/1"


class Run(Struct, frozen=True):
    """Which run this is. Instants are RFC 3339 in UTC."""

    id: str
    name: str
    kind: str
    started_at: str
    ended_at: str
    interrupted: bool
    version: str


class Environment(Struct, frozen=True):
    """Where it ran; the whole of environment.json. ``address`` is what the target's name was resolved to, once."""

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


class Preflight(Struct, frozen=True):
    """The one invocation made before the load, in none of the counts. ``status`` is null when no answer came."""

    outcome: str
    reason: str
    status: int | None
    latency_ns: int
    request_id: str | None


class Reason(Struct, frozen=True):
    """Why a Verdict is not plain ``valid``. ``severity`` is ``warning``, ``withheld`` or ``invalid``.

    ``phase`` is null for the run as a whole. ``withholds`` names what may not be shown: ``tails`` (percentiles from p95
    up and the maximum), a metric (``overhead``, ``duration``), ``all``, or nothing; ``verdict.withheld`` answers for
    one figure.
    """

    rule: str
    severity: str
    message: str
    value: float | None
    limit: float | None
    phase: str | None = None
    withholds: str | None = None


class Verdict(Struct, frozen=True):
    """Whether the Summary may be trusted: ``valid``, ``degraded`` or ``invalid``."""

    status: str
    reasons: list[Reason]


class Percentile(Struct, frozen=True, omit_defaults=True):
    """One percentile and its interval.

    ``censored`` means that the true value is at least ``value``; ``high_censored``, which it implies, that the true
    upper limit is at least ``high``.
    """

    p: float
    value: int
    low: int | None
    high: int | None
    censored: bool = False
    high_censored: bool = False


class MetricSummary(Struct, frozen=True):
    """The distribution of one metric; every number null or empty when ``count`` is 0.

    ``unit`` is ``ns`` or ``bytes``; ``histogram`` an HdrHistogram V2 blob in base64 that counts ``histogram_unit``
    (``us`` or ``KiB``).
    """

    unit: str
    count: int
    min: int | None
    max: int | None
    mean: int | None
    percentiles: list[Percentile]
    histogram: str
    histogram_unit: str


class Examples(Struct, frozen=True):
    """The first three failures of each failing outcome, and the ten slowest answered invocations, slowest first."""

    failures: list[Failure]
    slowest: list[Slow]


class PhaseSummary(Struct, frozen=True):
    """One phase, or (``totals``) all measured phases together.

    ``metrics`` are over ok invocations, but for ``latency_all``, which is over every planned one. ``by_outcome`` holds
    the others by outcome, ``by_start`` the ok ones by start label (cold, warm, ambiguous, unknown). ``notes`` are plain
    sentences about what happened (a feeder ran out, …).
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


class ThresholdResult(Struct, frozen=True):
    """A threshold and how it ended; ``why`` says so in words.

    ``value`` is in the rule's own unit (ns, a share, per second), null where nothing may be shown. ``passed`` is null
    when the figure is withheld, which counts as broken.
    """

    rule: str
    value: float | None
    passed: bool | None
    why: str


class AgentHealth(Struct, frozen=True):
    """One agent over the run. ``cpu`` is its share of one core, ``loop_lag_ns`` the longest stall of its event loop."""

    agent: int
    cpu: float
    rss_bytes: int
    frames: int
    loop_lag_ns: int


class Generator(Struct, frozen=True):
    """The load generator's own state over the run: the busiest agent's share of one core, and the longest stall."""

    agents: list[AgentHealth]
    cpu: float
    loop_lag_ns: int


class Summary(Struct, frozen=True):
    """summary.json."""

    schema: str
    run: Run
    scenario: dict[str, Any]
    environment: Environment
    preflight: Preflight | None
    verdict: Verdict
    phases: list[PhaseSummary]
    totals: PhaseSummary
    cost: None
    thresholds: list[ThresholdResult]
    generator: Generator
    experiment: None


def encode(summary: Summary) -> bytes:
    """The text of summary.json, indented."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=1)


def decode(text: bytes) -> Summary:
    """The Summary of a summary.json.

    Raises msgspec.ValidationError or msgspec.DecodeError when it is not one of this version.
    """
    summary = msgspec.json.decode(text, type=Summary)
    if summary.schema != SCHEMA:
        raise msgspec.ValidationError(f"schema {summary.schema!r}, expected {SCHEMA!r}")
    return summary


def schema() -> dict[str, Any]:
    """The JSON Schema of summary.json; the same on every version of Python, some of which indent docstrings."""
    described: dict[str, Any] = _cleaned(msgspec.json.schema(Summary))
    return described


def _cleaned(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: cleandoc(value) if key == "description" and isinstance(value, str) else _cleaned(value)
            for key, value in node.items()
        }
    return [_cleaned(item) for item in node] if isinstance(node, list) else node
