"""Requests as bytes: built once for a target, filled with a row's fields and the event for each call.

Sources: RFC 9110 §5.5 (header values), §7.2 (Host), §8.6 (Content-Length: 0 where a body is usual), §9.3 (methods).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from loadgen import __version__
from loadgen.text.template import Slot, Template, header_text, pieces, url_text

USER_AGENT = f"loadgen/{__version__}"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_EXPECTS_BODY = frozenset({"POST", "PUT", "PATCH"})

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


class Form(Protocol):
    """Requests that differ only in their body, the time of their start and a row's fields."""

    def render(self, body: bytes, at: int, row: Mapping[str, object]) -> bytes:
        """One of them; ``at`` is when it starts, ``row`` has the fields."""


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A target's request but for its body.

    ``signed`` says whether a request is good for its own time only, ``fields`` are the names that it needs from a row;
    ``path`` has their placeholders. ``tail_share`` is the share of the requests that ask for the tail of the function's
    log. The repr holds no header, as some are secret.
    """

    method: str
    path: str
    origin: Origin
    signed: bool
    fields: frozenset[str]
    _form: Form = field(repr=False)
    _tail_form: Form = field(repr=False)
    """The same, asking for the log tail."""
    tail_share: float = 0.0

    def render(self, body: bytes, tail: bool, at: int, row: Mapping[str, object] = _NO_ROW) -> bytes:
        """The complete request with this body, asking for the log tail or not.

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


def template(
    method: str,
    path: str,
    origin: Origin,
    headers: Headers,
    *,
    tail: Headers = (),
    tail_share: float = 0.0,
    given: frozenset[str] = frozenset(),
    filled: bool = False,
) -> RequestTemplate:
    """The requests with these headers, and Content-Length where there is a body or one is usual.

    ``tail`` are the headers that ask for the log tail. ``given`` are the names, in small letters, of the headers that
    the user wrote. ``filled`` says that the placeholders in path and headers are filled; else they are text like any
    other. Raises ValueError for what is no method or no header.
    """
    if not _TOKEN.fullmatch(method):
        raise ValueError(f"got method {method!r}: expected an HTTP method such as GET or POST")
    start = [f"{method} ".encode("ascii"), *pieces(path, str.encode, url_text), b" HTTP/1.1\r\n"]
    length = b"Content-Length: "

    def lines(fields: Headers) -> Iterator[bytes | Slot]:
        for name, value in fields:
            line = header_line(name, value)
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
    return RequestTemplate(
        method, path, origin, False, needed, form(headers), form(headers + tail), tail_share=tail_share
    )


def header_lines(headers: Headers) -> bytes:
    """The lines of these headers; raises ValueError, see ``header_line``."""
    return b"".join(header_line(name, value) for name, value in headers)


def header_line(name: str, value: str) -> bytes:
    """One header line; the value stays out of the errors, since it may be secret."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"got header name {name!r}: expected letters, digits and hyphens")
    if match := re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
        raise ValueError(
            f"got control character {match[0]!r} in the value of header {name}: expected one line of text; remove it"
        )
    return f"{name}: {value}\r\n".encode()
