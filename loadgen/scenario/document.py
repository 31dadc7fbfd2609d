"""The written form of a scenario: what the YAML file may hold.

These structs are the one list of keys. They validate files (``shape``), generate the JSON Schema that editors use
(``schema``) and are what a Scenario is built from (``build``). Values stay as written here, with their units; a field
that is UNSET was not written. ``Meta.extra`` says more than a schema can: ``read`` is the function that refuses a
malformed text, ``expected`` completes the message when a value does not fit, ``secret`` marks what is never shown.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from loadgen.measure import rule
from loadgen.text import units

Duration = Annotated[
    str,
    Meta(pattern=units.DURATION, examples=["500us", "10ms", "2s", "5m", "1h"], extra={"read": units.positive_duration}),
]
DurationOrZero = Annotated[
    str, Meta(pattern=units.DURATION, examples=["0s", "10ms", "2s"], extra={"read": units.duration})
]
Rate = Annotated[str, Meta(pattern=units.RATE, examples=["200/s", "3000/min", "10/h"], extra={"read": units.rate})]
PositiveRate = Annotated[
    str, Meta(pattern=units.RATE, examples=["200/s", "3000/min", "10/h"], extra={"read": units.positive_rate})
]
Share = Annotated[str, Meta(pattern=units.SHARE, examples=["3%", "0.1%"], extra={"read": units.share})]
Money = Annotated[str, Meta(pattern=units.MONEY, examples=["0.50 CNY"], extra={"read": units.money})]
_COMPARISON = "[<>=]"
"""What every rule has; the rest is said by the function that reads it."""
Price = Annotated[str, Meta(pattern=units.PRICE, examples=["1.33", "0.00011108"], extra={"read": units.price})]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$",
        extra={"expected": "a name of letters, digits, - and _ that starts with a letter or digit"},
    ),
]
Text = Annotated[str, Meta(min_length=1, extra={"expected": "some text"})]
Secret = Annotated[
    str, Meta(min_length=1, pattern=r"^[!-~]+$", extra={"secret": True, "expected": "ASCII without blanks"})
]
Version = Annotated[
    str,
    Meta(
        pattern=r"^!?[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        examples=["v1", "!prod"],
        extra={"expected": 'the name of a version such as "v1", or of an alias such as "!prod"'},
    ),
]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Memory = Literal[
    "128MB",
    "256MB",
    "512MB",
    "768MB",
    "1024MB",
    "1280MB",
    "1536MB",
    "1792MB",
    "2048MB",
    "2560MB",
    "3072MB",
    "3584MB",
    "4096MB",
    "8192MB",
    "10240MB",
]
ColdStart = Literal[
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
]


class Timeout(Struct, forbid_unknown_fields=True):
    """Limits of one invocation, each counted from its start."""

    connect: Annotated[Duration, Meta(description="Until the connection stands, TLS included.")] = "10s"
    first_byte: Annotated[Duration, Meta(description="Until the first byte of the answer.")] = "100s"
    total: Annotated[Duration, Meta(description="Until the whole answer is there.")] = "100s"


class Tls(Struct, forbid_unknown_fields=True):
    """How the server's certificate is checked; unused with http://."""

    verify: Annotated[bool, Meta(description="Whether the certificate is checked.")] = True
    ca: (
        Annotated[Text, Meta(description="PEM file of the authorities to trust, instead of the system's.")] | UnsetType
    ) = UNSET


