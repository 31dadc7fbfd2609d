"""What is left out for a reason, said where somebody writes it; docs/coming-from.md, "What stays out", has it all."""

from __future__ import annotations

from collections.abc import Mapping

_PROXY = (
    "a proxy would be part of what is measured; run loadgen where the target can be reached, or write target.address"
)
_HTTP2 = "there is HTTP/1.1 alone, which gateways and most servers of HTTP/2 speak on the same port"
_SCRIPT = "code that runs for each call would be measured too; write placeholders, a feeder and checks"
_ASYNC = (
    "an asynchronous invocation answers that it was queued, and never when it ran; to measure that answer write the "
    "platform's path for it as target.url"
)
_OTHER_CALLS = "a call is made once and as it is written"
_WHY: Mapping[str, str] = {
    "proxy": _PROXY,
    "proxies": _PROXY,
    "http_proxy": _PROXY,
    "https_proxy": _PROXY,
    "http2": _HTTP2,
    "http3": _HTTP2,
    "http_version": _HTTP2,
    "script": _SCRIPT,
    "scripts": _SCRIPT,
    "async": _ASYNC,
    "asynchronous": _ASYNC,
    "invocation_type": _ASYNC,
    "retry": f"{_OTHER_CALLS}; a failure is a result",
    "retries": f"{_OTHER_CALLS}; a failure is a result",
    "redirects": f"{_OTHER_CALLS}; name the URL that a redirect leads to",
    "follow_redirects": f"{_OTHER_CALLS}; name the URL that a redirect leads to",
    "cookies": f"{_OTHER_CALLS}; write a cookie as one of target.headers",
}


def why(key: str) -> str | None:
    """Why there is no such key, and what to write instead; None for one that is merely unknown."""
    reason = _WHY.get(key.lower().replace("-", "_"))
    return None if reason is None else f"there is none, as {reason}"
