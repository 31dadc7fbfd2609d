"""What to do about an invocation that did not work: seen, expected, remedy, in one or two sentences.

Meant for the pre-flight call, whose failure ends a run before any load, and for the reader of a report. What the server
said is quoted from its error message only, shortened, and with the target's token and any access key masked.

Sources: FunctionGraph API reference, Error Codes; API Gateway user guide, Error Codes (the texts of APIG.0301); IAM API
reference (tokens last 24 hours; five wrong signatures in a row lock an access key for five minutes).
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime

from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.functiongraph.protocol.codes import TOKEN_EXPIRED, canonical
from loadgen.targets.functiongraph.protocol.envelope import error_body
from loadgen.targets.functiongraph.protocol.response import CONTRADICTING, REDIRECTING
from loadgen.targets.functiongraph.protocol.signature import MAX_SKEW_S
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, IamAuth, KeyAuth, NoAuth
from loadgen.targets.functiongraph.protocol.urn import endpoint_region
from loadgen.targets.secret import hidden
from loadgen.targets.secret import values as sent_secrets
from loadgen.targets.target import Target
from loadgen.text import foreign

_LOCKS = "More than five wrong signatures in a row lock the key for five minutes, so nothing was tried again"

_IAM_TEXTS = (
    (
        r"signature expired",
        "the signature's time is not the platform's. Set this machine's clock: 15 minutes off is the most",
    ),
    (
        r"reach the limit",
        "the access key is locked after more than five wrong signatures. Wait five minutes, correct the secret key",
    ),
    (
        r"security.?token",
        "the temporary access key needs its security token, which is missing, wrong or expired. Get a new key with its "
        "token, and set all three",
    ),
    (r"\bak\b.*not exist", "the access key does not exist here. Check it, and that it belongs to this cloud"),
    (
        r"aksk signature|verify signature",
        f"the signature is wrong. Check the secret key, and this machine's clock. {_LOCKS}",
    ),
    (
        r"decrypt token",
        "the token cannot be read: cut off, or of another region or cloud. Get one from this region's IAM",
    ),
    (r"token.*expire", "the token has expired; tokens last 24 hours. Get a new one"),
    (r"project", "the credentials are for another project. Check target.project_id, and the project of the token"),
    (r"incorrect iam authentication", "the token or signature is wrong. Get a new token from this region's IAM"),
)
"""What the message of an APIG.0301 or 0303 says, as a pattern in small letters, and what it means."""

_CODES = {
    "APIG.0101": "the gateway does not know this path. Check that target.endpoint is FunctionGraph's",
    "APIG.0302": "the IAM user may not call this API. Grant functiongraph:function:invoke, or the role FunctionGraph "
    "CommonOperations",
    "APIG.0303": "the app's signature was refused. Check its key, its secret and this machine's clock",
    "APIG.0305": "the gateway's authorizer refused the credentials. Check target.auth",
    TOKEN_EXPIRED: "the token has expired or must be updated; tokens last 24 hours. Get a new one, or have one got "
    "and renewed: target.auth.iam",
    "APIG.0308": "the gateway throttles this account. Lower the rate, or have the gateway's limit raised",
    "APIG.0310": "the project may not use this API. Check target.project_id, and the token's project",
    "APIG.0802": "the IAM user is forbidden in this region. Check the user's region and rights",
    "FSS.0403": "the token is invalid, or has no right to functiongraph:function:invoke. Get a new one, or grant it",
    "FSS.0404": "there is no such function. Check target.function and target.project_id",
    "FSS.0408": "the function ran into its own timeout. Raise the function's timeout, or give it less to do",
    "FSS.0413": "the event is larger than 6 MB. Shorten it",
    "FSS.0429": "the platform refuses more load. Lower the rate, or raise the function's maximum of instances",
    "FSS.1051": "there is no such function. Check the name and package in target.function, and target.project_id",
    "FSS.1052": "the function has no such version. Name an existing one, or leave it out for latest",
    "FSS.1053": "the function has no such alias. Name an existing one (:!alias), or leave it out for latest",
    "FSS.1309": "the function's URN is invalid. Copy it from the console into target.function",
    "FSS.1404": "the function's initializer is invalid. Correct the initializer in the function's configuration",
    "FSS.1405": "the function's initializer timed out. Raise its timeout (1 to 300 s), or make it faster",
}

_ENGINE = {
    4001: "the function's handler was not found. Correct the handler in the function's configuration",
    4002: "the function's handler raised. Read the error in its answer or log and correct the function",
    4004: "the function's answer is larger than 6 MB. Make it shorter",
    4007: "the function's result cannot be written as JSON. Correct what the handler returns",
    4008: "the function's answer is larger than 6 MB. Make it shorter",
    4026: "this function does not allow a memory size per call. Enable Dynamic Memory on it, or remove target.memory",
    4140: "the event is larger than the platform accepts. Shorten it",
    150429: "the function's maximum of instances is reached. Lower the load, or raise the maximum",
    150430: "the platform's cluster is overloaded. Lower the load, or try again later",
    150432: "the account's quota of instances is reached. Lower the load, or have the quota raised",
    150433: "the account's quota of reserved instances is reached. Lower the load, or have the quota raised",
}

_OUTCOMES = {
    Outcome.FUNCTION_ERROR: "the function failed. Read its answer or log (target.log: tail) and correct it",
    Outcome.FUNCTION_TIMEOUT: "the function ran into its own timeout. Raise that timeout, or give it less to do",
    Outcome.OUT_OF_MEMORY: "the function ran out of memory, or its process died. Give it more memory",
    Outcome.INIT_ERROR: "the function could not start: its initializer failed or timed out. Read its log",
    Outcome.THROTTLED: "the target refuses more load. Lower the rate, or have its limit raised",
    Outcome.DISABLED: "the function is disabled. Enable it: set its maximum of instances to other than 0",
    Outcome.TOO_LARGE: "the request is too large: 6 MB of event, 32 KB a header. Shorten the event or the token",
    Outcome.GATEWAY: "a gateway got no answer in the 90 s it waits at most. Try again, or make the function faster",
    Outcome.PLATFORM_ERROR: "the platform failed. Try again later, and report the request id to its operator",
}

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
    if not isinstance(seen, Facts):
        why = f", {reason}" if reason else ""
        return f"no answer from {_where(target)} ({seen.value}{why}): {_unanswered(seen, target, reason, body)}."
    message = error_body(body).message or ""
    code = f" {_quote(seen.error_code, target)}" if seen.error_code else ""
    quote = f', "{_quote(message, target)}"' if message else ""
    advice = _for_clock(seen, target, message, ahead_s) or _for_code(seen, target, message)
    advice = advice or _for_outcome(seen, target)
    return f"{_where(target)} answered {seen.status}{code} ({seen.outcome.value}{quote}): {advice}."


def clock_advice(ahead_s: int | None) -> str | None:
    """What to do about a clock that is so far off that signatures are refused; None when it is not, or not known."""
    if ahead_s is None or abs(ahead_s) <= MAX_SKEW_S:
        return None
    minutes, side = abs(ahead_s) // 60, "ahead of" if ahead_s > 0 else "behind"
    return (
        f"this machine's clock is {minutes} minutes {side} the platform's, which refuses signatures that are more than "
        f"{MAX_SKEW_S // 60} off. Set the clock, for instance by NTP"
    )


def _for_clock(facts: Facts, target: Target, message: str, ahead_s: int | None) -> str | None:
    """A refused signature whose time is the reason, by what the gateway says of it or by the Date of its answer."""
    if facts.outcome is not Outcome.AUTH or not isinstance(target, FunctionTarget):
        return None
    if times := re.search(r"signature time: *(\d{8}T\d{6}Z).*?server time: *(\d{8}T\d{6}Z)", message):
        with suppress(ValueError):
            ours, theirs = (datetime.strptime(time, "%Y%m%dT%H%M%SZ") for time in times.groups())
            return clock_advice(round((ours - theirs).total_seconds()))
    return clock_advice(ahead_s) if isinstance(target.auth, KeyAuth) else None


def _where(target: Target) -> str:
    """The endpoint, or the URL without its query and user name, where secrets may be."""
    if isinstance(target, FunctionTarget):
        return f"the function at {target.endpoint}"
    return re.sub(r"//[^/]*@", "//", re.split("[?#]", target.url, maxsplit=1)[0])


def _quote(message: str, target: Target) -> str:
    return foreign.quote(_masked(message, target))


def _masked(text: str, target: Target) -> str:
    key = r"(\bak(?:\s*[:=]\s*|\s+(?=\S+\s+not exist)))[^\s,;]+"
    return re.sub(key, r"\1***", hidden(text, sent_secrets(target)), flags=re.IGNORECASE)


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
    return _OUTCOMES.get(outcome, "the call was not made or not awaited. Allow it more time")


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


def _for_code(facts: Facts, target: Target, message: str) -> str | None:
    """The advice for the answer's own code; None when it is absent, in doubt, or says no more than the outcome."""
    if facts.error_code is None or facts.outcome is Outcome.DISABLED or facts.reason == CONTRADICTING:
        return None
    code = canonical(facts.error_code)
    if code in ("APIG.0301", "APIG.0303"):
        return _for_iam(target, message.lower()) or _CODES.get(code)
    if code == TOKEN_EXPIRED and isinstance(target, FunctionTarget) and isinstance(target.auth, IamAuth):
        return (
            "the token that IAM gave just now has expired for the platform. Try again, and if it lasts ask its operator"
        )
    if code == "FSS.0406":
        return _for_format(target)
    if code.isascii() and code.isdigit() and len(code) <= 9:
        return _ENGINE.get(int(code))
    return _CODES.get(code)


