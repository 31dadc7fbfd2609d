"""The Scenario: everything a run needs, typed, validated, immutable.

Times are whole nanoseconds, sizes whole bytes or MB, shares are between 0 and 1. A Scenario holds secrets (a token) in
clear, because the agent has to send them; it is therefore never written out. What is written is the document it was
loaded from, with its secrets masked (see ``loadgen.scenario.load``).
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

NS_PER_S = 1_000_000_000

MEMORY_SIZES_MB = (128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 8192, 10240)
"""The memory sizes a function may have.

Source: FunctionGraph API reference, Executing a Function Synchronously, X-Cff-Instance-Memory.
"""

COLD_START_PROFILES = (
    "r1",
    "r2",
    "r3",
    "r4",
    "r5",
    "r2-python3",
    "r2-nodejs",
    "r2-java",
    "r2-python2",
    "r2-go",
    "r2-php",
    "r2-csharp",
    "r2-http",
    "r2-custom",
    "none",
)
"""The names of the emulator's cold-start durations: a region, a region and runtime, or ``none`` for no cold starts."""


class Rate(Struct, frozen=True):
    """A rate as an exact ratio: ``events`` per ``per_ns`` nanoseconds; zero events is a rate of zero."""

    events: int
    per_ns: int

    @property
    def per_s(self) -> float:
        """Events per second."""
        return self.events * NS_PER_S / self.per_ns


class ConstantRate(Struct, frozen=True, tag="constant"):
    """Open model: the same rate throughout."""

    rate: Rate


class RampRate(Struct, frozen=True, tag="ramp"):
    """Open model: the rate changes linearly from ``start`` to ``end`` over the phase."""

    start: Rate
    end: Rate


class StepRates(Struct, frozen=True, tag="steps"):
    """Open model: each rate for an equal share of the phase; at least one."""

    rates: tuple[Rate, ...]


class Bursts(Struct, frozen=True, tag="burst"):
    """Open model: ``size`` starts at once, at 0, ``gap_ns``, 2·``gap_ns``, …, ``repeat`` times."""

    size: int
    gap_ns: int
    repeat: int


class Workers(Struct, frozen=True, tag="workers"):
    """Closed model: workers that invoke back to back; their number changes linearly from ``start`` to ``end``."""

    start: int
    end: int


Shape = ConstantRate | RampRate | StepRates | Bursts | Workers


class Arrivals(Enum):
    """How the starts of an open phase are spread around its rate."""

    CONSTANT = "constant"
    POISSON = "poisson"


class Phase(Struct, frozen=True):
    """One stretch of load.

    ``duration_ns`` of a burst phase is ``repeat``·``gap_ns``. ``max_in_flight`` is the number of workers of an open
    phase and unused in a closed one. A start that waits longer than ``max_lag_ns`` for a free worker is dropped; None
    drops nothing. Invocations in flight at the end of the phase get ``grace_ns`` to end.
    """

    name: str
    shape: Shape
    duration_ns: int
    warmup: bool
    arrivals: Arrivals
    max_in_flight: int
    max_lag_ns: int | None
    grace_ns: int

    @property
    def closed(self) -> bool:
        """Whether the target's speed sets the load (workers) rather than a schedule (rate, burst)."""
        return isinstance(self.shape, Workers)

    @property
    def max_workers(self) -> int:
        """The largest number of invocations this phase can have in flight."""
        return max(self.shape.start, self.shape.end) if isinstance(self.shape, Workers) else self.max_in_flight


class Timeout(Struct, frozen=True):
    """Limits of one invocation, each counted from its start, in ns."""

    connect_ns: int
    first_byte_ns: int
    total_ns: int


class Tls(Struct, frozen=True):
    """How the server's certificate is checked. ``ca`` is the path of a PEM file that replaces the system's."""

    verify: bool
    ca: str | None


class NoAuth(Struct, frozen=True, tag="none"):
    """Requests carry no credentials."""


class TokenAuth(Struct, frozen=True, tag="token"):
    """Requests carry this IAM token in X-Auth-Token."""

    token: str


Auth = NoAuth | TokenAuth


class ResponseVersion(Enum):
    """The form of a function's answer (X-CFF-Request-Version)."""

    V0 = "v0"
    V1 = "v1"


