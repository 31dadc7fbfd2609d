"""Tokens of IAM: what is asked, what is answered, and how long a token is good.

A user's password buys a token for one project; with an agency, that token buys another one. The token is in the header
X-Subject-Token of the answer, its times are in the body. How long it is good is the difference of the two times in the
body, counted from when it was asked for, so that a clock that is wrong on this machine shortens nothing.

Sources: IAM API reference, Obtaining a User Token Through Password Authentication, Obtaining an Agency Token;
Keystone API v3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

from loadgen.targets.error_body import error_body
from loadgen.targets.functiongraph.protocol.target import IamAuth, TokenAuth
from loadgen.targets.port import TargetError
from loadgen.text import foreign
from loadgen.text.secret import hidden

PATH = "/v3/auth/tokens?nocatalog=true"
"""Where tokens come from, below IAM's origin; the catalog of services would be tens of kilobytes."""

LONGEST = 32 * 1024
"""Bytes of a token: the gateway accepts no longer header. Source: API Gateway user guide, Notes and Constraints."""

_EARLY_S = 300.0
_ID = re.compile(r"[0-9a-f]{32}")

_ADVICE = {
    400: "IAM does not understand the request. Check domain and project in target.auth.iam",
    401: "IAM does not accept this. Check username, password, domain, and that the project is theirs; wrong passwords "
    "in a row lock a user, so nothing is tried again",
    403: "IAM does not let this user in. Have programmatic access allowed for it, or wait if it is locked",
    404: "IAM knows no such thing. Check url, project and agency in target.auth.iam",
    429: "IAM is asked too often. Try again in a minute",
}


class IamError(TargetError):
    """There is no token to be had. The message says what was seen and what to do; ``final`` that asking is useless."""

    def __init__(self, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.final = final


class Token(Struct, frozen=True):
    """A token, and how many seconds it is good from when it was asked for; None where the answer does not say."""

    auth: TokenAuth
    lifetime_s: float | None

    @property
    def renew_after_s(self) -> float | None:
        """When to get the next one, in seconds from when this one was asked for; None for never."""
        return None if self.lifetime_s is None else max(self.lifetime_s / 2, self.lifetime_s - _EARLY_S)


def password_request(iam: IamAuth) -> bytes:
    """The body that asks for a token of the user: for the project or, on the way to an agency, for the account."""
    user = {"name": iam.username, "password": iam.password, "domain": _named(iam.domain)}
    scope = {"domain": _named(iam.domain)} if iam.agency else _project(iam.project, iam.domain)
    return _request("password", {"user": user}, scope)


def agency_request(iam: IamAuth) -> bytes:
    """The body that asks for a token of the agency; the user's token goes along in X-Auth-Token."""
    domain = iam.agency_domain or iam.domain
    account = {f"domain_{key}": value for key, value in _named(domain).items()}
    return _request("assume_role", {**account, "xrole_name": iam.agency}, _project(iam.project, domain))


def read(status: int, headers: Mapping[str, str], body: bytes, iam: IamAuth) -> Token:
    """The token of an answer. ``headers`` finds names in any casing. Raises IamError."""
    if status != 201:
        raise _refusal(status, body, iam)
    token = headers.get("X-Subject-Token", "")
    if not re.fullmatch(r"[!-~]+", token) or len(token) > LONGEST:
        raise IamError(f"{iam.url} answered 201 without a token in X-Subject-Token. Check that it is IAM", final=True)
    return Token(TokenAuth(token), _lifetime_s(body))


class _Times(Struct):
    issued_at: str | None = None
    expires_at: str | None = None


class _Body(Struct):
    token: _Times


def _lifetime_s(body: bytes) -> float | None:
    try:
        times = msgspec.json.decode(body, type=_Body).token
        issued, expires = (datetime.fromisoformat(text or "") for text in (times.issued_at, times.expires_at))
        return max(0.0, (expires - issued).total_seconds())
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):  # TypeError: of two times one has no zone
        return None


def _refusal(status: int, body: bytes, iam: IamAuth) -> IamError:
    said = error_body(body)
    shown = foreign.quote(hidden(said.message or "", (iam.password,)))
    quote = f', "{shown}"' if shown else ""
    default = "IAM failed. Try again later" if status >= 500 else "this is not how IAM answers. Check url"
    return IamError(
        f"{iam.url} gave no token for the user ({status}{quote}): {_ADVICE.get(status, default)}.",
        final=status < 500 and status != 429,
    )


def _request(method: str, identity: object, scope: object) -> bytes:
    return msgspec.json.encode({"auth": {"identity": {"methods": [method], method: identity}, "scope": scope}})


def _project(project: str, domain: str) -> object:
    """A project is found by its id alone; a name is one only within an account."""
    named = _named(project)
    return {"project": named if "id" in named else {**named, "domain": _named(domain)}}


def _named(text: str) -> dict[str, str]:
    """What names an account or project: ids have 32 hexadecimal digits."""
    return {"id" if _ID.fullmatch(text) else "name": text}
