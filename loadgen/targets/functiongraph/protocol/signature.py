"""Signatures with an access key: SDK-HMAC-SHA256.

What is signed is the *canonical request*: method, path, query, some of the headers, their names, and a hash of the
body. Its hash and the time of X-Sdk-Date are the *string to sign*, and the signature is the HMAC of that under the
secret key itself (no key is derived from the date). The platform takes the names of the signed headers from the
Authorization header, so any consistent choice works; everything is signed that no proxy on the way may change.

A signature is a function of the request and of a time in whole seconds, without a nonce. Identical requests of one
second therefore have identical signatures, and computing one once for all of them changes nothing on the wire.

Nothing here reads a clock. Times are whole seconds since 1970.

Sources: Huawei Cloud API Request Signing Guide; the signer of the vendor's Python SDK (huaweicloudsdkcore), with which
the results agree byte for byte.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, unquote

from loadgen.targets.functiongraph.protocol.target import KeyAuth

ALGORITHM = "SDK-HMAC-SHA256"

MAX_SKEW_S = 15 * 60
"""The platform refuses a signature whose time is further from its own. Source: API Request Signing Guide."""

DATE = "X-Sdk-Date"
SECURITY_TOKEN = "X-Security-Token"  # noqa: S105 - a header's name
CONTENT_HASH = "X-Sdk-Content-Sha256"
AUTHORIZATION = "Authorization"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

_HASHED_TYPES = ("application/json", "application/bson")

Headers = Sequence[tuple[str, str]]
Query = Sequence[tuple[str, str]]


def sdk_date(at: int) -> str:
    """The time as X-Sdk-Date has it: ``20260102T030405Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


def canonical_path(path: str) -> str:
    """The path as it is signed: every segment encoded alike, however it was sent, with a slash at the end."""
    encoded = "/".join(quote(segment, safe="~") for segment in unquote(path).split("/"))
    return encoded if encoded.endswith("/") else encoded + "/"


def canonical_query(query: Query) -> str:
    """The parameters (not encoded) as they are signed: sorted, and encoded like the path."""
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query))


def canonical_request(
    method: str, path: str, query: Query, headers: Mapping[str, str], names: Iterable[str], payload_hash: str
) -> str:
    """What is signed of a request.

    ``headers`` has lower-case names; ``names`` are those that are signed, lower-case and sorted. ``payload_hash`` is
    that of the body, see ``payload_hash``.
    """
    names = list(names)
    fields = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    parts = (method.upper(), canonical_path(path), canonical_query(query), fields, ";".join(names), payload_hash)
    return "\n".join(parts)


def signed_names(headers: Iterable[str]) -> list[str]:
    """Which of the headers of these names are signed, in order; gateways drop names with an underscore."""
    return sorted(name.lower() for name in headers if "_" not in name)


def payload_hash(headers: Mapping[str, str], body: bytes) -> str:
    """What stands for a body: its hash, or where there is a body what X-Sdk-Content-Sha256 says."""
    said = headers.get(CONTENT_HASH.lower())
    return said if said and body else sha256(body).hexdigest()


def string_to_sign(date: str, canonical: str) -> str:
    """The text whose HMAC is the signature; ``date`` is X-Sdk-Date's."""
    return f"{ALGORITHM}\n{date}\n{sha256(canonical.encode()).hexdigest()}"


def signature(secret_key: str, text: str) -> str:
    """The signature of a string to sign, in hexadecimal."""
    return hmac.new(secret_key.encode(), text.encode(), sha256).hexdigest()


def authorization(access_key: str, names: Iterable[str], signed: str) -> str:
    """The value of Authorization."""
    return f"{ALGORITHM} Access={access_key}, SignedHeaders={';'.join(names)}, Signature={signed}"


def sign(key: KeyAuth, method: str, path: str, query: Query, headers: Headers, body: bytes, at: int) -> Headers:
    """The headers to add to a request so that it is signed: for a call now and then, see ``Signer`` for many.

    ``headers`` are those that are sent anyway and no proxy changes, Host among them. ``query`` is not encoded.
    """
    added = [(DATE, sdk_date(at)), *_security_token(key)]
    kind = next((value for name, value in headers if name.lower() == "content-type"), None)
    if kind and not kind.startswith(_HASHED_TYPES):
        added.append((CONTENT_HASH, UNSIGNED_PAYLOAD))
    values = {name.lower(): value for name, value in (*headers, *added)}
    names = signed_names(values)
    canonical = canonical_request(method, path, query, values, names, payload_hash(values, body))
    signed = signature(key.secret_key, string_to_sign(sdk_date(at), canonical))
    return [*added, (AUTHORIZATION, authorization(key.access_key, names, signed))]


def _security_token(key: KeyAuth) -> Headers:
    return [] if key.security_token is None else [(SECURITY_TOKEN, key.security_token)]


class Signer:
    """Signs requests that differ in nothing but their time and their body, which is JSON.

    What depends on neither is computed once, what depends on the time once a second; a signature is then four hashes.
    The repr holds no secret.
    """

    def __init__(self, key: KeyAuth, method: str, path: str, headers: Headers) -> None:
        """``headers`` are those that are sent anyway and no proxy changes; the path has no query."""
        self._key = key
        self._method = method
        self._path = path
        self._headers = headers
        self._at = -1

    def fields(self, body: bytes, at: int) -> bytes:
        """The headers to add, as they are sent, but for the end of the last line."""
        if at != self._at:
            self._turn(at)
        canonical = self._canonical.copy()
        canonical.update(sha256(body).hexdigest().encode())
        mac = self._mac.copy()
        mac.update(canonical.hexdigest().encode())
        return self._lines + mac.hexdigest().encode()

    def _turn(self, at: int) -> None:
        """A new second: everything that depends on the time, up to where the hash of the body comes in."""
        date = sdk_date(at)
        added = [(DATE, date), *_security_token(self._key)]
        values = {name.lower(): value for name, value in (*self._headers, *added)}
        names = signed_names(values)
        canonical = canonical_request(self._method, self._path, (), values, names, "")
        self._canonical = sha256(canonical.encode())
        self._mac = hmac.new(self._key.secret_key.encode(), f"{ALGORITHM}\n{date}\n".encode(), sha256)
        lines = "".join(f"{name}: {value}\r\n" for name, value in added)
        self._lines = f"{lines}{AUTHORIZATION}: {authorization(self._key.access_key, names, '')}".encode()
        self._at = at
