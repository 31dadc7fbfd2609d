from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.targets.functiongraph.protocol.signature import (
    Signer,
    canonical_path,
    canonical_query,
    canonical_request,
    sdk_date,
    sign,
    signed_names,
)
from loadgen.targets.functiongraph.protocol.target import KeyAuth

PROJECT = "0123456789abcdef0123456789abcdef"
AT = int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp())
KEY = KeyAuth("AKDUMMY", "SKDUMMY")
TEMPORARY = KeyAuth("AKDUMMY", "SKDUMMY", "STSTOKEN")

FIRST: dict[str, Any] = {
    "path": f"/v2/{PROJECT}/fgs/functions/urn:fss:cn-north-4:{PROJECT}:function:default:demo:latest/invocations",
    "headers": [
        ("Host", "functiongraph.cn-north-4.myhuaweicloud.com"),
        ("Content-Type", "application/json"),
        ("X-Project-Id", PROJECT),
    ],
}
SECOND: dict[str, Any] = {
    "path": f"/v2/{PROJECT}/fgs/functions/urn:fss:eu-de:{PROJECT}:function:default:demo:!prod/invocations",
    "headers": [
        ("Host", "127.0.0.1:8080"),
        ("Content-Type", "application/json"),
        ("X-Project-Id", PROJECT),
        ("X-CFF-Request-Version", "v1"),
        ("X-Cff-Log-Type", "tail"),
    ],
}
# computed with the signer of huaweicloudsdkcore 3.1.219
VECTORS = [
    (
        KEY,
        FIRST,
        b'{"k": "v"}',
        "SDK-HMAC-SHA256 Access=AKDUMMY, SignedHeaders=content-type;host;x-project-id;x-sdk-date, "
        "Signature=1fd8f6344fb73aa13782d9592b6cf517f51cfc7b322fafc15e671d02ca9e25ce",
    ),
    (
        TEMPORARY,
        SECOND,
        b"{}",
        "SDK-HMAC-SHA256 Access=AKDUMMY, SignedHeaders="
        "content-type;host;x-cff-log-type;x-cff-request-version;x-project-id;x-sdk-date;x-security-token, "
        "Signature=8b7cc61c422ff8097df68d5bb44fa9a2c8fe9592a22e14f7bf423ac66b19c10c",
    ),
]


@pytest.mark.parametrize(("key", "request_", "body", "expected"), VECTORS)
def test_the_signature_is_that_of_the_vendors_signer(
    key: KeyAuth, request_: dict[str, Any], body: bytes, expected: str
) -> None:
    added = dict(sign(key, "POST", request_["path"], [], request_["headers"], body, AT))
    assert added["Authorization"] == expected
    assert added["X-Sdk-Date"] == "20260102T030405Z"
    assert added.get("X-Security-Token") == key.security_token


@pytest.mark.parametrize(("key", "request_", "body", "expected"), VECTORS)
def test_a_signer_for_many_requests_signs_as_if_each_were_the_only_one(
    key: KeyAuth, request_: dict[str, Any], body: bytes, expected: str
) -> None:
    signer = Signer(key, "POST", request_["path"], request_["headers"])
    signer.fields(b"another body", AT - 1)
    token = "X-Security-Token: STSTOKEN\r\n" if key.security_token else ""
    assert signer.fields(body, AT).decode() == f"X-Sdk-Date: 20260102T030405Z\r\n{token}Authorization: {expected}"


def test_a_raw_path_and_an_encoded_one_are_signed_alike_with_a_slash_at_the_end() -> None:
    assert canonical_path("/a b/ü/:!~*()") == "/a%20b/%C3%BC/%3A%21~%2A%28%29/"
    assert canonical_path("/a%20b/%C3%BC/%3a%21~%2A%28%29/") == "/a%20b/%C3%BC/%3A%21~%2A%28%29/"
    assert canonical_path("/") == "/"


def test_parameters_are_sorted_and_encoded() -> None:
    assert canonical_query([("b", "2"), ("a", "x y")]) == "a=x%20y&b=2"
    assert canonical_query([]) == ""


def test_the_canonical_request_has_six_parts_and_a_blank_line() -> None:
    headers = {"host": "h", "x-sdk-date": "D", "content-type": " application/json "}
    names = signed_names(headers)
    assert canonical_request("post", "/a", [("q", "1")], headers, names, "hash") == (
        "POST\n/a/\nq=1\ncontent-type:application/json\nhost:h\nx-sdk-date:D\n\ncontent-type;host;x-sdk-date\nhash"
    )


def test_a_header_with_an_underscore_is_not_signed() -> None:
    assert signed_names(["X-B", "a_b", "Host"]) == ["host", "x-b"]


def test_an_empty_body_is_signed_as_one() -> None:
    assert dict(sign(KEY, "GET", "/", [], [("Host", "h")], b"", AT))["Authorization"].endswith(
        "Signature=" + expected_signature("GET\n/\n\nhost:h\nx-sdk-date:20260102T030405Z\n\nhost;x-sdk-date\n", b"")
    )


def expected_signature(canonical: str, body: bytes) -> str:
    """Written out once more, after the guide."""
    canonical += hashlib.sha256(body).hexdigest()
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"SDK-HMAC-SHA256\n20260102T030405Z\n{digest}"
    return hmac.digest(b"SKDUMMY", text.encode(), "sha256").hex()


def test_a_body_that_is_no_json_is_not_hashed() -> None:
    added = dict(sign(KEY, "PUT", "/", [], [("Host", "h"), ("Content-Type", "text/plain")], b"text", AT))
    assert added["X-Sdk-Content-Sha256"] == "UNSIGNED-PAYLOAD"
    assert "x-sdk-content-sha256" in added["Authorization"]


@given(
    st.binary(max_size=200),
    st.lists(st.integers(0, 4_000_000_000), min_size=1, max_size=4),
    st.sampled_from([KEY, TEMPORARY]),
)
def test_the_templated_signature_is_always_the_plain_one(body: bytes, times: list[int], key: KeyAuth) -> None:
    signer = Signer(key, "POST", SECOND["path"], SECOND["headers"])
    for at in times:
        fields = signer.fields(body, at).decode().split("\r\n")
        expected = sign(key, "POST", SECOND["path"], [], SECOND["headers"], body, at)
        assert fields == [f"{name}: {value}" for name, value in expected]


def test_times_are_utc() -> None:
    assert sdk_date(0) == "19700101T000000Z"


def test_no_repr_shows_the_secret_key() -> None:
    signer = Signer(TEMPORARY, "POST", FIRST["path"], FIRST["headers"])
    signer.fields(b"", AT)
    for shown in (repr(signer), repr(TEMPORARY)):
        assert not any(secret in shown for secret in ("AKDUMMY", "SKDUMMY", "STSTOKEN"))
