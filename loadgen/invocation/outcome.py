"""How an invocation ended: a closed set, decided once, when it ends."""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """The fate of one planned invocation. The value is the name used in every file."""

    OK = "ok"
    FUNCTION_ERROR = "function_error"
    FUNCTION_TIMEOUT = "function_timeout"
    OUT_OF_MEMORY = "out_of_memory"
    INIT_ERROR = "init_error"
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


CENSORED = frozenset({Outcome.TIMEOUT, Outcome.DROPPED, Outcome.UNFINISHED})
"""Outcomes whose latency is only known to be at least the time waited."""

LASTING = frozenset(
    {
        Outcome.FUNCTION_ERROR,
        Outcome.FUNCTION_TIMEOUT,
        Outcome.OUT_OF_MEMORY,
        Outcome.INIT_ERROR,
        Outcome.DISABLED,
        Outcome.AUTH,
        Outcome.NOT_FOUND,
        Outcome.BAD_REQUEST,
        Outcome.TOO_LARGE,
        Outcome.PROTOCOL,
        Outcome.TIMEOUT,
        Outcome.CONNECTION,
    }
)
"""Outcomes that load makes no better: at the pre-flight each ends the run, unless it is forced.

The others may be gone with the next call: a quota that others used up (throttled), a gateway between two states, a
platform that failed once. A function's answer that leads elsewhere (3xx) is one of its platform, and lasts.
"""