def _for_iam(target: Target, message: str) -> str | None:
    if (none := _without_credentials(target)) is not None:
        return none
    return next((advice for pattern, advice in _IAM_TEXTS if re.search(pattern, message)), None)


def _for_format(target: Target) -> str:
    if isinstance(target, FunctionTarget) and target.memory_mb is not None:
        return (
            f"the platform accepts neither the event as JSON nor {target.memory_mb} MB as memory, or one of them. "
            "Choose a listed size for target.memory (128 to 10240 MB) and check the event"
        )
    return "the event is not JSON that the platform accepts. Correct the event"


def _without_credentials(target: Target) -> str | None:
    if isinstance(target, FunctionTarget) and isinstance(target.auth, NoAuth):
        return (
            "credentials are required and target.auth is none. Set target.auth: environment, or {token: ${FG_TOKEN}}, "
            "an access key or an IAM user"
        )
    return None


def _refused(target: FunctionTarget) -> str:
    """Credentials were not accepted, and the answer does not say why."""
    region = endpoint_region(target.endpoint)
    where = f" of region {region}" if region else ""
    match target.auth:
        case NoAuth():
            return _without_credentials(target) or ""
        case KeyAuth():
            return f"the signature was not accepted. Check the access key{where} and its secret. {_LOCKS}"
        case IamAuth():
            return (
                "the token that IAM gave was not accepted. Check target.auth.iam: its project and url must be those "
                f"of the endpoint{where}, and the user needs functiongraph:function:invoke"
            )
        case _:
            wanted = f", which must be a token{where}" if where else ""
            return f"the credentials were not accepted. Check target.auth{wanted}; tokens last 24 hours"


