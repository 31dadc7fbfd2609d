"""Who may call: tokens, signatures, and the endpoint that gives out tokens. Pure: it is told the time.

With ``auth: off`` nobody is asked. ``lenient`` asks for credentials that look like some, ``strict`` for right ones: a
token that this IAM gave out and that has not expired, or a signature with the account's access key. After more than
five wrong signatures in a row an access key is locked for five minutes.

Sources: IAM API reference, Obtaining a User Token Through Password Authentication, and Obtaining a Token Through an
Agency; API Request Signing Guide; API Gateway user guide, Common Errors Related to IAM Authentication Information.
Errors of IAM itself come in the envelope of OpenStack Keystone.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from loadgen.targets.functiongraph.emulator.answer import Answer, Refusal, as_json, message
from loadgen.targets.functiongraph.protocol import signature
from loadgen.targets.functiongraph.protocol.platform import CredentialCheck, Emulator

LOCK_AFTER: Final = 5
"""So many wrong signatures in a row are forgiven."""

LOCK_S: Final = 300
"""How long an access key is locked after one more."""

_REMEMBERED_S: Final = 1800
"""How long a token that expired is still known to have been one."""

_TOKEN_BLOCKS: Final = 36  # of 32 bytes: real tokens are signed documents of 1 to 2 KB
_AUTHORIZATION: Final = re.compile(
    rf"{signature.ALGORITHM} Access=([^\s,]+), ?SignedHeaders=([^\s,]+), ?Signature=([0-9a-f]{{64}})"
)
_DATE: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_INCORRECT: Final = "Incorrect IAM authentication information"


class Credentials(Struct, frozen=True):
    """What a request is checked by. ``query`` is decoded; lookups in ``headers`` must ignore case."""

    method: str
    raw_path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


class _Grant(Struct, frozen=True):
    """What a token is good for: a project (None: for none), until an instant in seconds since 1970."""

    project_id: str | None
    expires: float


class _Named(Struct):
    name: str | None = None
    id: str | None = None


class _User(Struct):
    password: str
    name: str | None = None
    id: str | None = None
    domain: _Named = msgspec.field(default_factory=_Named)


class _Password(Struct):
    user: _User


class _AssumeRole(Struct):
    """OTC calls an agency ``xrole_name``, Huawei Cloud ``agency_name``."""

    domain_name: str | None = None
    domain_id: str | None = None
    xrole_name: str | None = None
    agency_name: str | None = None


class _Identity(Struct):
    methods: list[Literal["password", "totp", "assume_role", "token"]]
    password: _Password | None = None
    assume_role: _AssumeRole | None = None


class _Scope(Struct):
    project: _Named | None = None
    domain: _Named | None = None


class _Auth(Struct):
    identity: _Identity
    scope: _Scope | None = None


class _TokenRequest(Struct):
    auth: _Auth


class Iam:
    """The account, the tokens that were given out, and the access key's wrong signatures."""

    def __init__(self, settings: Emulator, project_id: str) -> None:
        """No token is out yet."""
        self._settings = settings
        self._account = settings.account
        self._project_id = project_id
        self._numbers = count(1)
        self._grants: dict[str, _Grant] = {}
        self._wrong_signatures = 0
        self._locked_until = 0.0

    def check(self, credentials: Credentials, project_id: str, now: float) -> Refusal | None:
        """Why a request may not act on the project; None when it may. ``now`` is in seconds since 1970."""
        if self._settings.auth is CredentialCheck.OFF:
            return None
        token = credentials.headers.get("X-Auth-Token")
        if token:
            return self._check_token(token, project_id, now)
        authorization = credentials.headers.get(signature.AUTHORIZATION)
        if authorization is None:
            return _incorrect("x-auth-token not found")
        parts = _AUTHORIZATION.fullmatch(authorization)
        date = credentials.headers.get(signature.DATE, "")
        signed_at = _seconds(date)
        if parts is None or signed_at is None:
            return _incorrect("verify aksk signature fail, Authorization or X-Sdk-Date is malformed")
        if self._settings.auth is CredentialCheck.LENIENT:
            return None
        if parts[1] != self._account.access_key:
            return _incorrect(f"Get secretKey failed,ak:{parts[1]},err:ak not exist")
        if now < self._locked_until:
            return _incorrect("AK access failed to reach the limit,forbidden.")
        wrong = self._signature_fault(credentials, parts, date)
        fault = _expired(date, signed_at, now) or (wrong and f"verify aksk signature fail, {wrong}")
        if fault is None:
            self._wrong_signatures = 0
            return _project_fault(project_id, self._project_id)
        self._wrong_signatures += 1
        if self._wrong_signatures > LOCK_AFTER:
            self._locked_until = now + LOCK_S
            self._wrong_signatures = 0
        return _incorrect(fault)

    def version(self, host: str) -> Answer:
        """The document that tells clients which IAM this is."""
        version = {
            "id": "v3.6",
            "status": "stable",
            "updated": "2016-04-04T00:00:00Z",
            "links": [{"rel": "self", "href": f"http://{host}/v3/"}],
            "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
        }
        return as_json(200, {"version": version})

    def projects(self) -> Answer:
        """The projects of the account: the one that is served."""
        project = {"id": self._project_id, "name": self._project_name, "domain_id": self._domain_id, "enabled": True}
        return as_json(200, {"projects": [project], "links": {}})

    def give_token(self, body: bytes, asked_by: str | None, host: str, now: float) -> Answer:
        """The answer to a request for a token.

        ``asked_by`` is the token of whoever asks, which an agency needs; ``host`` that under which the caller knows
        this server, ``now`` in seconds since 1970.
        """
        try:
            auth = msgspec.json.decode(body, type=_TokenRequest).auth
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _error(400, "Bad Request", f"The request body is invalid: {error}")
        identity = auth.identity
        strict = self._settings.auth is CredentialCheck.STRICT
        if identity.password is not None and "password" in identity.methods:
            if strict and not self._knows(identity.password.user):
                return _error(401, "Unauthorized", "The username or password is wrong.")
        elif identity.assume_role is not None and "assume_role" in identity.methods:
            grant = self._grants.get(asked_by or "")
            if strict and (grant is None or now >= grant.expires):
                return _error(401, "Unauthorized", "The request you have made requires authentication.")
            if strict and not self._may_assume(identity.assume_role):
                return _error(403, "Forbidden", "You are not authorized to perform the requested action: assume_role.")
        else:
            return _error(400, "Bad Request", "The methods must hold password or assume_role, with what belongs to it.")
        project = auth.scope.project if auth.scope is not None else None
        if strict and project is not None and not {project.id, project.name} & {self._project_id, self._project_name}:
            return _error(401, "Unauthorized", "The project of the scope does not exist.")
        return self._issue(identity.methods, project is not None, host, now)

    @property
    def _project_name(self) -> str:
        return self._settings.region or "local"

    @property
    def _domain_id(self) -> str:
        return sha256(self._account.domain.encode()).hexdigest()[:32]

    def _check_token(self, token: str, project_id: str, now: float) -> Refusal | None:
        if self._settings.auth is CredentialCheck.LENIENT:
            return None
        grant = self._grants.get(token)
        if grant is None:
            return _incorrect("decrypt token fail")
        if now >= grant.expires:
            return Refusal(401, "APIG.0307", message("APIG.0307"))
        return _project_fault(project_id, grant.project_id)

    def _signature_fault(self, credentials: Credentials, parts: re.Match[str], date: str) -> str | None:
        headers = credentials.headers
        names = parts[2].lower().split(";")
        if missing := [name for name in ("host", signature.DATE.lower()) if name not in names]:
            return f"{missing[0]} is not signed"
        if missing := [name for name in names if name not in headers]:
            return f"{missing[0]} is signed and not sent"
        token = self._account.security_token
        if token is not None and not _equal(headers.get(signature.SECURITY_TOKEN, ""), token):
            return "the security token is wrong"
        said = headers.get(signature.CONTENT_HASH)
        # that there is no body is signed all the same, as the vendor's signer does
        unsigned = said == signature.UNSIGNED_PAYLOAD and credentials.body
        hashed = signature.UNSIGNED_PAYLOAD if unsigned else sha256(credentials.body).hexdigest()
        canonical = signature.canonical_request(
            credentials.method, credentials.raw_path, credentials.query, headers, names, hashed
        )
        try:
            text = signature.string_to_sign(date, canonical)
        except UnicodeEncodeError:
            return "a signed header is not UTF-8"
        return (
            None if _equal(parts[3], signature.signature(self._account.secret_key, text)) else "the signatures differ"
        )

    def _knows(self, user: _User) -> bool:
        domain = user.domain.name or user.domain.id or self._account.domain
        return (
            {user.name, user.id} & {self._account.username} != set()
            and domain in (self._account.domain, self._domain_id)
            and _equal(user.password, self._account.password)
        )

    def _may_assume(self, role: _AssumeRole) -> bool:
        domain = role.domain_name or role.domain_id
        return domain in (self._account.domain, self._domain_id) and self._account.agency in (
            role.xrole_name,
            role.agency_name,
        )

    def _issue(self, methods: Sequence[str], scoped: bool, host: str, now: float) -> Answer:
        expires = now + self._settings.token_lifetime_ns / 1e9
        self._grants = {token: each for token, each in self._grants.items() if each.expires + _REMEMBERED_S > now}
        token = _token(self._settings.seed, next(self._numbers))
        self._grants[token] = _Grant(self._project_id if scoped else None, expires)
        domain = {"id": self._domain_id, "name": self._account.domain}
        document: dict[str, Any] = {
            "expires_at": _instant(expires),
            "issued_at": _instant(now),
            "methods": list(methods),
            "user": {"id": self._account.username, "name": self._account.username, "domain": domain},
            "roles": [{"id": "0", "name": "functiongraph_all"}],
            "catalog": _catalog(host, self._project_id, self._project_name),
        }
        if scoped:
            document["project"] = {"id": self._project_id, "name": self._project_name, "domain": domain}
        return as_json(201, {"token": document}, {"X-Subject-Token": token})


