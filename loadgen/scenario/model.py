"""The Scenario: everything a run needs, typed, validated, immutable.

Times are whole nanoseconds, sizes whole bytes or MB, shares are between 0 and 1. A Scenario holds secrets (a token, a
key) in clear, because the agent has to send them; it is therefore never written out, and its repr leaves them out. What
is written is the document it was loaded from, with its secrets masked (see ``loadgen.scenario.load``).
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from loadgen.experiments.capacity.block import Capacity
from loadgen.experiments.coldstarts.block import ColdStarts
from loadgen.experiments.memory.block import MemoryComparison
from loadgen.invocation.bill import PriceBook
from loadgen.load.budget import Budget, Confirm
from loadgen.load.phase import Phase
from loadgen.measure.rule import Rule
from loadgen.targets.functiongraph.protocol.platform import Emulator
from loadgen.targets.target import Target
from loadgen.text.units import NS_PER_S


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


LEAST_CATCH_UP_NS = 100_000_000
"""What ``catch_up`` has to be at least."""


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
