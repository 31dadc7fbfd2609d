"""What the answer of a plain HTTP endpoint says: its status alone.

Source: RFC 9110 §15.3 and §15.4.
"""

from __future__ import annotations

from collections.abc import Mapping

from loadgen.invocation.believed import LONGEST_ID
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.status import REDIRECT, REDIRECTING, status_outcome, status_slug

_REQUEST_IDS = (b"x-cff-request-id", b"x-request-id")
"""Where the id of a request is, the best first: a URL may lead to a function, too."""
_LOCATION = b"location"

HEADERS = frozenset({*_REQUEST_IDS, _LOCATION})
"""The response headers, in lower case, that the classifier reads."""


def classify_http(status: int, headers: Mapping[bytes, bytes], body: bytes) -> Facts:
    """What the answer says: 2xx and 3xx are ok. Never raises.

    A redirect is not followed; its reason says what it was. The other 3xx lead nowhere, nor does a redirect without a
    Location: 304 says that the client's copy is good.
    """
    raw = next((value for name in _REQUEST_IDS if (value := headers.get(name))), b"")
    request_id = raw.rpartition(b"\n")[2].decode("utf-8", "replace")[:LONGEST_ID] or None
    if 200 <= status < 300:
        return Facts(Outcome.OK, "ok", status, None, request_id)
    if 300 <= status < 400:
        leads = status in REDIRECTING and headers.get(_LOCATION)
        return Facts(Outcome.OK, REDIRECT if leads else status_slug(status), status, None, request_id)
    return Facts(status_outcome(status), status_slug(status), status, None, request_id)
