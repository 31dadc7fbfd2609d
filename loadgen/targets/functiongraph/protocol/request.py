"""The request of a function call.

Its headers: Host, User-Agent, Content-Type (always application/json, as the SDKs send), X-Auth-Token,
X-CFF-Request-Version, X-Cff-Instance-Memory, X-Cff-Log-Type, ``Connection: close`` for fresh connections, and
Content-Length at the end, where the length is patched in. X-CFF-Request-Version is sent for v0 too: the API reference
lists the values and names no default, so the request says what it expects rather than rely on one.

With an access key there are X-Project-Id, X-Sdk-Date, X-Security-Token and Authorization in place of X-Auth-Token.
Signed are all headers but Connection and Content-Length, which belong to the connection and not to the request.

Source: FunctionGraph API reference, Executing a Function Synchronously.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from loadgen.targets.functiongraph.protocol.signature import AUTHORIZATION, SECURITY_TOKEN, Signer
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, KeyAuth, NoAuth, ResponseVersion, TokenAuth
from loadgen.targets.functiongraph.protocol.urn import function_urn
from loadgen.targets.request import USER_AGENT, Headers, Origin, RequestTemplate, header_lines, origin_of, template


class _Signed:
    __slots__ = ("_head", "_signer")

    def __init__(self, head: bytes, signer: Signer) -> None:
        """``head`` holds the headers that do not change."""
        self._head = head
        self._signer = signer

    def render(self, body: bytes, at: int, row: Mapping[str, object]) -> bytes:
        return b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (
            self._head,
            self._signer.fields(body, at),
            len(body),
            body,
        )


def request_template(target: FunctionTarget) -> RequestTemplate:
    """The template of the calls.

    Raises ValueError for what cannot be sent: a value that is no HTTP header, an endpoint that is no origin, a function
    that is no URN (UrnError).
    """
    parts = urlsplit(target.endpoint)
    where = origin_of(target.endpoint)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f'got endpoint "{target.endpoint}": expected no path after the host; remove "{parts.path}"')
    urn = function_urn(target)
    headers = [
        ("Host", where.authority),
        ("User-Agent", USER_AGENT),
        ("Content-Type", "application/json"),
    ]
    match target.auth:
        case TokenAuth(token=token):
            headers.append(("X-Auth-Token", token))
        case KeyAuth():
            headers.append(("X-Project-Id", urn.project_id))
        case NoAuth():
            pass
        case _:
            raise AssertionError("a run looks up credentials, and obtains a token, before it makes requests")
    headers.append(("X-CFF-Request-Version", "v1" if target.response is ResponseVersion.V1 else "v0"))
    if target.memory_mb is not None:
        headers.append(("X-Cff-Instance-Memory", str(target.memory_mb)))
    path = f"/v2/{quote(urn.project_id, safe='')}/fgs/functions/{urn.path_segment}/invocations"
    own = (("Connection", "close"),) if target.fresh_connections else ()
    tail = (("X-Cff-Log-Type", "tail"),)
    if isinstance(target.auth, KeyAuth):
        return _signed_template(path, where, target.auth, tuple(headers), own, tail, target.tail_share)
    return template("POST", path, where, (*headers, *own), tail=tail, tail_share=target.tail_share)


def _signed_template(
    path: str, origin: Origin, key: KeyAuth, headers: Headers, own: Headers, tail: Headers, tail_share: float
) -> RequestTemplate:
    """``own`` are headers of the connection, which are not signed."""
    header_lines(((SECURITY_TOKEN, key.security_token or ""), (AUTHORIZATION, key.access_key)))  # may be header values

    def form(signed: Headers) -> _Signed:
        head = f"POST {path} HTTP/1.1\r\n".encode("ascii") + header_lines(signed + own)
        return _Signed(head, Signer(key, "POST", path, signed))

    return RequestTemplate(
        "POST", path, origin, True, frozenset(), form(headers), form(headers + tail), tail_share=tail_share
    )
