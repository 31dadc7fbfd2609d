"""How an invocation ended: a closed set, decided once, when it ends, and what each of its members means.

What an outcome means stands here and nowhere else. Statistics, rules and reports know its traits, or its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from msgspec import Struct


class Fault(Enum):
    """Whose fault a failure is."""

    CALLER = "caller"
    FUNCTION = "function"
    PLATFORM = "platform"


class Instance(Enum):
    """What became of the instance that an invocation met."""

    NONE = "none"
    """It reached none, as far as is known."""
    FREE = "free"
    """The instance is there and free again."""
    ENDED = "ended"
    """It does not live on."""
    UNCLEAR = "unclear"
    """Nobody knows, or whether there was one."""


class Again(Enum):
    """How more calls of the kind fare, which decides whether load follows such a pre-flight."""

    WORSE = "worse"
    """No better: load makes nothing better."""
    MIXED = "mixed"
    """Hardly better, but one call in some may do this while the others succeed."""
    BETTER = "better"
    """It may be gone with the next call: a quota that others used up, a gateway between two states."""


class Traits(Struct, frozen=True):
    """What an outcome means.

    ``fault`` is None where the outcome alone does not tell. ``refused``: answered before any code ran, unless the
    answer tells of a run. ``censored``: its latency is only known to be at least the time waited. ``overload``: what
    a target does with calls that are more than it can take.
    """

    instance: Instance
    fault: Fault | None = None
    again: Again = Again.WORSE
    refused: bool = False
    censored: bool = False
    overload: bool = False

    @property
    def lasting(self) -> bool:
        """Whether it lasts: at the pre-flight it then ends the run, unless that is forced."""
        return self.again is not Again.BETTER


class Outcome(Enum):
    """The fate of one planned invocation. The value is the name used in every file."""

    OK = "ok"
    FUNCTION_ERROR = "function_error"
    FUNCTION_TIMEOUT = "function_timeout"
    OUT_OF_MEMORY = "out_of_memory"
    INIT_ERROR = "init_error"
    CHECK_FAILED = "check_failed"
    THROTTLED = "throttled"
    DISABLED = "disabled"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    TOO_LARGE = "too_large"
    GATEWAY = "gateway"
    PLATFORM_ERROR = "platform_error"
    PROTOCOL = "protocol"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    DROPPED = "dropped"
    UNFINISHED = "unfinished"

    @property
    def traits(self) -> Traits:
        """What it means."""
        return _TRAITS[self]


_TRAITS = {
    Outcome.OK: Traits(Instance.FREE, again=Again.BETTER),
    Outcome.FUNCTION_ERROR: Traits(Instance.FREE, Fault.FUNCTION, Again.MIXED),
    Outcome.FUNCTION_TIMEOUT: Traits(Instance.ENDED, Fault.FUNCTION),
    Outcome.OUT_OF_MEMORY: Traits(Instance.ENDED, Fault.FUNCTION),
    Outcome.INIT_ERROR: Traits(Instance.ENDED, Fault.FUNCTION),
    Outcome.CHECK_FAILED: Traits(Instance.FREE, Fault.FUNCTION, Again.BETTER),
    Outcome.THROTTLED: Traits(Instance.NONE, Fault.PLATFORM, Again.BETTER, refused=True, overload=True),
    Outcome.DISABLED: Traits(Instance.NONE, Fault.CALLER, refused=True),
    Outcome.AUTH: Traits(Instance.NONE, Fault.CALLER, refused=True),
    Outcome.NOT_FOUND: Traits(Instance.NONE, Fault.CALLER, refused=True),
    Outcome.BAD_REQUEST: Traits(Instance.NONE, Fault.CALLER, refused=True),
    Outcome.TOO_LARGE: Traits(Instance.NONE, Fault.CALLER, refused=True),
    Outcome.GATEWAY: Traits(Instance.UNCLEAR, Fault.PLATFORM, Again.BETTER, overload=True),
    Outcome.PLATFORM_ERROR: Traits(Instance.NONE, Fault.PLATFORM, Again.BETTER),
    Outcome.PROTOCOL: Traits(Instance.UNCLEAR, Fault.PLATFORM),
    Outcome.TIMEOUT: Traits(Instance.UNCLEAR, again=Again.MIXED, censored=True, overload=True),
    Outcome.CONNECTION: Traits(Instance.NONE),
    Outcome.DROPPED: Traits(Instance.NONE, again=Again.BETTER, censored=True),
    Outcome.UNFINISHED: Traits(Instance.UNCLEAR, again=Again.BETTER, censored=True),
}


def names(chosen: Callable[[Traits], bool]) -> frozenset[str]:
    """The names of the outcomes with such traits."""
    return frozenset(outcome.value for outcome in Outcome if chosen(outcome.traits))


OK = Outcome.OK.value
FAILED = names(lambda traits: True) - {OK}
CENSORED = names(lambda traits: traits.censored)
SHEDDING = names(lambda traits: traits.overload) | {Outcome.CONNECTION.value}
"""Outcomes that a heap of starts brings about by itself, after which the target has less to do than was planned."""

UNSENT = frozenset(
    {
        "connection/refused",
        "connection/unreachable",
        "connection/local_limit",
        "connection/name_not_found",
        "connection/tls_certificate",
        "connection/tls",
        "timeout/connect",
    }
)
"""Outcomes and reasons of calls that never left this machine, or never got a connection."""
LOCAL_LIMIT = "connection/local_limit"
"""The outcome and reason of an invocation that found no file, port or memory on this machine for its connection."""
_MISSED = ("dropped/phase_end_late", "dropped/max_lag_late", "dropped/paused")
"""The reasons of a start that fell due and would have had a free worker, had the generator been on time, or awake."""


def missed_starts(reasons: Mapping[str, int]) -> int:
    """Starts that were not made for reasons of the generator; the other dropped ones lacked a free worker."""
    return sum(reasons.get(reason, 0) for reason in _MISSED)
