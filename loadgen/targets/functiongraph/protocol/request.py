"""Requests as bytes: built once for a target, filled with a row's fields and the event for each call.

Headers of a function call: Host, User-Agent, Content-Type (always application/json, as the SDKs send), X-Auth-Token,
X-CFF-Request-Version, X-Cff-Instance-Memory, X-Cff-Log-Type, ``Connection: close`` for fresh connections, and
Content-Length at the end, where the length is patched in. X-CFF-Request-Version is sent for v0 too: the API reference
lists the values and names no default, so the request says what it expects rather than rely on one.

With an access key there are X-Project-Id, X-Sdk-Date, X-Security-Token and Authorization in place of X-Auth-Token.
Signed are all headers but Connection and Content-Length, which belong to the connection and not to the request.

A plain HTTP request has the user's headers as written and in order; of the others, those that the user did not set.
An event goes with every method, as it would with curl: where RFC 9110 gives a body no meaning (GET, HEAD, DELETE), some
servers do. Loading refuses it where there must be none (TRACE).

Sources: FunctionGraph API reference, Executing a Function Synchronously; RFC 9110 §5.5 (header values), §7.2 (Host),
§8.6 (Content-Length: 0 where a body is usual), §9.3 (methods).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, urlsplit

from msgspec import Struct

from loadgen import __version__
from loadgen.targets.functiongraph.protocol.signature import AUTHORIZATION, SECURITY_TOKEN, Signer
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, KeyAuth, NoAuth, ResponseVersion, TokenAuth
from loadgen.targets.functiongraph.protocol.urn import function_urn
from loadgen.targets.http import HttpTarget
from loadgen.targets.target import Target
from loadgen.text.template import GAP, Slot, Template, header_text, pieces, placeholders, url_text, without_fields

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_EXPECTS_BODY = frozenset({"POST", "PUT", "PATCH"})
_FRAMING = frozenset({"content-length", "transfer-encoding"})

_NO_ROW: Mapping[str, object] = {}

Headers = tuple[tuple[str, str], ...]


class Origin(Struct, frozen=True):
    """Where requests go. ``host`` is a name or an address, IPv6 without brackets; ``port`` is never 0."""

    tls: bool
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The value of Host: brackets around IPv6, the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def origin_of(url: str) -> Origin:
    """The origin of an http:// or https:// URL; raises ValueError for any other, for a user name, for a bad port."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f'got "{_without_user(url)}": expected a URL such as https://host or http://127.0.0.1:8080')
    if "@" in parts.netloc:
        raise ValueError(
            f'got a user name in "{_without_user(url)}": expected a URL without one; '
            "send credentials in an Authorization header"
        )
    tls = parts.scheme == "https"
    port = _port(url, parts.netloc) or (443 if tls else 80)
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    return Origin(tls, host, port)


def _port(url: str, netloc: str) -> int | None:
    """The port after the host; None when there is none."""
    text = netloc.rpartition("]")[2].rpartition(":")[2] if ":" in netloc.rpartition("]")[2] else ""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65_536):
        raise ValueError(f'got port {text} in "{url}": expected 1 to 65535')
    return int(text)


def _without_user(url: str) -> str:
    return re.sub(r"//[^/?#]*@", "//***@", url)


