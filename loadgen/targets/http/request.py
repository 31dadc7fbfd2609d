"""The request of a plain HTTP target: the user's headers as written and in order; of the others, those not written.

An event goes with every method, as it would with curl: where RFC 9110 gives a body no meaning (GET, HEAD, DELETE), some
servers do. Loading refuses it where there must be none (TRACE).
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from loadgen.targets.http.target import HttpTarget
from loadgen.targets.request import USER_AGENT, RequestTemplate, origin_of, template
from loadgen.text.template import GAP, placeholders, without_fields

_FRAMING = frozenset({"content-length", "transfer-encoding"})
_AS_WRITTEN = "%/:?#[]@!$&'()*+,;=-._~"
"""Characters of a path or query that are sent as they are: RFC 3986 reserved and unreserved, and existing escapes."""


def request_template(target: HttpTarget) -> RequestTemplate:
    """The template of the target's requests; raises ValueError for a method, name or value that cannot be sent."""
    where = origin_of(target.url)
    parts = urlsplit(without_fields(target.url))
    fields = iter(placeholders(target.url))
    path = "".join(
        f"{{{{{next(fields)}}}}}" if piece == GAP else quote(piece, safe=_AS_WRITTEN)
        for piece in re.split(f"({GAP})", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    )
    given = frozenset(name.lower() for name, _ in target.headers)
    if framing := sorted(given & _FRAMING):
        raise ValueError(f"got header {framing[0]}: it follows from the event; remove it")
    defaults = [("Host", where.authority), ("User-Agent", USER_AGENT), ("Content-Type", target.content_type)]
    if target.fresh_connections:
        defaults.append(("Connection", "close"))
    headers = tuple(pair for pair in defaults if pair[0].lower() not in given) + target.headers
    return template(target.method, path, where, headers, given=given, filled=True)
