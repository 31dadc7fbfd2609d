"""What an answer of FunctionGraph that is no success means, and what to do about it.

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
from loadgen.targets.functiongraph.protocol.response import CONTRADICTING
from loadgen.targets.functiongraph.protocol.signature import MAX_SKEW_S
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, IamAuth, KeyAuth, NoAuth
from loadgen.targets.functiongraph.protocol.urn import endpoint_region
from loadgen.targets.status import REDIRECTING, status_advice

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
    Outcome.DISABLED: "the function is disabled. Enable it: set its maximum of instances to other than 0",
    Outcome.TOO_LARGE: "the request is too large: 6 MB of event, 32 KB a header. Shorten the event or the token",
    Outcome.GATEWAY: "a gateway got no answer in the 90 s it waits at most. Try again, or make the function faster",
    Outcome.PLATFORM_ERROR: "the platform failed. Try again later, and report the request id to its operator",
}


def advice(facts: Facts, target: FunctionTarget, message: str = "", ahead_s: int | None = None) -> str:
    """See ``Tenant.advice``."""
    found = _for_clock(facts, target, message, ahead_s) or _for_code(facts, target, message)
    return found or _for_outcome(facts, target)


def clock_advice(ahead_s: int | None) -> str | None:
    """What to do about a clock that is so far off that signatures are refused; None when it is not, or not known."""
    if ahead_s is None or abs(ahead_s) <= MAX_SKEW_S:
        return None
    minutes, side = abs(ahead_s) // 60, "ahead of" if ahead_s > 0 else "behind"
    return (
        f"this machine's clock is {minutes} minutes {side} the platform's, which refuses signatures that are more than "
        f"{MAX_SKEW_S // 60} off. Set the clock, for instance by NTP"
    )


def _for_clock(facts: Facts, target: FunctionTarget, message: str, ahead_s: int | None) -> str | None:
    """A refused signature whose time is the reason, by what the gateway says of it or by the Date of its answer."""
    if facts.outcome is not Outcome.AUTH:
        return None
    if times := re.search(r"signature time: *(\d{8}T\d{6}Z).*?server time: *(\d{8}T\d{6}Z)", message):
        with suppress(ValueError):
            ours, theirs = (datetime.strptime(time, "%Y%m%dT%H%M%SZ") for time in times.groups())
            return clock_advice(round((ours - theirs).total_seconds()))
    return clock_advice(ahead_s) if isinstance(target.auth, KeyAuth) else None


def _for_code(facts: Facts, target: FunctionTarget, message: str) -> str | None:
    """The advice for the answer's own code; None when it is absent, in doubt, or says no more than the outcome."""
    if facts.error_code is None or facts.outcome is Outcome.DISABLED or facts.reason == CONTRADICTING:
        return None
    code = canonical(facts.error_code)
    if code in ("APIG.0301", "APIG.0303"):
        return _for_iam(target, message.lower()) or _CODES.get(code)
    if code == TOKEN_EXPIRED and isinstance(target.auth, IamAuth):
        return (
            "the token that IAM gave just now has expired for the platform. Try again, and if it lasts ask its operator"
        )
    if code == "FSS.0406":
        return _for_format(target)
    if code.isascii() and code.isdigit() and len(code) <= 9:
        return _ENGINE.get(int(code))
    return _CODES.get(code)


def _for_iam(target: FunctionTarget, message: str) -> str | None:
    if (none := _without_credentials(target)) is not None:
        return none
    return next((advice for pattern, advice in _IAM_TEXTS if re.search(pattern, message)), None)


def _for_format(target: FunctionTarget) -> str:
    if target.memory_mb is not None:
        return (
            f"the platform accepts neither the event as JSON nor {target.memory_mb} MB as memory, or one of them. "
            "Choose a listed size for target.memory (128 to 10240 MB) and check the event"
        )
    return "the event is not JSON that the platform accepts. Correct the event"


def _without_credentials(target: FunctionTarget) -> str | None:
    if isinstance(target.auth, NoAuth):
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


def _for_outcome(facts: Facts, target: FunctionTarget) -> str:
    if facts.status in REDIRECTING:
        return "that leads elsewhere, and nothing is followed. Check target.endpoint, its https:// or http:// included"
    match facts.outcome:
        case Outcome.AUTH:
            return _refused(target)
        case Outcome.NOT_FOUND:
            return (
                "nothing there answers as FunctionGraph. Check target.endpoint, target.project_id and target.function"
            )
        case Outcome.BAD_REQUEST:
            return "the request was refused as malformed. Check the event, target.project_id and the endpoint's scheme"
        case Outcome.PROTOCOL if facts.reason == CONTRADICTING:
            return (
                "headers of the platform contradict each other, so that nobody can know how the call ended. Look for a "
                "proxy or gateway on the way that repeats X-Func-Err-Code, X-Is-Func-Err or a header of X-Cff"
            )
        case Outcome.PROTOCOL:
            return "the body is not the v1 form that was asked for. Check target.endpoint, or set target.response: v0"
    return _OUTCOMES.get(facts.outcome) or status_advice(facts.outcome)
