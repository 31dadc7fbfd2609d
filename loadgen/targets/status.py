"""What the status of an HTTP answer says by itself, whoever sent it.

Sources: RFC 9110 §15 (status codes), §15.4 (which of them redirect); API Gateway user guide (494).
"""

from __future__ import annotations

import re

from loadgen.invocation.outcome import Outcome

REDIRECT = "redirect"
"""The reason of an ok answer that sends the client elsewhere, and says where."""

STATUS_INSIDE = "status_inside"
"""The reason of an ok answer whose result is JSON that has a ``statusCode`` of 400 or above."""

REDIRECTING = frozenset({301, 302, 303, 307, 308})
"""Statuses that send the client elsewhere, if the answer says where to."""

_STATUS = {
    401: Outcome.AUTH,
    403: Outcome.AUTH,
    404: Outcome.NOT_FOUND,
    413: Outcome.TOO_LARGE,
    429: Outcome.THROTTLED,
    494: Outcome.TOO_LARGE,  # a gateway's "request header too large"
    502: Outcome.GATEWAY,
    503: Outcome.GATEWAY,
    504: Outcome.GATEWAY,
}


def status_outcome(status: int) -> Outcome:
    """What an HTTP status that is no success says by itself."""
    return _STATUS.get(status) or (Outcome.BAD_REQUEST if status // 100 == 4 else Outcome.PLATFORM_ERROR)


_ADVICE = {
    Outcome.OK: "nothing is wrong",
    Outcome.THROTTLED: "the target refuses more load. Lower the rate, or have its limit raised",
}


def status_advice(outcome: Outcome) -> str:
    """What went wrong and what to do, where a target has nothing of its own to say about an outcome."""
    return _ADVICE.get(outcome) or f"the call ended as {outcome.value}. Read the answer, and correct what it names"


def status_slug(status: int) -> str:
    """The reason that stands for a status."""
    return f"status_{status}"


def slug_status(slug: str) -> int | None:
    """The status that a reason stands for; None for any other reason."""
    found = re.fullmatch(r"status_(\d+)", slug)
    return int(found[1]) if found else None
