"""The emulated platform, as a scenario describes it."""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from loadgen.targets.functiongraph.protocol.function import DEFAULT_FUNCTION
from loadgen.targets.functiongraph.protocol.platform_codes import is_fault
from loadgen.targets.functiongraph.protocol.target import Memory
from loadgen.text import units
from loadgen.text.fault import Found, Path, show
from loadgen.text.form import (
    DERIVED,
    OPTIONAL,
    Count,
    Duration,
    DurationOrZero,
    Name,
    Secret,
    Share,
    Text,
    mapping,
    text,
    within,
    words,
    written,
)
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
    """CPU time on one core: log-normal."""

    median_ns: Annotated[Duration, Meta(description="The median.")] = field(name="median", default=20_000_000)
    sigma: Annotated[float, within(0, 5), Meta(description="Standard deviation of the logarithm.")] = 0.3


class Initializer(Struct, frozen=True):
    """What a function runs once in each new instance: log-normal.

    It is CPU time at full speed, cut at ``timeout_ns``.
    """

    median_ns: Annotated[Duration, Meta(description="The median.")] = field(name="median")
    sigma: Annotated[float, within(0, 5), Meta(description="Standard deviation of the logarithm.")] = 0.3
    timeout_ns: Annotated[Duration, Meta(description="An initializer that takes longer fails.")] = field(
        name="timeout", default=300 * NS_PER_S
    )


class Injected(Struct, frozen=True):
    """A failure that the emulator makes up: ``code`` is a key of ``faults``, ``share`` how many calls meet it."""

    code: str
    share: float


Faults = Annotated[
    tuple[Injected, ...],
    written(dict[str, Share], lambda faults: tuple(Injected(*each) for each in faults.items()), default={}),
    Meta(description="Failures to make up: error codes and the share of calls."),
]


class Instances(Struct, frozen=True):
    """How much the instances of a function differ; by default not at all."""

    sigma: Annotated[
        float, within(0, 2), Meta(description="Standard deviation of the logarithm of an instance's slowness.")
    ] = 0.0
    slow: Annotated[Share, Meta(description="Share of instances that are 1.5 to 3 times slower still.")] = 0.0


class EmulatedFunction(Struct, frozen=True):
    """One function of the emulator.

    ``max_instances`` is -1 for no limit and 0 for a disabled function. ``memory_used_mb`` is what a call uses, more
    than it has being out of memory; None is a small interpreter's. A ``probe`` answers which instance it is and how
    many calls that had.
    """

    name: Annotated[str, DERIVED]
    memory_mb: Annotated[Memory, Meta(description="Its memory, which sets its share of a core.")] = field(
        name="memory", default=128
    )
    work: Annotated[Work, Meta(description="CPU time of one call.")] = Work()
    cold_start: Annotated[
        str,
        words({name: name for name in COLD_START_PROFILES}),
        Meta(description="Cold-start times: a region, a region and runtime, or `none` for no cold starts."),
    ] = "r2-python3"
    max_instances: Annotated[
        int,
        within(-1, 1_000_000),
        Meta(description="Most instances at once; more calls are throttled. 0 disables the function, -1 is no limit."),
    ] = 100
    dynamic_memory: Annotated[bool, Meta(description="Whether X-Cff-Instance-Memory is honoured.")] = True
    errors: Annotated[Share, Meta(description="Share of calls whose code raises.")] = 0.0
    timeout_ns: Annotated[Duration, Meta(description="A call whose handler takes longer is ended.")] = field(
        name="timeout", default=900 * NS_PER_S
    )
    concurrency: Annotated[int, within(1, 1000), Meta(description="Calls that one instance serves at a time.")] = 1
    reserved: Annotated[int, within(0, 1000), Meta(description="Instances that are always there and warm.")] = 0
    initializer: Annotated[
        Initializer | None,
        Meta(description="What each new instance runs before its first call; default nothing."),
    ] = None
    memory_used_mb: Annotated[
        Annotated[int, text(units.megabytes, units.megabytes_text, units.SIZE, "200MB")] | None,
        Meta(description="Memory that a call uses; more than the function has is out of memory. Default 30 to 40MB."),
    ] = field(name="memory_used", default=None)
    faults: Faults = ()
    probe: Annotated[bool, Meta(description="Whether it answers like the probes in docs/probe/.")] = False
    instances: Annotated[Instances, Meta(description="How much instances differ.")] = Instances()
    log_bytes: Annotated[
        int,
        text(units.log_size, units.log_size_text, units.LOG_SIZE, "10KB"),
        Meta(description="How much a call prints besides its one line, up to 64KB; the tail of a log is cut."),
    ] = field(name="log", default=0)


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
    """The one user that the emulator knows; needed with `auth: strict`.

    It is as good as any, and worth nothing elsewhere.
    """

    domain: Annotated[Text, Meta(description="The user's account.")] = "demo"
    username: Annotated[Text, Meta(description="The user's name.")] = "demo"
    password: Annotated[Secret, Meta(description="The user's password.")] = "demo"  # noqa: S105 - of nobody
    agency: Annotated[Text, Meta(description="An agency that the user may assume.")] = "demo"
    access_key: Annotated[Secret, Meta(description="The user's access key.")] = "AKDEMO"
    secret_key: Annotated[Secret, Meta(description="The secret that belongs to it.")] = "SKDEMO"  # noqa: S105 - as above
    security_token: Annotated[
        Secret | None, Meta(description="Makes the access key a temporary one, which needs this token.")
    ] = None

    def __repr__(self) -> str:
        return "Account(***)"


