"""The Scenario: everything a run needs, typed, validated, immutable.

Times are whole nanoseconds, sizes whole bytes or MB, shares are between 0 and 1. A Scenario holds secrets (a token, a
key) in clear, because the agent has to send them; it is therefore never written out, and its repr leaves them out. What
is written is the document it was loaded from, with its secrets masked (see ``loadgen.scenario.load``).
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct, field, structs

from loadgen.experiments.capacity.block import Capacity
from loadgen.experiments.coldstarts.block import ColdStarts
from loadgen.experiments.memory.block import MemoryComparison
from loadgen.invocation.bill import PriceBook
from loadgen.invocation.cell import CALL
from loadgen.load.budget import Budget, Confirm
from loadgen.load.mix import MOST
from loadgen.load.phase import Phase
from loadgen.measure import rule
from loadgen.measure.rule import Rule
from loadgen.scenario.event import Content
from loadgen.targets import checks
from loadgen.targets.body import CONTENT, Body
from loadgen.targets.checks import Check
from loadgen.targets.functiongraph.protocol.platform import Emulator
from loadgen.targets.registry import ABOUT, BUILT_IN, FORM, form_of, tenant_of
from loadgen.targets.target import Target
from loadgen.text import units
from loadgen.text.form import (
    DERIVED,
    OPTIONAL,
    Duration,
    Name,
    Text,
    doc,
    items,
    matching,
    text,
    within,
    without_unit,
    written,
)
from loadgen.text.units import NS_PER_S

Kind = Literal["load", "cold-starts", "capacity", "memory"]
EXPERIMENTS: tuple[Kind, ...] = get_args(Kind)[1:]
"""The kinds that have a block of their own name, and no phases."""


class OnAgentLoss(Enum):
    """What becomes of the load when an agent is lost: it goes on without it, others take over, or it ends."""

    DEGRADE = "degrade"
    REDISTRIBUTE = "redistribute"
    STOP = "stop"


class FeederOrder(Enum):
    """Which row an arrival takes: the next one until they run out, round and round, or a seeded random one."""

    ONCE = "once"
    LOOP = "loop"
    RANDOM = "random"


class ColumnType(Enum):
    """What the text in a column of CSV means."""

    TEXT = "text"
    INT = "int"
    NUMBER = "number"
    BOOL = "bool"
    JSON = "json"


class Index(Struct, frozen=True):
    """Where the rows of a feeder's file are, see ``loadgen.scenario.rows``.

    ``begins`` are the bytes at which they begin and the size of the file, as little-endian numbers of 32 bits;
    ``names`` those of the columns of CSV; ``digest`` the sha256 of the file, which was last changed at ``modified_ns``.
    """

    begins: bytes = bytes(4)
    names: tuple[str, ...] = ()
    digest: str = ""
    modified_ns: int = 0

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.begins) // 4 - 1

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return int.from_bytes(self.begins[-4:], "little")

    def __repr__(self) -> str:
        return f"Index({self.rows} rows)"


class Feeder(Struct, frozen=True):
    """Rows that fill the `{{field}}` placeholders of the event or body, and of a url and its headers.

    There is at least one. ``path`` is absolute.
    """

    path: Annotated[Text, doc("CSV with a header line, or JSON lines (.jsonl, .ndjson).")] = field(name="file")
    order: Annotated[FeederOrder, doc("Which row an arrival takes; `once` ends with the last row.")] = FeederOrder.LOOP
    delimiter: Annotated[
        str,
        matching(r"^[\t !#-~]$", 'a single character such as ; or a tab ("\\t")'),
        doc("What is between the cells of CSV.", ";"),
    ] = ","
    columns: Annotated[
        dict[str, ColumnType], doc("What columns of CSV hold: `text` (the default), `int`, `number`, `bool` or `json`.")
    ] = {}
    index: Annotated[Index, DERIVED] = Index()

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.index.rows


class Event(Struct):
    """How the event is written: by one of these keys."""

    event: Annotated[
        dict[str, Any], OPTIONAL, doc("The JSON given to the function; `{{field}}` comes from the feeder.")
    ]
    event_file: Annotated[Text, OPTIONAL, doc("A JSON file with the event, instead of event.")]


OWN = (*CONTENT, "checks", "feeder")
"""What each call of a mix has of its own, and a scenario of one call at its top."""


def _parts() -> dict[str, Any]:
    """The keys of a target that each call may have of its own, and their forms."""
    found: dict[str, Any] = {}
    for tenant in BUILT_IN:
        hints = get_type_hints(tenant.form, include_extras=True)
        names = {field.encode_name: field.name for field in msgspec.structs.fields(tenant.form)}
        found |= {key: Annotated[hints[names[key]], OPTIONAL] for key in tenant.per_call}
    return found


PARTS = _parts()
Checks = tuple[
    Annotated[Check, checks.WRITTEN, Meta(examples=["status < 300", "json.statusCode == 200", 'body contains "ok"'])],
    ...,
]
_CHECKS = doc("What is expected of answers that are ok; one that breaks a check is `check_failed`.")
CallForm = msgspec.defstruct(
    "Call",
    [
        ("name", Annotated[Name, doc("Name of the call, in rules and results.")]),
        *get_type_hints(Event, include_extras=True).items(),
        ("body", Annotated[Body, OPTIONAL, doc("What is sent instead of an event.")]),
        ("feeder", Annotated[Feeder, OPTIONAL, doc("Rows for the placeholders of this call.")]),
        ("checks", Annotated[Checks, OPTIONAL, _CHECKS]),
        *PARTS.items(),
        ("weight", Annotated[int, within(1, MOST), doc("How often it is called, in proportion to the others.")], 1),
    ],
    namespace={"__doc__": "One call of a mix, with what is its own of the target."},
)


class Call(Struct, frozen=True):
    """One call of a mix. ``target`` is all of it, and ``weight`` how often it is called, beside the others'."""

    name: str
    weight: int
    target: Target
    event: str
    body: Content | None = None
    feeder: Feeder | None = None
    checks: tuple[Check, ...] = ()


