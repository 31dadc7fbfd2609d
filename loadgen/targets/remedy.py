"""What to do about an invocation that did not work: seen, expected, remedy, in one or two sentences.

Meant for the pre-flight call, whose failure ends a run before any load, and for the reader of a report. What the server
said is quoted from its error message only, shortened, and with the target's secrets and any access key masked. What an
answer means is the tenant's to say; why there is none is the same for all.
"""

from __future__ import annotations

import re

from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.error_body import error_body
from loadgen.targets.registry import tenant_of
from loadgen.targets.secret import sent
from loadgen.targets.target import Target
from loadgen.text import foreign
from loadgen.text.secret import hidden, hideable

_CONNECTION = (
    ("dns", "the host's name could not be resolved. Check its spelling and this machine's name server"),
    ("resol", "the host's name could not be resolved. Check its spelling and this machine's name server"),
    ("refused", "nothing listens at that address. Start the server, or correct the port"),
    (
        "tls_broken",
        "TLS failed after the connection stood. See what the server logs, and whether it wants a certificate",
    ),
    ("unreachable", "there is no route to that address. Check this machine's network"),
)

_CERTIFICATE = (
    ("expired", "Renew it, or set this machine's clock"),
    ("not yet valid", "Set this machine's clock"),
    ("mismatch", "Write the host in the target as the certificate names it"),
)
"""What OpenSSL says about a certificate that no CA file mends, as part of its text, and what to do."""


def remedy(
    seen: Facts | Outcome, target: Target, *, reason: str = "", body: bytes = b"", ahead_s: int | None = None
) -> str:
    """What happened at ``target`` and what to do, without secrets; meant for outcomes other than ok.

    ``seen`` is the answer, or only the outcome when none came; ``reason`` then says why (``refused``, ``dns``, …).
    ``body`` is the answer's body: gateways tell the causes of one code apart only in its text; where no answer came,
    what OpenSSL says about the connection. ``ahead_s`` is by how much this machine's clock is ahead of the server's,
    where its answer told.
    """
    tenant = tenant_of(target)
    where = tenant.where(target)
    if not isinstance(seen, Facts):
        why = f", {reason}" if reason else ""
        return f"no answer from {where} ({seen.value}{why}): {_unanswered(seen, target, reason, body)}."
    message = error_body(body).message or ""
    code = f" {_quote(seen.error_code, target)}" if seen.error_code else ""
    quote = f', "{_quote(message, target)}"' if message else ""
    advice = tenant.advice(seen, target, message, ahead_s)
    return f"{where} answered {seen.status}{code} ({seen.outcome.value}{quote}): {advice}."


def _quote(message: str, target: Target) -> str:
    return foreign.quote(_masked(message, target))


def _masked(text: str, target: Target) -> str:
    key = r"(\bak(?:\s*[:=]\s*|\s+(?=\S+\s+not exist)))[^\s,;]+"
    return re.sub(key, r"\1***", hidden(text, hideable(sent(target))), flags=re.IGNORECASE)


def _unanswered(outcome: Outcome, target: Target, reason: str, body: bytes) -> str:
    timeout = target.timeout
    if outcome is Outcome.TIMEOUT:
        limits = {"connect": timeout.connect_ns, "first_byte": timeout.first_byte_ns, "total": timeout.total_ns}
        name = next((name for name in limits if name in reason), "total")
        return (
            f"nothing came within target.timeout.{name} ({limits[name] / 1e9:g} s). "
            "Check that the target is up, or raise that limit"
        )
    if outcome is Outcome.PROTOCOL:
        return _unreadable(reason)
    if outcome is Outcome.CONNECTION and reason in ("tls", "tls_certificate"):
        why = _quote(body.decode("utf-8", "replace"), target).rstrip(".")
        because = f": {why}" if why else ""
        if reason == "tls":
            return f"no TLS connection could be made{because}. Check that the port speaks TLS, or use http://"
        return _distrusted(target, why, because)
    if outcome is Outcome.CONNECTION:
        said = next((advice for word, advice in _CONNECTION if word in reason.lower()), None)
        return said or "the connection failed or was closed. Check the endpoint, its port, and any firewall on the way"
    return "the call was not made or not awaited. Allow it more time"


def _distrusted(target: Target, why: str, because: str) -> str:
    """The server's certificate was refused, and OpenSSL says why."""
    advice = next((advice for part, advice in _CERTIFICATE if part in why.lower()), None)
    if target.tls.ca is not None:
        advice = advice or "Put the certificate of the authority that signed the server's into that file"
        return f"the server's certificate was refused although target.tls.ca is {target.tls.ca}{because}. {advice}"
    advice = advice or "Set target.tls.ca to the file of the authority that signed it"
    return f"the server's certificate was refused{because}. {advice}"


def _unreadable(reason: str) -> str:
    if reason in ("", "not_http", "upgraded"):
        return (
            "what came is not HTTP/1.1 but another protocol, HTTP/2 perhaps. Check the port, whether it wants https:// "
            "or http://, and that the server speaks HTTP/1.1"
        )
    return "what came breaks the rules of HTTP/1.1. Correct the server, or check that the port is the right one"