class Management(Struct, frozen=True):
    """The emulator's management API, where documents and reports differ.

    ``faults`` are shares of the management calls.
    """

    omitted_reset: Annotated[
        bool,
        words({"keep": False, "reset": True}),
        Meta(description="What an update does to the settings that it does not mention."),
    ] = field(name="omitted", default=False)
    refused_with_reserved: Annotated[
        bool,
        words({"allow": False, "refuse": True}),
        Meta(description="Whether a function with reserved instances can be updated."),
    ] = field(name="with_reserved", default=False)
    faults: Faults = ()


class Emulator(Struct, frozen=True):
    """The emulated platform; only with `endpoint: emulator`.

    ``region`` is compared with that in a function's name. ``log_tail_bytes`` are what two pages of the documents say.
    """

    seed: Annotated[
        int, OPTIONAL, within(0, (1 << 63) - 1), Meta(description="Seed of the emulator; default the scenario's.")
    ] = 1
    keep_alive_ns: Annotated[DurationOrZero, Meta(description="How long an idle instance lives.")] = field(
        name="keep_alive", default=60 * NS_PER_S
    )
    functions: Annotated[
        tuple[EmulatedFunction, ...],
        OPTIONAL,
        written(dict[str, EmulatedFunction]),
        Meta(
            description="Functions by name; default the target's, with all defaults.",
            extra_json_schema={"minProperties": 1},
        ),
    ] = ()
    auth: Annotated[
        CredentialCheck,
        Meta(
            description="`off`: no credentials are needed; `lenient`: any that are well formed; `strict`: right ones."
        ),
    ] = CredentialCheck.OFF
    region: Annotated[
        Name | None,
        Meta(description="The platform's region, which full function names must have; default any."),
    ] = None
    account: Annotated[Account, Meta(description="The user that `auth: strict` knows.")] = Account()
    token_lifetime_ns: Annotated[Duration, Meta(description="How long a token from IAM is good.")] = field(
        name="token_lifetime", default=24 * 3600 * NS_PER_S
    )
    routing: Annotated[
        Routing,
        Meta(description="Which idle instance takes a call: last used, last created, longest idle, or any."),
    ] = Routing.RECENT
    throttle: Annotated[
        Throttle,
        Meta(description="`immediate`: too many calls get 429 at once; `queue`: after waiting for an instance."),
    ] = Throttle.IMMEDIATE
    queue_timeout_ns: Annotated[DurationOrZero, Meta(description="How long a call waits with `throttle: queue`.")] = (
        field(name="queue_timeout", default=10 * NS_PER_S)
    )
    max_instances: Annotated[
        Count,
        OPTIONAL,
        Meta(description="Most instances of all functions together; default 1000, or what one function may have."),
    ] = 1000
    gateway_timeout_ns: Annotated[Duration, Meta(description="When the gateway stops waiting for an answer.")] = field(
        name="gateway_timeout", default=90 * NS_PER_S
    )
    idle_timeout_ns: Annotated[Duration, Meta(description="When a connection without a request is closed.")] = field(
        name="idle_timeout", default=3600 * NS_PER_S
    )
    error_status: Annotated[
        Literal[200, 500], Meta(description="HTTP status of an answer about a failure of the function's own.")
    ] = 200
    billing_ns: Annotated[
        int,
        words({"1ms": 1_000_000, "100ms": 100_000_000, "1s": NS_PER_S}),
        Meta(description="Billed durations are rounded up to a multiple of this."),
    ] = field(name="billing", default=1_000_000)
    init_billing: Annotated[InitBilling, Meta(description="Where the time of an initializer is billed.")] = (
        InitBilling.SEPARATE
    )
    start_lines: Annotated[
        bool,
        words({"all": True, "invoke": False}),
        Meta(description="Whether the log of a cold call tells of the cold start, too."),
    ] = field(name="log_lines", default=True)
    log_tail_bytes: Annotated[
        int,
        words({"2KB": 2000, "4KB": 4096}),
        Meta(description="How much of the log is in a header: 2,000 or 4,096 bytes."),
    ] = field(name="log_tail", default=2000)
    management: Annotated[Management, Meta(description="How settings are changed over the API.")] = Management()