class Iam(Struct, forbid_unknown_fields=True):
    """A user whose token is obtained from IAM, and renewed before it ends."""

    username: Annotated[Text, Meta(description="The IAM user's name.", extra={"secret": True})] | UnsetType = UNSET
    password: Annotated[Text, Meta(description="The user's password.", extra={"secret": True})] | UnsetType = UNSET
    domain: Annotated[Text, Meta(description="The account (domain) of the user, name or id.")] | UnsetType = UNSET
    project: (
        Annotated[Text, Meta(description="The project the token is for, name or id; default target.project_id.")]
        | UnsetType
    ) = UNSET
    url: (
        Annotated[
            str,
            Meta(
                pattern=r"^[hH][tT][tT][pP][sS]?://[!-~]+$",
                description="IAM's origin; default that of the endpoint's region, or a loopback endpoint itself.",
                examples=["https://iam.eu-de.otc.t-systems.com"],
                extra={"expected": "an origin such as https://iam.eu-de.otc.t-systems.com"},
            ),
        ]
        | UnsetType
    ) = UNSET
    agency: (
        Annotated[Text, Meta(description="An agency: the user's token is exchanged for one of this agency.")]
        | UnsetType
    ) = UNSET
    agency_domain: (
        Annotated[Text, Meta(description="The account (domain) that the agency belongs to; default domain.")]
        | UnsetType
    ) = UNSET

    def __repr__(self) -> str:
        return "Iam(***)"


class Auth(Struct, forbid_unknown_fields=True):
    """Credentials: a token, an IAM user, or an access key."""

    token: Annotated[Secret, Meta(description="An IAM token, sent in X-Auth-Token.")] | UnsetType = UNSET
    iam: Annotated[Iam, Meta(description="A user whose token is obtained from IAM.")] | UnsetType = UNSET
    access_key: (
        Annotated[Secret, Meta(description="The id of an access key (AK), with which requests are signed.")] | UnsetType
    ) = UNSET
    secret_key: Annotated[Secret, Meta(description="The secret of the access key (SK).")] | UnsetType = UNSET
    security_token: Annotated[Secret, Meta(description="The security token of a temporary access key.")] | UnsetType = (
        UNSET
    )

    def __repr__(self) -> str:
        return "Auth(***)"


class LogTail(Struct, forbid_unknown_fields=True):
    """Log tails on a random share of the invocations."""

    tail: Annotated[Share, Meta(description="The share of invocations that ask for the log tail.")]


class Target(Struct, forbid_unknown_fields=True):
    """What is invoked: a FunctionGraph function (endpoint, function) or any HTTP endpoint (url)."""

    endpoint: (
        Annotated[
            str,
            Meta(
                pattern=r"^(?:emulator|[hH][tT][tT][pP][sS]?://[!-~]+)$",
                description="`emulator`, or the origin of the FunctionGraph API.",
                examples=["emulator", "https://functiongraph.eu-de.otc.t-systems.com"],
                extra={"expected": "emulator, or an origin such as https://functiongraph.eu-de.otc.t-systems.com"},
            ),
        ]
        | UnsetType
    ) = UNSET
    project_id: (
        Annotated[
            str,
            Meta(
                pattern=r'^[!"$&-.0->@-~]+$',
                description="The project; fills short forms of the function.",
                extra={"expected": "the id of a project, without / ? # % or blanks"},
            ),
        ]
        | UnsetType
    ) = UNSET
    function: (
        Annotated[
            Text,
            Meta(
                description="The function's URN, or a short form: name, package:name, project:package:name[:version].",
                examples=["urn:fss:eu-de:0123456789abcdef:function:default:hello:latest", "hello"],
            ),
        ]
        | UnsetType
    ) = UNSET
    auth: Annotated[
        Literal["none", "environment"] | Auth,
        Meta(
            description='Credentials: `none`, `environment`, `{token: "${NAME}"}`, an access key or an IAM user.',
            extra={
                "secret": True,
                "expected": 'none, environment, or a mapping such as {token: "${NAME}"}',
            },
        ),
    ] = "none"
    insecure_auth: Annotated[
        bool, Meta(description="Send credentials over http:// to another machine, where anyone on the way reads them.")
    ] = False
    response: (
        Annotated[Literal["v0", "v1"], Meta(description="The form of the answer, X-CFF-Request-Version.")] | UnsetType
    ) = UNSET
    log: (
        Annotated[
            Literal["none", "tail"] | LogTail, Meta(description="Whether to ask for the log tail, X-Cff-Log-Type.")
        ]
        | UnsetType
    ) = UNSET
    memory: (
        Annotated[Memory, Meta(description="Memory for each call, X-Cff-Instance-Memory; absent by default.")]
        | UnsetType
    ) = UNSET
    url: (
        Annotated[
            str,
            Meta(
                pattern=r"^[hH][tT][tT][pP][sS]?://(?:[!-z|-~]|\{[!-z|-~]|\{\{[^{}]+\}\})+$",
                description="Any HTTP endpoint, instead of a function; `{{field}}` in its path and query comes from "
                "the feeder.",
                examples=["http://127.0.0.1:8080/hello", "http://127.0.0.1:8080/users/{{user}}"],
                extra={"expected": "a URL such as http://127.0.0.1:8080/hello, in ASCII"},
            ),
        ]
        | UnsetType
    ) = UNSET
    method: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Z]{1,20}$",
                description="HTTP method of a url; GET by default, POST when there is an event.",
                extra={"expected": "an HTTP method in capitals such as GET or POST"},
            ),
        ]
        | UnsetType
    ) = UNSET
    headers: (
        Annotated[
            dict[str, str],
            Meta(
                description="Header fields of a url, sent as written, in order; `{{field}}` comes from the feeder.",
                extra={"secret": True},
            ),
        ]
        | UnsetType
    ) = UNSET
    connections: Annotated[
        Literal["reuse", "fresh"], Meta(description="Whether connections are kept, or each invocation opens its own.")
    ] = "reuse"
    timeout: Annotated[Timeout, Meta(description="Limits of one invocation.")] = field(default_factory=Timeout)
    tls: Annotated[Tls, Meta(description="How the server's certificate is checked.")] = field(default_factory=Tls)
    preflight: Annotated[
        bool, Meta(description="Make one invocation before the load, and stop when it shows a wrong set-up.")
    ] = True


