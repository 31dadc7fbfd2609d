"""The Scenario: everything a run needs, typed, validated, immutable.

Times are whole nanoseconds, sizes whole bytes or MB, shares are between 0 and 1. A Scenario holds secrets (a token, a
key) in clear, because the agent has to send them; it is therefore never written out, and its repr leaves them out. What
is written is the document it was loaded from, with its secrets masked (see ``loadgen.scenario.load``).
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct

NS_PER_S = 1_000_000_000

MEMORY_SIZES_MB = (128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 8192, 10240)
"""The memory sizes a function may have.

Source: FunctionGraph API reference, Executing a Function Synchronously, X-Cff-Instance-Memory.
"""

MemoryTurns = int | tuple[int, ...] | None
"""The memory size that calls ask for, in MB; sizes that they take in turns; None for the target's own."""

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


class TraceFormat(Enum):
    """The layouts of published traces, see ``loadgen.scenario.trace``."""

    AZURE_2019 = "azure-2019"
    AZURE_2021 = "azure-2021"
    HUAWEI_MINUTE = "huawei-minute"
    HUAWEI_SECOND = "huawei-second"
    HUAWEI_REQUESTS = "huawei-requests"


class Trace(Struct, frozen=True, tag="trace"):
    """Open model: the arrivals of a trace.

    ``counts`` are starts in each ``slot_ns``, at instants that are drawn. ``starts`` are others, known exactly: sorted
    ns since the phase began, as 8-byte signed integers of this machine. ``locked`` is how probable it is that functions
    which have nothing to do with each other agree on the second of the minute as much as these do, None where there is
    no telling.
    """

    counts: tuple[int, ...]
    slot_ns: int
    starts: bytes
    locked: float | None = None

    def __repr__(self) -> str:
        return f"Trace({sum(self.counts) + len(self.starts) // 8} starts)"


class Workers(Struct, frozen=True, tag="workers"):
    """Closed model: workers that invoke back to back; their number changes linearly from ``start`` to ``end``."""

    start: int
    end: int


Shape = ConstantRate | RampRate | StepRates | Bursts | Trace | Workers


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

    def __repr__(self) -> str:
        return "TokenAuth(***)"


class KeyAuth(Struct, frozen=True, tag="key"):
    """Requests are signed with an access key; ``security_token`` belongs to a temporary one and is sent along."""

    access_key: str
    secret_key: str
    security_token: str | None = None

    def __repr__(self) -> str:
        return "KeyAuth(***)"


class IamAuth(Struct, frozen=True, tag="iam"):
    """Requests carry a token that IAM gives for a user's password, and that is renewed before it ends.

    ``url`` is IAM's origin. ``domain`` is the user's account and ``project`` what the token is for, each a name or an
    id. With ``agency`` the user's token is exchanged for one of that agency of the account ``agency_domain``.
    """

    url: str
    username: str
    password: str
    domain: str
    project: str
    agency: str | None = None
    agency_domain: str | None = None

    def __repr__(self) -> str:
        return f"IamAuth(url={self.url!r}, ***)"


class EnvironmentAuth(Struct, frozen=True, tag="environment"):
    """Credentials are looked up when a run begins, in variables and files that both vendors' tools read."""


Auth = NoAuth | TokenAuth | KeyAuth | IamAuth | EnvironmentAuth


class ResponseVersion(Enum):
    """The form of a function's answer (X-CFF-Request-Version)."""

    V0 = "v0"
    V1 = "v1"


class FunctionTarget(Struct, frozen=True, tag="function"):
    """A FunctionGraph function behind ``endpoint`` (an http:// or https:// origin, or ``emulator``).

    ``function`` is its URN in any of the accepted forms, as written; ``tail_share`` the share of invocations that ask
    for the log tail; ``memory_mb`` the value of X-Cff-Instance-Memory, None to leave the header out. ``insecure_auth``
    says that credentials may be sent over http:// to another machine.
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
    insecure_auth: bool = False

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

    def __repr__(self) -> str:
        return f"HttpTarget({self.method} ***)"


Target = FunctionTarget | HttpTarget


class FeederOrder(Enum):
    """Which row an arrival takes: the next one until they run out, round and round, or a seeded random one."""

    ONCE = "once"
    LOOP = "loop"
    RANDOM = "random"


class Feeder(Struct, frozen=True):
    """Rows for the event's ``{{field}}`` placeholders: ``rows`` of them, at least one. ``path`` is absolute."""

    path: str
    order: FeederOrder
    rows: int


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
    """``[phase:](errors|throttled|timeouts|dropped) < limit`` as a share of the planned invocations.

    ``sign`` is ``<``, ``<=``, or ``==``, of which the limit is 0.
    """

    text: str
    phase: str | None
    what: str
    limit: float
    sign: str = "<"


class RateRule(Struct, frozen=True, tag="rate"):
    """``[phase:]achieved_rate > limit``."""

    text: str
    phase: str | None
    limit: Rate


