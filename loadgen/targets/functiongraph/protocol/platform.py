"""The emulated platform, as a scenario describes it."""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Struct, field

from loadgen.targets.functiongraph.protocol.function import DEFAULT_FUNCTION, function_name
from loadgen.targets.functiongraph.protocol.platform_codes import is_fault
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, Memory
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
    doc,
    mapping,
    text,
    within,
    without_unit,
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


class Work(Struct, frozen=True, rename=without_unit):
    """CPU time on one core: log-normal."""

    median_ns: Annotated[Duration, doc("The median.")] = 20_000_000
    sigma: Annotated[float, within(0, 5), doc("Standard deviation of the logarithm.")] = 0.3


class Initializer(Struct, frozen=True, rename=without_unit):
    """What a function runs once in each new instance: log-normal.

    It is CPU time at full speed, cut at ``timeout_ns``.
    """

    median_ns: Annotated[Duration, doc("The median.")]
    sigma: Annotated[float, within(0, 5), doc("Standard deviation of the logarithm.")] = 0.3
    timeout_ns: Annotated[Duration, doc("An initializer that takes longer fails.")] = 300 * NS_PER_S


class Injected(Struct, frozen=True):
    """A failure that the emulator makes up: ``code`` is a key of ``faults``, ``share`` how many calls meet it."""

    code: str
    share: float


Faults = Annotated[
    tuple[Injected, ...],
    written(dict[str, Share], lambda faults: tuple(Injected(*each) for each in faults.items()), default={}),
    doc("Failures to make up: error codes and the share of calls."),
]


class Instances(Struct, frozen=True):
    """How much the instances of a function differ; by default not at all."""

    sigma: Annotated[float, within(0, 2), doc("Standard deviation of the logarithm of an instance's slowness.")] = 0.0
    slow: Annotated[Share, doc("Share of instances that are 1.5 to 3 times slower still.")] = 0.0


class EmulatedFunction(Struct, frozen=True, rename=without_unit):
    """One function of the emulator.

    ``max_instances`` is -1 for no limit and 0 for a disabled function. ``memory_used_mb`` is what a call uses, more
    than it has being out of memory; None is a small interpreter's. A ``probe`` answers which instance it is and how
    many calls that had.
    """

    name: Annotated[str, DERIVED]
    memory_mb: Annotated[Memory, doc("Its memory, which sets its share of a core.")] = 128
    work: Annotated[Work, doc("CPU time of one call.")] = Work()
    cold_start: Annotated[
        str,
        words({name: name for name in COLD_START_PROFILES}),
        doc("Cold-start times: a region, a region and runtime, or `none` for no cold starts."),
    ] = "r2-python3"
    max_instances: Annotated[
        int,
        within(-1, 1_000_000),
        doc("Most instances at once; more calls are throttled. 0 disables the function, -1 is no limit."),
    ] = 100
    dynamic_memory: Annotated[bool, doc("Whether X-Cff-Instance-Memory is honoured.")] = True
    errors: Annotated[Share, doc("Share of calls whose code raises.")] = 0.0
    timeout_ns: Annotated[Duration, doc("A call whose handler takes longer is ended.")] = 900 * NS_PER_S
    concurrency: Annotated[int, within(1, 1000), doc("Calls that one instance serves at a time.")] = 1
    reserved: Annotated[int, within(0, 1000), doc("Instances that are always there and warm.")] = 0
    instances: Annotated[Instances, doc("How much instances differ.")] = Instances()
    initializer: Annotated[
        Initializer | None, doc("What each new instance runs before its first call; default nothing.")
    ] = None
    memory_used_mb: Annotated[
        Annotated[int, text(units.megabytes, units.megabytes_text, units.SIZE, "200MB")] | None,
        doc("Memory that a call uses; more than the function has is out of memory. Default 30 to 40MB."),
    ] = None
    faults: Faults = ()
    probe: Annotated[bool, doc("Whether it answers like the probes in docs/probe/.")] = False
    log_bytes: Annotated[
        int,
        text(units.log_size, units.log_size_text, units.LOG_SIZE, "10KB"),
        doc("How much a call prints besides its one line, up to 64KB; the tail of a log is cut."),
    ] = 0


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

    domain: Annotated[Text, doc("The user's account.")] = "demo"
    username: Annotated[Text, doc("The user's name.")] = "demo"
    password: Annotated[Secret, doc("The user's password.")] = "demo"  # noqa: S105 - of nobody
    agency: Annotated[Text, doc("An agency that the user may assume.")] = "demo"
    access_key: Annotated[Secret, doc("The user's access key.")] = "AKDEMO"
    secret_key: Annotated[Secret, doc("The secret that belongs to it.")] = "SKDEMO"  # noqa: S105 - as above
    security_token: Annotated[Secret | None, doc("Makes the access key a temporary one, which needs this token.")] = (
        None
    )

    def __repr__(self) -> str:
        return "Account(***)"