def _for_outcome(facts: Facts, target: Target) -> str:
    function = isinstance(target, FunctionTarget)
    if facts.status in REDIRECTING:
        return "that leads elsewhere, and nothing is followed. Check target.endpoint, its https:// or http:// included"
    match facts.outcome:
        case Outcome.AUTH if isinstance(target, FunctionTarget):
            return _refused(target)
        case Outcome.AUTH:
            return "the credentials were not accepted. Check the Authorization header in target.headers"
        case Outcome.NOT_FOUND if function:
            return (
                "nothing there answers as FunctionGraph. Check target.endpoint, target.project_id and target.function"
            )
        case Outcome.NOT_FOUND:
            return "there is nothing at this path. Check target.url"
        case Outcome.BAD_REQUEST if not function:
            return "the request was refused. Check target.method, target.url, target.headers and the event"
        case Outcome.BAD_REQUEST:
            return "the request was refused as malformed. Check the event, target.project_id and the endpoint's scheme"
        case Outcome.PROTOCOL if facts.reason == CONTRADICTING:
            return (
                "headers of the platform contradict each other, so that nobody can know how the call ended. Look for a "
                "proxy or gateway on the way that repeats X-Func-Err-Code, X-Is-Func-Err or a header of X-Cff"
            )
        case Outcome.TOO_LARGE if not function:
            return "the request is larger than the server accepts. Shorten the event or target.headers"
        case Outcome.GATEWAY if not function:
            return "what stands before the server got no answer from it. Try again, or see what is wrong behind it"
        case Outcome.PLATFORM_ERROR if not function:
            return "the server failed. Read its log, and correct it or the request"
        case Outcome.PROTOCOL:
            return "the body is not the v1 form that was asked for. Check target.endpoint, or set target.response: v0"
    return _OUTCOMES.get(facts.outcome, "nothing is wrong")