class Feeder(Struct, forbid_unknown_fields=True):
    """Rows that fill the `{{field}}` placeholders of the event, and of a url and its headers."""

    file: Annotated[Text, Meta(description="CSV with a header line, or JSON lines (.jsonl, .ndjson).")]
    order: Annotated[
        Literal["once", "loop", "random"],
        Meta(description="Which row an arrival takes; `once` ends with the last row."),
    ] = "loop"


class RateShape(Struct, forbid_unknown_fields=True):
    """A rate that changes: `from` and `to` for a ramp, or `steps`."""

    from_: Annotated[Rate, Meta(description="The rate at the start of a ramp.")] | UnsetType = field(
        name="from", default=UNSET
    )
    to: Annotated[Rate, Meta(description="The rate at the end of a ramp.")] | UnsetType = UNSET
    steps: (
        Annotated[
            list[Rate],
            Meta(min_length=1, max_length=1000, description="Rates, each for an equal share of the duration."),
        ]
        | UnsetType
    ) = UNSET


class Burst(Struct, forbid_unknown_fields=True):
    """Many starts at once, again after each gap."""

    size: Annotated[Count, Meta(description="Starts at once.")]
    gap: Annotated[Duration, Meta(description="Time from one burst to the next.")]
    repeat: Annotated[Count, Meta(description="Number of bursts; the phase lasts repeat times gap.")] = 1


class WorkersRamp(Struct, forbid_unknown_fields=True):
    """A number of workers that changes linearly."""

    from_: Annotated[Count, Meta(description="Workers at the start.")] = field(name="from")
    to: Annotated[Count, Meta(description="Workers at the end.")]


class Trace(Struct, forbid_unknown_fields=True):
    """Arrivals of a published trace."""

    file: Annotated[Text, Meta(description="The trace, a CSV file.")]
    format: Annotated[
        Literal["azure-2019", "azure-2021", "huawei-minute", "huawei-second", "huawei-requests"],
        Meta(description="Its layout."),
    ]
    function: (
        Annotated[Text, Meta(description="One function of the trace, `name` or `app/name`; default all together.")]
        | UnsetType
    ) = UNSET
    from_: Annotated[DurationOrZero, Meta(description="Where to begin, in the trace's own time.")] = field(
        name="from", default="0s"
    )
    speed: Annotated[
        float, Meta(ge=0.001, le=100_000, description="How many times as fast as in the trace time passes.")
    ] = 1.0
    keep: Annotated[Share, Meta(description="The share of its calls that are made, chosen by chance.")] = "100%"


