"""loadgen's signatures beside those of the vendor's signer, huaweicloudsdkcore, byte for byte.

The signer is deterministic once X-Sdk-Date is given. A request that it signs to the same Authorization is one that it
accepts: what gateways do is to sign what came, and compare.
"""

from __future__ import annotations

from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer as VendorsSigner
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from multidict import CIMultiDict

from loadgen.engine.clock import unix_s
from loadgen.engine.preflight import preflight
from loadgen.targets.functiongraph.emulator.iam import Credentials, Iam
from loadgen.targets.functiongraph.protocol.platform import Account, CredentialCheck, Emulator
from loadgen.targets.functiongraph.protocol.request import request_template
from loadgen.targets.functiongraph.protocol.signature import sdk_date, sign
from loadgen.targets.functiongraph.protocol.target import MEMORY_SIZES_MB, KeyAuth, ResponseVersion
from tests.scenarios import function, open_phase, scenario
from tests.servers.scripted import OK, Peer, serving

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
"""Anything that has a UTF-8 form."""

ACCESS_KEYS = st.from_regex(r"[A-Z0-9]{1,20}", fullmatch=True)
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
KEYS = st.builds(KeyAuth, ACCESS_KEYS, SECRETS, st.none() | SECRETS)
TIMES = st.integers(0, 4_000_000_000)
QUERIES = st.dictionaries(TEXT, TEXT, max_size=4).map(lambda query: list(query.items()))
TYPES = st.sampled_from(["application/json", "application/json;charset=utf8", "application/bson", "text/plain", ""])
NAMES = st.from_regex(r"X-[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)
HEADERS = st.builds(
    lambda known, others: [*known.items(), *others],
    st.fixed_dictionaries({"Host": TEXT}, optional={"Content-Type": TYPES, "X-Project-Id": TEXT}),
    st.lists(st.tuples(NAMES, TEXT), max_size=4, unique_by=lambda pair: pair[0].lower()),
)


def vendors(
    key: KeyAuth,
    method: str,
    path: str,
    query: list[tuple[str, str]],
    headers: list[tuple[str, str]],
    body: bytes,
    at: int | str,
) -> SdkRequest:
    """The request as the vendor's signer sends it."""
    sent = dict(headers) | {"X-Sdk-Date": at if isinstance(at, str) else sdk_date(at)}
    if key.security_token is not None:
        sent["X-Security-Token"] = key.security_token
    request = SdkRequest(
        method=method,
        schema="https",
        host="host",
        resource_path=path,
        query_params=query,
        header_params=sent,
        body=body,
    )
    return VendorsSigner(BasicCredentials(key.access_key, key.secret_key, "p")).sign(request)


@given(
    KEYS,
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "patch"]),
    TEXT.map(lambda path: f"/{path}"),
    QUERIES,
    HEADERS,
    st.binary(max_size=100),
    TIMES,
)
def test_any_request_gets_the_vendors_signature(
    key: KeyAuth,
    method: str,
    path: str,
    query: list[tuple[str, str]],
    headers: list[tuple[str, str]],
    body: bytes,
    at: int,
) -> None:
    theirs = vendors(key, method, path, list(query), headers, body, at).header_params
    ours = dict(sign(key, method, path, query, headers, body, at))
    # theirs are as http.client wants them: stripped, and UTF-8 written as if it were Latin-1
    assert {name: theirs[name] for name in ours} == {
        name: value.strip().encode().decode("iso-8859-1") if name != "Authorization" else value
        for name, value in ours.items()
    }
    assert theirs.keys() - ours.keys() == {name for name, _ in headers}


def taken_apart(request: bytes) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path, headers and body of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    method, path, _ = line.split(" ")
    return method, path, dict(field.split(": ", 1) for field in fields), body