class FunctionTarget(Struct, frozen=True, tag="function"):
    """A FunctionGraph function behind ``endpoint`` (an http:// or https:// origin, or ``emulator``).

    ``function`` is its URN in any of the accepted forms, as written; ``tail_share`` the share of invocations that ask
    for the log tail; ``memory_mb`` the value of X-Cff-Instance-Memory, None to leave the header out.
    """

    endpoint: str
    project_id: str
    function: str
    auth: Auth
    response: ResponseVersion
    tail_share: float
    memory_mb: int | None
    fresh_connections: bool
    timeout: Timeout
    tls: Tls
    preflight: bool

    @property
    def emulated(self) -> bool:
        """Whether the run starts the embedded emulator."""
        return self.endpoint == "emulator"


class HttpTarget(Struct, frozen=True, tag="http"):
    """Any HTTP endpoint. ``headers`` are sent as written, in order."""

    url: str
    method: str
    headers: tuple[tuple[str, str], ...]
    fresh_connections: bool
    timeout: Timeout
    tls: Tls
    preflight: bool

    @property
    def emulated(self) -> bool:
        """Never: the emulator serves functions."""
        return False


Target = FunctionTarget | HttpTarget


class FeederOrder(Enum):
    """Which row an arrival takes: the next one until they run out, round and round, or a seeded random one."""

    ONCE = "once"
    LOOP = "loop"
    RANDOM = "random"


class Feeder(Struct, frozen=True):
    """Rows for the event's ``{{field}}`` placeholders. ``path`` is absolute."""

    path: str
    order: FeederOrder


class Metric(Enum):
    """What is measured of an invocation. All are times but ``memory_used``."""

    LATENCY = "latency"
    LATENCY_ALL = "latency_all"
    SERVICE_TIME = "service_time"
    LAG = "lag"
    WAITED = "waited"
    LATE = "late"
    DURATION = "duration"
    BILLED_DURATION = "billed_duration"
    OVERHEAD = "overhead"
    MEMORY_USED = "memory_used"
    CONNECT = "connect"


class MetricRule(Struct, frozen=True, tag="metric"):
    """``[phase:][cold.|warm.]metric.(min|max|mean|pN) < limit``; ``percentile``, in percent, only with p."""

    text: str
    phase: str | None
    start: str | None
    metric: Metric
    statistic: str  # "min", "max", "mean" or "p"
    percentile: float | None
    limit_ns: int


class ShareRule(Struct, frozen=True, tag="share"):
    """``[phase:](errors|throttled|timeouts|dropped) < limit`` as a share of the planned invocations."""

    text: str
    phase: str | None
    what: str
    limit: float


class RateRule(Struct, frozen=True, tag="rate"):
    """``[phase:]achieved_rate > limit``."""

    text: str
    phase: str | None
    limit: Rate


class CostRule(Struct, frozen=True, tag="cost"):
    """``[phase:]cost < amount currency``; parsed, and judged once prices are supported."""

    text: str
    phase: str | None
    amount: float
    currency: str


Rule = MetricRule | ShareRule | RateRule | CostRule


class Budget(Struct, frozen=True):
    """Hard limits of a run; None means no limit. ``invocations`` counts the pre-flight."""

    invocations: int | None
    duration_ns: int | None


class Work(Struct, frozen=True):
    """CPU time of a function on one core: log-normal with this median; ``sigma`` is the deviation of its logarithm."""

    median_ns: int
    sigma: float


class EmulatedFunction(Struct, frozen=True):
    """One function of the emulator. ``errors`` is the share of calls whose code raises."""

    name: str
    memory_mb: int
    work: Work
    cold_start: str
    max_instances: int
    dynamic_memory: bool
    errors: float


class Emulator(Struct, frozen=True):
    """The emulated platform."""

    seed: int
    keep_alive_ns: int
    functions: tuple[EmulatedFunction, ...]


class Scenario(Struct, frozen=True):
    """Everything a run needs.

    ``event`` is the JSON text of the event, placeholders included; empty (no body) for a plain HTTP target without one.
    ``sample_share`` is the share of invocations whose samples are kept; ``sha256`` identifies the resolved scenario
    (secrets excluded), so that only equal runs are merged.
    """

    name: str
    kind: str
    seed: int
    target: Target
    event: str
    feeder: Feeder | None
    phases: tuple[Phase, ...]
    thresholds: tuple[Rule, ...]
    sample_share: float
    budget: Budget
    tags: dict[str, str]
    emulator: Emulator | None
    sha256: str