class Phase(Struct, forbid_unknown_fields=True):
    """One stretch of load: exactly one of rate, burst, workers and trace."""

    name: Annotated[Name, Meta(description="Unique name, used in rules and reports.")]
    rate: (
        Annotated[PositiveRate | RateShape, Meta(description="Open model: starts per time, whatever the target does.")]
        | UnsetType
    ) = UNSET
    burst: Annotated[Burst, Meta(description="Open model: many starts at once.")] | UnsetType = UNSET
    workers: (
        Annotated[Count | WorkersRamp, Meta(description="Closed model: workers that invoke back to back.")] | UnsetType
    ) = UNSET
    trace: Annotated[Trace, Meta(description="Open model: the arrivals of a published trace.")] | UnsetType = UNSET
    duration: Annotated[Duration, Meta(description="Length of the phase; not written with burst.")] | UnsetType = UNSET
    warmup: Annotated[bool, Meta(description="Whether the phase only warms up and is not judged.")] = False
    arrivals: (
        Annotated[
            Literal["constant", "poisson"], Meta(description="How starts spread around the rate; default constant.")
        ]
        | UnsetType
    ) = UNSET
    max_in_flight: (
        Annotated[Count, Meta(description="Most invocations in flight in an open phase; default 1000.")] | UnsetType
    ) = UNSET
    max_lag: (
        Annotated[
            DurationOrZero, Meta(description="A start that waits longer for a free worker is dropped; default never.")
        ]
        | UnsetType
    ) = UNSET
    grace: (
        Annotated[
            DurationOrZero,
            Meta(description="Time that invocations in flight get at the end; default target.timeout.total."),
        ]
        | UnsetType
    ) = UNSET


class Budget(Struct, forbid_unknown_fields=True):
    """Hard limits of a run; it stops when it reaches one."""

    invocations: (
        Annotated[int, Meta(ge=1, le=10**15, description="Most invocations, the pre-flight included.")] | UnsetType
    ) = UNSET
    cost: Annotated[Money, Meta(description="Most money, the pre-flight included; needs prices.")] | UnsetType = UNSET
    duration: Annotated[Duration, Meta(description="Longest run.")] | UnsetType = UNSET
    in_flight: (
        Annotated[Count, Meta(description="Most invocations in flight, never exceeded; a run that needs more ends.")]
        | UnsetType
    ) = UNSET
    errors: (
        Annotated[Share, Meta(description="Largest share of invocations that are not ok, of those that ended lately.")]
        | UnsetType
    ) = UNSET
    throttled: (
        Annotated[Share, Meta(description="Largest share of throttled invocations, of those that ended lately.")]
        | UnsetType
    ) = UNSET


class Confirm(Struct, forbid_unknown_fields=True):
    """Limits above which `loadgen run` asks first, unless given `--yes`; loopback and the emulator never ask."""

    invocations: Annotated[int, Meta(ge=0, le=10**15, description="Invocations that may be made.")] = 10_000
    gb_seconds: Annotated[
        int, Meta(ge=0, le=10**15, description="GB-seconds expected from the pre-flight's own billed duration.")
    ] = 10_000


class PriceBook(Struct, forbid_unknown_fields=True):
    """What the platform charges."""

    currency: Annotated[
        str,
        Meta(
            pattern=r"^[A-Z]{3}$",
            description="The three letters of the currency (ISO 4217).",
            extra={"expected": "the three letters of a currency such as CNY or EUR"},
        ),
    ]
    dated: Annotated[
        str,
        Meta(
            pattern=r"^[0-9]{4}-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12][0-9]|3[01]))?$",
            description="When these prices were listed.",
            extra={"expected": "a month or day such as 2024-09 or 2024-09-30"},
        ),
    ]
    per_million_requests: Annotated[Price, Meta(description="The price of a million requests.")]
    per_gb_second: Annotated[Price, Meta(description="The price of 1024 MB for a second.")]
    granularity: Annotated[Duration, Meta(description="Billed durations are multiples of this.")] = "1ms"