class Money(Struct, frozen=True):
    """An exact amount; ``currency`` is its three letters (ISO 4217)."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"


class CostRule(Struct, frozen=True, tag="cost"):
    """``[phase:]cost < limit``."""

    text: str
    phase: str | None
    limit: Money


Rule = MetricRule | ShareRule | RateRule | CostRule


class Budget(Struct, frozen=True):
    """Hard limits of a run, which ends when it reaches one; None means no limit.

    ``invocations`` and ``cost`` count the pre-flight. ``in_flight`` is never exceeded. ``errors`` (everything not ok)
    and ``throttled`` are shares of the invocations that ended lately.
    """

    invocations: int | None
    duration_ns: int | None
    cost: Money | None = None
    in_flight: int | None = None
    errors: float | None = None
    throttled: float | None = None


LEAST_CATCH_UP_NS = 100_000_000
"""What ``catch_up`` has to be at least."""


class Confirm(Struct, frozen=True):
    """What a run may be expected to take before a user is asked."""

    invocations: int = 10_000
    gb_seconds: int = 10_000


class PriceBook(Struct, frozen=True):
    """What the platform charges, as listed on the date ``dated``; ``name`` is what the scenario calls it.

    Prices are exact, per million requests and per GB-second (1024 MB for a second). Durations are billed in multiples
    of ``granularity_ns``.
    """

    name: str
    currency: str
    dated: str
    per_million_requests: Decimal
    per_gb_second: Decimal
    granularity_ns: int


class Work(Struct, frozen=True):
    """CPU time of a function on one core: log-normal with this median; ``sigma`` is the deviation of its logarithm."""

    median_ns: int
    sigma: float


class Initializer(Struct, frozen=True):
    """What a function runs once in each new instance: CPU time at full speed, log-normal, cut at ``timeout_ns``."""

    median_ns: int
    sigma: float
    timeout_ns: int


class Injected(Struct, frozen=True):
    """A failure that the emulator makes up: ``code`` is a key of ``faults``, ``share`` how many calls meet it."""

    code: str
    share: float


class Instances(Struct, frozen=True):
    """How much instances differ: ``sigma`` of the logarithm of their slowness, and the share of those slower still."""

    sigma: float = 0.0
    slow: float = 0.0


class EmulatedFunction(Struct, frozen=True):
    """One function of the emulator.

    ``errors`` is the share of calls whose code raises. ``max_instances`` is -1 for no limit and 0 for a disabled
    function. ``concurrency`` is how many calls one instance serves at a time, ``reserved`` how many instances are kept
    warm. ``memory_used_mb`` is what a call uses, more than it has being out of memory; None is a small interpreter's.
    A ``probe`` answers which instance it is and how many calls that had. ``log_bytes`` is how much a call prints
    besides its one line.
    """

    name: str
    memory_mb: int
    work: Work
    cold_start: str
    max_instances: int
    dynamic_memory: bool
    errors: float
    timeout_ns: int = 900 * NS_PER_S
    concurrency: int = 1
    reserved: int = 0
    initializer: Initializer | None = None
    memory_used_mb: int | None = None
    faults: tuple[Injected, ...] = ()
    probe: bool = False
    instances: Instances = Instances()
    log_bytes: int = 0


class CredentialCheck(Enum):
    """Whether the emulator ignores credentials, asks for any that are well formed, or verifies them."""

    OFF = "off"
    LENIENT = "lenient"
    STRICT = "strict"


class Throttle(Enum):
    """What becomes of a call that may not start another instance: 429 at once, or after waiting for an instance."""

    IMMEDIATE = "immediate"
    QUEUE = "queue"


class Routing(Enum):
    """Which idle instance takes a call: last used, last created, longest idle, or any."""

    RECENT = "recent"
    NEWEST = "newest"
    OLDEST = "oldest"
    RANDOM = "random"


class InitBilling(Enum):
    """Where the time of an initializer is billed: apart, in the call that waited for it, or not at all."""

    SEPARATE = "separate"
    SAME_CALL = "same_call"
    NONE = "none"


class Account(Struct, frozen=True):
    """The one user that the emulator knows: as good as any, and worth nothing elsewhere."""

    domain: str = "demo"
    username: str = "demo"
    password: str = "demo"  # noqa: S105 - of nobody
    agency: str = "demo"
    access_key: str = "AKDEMO"
    secret_key: str = "SKDEMO"  # noqa: S105 - of nobody
    security_token: str | None = None

    def __repr__(self) -> str:
        return "Account(***)"


class Management(Struct, frozen=True):
    """How the emulator's management API behaves where documents and reports differ.

    An update of a function's settings leaves those it omits as they are, or resets them; it is refused while there are
    reserved instances, or not. ``faults`` are shares of the management calls.
    """

    omitted_reset: bool = False
    refused_with_reserved: bool = False
    faults: tuple[Injected, ...] = ()


class Emulator(Struct, frozen=True):
    """The emulated platform.

    ``region`` is compared with that in a function's name; None takes any. ``max_instances`` is over all functions.
    ``error_status`` is the HTTP status of a function's own failures. ``billing_ns`` is what durations are rounded up
    to, ``log_tail_bytes`` how much of the log a header carries; ``start_lines`` says whether it tells of a cold start.
    """

    seed: int
    keep_alive_ns: int
    functions: tuple[EmulatedFunction, ...]
    auth: CredentialCheck = CredentialCheck.OFF
    region: str | None = None
    account: Account = Account()
    token_lifetime_ns: int = 24 * 3600 * NS_PER_S
    routing: Routing = Routing.RECENT
    throttle: Throttle = Throttle.IMMEDIATE
    queue_timeout_ns: int = 10 * NS_PER_S
    max_instances: int = 1000
    gateway_timeout_ns: int = 90 * NS_PER_S
    idle_timeout_ns: int = 3600 * NS_PER_S
    error_status: int = 200
    billing_ns: int = 1_000_000
    init_billing: InitBilling = InitBilling.SEPARATE
    start_lines: bool = True
    log_tail_bytes: int = 2000
    management: Management = Management()


class Probe(Struct, frozen=True):
    """Where a probe function's answer has its fields: paths of keys and list positions, joined by dots.

    ``cold`` is whether this was the first call of its instance, ``instance`` the instance's name, ``count`` the number
    of its calls so far, this one included.
    """

    cold: str = "cold"
    instance: str = "instance"
    count: str = "n"


class Induce(Enum):
    """How cold starts are brought about.

    By silence, by many calls at once after it, by other memory sizes, by other versions, or by a change of settings.
    """

    GAP = "gap"
    BURST = "burst"
    MEMORY = "memory"
    VERSION = "version"
    CONFIG = "config"


LEAST_CALIBRATION = 200
"""Calls that are known to be warm, which it takes to tell cold ones from warm ones by the platform's overhead."""
LEAST_COLD = 30
"""Cold calls that it takes."""


