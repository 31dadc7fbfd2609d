"""What an endpoint says by its host."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from loadgen.text.fault import Found, Path, show
from loadgen.text.template import GAP, without_fields

EMULATOR = "emulator"
IN_CLEAR = "insecure_auth"
"""The key that allows for credentials that can be read on the way."""


def loopback(endpoint: str) -> bool:
    """Whether what is sent there stays on this machine: the emulator, ``localhost``, 127.0.0.0/8 or ::1."""
    if endpoint == EMULATOR:
        return True
    host = urlsplit(endpoint).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def encrypted(endpoint: str) -> bool:
    """Whether it is spoken to over TLS."""
    return endpoint.lower().startswith("https:")


def in_clear(endpoint: str) -> bool:
    """Whether what is sent there can be read on the way: http:// to another machine."""
    return endpoint.lower().startswith("http:") and not loopback(endpoint)


def url_fault(url: str, *, origin: bool) -> str | None:
    """What is wrong with a URL (or, with ``origin``, one without path), completing "got …"; None when it is right."""
    url = url if origin else without_fields(url)
    try:
        parts = urlsplit(url)
        if GAP in parts.netloc:
            return "expected placeholders in the path and the query only, as all calls go to one host and port"
        if not parts.hostname or parts.port == 0:
            return "expected a host and a port from 1 to 65535"
        parts.hostname.encode("idna")  # as looking it up does
    except UnicodeError:
        return "expected a host whose parts between dots have 1 to 63 characters"
    except ValueError as error:
        return f"this is not a URL: {error}"
    if "@" in parts.netloc:
        return "expected no user or password in it; write credentials as a header or as auth"
    if "#" in url:
        return "expected no fragment (#…), which is never sent"
    if origin and (parts.path not in ("", "/") or "?" in url):
        return f"expected an origin only: {parts.scheme}://{parts.netloc}"
    return None


def without_user(url: str) -> str:
    """A URL as messages show it."""
    return show(re.sub(r"//[^/?#]*@", "//***@", url))


def sent_in_clear(path: Path, url: str, target: dict[str, Any], credentials: str = "auth") -> Found:
    """What is wrong with sending credentials there, unless the block of the target forces it."""
    if in_clear(url) and target.get(IN_CLEAR) is not True:
        message = "credentials would cross the network for anyone to read; write https://"
        yield path, f"got {show(url)} with {credentials}: {message}, or force it with target.{IN_CLEAR}: true"