class Work(Struct, forbid_unknown_fields=True):
    """CPU time on one core: log-normal."""

    median: Annotated[Duration, Meta(description="The median.")] = "20ms"
    sigma: Annotated[float, Meta(ge=0, le=5, description="Standard deviation of the logarithm.")] = 0.3


class Initializer(Struct, forbid_unknown_fields=True):
    """What a function runs once in each new instance: log-normal."""

    median: Annotated[Duration, Meta(description="The median.")]
    sigma: Annotated[float, Meta(ge=0, le=5, description="Standard deviation of the logarithm.")] = 0.3
    timeout: Annotated[Duration, Meta(description="An initializer that takes longer fails.")] = "300s"


Faults = dict[str, Share]


class Instances(Struct, forbid_unknown_fields=True):
    """How much the instances of a function differ; by default not at all."""

    sigma: Annotated[
        float, Meta(ge=0, le=2, description="Standard deviation of the logarithm of an instance's slowness.")
    ] = 0.0
    slow: Annotated[Share, Meta(description="Share of instances that are 1.5 to 3 times slower still.")] = "0%"


class EmulatedFunction(Struct, forbid_unknown_fields=True):
    """One function of the emulator."""

    memory: Annotated[Memory, Meta(description="Its memory, which sets its share of a core.")] = "128MB"
    work: Annotated[Work, Meta(description="CPU time of one call.")] = field(default_factory=Work)
    cold_start: Annotated[
        ColdStart, Meta(description="Cold-start times: a region, a region and runtime, or `none` for no cold starts.")
    ] = "r2-python3"
    max_instances: Annotated[
        int,
        Meta(
            ge=-1,
            le=1_000_000,
            description="Most instances at once; more calls are throttled. 0 disables the function, -1 is no limit.",
        ),
    ] = 100
    dynamic_memory: Annotated[bool, Meta(description="Whether X-Cff-Instance-Memory is honoured.")] = True
    errors: Annotated[Share, Meta(description="Share of calls whose code raises.")] = "0%"
    timeout: Annotated[Duration, Meta(description="A call whose handler takes longer is ended.")] = "15m"
    concurrency: Annotated[int, Meta(ge=1, le=1000, description="Calls that one instance serves at a time.")] = 1
    reserved: Annotated[int, Meta(ge=0, le=1000, description="Instances that are always there and warm.")] = 0
    instances: Annotated[Instances, Meta(description="How much instances differ.")] = field(default_factory=Instances)
    initializer: (
        Annotated[Initializer, Meta(description="What each new instance runs before its first call; default nothing.")]
        | UnsetType
    ) = UNSET
    memory_used: (
        Annotated[
            str,
            Meta(
                pattern=units.SIZE,
                examples=["200MB"],
                description="Memory that a call uses; more than the function has is out of memory. Default 30 to 40MB.",
                extra={"read": units.megabytes},
            ),
        ]
        | UnsetType
    ) = UNSET
    faults: Annotated[Faults, Meta(description="Failures to make up: error codes and the share of calls.")] = field(
        default_factory=dict
    )
    probe: Annotated[bool, Meta(description="Whether it answers like the probes in docs/probe/.")] = False
    log: Annotated[
        str,
        Meta(
            pattern=units.LOG_SIZE,
            examples=["10KB"],
            description="How much a call prints besides its one line, up to 64KB; the tail of a log is cut.",
            extra={"read": units.log_size},
        ),
    ] = "0KB"


class Account(Struct, forbid_unknown_fields=True):
    """The one user that the emulator knows; needed with `auth: strict`."""

    domain: Annotated[Text, Meta(description="The user's account.")] = "demo"
    username: Annotated[Text, Meta(description="The user's name.")] = "demo"
    password: Annotated[Secret, Meta(description="The user's password.")] = "demo"  # noqa: S105 - of nobody
    agency: Annotated[Text, Meta(description="An agency that the user may assume.")] = "demo"
    access_key: Annotated[Secret, Meta(description="The user's access key.")] = "AKDEMO"
    secret_key: Annotated[Secret, Meta(description="The secret that belongs to it.")] = "SKDEMO"  # noqa: S105 - as above
    security_token: (
        Annotated[Secret, Meta(description="Makes the access key a temporary one, which needs this token.")] | UnsetType
    ) = UNSET