def _seconds(date: str) -> float | None:
    """The time of an X-Sdk-Date, in seconds since 1970; None when it is none."""
    if not _DATE.fullmatch(date):
        return None
    try:
        return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _expired(date: str, signed_at: float, now: float) -> str | None:
    if abs(now - signed_at) <= signature.MAX_SKEW_S:
        return None
    ours = signature.sdk_date(int(now))
    return f"calc aksk signature fail:signature expired, signature time:{date},server time:{ours}"


def _incorrect(why: str) -> Refusal:
    return Refusal(401, "APIG.0301", f"{_INCORRECT}: {why}")


def _project_fault(asked: str, granted: str | None) -> Refusal | None:
    if not asked or asked == granted:
        return None
    return Refusal(403, "APIG.0310", f'{message("APIG.0310")}: the credentials are not for project "{asked}"')


def _error(status: int, title: str, why: str) -> Answer:
    return as_json(status, {"error": {"code": status, "message": why, "title": title}})


def _equal(seen: str, expected: str) -> bool:
    return hmac.compare_digest(seen.encode(errors="surrogateescape"), expected.encode())


def _token(seed: int, number: int) -> str:
    """The nth token: as long as a real one, and like one it begins with MII, as base64 of a signed document does."""
    blocks = (sha256(repr((seed, "token", number, block)).encode()).digest() for block in range(_TOKEN_BLOCKS))
    return "MII" + b64encode(b"".join(blocks), altchars=b"+-").decode()


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _catalog(host: str, project_id: str, region: str) -> list[dict[str, Any]]:
    services = (
        ("functiongraph", "functiongraph", f"http://{host}/v2/{project_id}"),
        ("iam", "identity", f"http://{host}/v3"),
    )
    return [
        {
            "id": name,
            "name": name,
            "type": kind,
            "endpoints": [{"id": name, "interface": "public", "region": region, "region_id": region, "url": url}],
        }
        for name, kind, url in services
    ]