LEAST_CATCH_UP_NS = 100_000_000
"""What ``catch_up`` has to be at least."""


class Scenario(Struct, frozen=True, rename=without_unit):
    """A loadgen scenario: everything a run needs.

    ``event`` is the JSON text of the event, placeholders included; empty (no body) for a plain HTTP target without one.
    Where there is a ``body``, that is sent instead. Where there are ``calls``, target, event, body, feeder and checks
    are those of the first.
    ``sample_share`` is the share of invocations whose samples are kept; ``sha256`` identifies the resolved scenario
    (secrets excluded), so that only equal runs are merged. ``catch_up_ns`` is how much of its schedule an agent makes
    up for after it could not start anything.
    """

    name: Annotated[Name, doc("Name of the scenario and of its run directories.")]
    target: Annotated[Target, written(FORM, choose=form_of), doc("What is invoked.", title="Target", about=ABOUT)]
    kind: Annotated[Kind, doc("What kind of run: stretches of load, or an experiment.")] = "load"
    seed: Annotated[int, within(0, (1 << 63) - 1), doc("Seed of arrivals, feeder and emulator.")] = 1
    event: Annotated[str, Meta(extra={"keys": Event})] = ""
    body: Annotated[Content | None, written(Body), doc("What is sent instead of an event.")] = None
    checks: Annotated[Checks, _CHECKS] = ()
    calls: Annotated[
        tuple[Call, ...], written(tuple[CallForm, ...]), items(1, 100), doc("A mix of calls, instead of one.")
    ] = ()
    feeder: Annotated[Feeder | None, doc("Rows for the placeholders of the event, a url and its headers.")] = None
    phases: Annotated[
        tuple[Phase, ...], items(0, 1000), doc("Stretches of load, one after another; at least one not warm-up.")
    ] = ()
    thresholds: Annotated[
        tuple[
            Annotated[
                Rule, rule.WRITTEN, Meta(examples=["latency.p99 < 250ms", "steady:errors < 0.1%", "errors <= 0%"])
            ],
            ...,
        ],
        doc("Rules that decide the exit code."),
    ] = ()
    sample_share: Annotated[
        float,
        text(units.sampling, units.sampling_text, rf"^(?:none|all|{units.NUMBER}%)$", "none", "all", "1%"),
        doc("Which invocations are kept one by one: none, all or a share."),
    ] = field(name="samples", default=0.0)
    prices: Annotated[
        PriceBook | None,
        written(Text),
        doc(
            "What the platform charges: a price book that comes with loadgen, or a YAML file.",
            "huawei-cny-2024-09",
            "prices.yaml",
        ),
    ] = None
    budget: Annotated[Budget, doc("Hard limits of the run.")] = Budget()
    confirm: Annotated[Confirm, doc("What a run may take before it asks first.")] = Confirm()
    catch_up_ns: Annotated[
        Duration,
        doc(
            "How much of its schedule the generator makes up for after a pause, at least 100ms; what fell "
            "due before is dropped."
        ),
    ] = NS_PER_S
    on_agent_loss: Annotated[
        OnAgentLoss,
        doc(
            "When one of several agents is lost: `degrade` goes on without its part of the phase, `redistribute` has "
            "the others take it over, `stop` ends the load."
        ),
    ] = OnAgentLoss.DEGRADE
    tags: Annotated[dict[str, str], doc("Free labels, copied into the results.")] = field(default_factory=dict)
    emulator: Annotated[Emulator | None, doc("The emulated platform.")] = None
    cold_starts: Annotated[ColdStarts | None, doc("With `kind: cold-starts`.")] = field(
        name="cold-starts", default=None
    )
    capacity: Annotated[Capacity | None, doc("With `kind: capacity`.")] = None
    memory: Annotated[MemoryComparison | None, doc("With `kind: memory`.")] = None
    sha256: Annotated[str, DERIVED] = ""

    @property
    def each_call(self) -> tuple[Call, ...]:
        """The calls of the mix with the credentials and the place of the target, else the one that there is."""
        if not self.calls:
            return (Call(CALL, 1, self.target, self.event, self.body, self.feeder, self.checks),)
        join = tenant_of(self.target).joined
        return tuple(structs.replace(call, target=join(call.target, self.target)) for call in self.calls)

    @property
    def shares(self) -> tuple[float, ...]:
        """Which part of the invocations each call is."""
        weights = [call.weight for call in self.each_call]
        return tuple(weight / sum(weights) for weight in weights)

    @property
    def preflights(self) -> int:
        """How many invocations are made before the load: one of each call, or none."""
        return len(self.each_call) if self.target.preflight else 0

    @property
    def targets(self) -> tuple[Target, ...]:
        """All that is called."""
        return tuple(call.target for call in self.calls) or (self.target,)

    @property
    def feeders(self) -> tuple[Feeder, ...]:
        """All files whose rows are sent."""
        if self.calls:
            return tuple(call.feeder for call in self.calls if call.feeder is not None)
        return () if self.feeder is None else (self.feeder,)
