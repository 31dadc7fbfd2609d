"""Where the tokens for an endpoint come from."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from loadgen.targets.endpoint import loopback


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