class Management(Struct, forbid_unknown_fields=True):
    """The emulator's management API, where documents and reports differ."""

    omitted: Annotated[
        Literal["keep", "reset"], Meta(description="What an update does to the settings that it does not mention.")
    ] = "keep"
    with_reserved: Annotated[
        Literal["allow", "refuse"], Meta(description="Whether a function with reserved instances can be updated.")
    ] = "allow"
    faults: Annotated[Faults, Meta(description="Failures to make up: error codes and the share of calls.")] = field(
        default_factory=dict
    )


class Emulator(Struct, forbid_unknown_fields=True):
    """The emulated platform; only with `endpoint: emulator`."""

    seed: (
        Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="Seed of the emulator; default the scenario's.")]
        | UnsetType
    ) = UNSET
    auth: Annotated[
        Literal["off", "lenient", "strict"],
        Meta(
            description="`off`: no credentials are needed; `lenient`: any that are well formed; `strict`: right ones."
        ),
    ] = "off"
    region: (
        Annotated[Name, Meta(description="The platform's region, which full function names must have; default any.")]
        | UnsetType
    ) = UNSET
    account: Annotated[Account, Meta(description="The user that `auth: strict` knows.")] = field(
        default_factory=Account
    )
    token_lifetime: Annotated[Duration, Meta(description="How long a token from IAM is good.")] = "24h"  # noqa: S105 - a time
    keep_alive: Annotated[DurationOrZero, Meta(description="How long an idle instance lives.")] = "60s"
    routing: Annotated[
        Literal["recent", "newest", "oldest", "random"],
        Meta(description="Which idle instance takes a call: last used, last created, longest idle, or any."),
    ] = "recent"
    throttle: Annotated[
        Literal["immediate", "queue"],
        Meta(description="`immediate`: too many calls get 429 at once; `queue`: after waiting for an instance."),
    ] = "immediate"
    queue_timeout: Annotated[DurationOrZero, Meta(description="How long a call waits with `throttle: queue`.")] = "10s"
    max_instances: (
        Annotated[
            Count,
            Meta(description="Most instances of all functions together; default 1000, or what one function may have."),
        ]
        | UnsetType
    ) = UNSET
    gateway_timeout: Annotated[Duration, Meta(description="When the gateway stops waiting for an answer.")] = "90s"
    idle_timeout: Annotated[Duration, Meta(description="When a connection without a request is closed.")] = "1h"
    error_status: Annotated[
        Literal[200, 500], Meta(description="HTTP status of an answer about a failure of the function's own.")
    ] = 200
    billing: Annotated[
        Literal["1ms", "100ms", "1s"], Meta(description="Billed durations are rounded up to a multiple of this.")
    ] = "1ms"
    init_billing: Annotated[
        Literal["separate", "same_call", "none"], Meta(description="Where the time of an initializer is billed.")
    ] = "separate"
    log_lines: Annotated[
        Literal["all", "invoke"], Meta(description="Whether the log of a cold call tells of the cold start, too.")
    ] = "all"
    log_tail: Annotated[
        Literal["2KB", "4KB"], Meta(description="How much of the log is in a header: 2,000 or 4,096 bytes.")
    ] = "2KB"
    management: Annotated[Management, Meta(description="How settings are changed over the API.")] = field(
        default_factory=Management
    )
    functions: (
        Annotated[
            dict[str, EmulatedFunction],
            Meta(min_length=1, description="Functions by name; default the target's, with all defaults."),
        ]
        | UnsetType
    ) = UNSET


class EmulatorFile(Struct, forbid_unknown_fields=True):
    """The file of `loadgen emulate FILE`."""

    emulator: Annotated[Emulator, Meta(description="The emulated platform.")]


