"""Any HTTP endpoint as what is invoked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Struct, field

from loadgen.targets.body import JSON
from loadgen.targets.endpoint import sent_in_clear, url_fault, without_user
from loadgen.targets.port import Addresses, Check, Fresh, Limits, Pinned, Preflight, Timeout, Tls, Which
from loadgen.targets.target import Target
from loadgen.text.excerpt import secret_name
from loadgen.text.fault import Found, show
from loadgen.text.form import DERIVED, OPTIONAL, doc, matching, written
from loadgen.text.template import PLACEHOLDER

_WITHOUT_BODY = frozenset({"CONNECT", "TRACE"})
"""Methods whose requests have no content. Source: RFC 9110, 9.3.6 and 9.3.8."""
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")  # RFC 9110, 5.6.2
_CREDENTIALS = frozenset({"authorization", "cookie", "x-auth-token", "x-security-token", "x-api-key"})
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer"})


class HttpTarget(Target, Struct, frozen=True, tag="http"):
    """Any HTTP endpoint. ``headers`` are sent as written, in order; ``content_type`` where they have none."""

    url: Annotated[
        str,
        OPTIONAL,
        matching(
            r"^[hH][tT][tT][pP][sS]?://(?:[!-z|-~]|\{[!-z|-~]|\{\{[^{}]+\}\})+$",
            "a URL such as http://127.0.0.1:8080/hello, in ASCII",
        ),
        doc(
            "Any HTTP endpoint, instead of a function; `{{field}}` in its path and query comes from the feeder.",
            "http://127.0.0.1:8080/hello",
            "http://127.0.0.1:8080/users/{{user}}",
        ),
    ]
    method: Annotated[
        str,
        OPTIONAL,
        matching(r"^[A-Z]{1,20}$", "an HTTP method in capitals such as GET or POST"),
        doc("HTTP method of a url; GET by default, POST when there is an event."),
    ]
    headers: Annotated[
        tuple[tuple[str, str], ...],
        OPTIONAL,
        written(dict[str, str], lambda fields: tuple(fields.items()), secret=secret_name),
        doc("Header fields of a url, sent as written, in order; `{{field}}` comes from the feeder."),
    ] = ()
    fresh_connections: Fresh = field(name="connections", default=False)
    timeout: Limits = Timeout()
    tls: Check = Tls()
    preflight: Preflight = True
    content_type: Annotated[str, DERIVED] = JSON
    address: Pinned = None
    addresses: Which = Addresses.FIRST

    def __repr__(self) -> str:
        return f"HttpTarget({self.method} ***)"


def rules(block: dict[str, Any], of_functions: Sequence[str]) -> Found:
    """What does not go together in a target that is a url; ``of_functions`` are the keys of functions alone."""
    for key in of_functions:
        if key in block:
            yield (key,), f"{key} belongs to a function, but this target is a url; remove one of them"
    headers = block.get("headers")
    fields: list[tuple[str, Any]] = list(headers) if isinstance(headers, tuple) else []
    yield from _headers(fields)
    url = block["url"]
    if not isinstance(url, str):
        return
    if fault := url_fault(url, origin=False):
        yield ("url",), f"got {without_user(url)}, {fault}"
        return
    for name, _ in fields:
        if name.lower() in _CREDENTIALS:
            yield from sent_in_clear(("headers", name), url, block, f"the header {name}")


def without_body(block: dict[str, Any]) -> str | None:
    """The method where it is one whose requests have no body."""
    method = block.get("method")
    return method if isinstance(method, str) and method in _WITHOUT_BODY else None


def _headers(fields: list[tuple[str, Any]]) -> Found:
    seen: set[str] = set()
    for name, value in fields:
        path = ("headers", name)
        if not _TOKEN.match(name):
            yield path, f"got the header name {show(name)}, expected letters, digits and dashes"
        elif name.lower() in seen:
            yield path, "the same header is written twice; header names do not depend on case"
        elif name.lower() in _FRAMING:
            yield path, "this header follows from the event and target.connections; remove it"
        elif isinstance(value, str) and not re.match(r"[\t -~]*\Z", PLACEHOLDER.sub("", value)):
            yield path, "got a line break or a character that is not ASCII, expected printable ASCII"
        seen.add(name.lower())
