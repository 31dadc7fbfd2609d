"""What an endpoint says by its host."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

EMULATOR = "emulator"


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


def iam_of(endpoint: str) -> str | None:
    """Where the tokens for an endpoint come from: the vendor's IAM of the same region, or a loopback endpoint itself.

    None where the host does not say. Source: the vendors' tables of endpoints, ``functiongraph.<region>.<domain>`` and
    ``iam.<region>.<domain>``.
    """
    if loopback(endpoint):
        return endpoint
    service, _, rest = (urlsplit(endpoint).hostname or "").partition(".")
    return f"https://iam.{rest}" if service == "functiongraph" and "." in rest else None


def iam_origin(url: str) -> str:
    """The URL without the path under which tokens are everywhere, ``/v3/auth/tokens`` or the beginning of it."""
    return re.sub(r"(/v3(/auth/tokens)?)?/?\Z", "", url, count=1)