class Probe(Struct, forbid_unknown_fields=True):
    """Where a probe function's answer has its fields: keys and list positions joined by dots, such as `body.n`."""

    cold: Annotated[Text, Meta(description="Whether this was the first call of its instance.")] = "cold"
    instance: Annotated[Text, Meta(description="What tells this instance from others.")] = "instance"
    count: Annotated[Text, Meta(description="Which call of its instance this was; the first is 1.")] = "n"


class KeepAlive(Struct, forbid_unknown_fields=True):
    """Between which times the keep-alive time is looked for."""

    from_: Annotated[Duration, Meta(description="Idle instances surely live this long.")] = field(
        name="from", default="10s"
    )
    to: Annotated[Duration, Meta(description="Idle instances surely end before.")] = "120s"


class ColdStarts(Struct, forbid_unknown_fields=True):
    """The experiment that measures cold starts beside warm ones."""

    induce: Annotated[
        list[Literal["gap", "burst", "memory", "version", "config"]],
        Meta(
            min_length=1,
            max_length=5,
            description="How, in turns: silence, many calls at once after it, calls at other memory sizes or of other "
            "versions, or a change of the function's settings, which is put back.",
        ),
    ] = field(default_factory=lambda: ["gap", "burst"])
    gap: Annotated[Duration, Meta(description="Silence that ends every instance; default 1.5 times 60s.")] = "90s"
    burst: Annotated[int, Meta(ge=2, le=1000, description="Calls at once.")] = 20
    cold: Annotated[int, Meta(ge=1, le=100_000, description="Cold calls wanted.")] = 100
    warm: Annotated[int, Meta(ge=1, le=1_000_000, description="Warm calls wanted, one after another.")] = 1000
    keep_alive: Annotated[
        Literal["skip"] | KeepAlive, Meta(description="Whether to look for the keep-alive time, and where.")
    ] = field(default_factory=KeepAlive)
    sizes: (
        Annotated[
            list[Memory], Meta(min_length=1, description="Memory sizes for `memory`; default all but target.memory.")
        ]
        | UnsetType
    ) = UNSET
    versions: (
        Annotated[list[Version], Meta(min_length=1, description="Versions and aliases for `version`.")] | UnsetType
    ) = UNSET
    probe: (
        Annotated[Probe, Meta(description="The function is a probe (docs/probe/): where its fields are.")] | UnsetType
    ) = UNSET


class Capacity(Struct, forbid_unknown_fields=True):
    """The experiment that finds the largest rate at which rules hold."""

    slo: Annotated[
        list[
            Annotated[
                str,
                Meta(
                    pattern=_COMPARISON, examples=["latency.p99 < 250ms", "errors < 0.1%"], extra={"read": rule.parse}
                ),
            ]
        ],
        Meta(min_length=1, description="Rules that must hold: percentiles of latency, and shares."),
    ]
    from_: Annotated[PositiveRate, Meta(description="The smallest rate worth knowing about.")] = field(
        name="from", default="1/s"
    )
    to: Annotated[PositiveRate, Meta(description="The largest rate that is tried.")] = "1000/s"
    confirm: Annotated[Duration, Meta(description="How long the rate that is reported was held.")] = "5m"
    precision: Annotated[Share, Meta(description="Half the width of the 95 % interval that sampling leaves.")] = "5%"
    keep_alive: Annotated[Duration, Meta(description="How long idle instances live.")] = "60s"
    limit: (
        Annotated[
            Count,
            Meta(description="How many invocations may run at once; default the emulator's setting, elsewhere 100."),
        ]
        | UnsetType
    ) = UNSET
    max_in_flight: Annotated[Count, Meta(description="Most invocations in flight.")] = 1000


