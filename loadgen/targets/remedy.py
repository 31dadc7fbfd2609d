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

_SHOWN = 200  # bytes of a body that did not hold a check
_CONNECTION = (
    ("dns", "the host's name could not be resolved. Check its spelling and this machine's name server"),
    ("resol", "the host's name could not be resolved. Check its spelling and this machine's name server"),
    ("refused", "nothing listens at that address. Start the server, or correct the port"),
    ("unreachable", "there is no route to that address. Check this machine's network"),
)

_CERTIFICATE = (
    ("expired", "Renew it, or set this machine's clock"),
    ("not yet valid", "Set this machine's clock"),
    (
        "mismatch",
        "Write the host in the target as the certificate names it, or set target.tls.server_name to a name that it has",
    ),
    ("revoked", "Have the server use another certificate"),
    ("too weak", "Have the server use a longer key, or a better digest"),
    ("unsuitable", "Have the server use a certificate that is meant for servers"),
)
"""What OpenSSL says about a certificate that no CA file mends, as part of its text, and what to do."""

_WANTED = "The server wants a certificate of the client. Set target.tls.cert and target.tls.key"
_HANDSHAKE = (
    ("certificate_required", _WANTED),
    ("unknown_ca", "The server does not trust whoever signed target.tls.cert. Set one of an authority that it trusts"),
    ("certificate_expired", "The server says that target.tls.cert has expired. Renew it"),
    ("certificate_revoked", "The server says that target.tls.cert was revoked. Set another one"),
    ("bad_certificate", "The server refuses target.tls.cert. Set the one that it expects, or one if there is none"),
    ("certificate_unknown", "The server refuses target.tls.cert. Set the one that it expects"),
    ("unsupported_certificate", "The server refuses target.tls.cert. Set one that is meant for clients"),
    (
        "decrypt_error",
        "The server could not verify a signature. See that target.tls.cert is of an authority that it trusts",
    ),
    ("unrecognized_name", "The server knows no such name. Set target.tls.server_name to one that it serves"),
    ("protocol_version", "Server and client have no version of TLS in common. Have the server speak TLS 1.2 or 1.3"),
    (
        "unsupported_protocol",
        "Server and client have no version of TLS in common. Have the server speak TLS 1.2 or 1.3",
    ),
    (
        "handshake_failure",
        "The server may want a certificate of the client (target.tls.cert), or have no cipher in common",
    ),
    ("alert", "The server ended it. See its log, and whether it wants a certificate of the client (target.tls.cert)"),
    ("wrong_version_number", "Check that the port speaks TLS, or use http://"),
    ("http_request", "Check that the port speaks TLS, or use http://"),
    ("packet_length_too_long", "Check that the port speaks TLS, or use http://"),
    ("record_layer_failure", "Check that the port speaks TLS, or use http://"),
)
"""Reasons of OpenSSL's for a handshake that failed, or for a connection that the other side ended, as part of their
names, and what to do. Source: RFC 8446, 6.2 (which alert says what)."""

_SAID_BY_NGINX = (
    (b"No required SSL certificate was sent", f"{_WANTED[0].lower()}{_WANTED[1:]}"),
    (
        b"The SSL certificate error",
        "the server refuses target.tls.cert. Set one that is valid, and of an authority that it trusts",
    ),
    (b"The plain HTTP request was sent to HTTPS port", "the port speaks TLS. Write https://"),
)
"""What nginx answers with a 400 of its own, and what to do. Source: ngx_http_special_response.c."""


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
    if seen.outcome is Outcome.CHECK_FAILED:
        check = _quote(seen.reason, target)
        began = _quote(body[:_SHOWN].decode("utf-8", "replace"), target)
        answered = f'{seen.status} with a body that begins with "{began}"' if began else f"{seen.status} without a body"
        return f"{where} answered {answered}, and a check does not hold: {check}. See the answer, or correct the check."
    message = error_body(body).message or ""
    code = f" {_quote(seen.error_code, target)}" if seen.error_code else ""
    quote = f', "{_quote(message, target)}"' if message else ""
    by_nginx = next((advice for said, advice in _SAID_BY_NGINX if seen.status == 400 and said in body), None)
    advice = by_nginx or tenant.advice(seen, target, message, ahead_s)
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
    if outcome is Outcome.CONNECTION and reason in ("tls", "tls_certificate", "tls_broken"):
        why = _quote(body.decode("utf-8", "replace"), target).rstrip(".")
        because = f": {why}" if why else ""
        if reason == "tls_certificate":
            return _distrusted(target, why, because)
        advice = next((advice for part, advice in _HANDSHAKE if part in why.lower()), None)
        if reason == "tls":
            return f"no TLS connection could be made{because}. {advice or 'Check that the port speaks TLS, or use http://'}"
        broken = "See what the server logs, and whether it wants a certificate of the client (target.tls.cert)"
        return f"TLS failed after the connection stood{because}. {advice or broken}"
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