class Management(Struct, frozen=True):
    """The emulator's management API, where documents and reports differ.

    ``faults`` are shares of the management calls.
    """

    omitted_reset: Annotated[
        bool,
        words({"keep": False, "reset": True}),
        doc("What an update does to the settings that it does not mention."),
    ] = field(name="omitted", default=False)
    refused_with_reserved: Annotated[
        bool, words({"allow": False, "refuse": True}), doc("Whether a function with reserved instances can be updated.")
    ] = field(name="with_reserved", default=False)
    faults: Faults = ()


class Emulator(Struct, frozen=True, rename=without_unit):
    """The emulated platform; only with `endpoint: emulator`.

    ``region`` is compared with that in a function's name. ``log_tail_bytes`` are what two pages of the documents say.
    """

    seed: Annotated[int, OPTIONAL, within(0, (1 << 63) - 1), doc("Seed of the emulator; default the scenario's.")] = 1
    keep_alive_ns: Annotated[DurationOrZero, doc("How long an idle instance lives.")] = 60 * NS_PER_S
    functions: Annotated[
        tuple[EmulatedFunction, ...],
        OPTIONAL,
        written(dict[str, EmulatedFunction], minProperties=1),
        doc("Functions by name; default the target's, with all defaults."),
    ] = ()
    auth: Annotated[
        CredentialCheck,
        doc("`off`: no credentials are needed; `lenient`: any that are well formed; `strict`: right ones."),
    ] = CredentialCheck.OFF
    region: Annotated[Name | None, doc("The platform's region, which full function names must have; default any.")] = (
        None
    )
    account: Annotated[Account, doc("The user that `auth: strict` knows.")] = Account()
    token_lifetime_ns: Annotated[Duration, doc("How long a token from IAM is good.")] = 24 * 3600 * NS_PER_S
    routing: Annotated[
        Routing, doc("Which idle instance takes a call: last used, last created, longest idle, or any.")
    ] = Routing.RECENT
    throttle: Annotated[
        Throttle, doc("`immediate`: too many calls get 429 at once; `queue`: after waiting for an instance.")
    ] = Throttle.IMMEDIATE
    queue_timeout_ns: Annotated[DurationOrZero, doc("How long a call waits with `throttle: queue`.")] = field(
        name="queue_timeout", default=10 * NS_PER_S
    )
    max_instances: Annotated[
        Count, OPTIONAL, doc("Most instances of all functions together; default 1000, or what one function may have.")
    ] = 1000
    gateway_timeout_ns: Annotated[Duration, doc("When the gateway stops waiting for an answer.")] = 90 * NS_PER_S
    idle_timeout_ns: Annotated[Duration, doc("When a connection without a request is closed.")] = 3600 * NS_PER_S
    error_status: Annotated[
        Literal[200, 500], doc("HTTP status of an answer about a failure of the function's own.")
    ] = 200
    billing_ns: Annotated[
        int,
        words({"1ms": 1_000_000, "100ms": 100_000_000, "1s": NS_PER_S}),
        doc("Billed durations are rounded up to a multiple of this."),
    ] = 1_000_000
    init_billing: Annotated[InitBilling, doc("Where the time of an initializer is billed.")] = InitBilling.SEPARATE
    cpu_by_memory: Annotated[
        bool, words({"memory": True, "whole": False}), doc("Cores of an instance: by its memory, or one at any size.")
    ] = field(name="cpu", default=True)
    start_lines: Annotated[
        bool, words({"all": True, "invoke": False}), doc("Whether the log of a cold call tells of the cold start, too.")
    ] = field(name="log_lines", default=True)
    log_tail_bytes: Annotated[
        int, words({"2KB": 2000, "4KB": 4096}), doc("How much of the log is in a header: 2,000 or 4,096 bytes.")
    ] = 2000
    management: Annotated[Management, doc("How settings are changed over the API.")] = Management()


def emulator(block: dict[str, Any], *, seed: int = 1, function: str = DEFAULT_FUNCTION) -> Emulator:
    """The Emulator of a block without faults; ``seed`` and the one ``function`` serve where it names none."""
    named = block.get("functions", {function: {}})
    functions = tuple(msgspec.convert({**each, "name": name}, EmulatedFunction) for name, each in named.items())
    most = max(1000, *(each.max_instances for each in functions))
    return msgspec.convert({"seed": seed, "max_instances": most, **block, "functions": functions}, Emulator)


def default_emulator(*, seed: int = 1) -> Emulator:
    """The Emulator that serves when no file says otherwise: one function, ``hello``."""
    return emulator({}, seed=seed)


def emulated_function(target: FunctionTarget, emulator: Emulator) -> EmulatedFunction | None:
    """The function that is called, as the emulator has it; None where it has none of this name."""
    name = function_name(target.function)
    return next((each for each in emulator.functions if each.name == name), None)


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