class MemoryComparison(Struct, forbid_unknown_fields=True):
    """The experiment that finds the cheapest memory size that meets rules."""

    sizes: Annotated[list[Memory], Meta(min_length=2, description="The sizes to compare; default all.")] | UnsetType = (
        UNSET
    )
    by: Annotated[
        Literal["header", "config"],
        Meta(
            description="`header`: X-Cff-Instance-Memory, which needs dynamic memory; `config`: by changing the "
            "function's memory size, which is put back."
        ),
    ] = "header"
    blocks: Annotated[int, Meta(ge=2, le=10_000, description="Calls of each size in a round.")] = 20
    rounds: Annotated[int, Meta(ge=2, le=1000, description="Most rounds, each on new instances.")] = 10
    slo: Annotated[
        list[
            Annotated[
                str,
                Meta(pattern=_COMPARISON, examples=["latency.p99 < 300ms", "errors < 1%"], extra={"read": rule.parse}),
            ]
        ],
        Meta(description="Rules that the size has to meet: percentiles of warm calls, and errors."),
    ] = []
    tie: Annotated[Share, Meta(description="Costs that differ by less are as good as each other.")] = "2%"
    gap: Annotated[Duration, Meta(description="Silence that ends every instance; default 1.5 times 60s.")] = "90s"


class Scenario(Struct, forbid_unknown_fields=True):
    """A loadgen scenario: everything a run needs."""

    name: Annotated[Name, Meta(description="Name of the scenario and of its run directories.")]
    target: Annotated[Target, Meta(description="What is invoked.")]
    kind: Annotated[
        Literal["load", "cold-starts", "capacity", "memory"],
        Meta(description="What kind of run: stretches of load, or an experiment."),
    ] = "load"
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="Seed of arrivals, feeder and emulator.")] = 1
    event: (
        Annotated[
            dict[str, Any], Meta(description="The JSON given to the function; `{{field}}` comes from the feeder.")
        ]
        | UnsetType
    ) = UNSET
    event_file: Annotated[Text, Meta(description="A JSON file with the event, instead of event.")] | UnsetType = UNSET
    feeder: (
        Annotated[Feeder, Meta(description="Rows for the placeholders of the event, a url and its headers.")]
        | UnsetType
    ) = UNSET
    phases: Annotated[
        list[Phase],
        Meta(max_length=1000, description="Stretches of load, one after another; at least one not warm-up."),
    ] = []
    thresholds: Annotated[
        list[
            Annotated[
                str,
                Meta(
                    pattern=_COMPARISON,
                    examples=["latency.p99 < 250ms", "steady:errors < 0.1%", "errors <= 0%"],
                    extra={"read": rule.parse},
                ),
            ]
        ],
        Meta(description="Rules that decide the exit code."),
    ] = []
    samples: Annotated[
        str,
        Meta(
            pattern=rf"^(?:none|all|{units.NUMBER}%)$",
            examples=["none", "all", "1%"],
            description="Which invocations are kept one by one: none, all or a share.",
            extra={"read": units.sampling},
        ),
    ] = "none"
    prices: (
        Annotated[
            Text,
            Meta(
                description="What the platform charges: a price book that comes with loadgen, or a YAML file.",
                examples=["huawei-cny-2024-09", "prices.yaml"],
            ),
        ]
        | UnsetType
    ) = UNSET
    budget: Annotated[Budget, Meta(description="Hard limits of the run.")] = field(default_factory=Budget)
    confirm: Annotated[Confirm, Meta(description="What a run may take before it asks first.")] = field(
        default_factory=Confirm
    )
    catch_up: Annotated[
        Duration,
        Meta(
            description="How much of its schedule the generator makes up for after a pause, at least 100ms; what fell "
            "due before is dropped."
        ),
    ] = "1s"
    tags: Annotated[dict[str, str], Meta(description="Free labels, copied into the results.")] = field(
        default_factory=dict
    )
    emulator: Annotated[Emulator, Meta(description="The emulated platform.")] | UnsetType = UNSET
    cold_starts: Annotated[ColdStarts, Meta(description="With `kind: cold-starts`.")] | UnsetType = field(
        name="cold-starts", default=UNSET
    )
    capacity: Annotated[Capacity, Meta(description="With `kind: capacity`.")] | UnsetType = UNSET
    memory: Annotated[MemoryComparison, Meta(description="With `kind: memory`.")] | UnsetType = UNSET