def accepted(key: KeyAuth, request: bytes) -> bool:
    """Whether the vendor's signer signs what came, but for what was not signed, as it is signed."""
    method, path, headers, body = taken_apart(request)
    authorization = headers.pop("Authorization")
    signed = authorization.split("SignedHeaders=")[1].split(",")[0].split(";")
    unsigned = {name for name in headers if name.lower() not in signed}
    assert unsigned <= {"Connection", "Content-Length"}
    date = headers["X-Sdk-Date"]
    covered = [(name, value) for name, value in headers.items() if name not in unsigned]
    theirs = vendors(replace(key, security_token=None), method, path, [], covered, body, date)
    return bool(theirs.header_params["Authorization"] == authorization)


NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True)
QUALIFIER = st.sampled_from(["", ":latest", ":v1.0", ":!prod"])


@given(
    KEYS,
    st.builds("urn:fss:eu-de:demo:function:default:{}{}".format, NAME, QUALIFIER),
    st.fixed_dictionaries(
        {
            "response": st.sampled_from(ResponseVersion),
            "memory_mb": st.none() | st.sampled_from(MEMORY_SIZES_MB),
            "fresh_connections": st.booleans(),
            "endpoint": st.sampled_from(["https://functiongraph.eu-de.otc.t-systems.com", "http://127.0.0.1:8080"]),
        }
    ),
    st.binary(max_size=100),
    st.booleans(),
    TIMES,
)
def test_every_invocation_that_loadgen_sends_is_accepted_by_the_vendors_signer(
    key: KeyAuth, name: str, changes: dict[str, Any], event: bytes, tail: bool, at: int
) -> None:
    target = replace(function("http://127.0.0.1:1"), function=name, auth=key, **changes)
    assert accepted(key, request_template(target).render(event, tail, at))


def test_a_request_that_was_changed_on_the_way_is_not_accepted() -> None:
    key = KeyAuth("AKDUMMY", "SKDUMMY")
    sent = request_template(replace(function("http://127.0.0.1:1"), auth=key)).render(b'{"k":"v"}', True, 0)
    assert accepted(key, sent)
    for old, new in ((b'"v"', b'"w"'), (b"hello", b"jello"), (b"tail", b"none"), (b"19700101", b"19700102")):
        assert old in sent
        assert not accepted(key, sent.replace(old, new))


@pytest.mark.parametrize("token", [None, "STSTOKEN"])
async def test_what_arrives_at_a_server_is_accepted_by_the_vendors_signer(token: str | None) -> None:
    async def play(peer: Peer) -> None:
        while await peer.request():
            await peer.send(OK)

    key = KeyAuth("AKDUMMY", "SKDUMMY", token)
    began = sdk_date(unix_s())
    async with serving(play) as server:
        target = replace(function(f"http://127.0.0.1:{server.port}"), auth=key)
        await preflight(scenario(target, open_phase(1, 1)))
    (request,) = server.requests
    assert accepted(key, request)
    _, _, headers, _ = taken_apart(request)
    assert headers.get("X-Security-Token") == token
    assert began <= headers["X-Sdk-Date"] <= sdk_date(unix_s())


@given(
    KEYS,
    st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    TEXT.map(lambda path: f"/{path}"),
    QUERIES,
    HEADERS,
    st.binary(max_size=100),
)
def test_whatever_the_vendors_signer_signs_the_emulator_accepts(
    key: KeyAuth,
    method: str,
    path: str,
    query: list[tuple[str, str]],
    headers: list[tuple[str, str]],
    body: bytes,
) -> None:
    now = 1_767_323_045
    sent = vendors(key, method, path, list(query), headers, body, now).header_params
    received = CIMultiDict((name, value.encode("iso-8859-1").decode()) for name, value in sent.items())
    account = Account(access_key=key.access_key, secret_key=key.secret_key, security_token=key.security_token)
    iam = Iam(Emulator(1, 0, (), auth=CredentialCheck.STRICT, account=account), "p")
    assert iam.check(Credentials(method, path, query, received, body), "p", now) is None
    wrong = Iam(Emulator(1, 0, (), auth=CredentialCheck.STRICT, account=replace(account, secret_key="another")), "p")
    assert wrong.check(Credentials(method, path, query, received, body), "p", now) is not None