class _Form(Protocol):
    """The requests that differ only in their body, the time of their start and a row's fields."""

    def render(self, body: bytes, at: int, row: Mapping[str, object]) -> bytes: ...


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A target's request but for its body.

    ``signed`` says whether a request is good for its own time only, ``fields`` are the names that it needs from a row;
    ``path`` has their placeholders. The repr holds no header, as some are secret.
    """

    method: str
    path: str
    origin: Origin
    signed: bool
    fields: frozenset[str]
    _form: _Form = field(repr=False)
    _tail_form: _Form = field(repr=False)
    """The same, asking for the log tail."""

    def render(self, body: bytes, tail: bool, at: int, row: Mapping[str, object] = _NO_ROW) -> bytes:
        """The complete request with this body, asking for the log tail or not (functions only).

        ``at`` is when it starts, in whole seconds since 1970; only a signature depends on it. ``row`` has the
        ``fields``. Raises what ``Template.render`` does.
        """
        return (self._tail_form if tail else self._form).render(body, at, row)


class _Unsigned:
    __slots__ = ("_empty", "_head")

    def __init__(self, head: Template, empty: Template) -> None:
        """``head`` reaches up to and including ``Content-Length: ``; ``empty`` is the request without a body."""
        self._head = head
        self._empty = empty

    def render(self, body: bytes, at: int, row: Mapping[str, object]) -> bytes:
        if not body:
            return self._empty.render(row)
        return b"%b%d\r\n\r\n%b" % (self._head.render(row), len(body), body)


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


def request_template(target: Target, origin: str | None = None) -> RequestTemplate:
    """The template of the target's requests.

    ``origin`` is where the embedded emulator listens (``http://127.0.0.1:PORT``) and takes the place of the endpoint;
    None for every other target. Raises ValueError for what cannot be sent: a name or value that is no HTTP header, an
    endpoint that is no origin, a function that is no URN (UrnError).
    """
    if isinstance(target, FunctionTarget):
        return _function_template(target, origin if origin is not None else target.endpoint)
    return _http_template(target)


def _function_template(target: FunctionTarget, endpoint: str) -> RequestTemplate:
    parts = urlsplit(endpoint)
    where = origin_of(endpoint)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f'got endpoint "{endpoint}": expected no path after the host; remove "{parts.path}"')
    urn = function_urn(target)
    headers = [
        ("Host", where.authority),
        ("User-Agent", _USER_AGENT),
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
        return _signed_template(path, where, target.auth, tuple(headers), own, tail)
    return _template("POST", path, where, (*headers, *own), tail)


def _http_template(target: HttpTarget) -> RequestTemplate:
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
    defaults = [("Host", where.authority), ("User-Agent", _USER_AGENT), ("Content-Type", "application/json")]
    if target.fresh_connections:
        defaults.append(("Connection", "close"))
    headers = tuple(pair for pair in defaults if pair[0].lower() not in given) + target.headers
    return _template(target.method, path, where, headers, (), given=given, filled=True)


_USER_AGENT = f"loadgen/{__version__}"
_AS_WRITTEN = "%/:?#[]@!$&'()*+,;=-._~"
"""Characters of a path or query that are sent as they are: RFC 3986 reserved and unreserved, and existing escapes."""


def _template(
    method: str,
    path: str,
    origin: Origin,
    headers: Headers,
    tail: Headers,
    *,
    given: frozenset[str] = frozenset(),
    filled: bool = False,
) -> RequestTemplate:
    """``given`` are the names, in small letters, of the headers that the user wrote.

    ``filled`` says that the placeholders in path and headers are filled; else they are text like any other.
    """
    if not _TOKEN.fullmatch(method):
        raise ValueError(f"got method {method!r}: expected an HTTP method such as GET or POST")
    start = [f"{method} ".encode("ascii"), *pieces(path, str.encode, url_text), b" HTTP/1.1\r\n"]
    length = b"Content-Length: "

    def lines(fields: Headers) -> Iterator[bytes | Slot]:
        for name, value in fields:
            line = _field(name, value)
            yield from pieces(line.decode(), str.encode, header_text) if filled else (line,)

    def form(fields: Headers) -> _Unsigned:
        if method.upper() in _EXPECTS_BODY:
            empty = [*start, *lines(fields), length, b"0\r\n\r\n"]
        else:
            of_body = {"content-type"} - given
            bodiless = tuple(pair for pair in fields if pair[0].lower() not in of_body)
            empty = [*start, *lines(bodiless), b"\r\n"]
        return _Unsigned(Template([*start, *lines(fields), length]), Template(empty))

    needed = Template([*start, *lines(headers)]).fields
    return RequestTemplate(method, path, origin, False, needed, form(headers), form(headers + tail))


def _signed_template(
    path: str, origin: Origin, key: KeyAuth, headers: Headers, own: Headers, tail: Headers
) -> RequestTemplate:
    """``own`` are headers of the connection, which are not signed."""
    _fields(((SECURITY_TOKEN, key.security_token or ""), (AUTHORIZATION, key.access_key)))  # may be header values

    def form(signed: Headers) -> _Signed:
        head = f"POST {path} HTTP/1.1\r\n".encode("ascii") + _fields(signed + own)
        return _Signed(head, Signer(key, "POST", path, signed))

    return RequestTemplate("POST", path, origin, True, frozenset(), form(headers), form(headers + tail))


def _fields(headers: Headers) -> bytes:
    return b"".join(_field(name, value) for name, value in headers)


def _field(name: str, value: str) -> bytes:
    """One header line; the value stays out of the errors, since it may be secret."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"got header name {name!r}: expected letters, digits and hyphens")
    if match := re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
        raise ValueError(
            f"got control character {match[0]!r} in the value of header {name}: expected one line of text; remove it"
        )
    return f"{name}: {value}\r\n".encode()