def emulator(block: dict[str, Any], *, seed: int = 1, function: str = DEFAULT_FUNCTION) -> Emulator:
    """The Emulator of a block without faults; ``seed`` and the one ``function`` serve where it names none."""
    named = block.get("functions", {function: {}})
    functions = tuple(msgspec.convert({**each, "name": name}, EmulatedFunction) for name, each in named.items())
    most = max(1000, *(each.max_instances for each in functions))
    return msgspec.convert({"seed": seed, "max_instances": most, **block, "functions": functions}, Emulator)


def default_emulator(*, seed: int = 1) -> Emulator:
    """The Emulator that serves when no file says otherwise: one function, ``hello``."""
    return emulator({}, seed=seed)


def only_function(block: dict[str, Any]) -> str | None:
    """The function of an emulator block that is meant where none is named: hello, or the only one; None if unclear."""
    functions = mapping(block, "functions")
    if not functions or DEFAULT_FUNCTION in functions:
        return DEFAULT_FUNCTION
    return next(iter(functions)) if len(functions) == 1 else None


def rules(block: dict[str, Any]) -> Found:
    """What does not go together in the block of an emulator."""
    yield from _faults(mapping(block, "management"), ("management",))
    for name, function in mapping(block, "functions").items():
        path: Path = ("functions", name)
        if not re.match(r"[A-Za-z][A-Za-z0-9_-]{0,59}\Z", name):
            yield path, "expected a function name: a letter, then letters, digits, - or _"
        if isinstance(function, dict):
            yield from _faults(function, path)


def _faults(block: dict[str, Any], path: Path) -> Found:
    found = block.get("faults")
    faults: tuple[Injected, ...] = found if isinstance(found, tuple) else ()
    for fault in faults:
        if not is_fault(fault.code):
            yield (
                (*path, "faults", fault.code),
                f"got {show(fault.code)}, expected a documented FSS. or APIG. code, an engine code such as 4205, "
                "502, 503 or 504 for a proxy's page, or close",
            )
    if sum(fault.share for fault in faults if isinstance(fault.share, float)) > 1 + 1e-9:
        yield (*path, "faults"), "the shares add up to more than 100%"
