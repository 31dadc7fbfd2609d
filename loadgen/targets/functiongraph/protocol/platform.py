"""The emulated platform, as a scenario describes it."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from loadgen.text.units import NS_PER_S

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
