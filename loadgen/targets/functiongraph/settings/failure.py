"""What goes wrong with the management API, and what to do about it.

Sources: FunctionGraph API reference, Error Codes; API Gateway user guide, Error Codes.
"""

from __future__ import annotations

from loadgen.targets.functiongraph.protocol.codes import canonical
from loadgen.text import foreign

_CODES = {
    "APIG.0101": "the gateway does not know this path. Check that the endpoint is FunctionGraph's",
    "APIG.0301": "the credentials were not accepted. Check them, and this machine's clock",
    "APIG.0302": "the IAM user may not call this API. Grant the functiongraph permissions for reading and changing it",
    "APIG.0303": "the signature was refused. Check the key, its secret and this machine's clock",
    "APIG.0307": "the token has expired; tokens last 24 hours. Get a new one",
    "APIG.0308": "the gateway throttles this account. Try again later",
    "APIG.0310": "the project may not use this API. Check the project, and the token's project",
    "FSS.0400": "the platform does not take these values. Compare them with the function's page in the console",
    "FSS.0401": "the credentials were not accepted. Check them; tokens last 24 hours",
    "FSS.0403": "the credentials do not allow this. Grant the functiongraph permissions for reading and changing it",
    "FSS.0404": "there is no such function or setting. Check the function's name and project",
    "FSS.0429": "the management API is busy. Try again in a minute",
    "FSS.1007": "the function cannot have this memory size. Choose one that the console offers",
    "FSS.1008": "the function cannot have this timeout. Choose 3 s to 259,200 s",
    "FSS.1017": "the function has 20 environment variables already, the most it can have. Remove one",
    "FSS.1018": "the function's environment variables are too long. Shorten them",
    "FSS.1051": "there is no such function. Check its name, package and project",
    "FSS.1052": "the function has no such version",
    "FSS.1053": "the function has no such alias",
    "FSS.1077": "the platform does not change a function that has reserved instances. Set them to 0 first",
}

_STATUSES = {
    400: _CODES["FSS.0400"],
    401: _CODES["FSS.0401"],
    403: _CODES["FSS.0403"],
    404: _CODES["FSS.0404"],
    429: _CODES["FSS.0429"],
}

_GATEWAYS = (502, 504)
"""Answers of a gateway that had none itself: what is behind it may still be at work."""


class ControlError(Exception):
    """The management API cannot be used as asked; the message is one line: what was seen and what to do.

    ``status`` and ``code`` are those of an answer, None when there was none or it had none. ``passing`` says that the
    same request may succeed a little later, ``unsure`` that it may still be carried out.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        passing: bool = False,
        unsure: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.passing = passing
        self.unsure = unsure


def refused(what: str, status: int, code: str | None, message: str | None) -> ControlError:
    """The error for an answer that is no success. ``message`` has its secrets masked already."""
    code = None if code is None else foreign.quote(canonical(code))
    said = "" if not message else f', "{foreign.quote(message)}"'
    fallback = "the platform failed. Try again later" if status >= 500 else "the request was not accepted"
    advice = _CODES.get(code or "") or _STATUSES.get(status) or fallback
    number = f"{status} {code}" if code else str(status)
    passing = (status >= 500 and status != 501) or status == 429
    return ControlError(
        f"{what}: answered {number}{said}: {advice}",
        status=status,
        code=code,
        passing=passing,
        unsure=status in _GATEWAYS,
    )


def unanswered(what: str, why: str, *, write: bool) -> ControlError:
    """The error for a request without an answer, which may have been carried out all the same if it writes."""
    unknown = "; whether it was carried out is not known" if write else ""
    return ControlError(
        f"{what}: no answer ({foreign.quote(why)}){unknown}. "
        "Check the endpoint, this machine's network and any proxy on the way",
        passing=True,
        unsure=write,
    )


def certificate_fault(error: Exception) -> str:
    """Why a certificate was refused, in OpenSSL's words."""
    return str(getattr(error, "verify_message", "") or error)