class ColdStarts(Struct, frozen=True):
    """The experiment ``cold-starts``.

    ``gap_ns`` of silence is meant to end all instances; then come one call, ``burst`` calls at once, or one at each of
    ``sizes_mb`` or of ``versions``, which are names of versions, or ``!`` and an alias. It goes on until there were
    ``cold`` cold calls, and ``warm`` warm ones. The keep-alive time is looked for between the two times of
    ``keep_alive_ns``; None leaves it out. ``probe`` says that the function is a probe.
    """

    induce: tuple[Induce, ...]
    gap_ns: int
    burst: int
    cold: int
    warm: int
    keep_alive_ns: tuple[int, int] | None
    sizes_mb: tuple[int, ...]
    probe: Probe | None
    versions: tuple[str, ...] = ()


class MemoryBy(Enum):
    """How a memory size is chosen: for each call by X-Cff-Instance-Memory, or by changing the function's settings."""

    HEADER = "header"
    CONFIG = "config"


class MemoryComparison(Struct, frozen=True):
    """The experiment ``memory``: which of ``sizes_mb`` is the cheapest that meets the rules of ``slo``.

    There are at most ``rounds``, each on new instances, which ``gap_ns`` of silence before it makes sure of; in a round
    every size is called ``blocks`` times, fewer in the first rounds. Sizes whose costs differ by less than ``tie``, a
    share, are as good as each other.
    """

    sizes_mb: tuple[int, ...]
    by: MemoryBy
    blocks: int
    rounds: int
    slo: tuple[MetricRule | ShareRule, ...]
    tie: float
    gap_ns: int


class Capacity(Struct, frozen=True):
    """The experiment ``capacity``: the largest rate between two at which every rule of ``slo`` holds.

    It is confirmed for ``confirm_ns`` and its estimate known within ``precision``, a share. Idle instances live for
    ``keep_alive_ns``; ``limit`` is how many invocations may run at once, None when that is not known.
    ``max_in_flight`` is the number of workers.
    """

    slo: tuple[MetricRule | ShareRule, ...]
    from_rate: Rate
    to_rate: Rate
    confirm_ns: int
    precision: float
    keep_alive_ns: int
    limit: int | None
    max_in_flight: int


class Scenario(Struct, frozen=True):
    """Everything a run needs.

    ``event`` is the JSON text of the event, placeholders included; empty (no body) for a plain HTTP target without one.
    ``sample_share`` is the share of invocations whose samples are kept; ``sha256`` identifies the resolved scenario
    (secrets excluded), so that only equal runs are merged. ``catch_up_ns`` is how much of its schedule an agent makes
    up for after it could not start anything.
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
    cold_starts: ColdStarts | None = None
    memory: MemoryComparison | None = None
    capacity: Capacity | None = None
    prices: PriceBook | None = None
    confirm: Confirm = Confirm()
    catch_up_ns: int = NS_PER_S

    @property
    def changes_settings(self) -> bool:
        """Whether the run changes settings of the function, which are put back in the end."""
        return (self.memory is not None and self.memory.by is MemoryBy.CONFIG) or (
            self.cold_starts is not None and Induce.CONFIG in self.cold_starts.induce
        )
