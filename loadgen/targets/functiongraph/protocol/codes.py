"""What a status or an error code means: tables from code to Outcome.

Three kinds of code exist. The HTTP status. The platform's and the gateway's codes in error bodies (``FSS.0429``,
``APIG.0308``; older gateways write ``APIGW.``), which are documented with a status each, so that only those whose
meaning is finer than their status are listed here. And the engine's numeric codes (X-Func-Err-Code), which the API
reference documents only as "0 if the execution is successful"; their numbers are those of the open-sourced engine
(openEuler YuanRong).

Sources: FunctionGraph API reference, Status Codes and Error Codes; API Gateway user guide, Error Codes; YuanRong,
``api/go/faassdk/common/constants/error.go`` and the front end's ``statuscode.go``.
"""

from __future__ import annotations

import re

from loadgen.invocation.outcome import Outcome
from loadgen.targets.status import status_outcome

KNOWN_FORM = re.compile(r"(?:FSS|APIGW?)\.[0-9]{4}")
"""A documented code; anything else in its place is a stranger's text and never becomes a reason."""

TOKEN_EXPIRED = "APIG.0307"  # noqa: S105 - an error code
"""Gateway code: the token has expired, or must be updated."""

DISABLED = 150434
"""Engine code: the function is disabled (its concurrency is set to 0)."""

_FINER_THAN_STATUS = {
    "FSS.0401": Outcome.AUTH,
    "FSS.0403": Outcome.AUTH,
    "FSS.0408": Outcome.FUNCTION_TIMEOUT,
    "FSS.0429": Outcome.THROTTLED,
    "FSS.1404": Outcome.INIT_ERROR,  # invalid initializer
    "FSS.1405": Outcome.INIT_ERROR,  # initializer timed out
    "APIG.0301": Outcome.AUTH,
    "APIG.0302": Outcome.AUTH,
    "APIG.0303": Outcome.AUTH,
    "APIG.0305": Outcome.AUTH,
    "APIG.0307": Outcome.AUTH,
    "APIG.0308": Outcome.THROTTLED,
}

_ENGINE = {
    4001: Outcome.FUNCTION_ERROR,  # handler not found
    4002: Outcome.FUNCTION_ERROR,  # handler raised
    4007: Outcome.FUNCTION_ERROR,  # result cannot be serialised
    4010: Outcome.FUNCTION_TIMEOUT,  # handler timed out
    4011: Outcome.INIT_ERROR,  # initializer timed out
    4012: Outcome.INIT_ERROR,  # loading the function timed out
    4201: Outcome.INIT_ERROR,  # initializer failed
    4204: Outcome.OUT_OF_MEMORY,  # runtime process died, most often for want of memory
    4205: Outcome.OUT_OF_MEMORY,
    4211: Outcome.INIT_ERROR,  # runtime initialization timed out
    150429: Outcome.THROTTLED,  # maximum instances of the function reached
    150430: Outcome.THROTTLED,  # cluster overloaded, or no instance became free in time
    150432: Outcome.THROTTLED,  # tenant's quota of on-demand instances reached
    150433: Outcome.THROTTLED,  # tenant's quota of reserved instances reached
    DISABLED: Outcome.DISABLED,
}

_FRONT_END = frozenset({200400, 200401, 200403, 200404, 200413, 200429, 200500})
"""Engine codes that repeat an HTTP status: 200404 is 404."""

_USER_SIDE = range(4000, 10_000)


def canonical(code: str) -> str:
    """The code with today's gateway prefix: ``APIGW.0308`` is ``APIG.0308``."""
    return "APIG." + code[6:] if code.startswith("APIGW.") else code


def platform_outcome(code: str) -> Outcome | None:
    """What an ``FSS.``, ``APIG.`` or ``APIGW.`` code says beyond its status; None when the status says it all."""
    return _FINER_THAN_STATUS.get(canonical(code))


def engine_outcome(code: int) -> Outcome | None:
    """What an engine code says; None for 0 and for numbers that are no engine codes (below 4000)."""
    if (named := _ENGINE.get(code)) is not None:
        return named
    if code in _FRONT_END:
        return status_outcome(code - 200_000)
    if code in _USER_SIDE:
        return Outcome.FUNCTION_ERROR
    return Outcome.PLATFORM_ERROR if code >= _USER_SIDE.stop else None
