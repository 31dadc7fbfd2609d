"""Who may call the emulator: tokens and signatures, judged at instants that the test chooses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from loadgen.targets.functiongraph.emulator.answer import Answer, Refusal
from loadgen.targets.functiongraph.emulator.iam import LOCK_AFTER, LOCK_S, Credentials, Iam
from loadgen.targets.functiongraph.protocol.platform import Account, CredentialCheck, Emulator
from loadgen.targets.functiongraph.protocol.signature import sdk_date, sign
from loadgen.targets.functiongraph.protocol.target import KeyAuth

NOW = 1_767_323_045.0  # 2026-01-02T03:04:05Z
PROJECT = "0123456789abcdef0123456789abcdef"
PATH = f"/v2/{PROJECT}/fgs/functions/urn:fss:cn-north-4:{PROJECT}:function:default:demo:latest/invocations"
HOST = "functiongraph.cn-north-4.myhuaweicloud.com"
BODY = b'{"k": "v"}'
KEY = KeyAuth("AKDUMMY", "SKDUMMY")
ACCOUNT = Account(access_key="AKDUMMY", secret_key="SKDUMMY")


def iam(auth: CredentialCheck = CredentialCheck.STRICT, account: Account = ACCOUNT, lifetime_s: int = 100) -> Iam:
    settings = Emulator(1, 0, (), auth=auth, account=account, token_lifetime_ns=lifetime_s * 10**9)
    return Iam(settings, PROJECT)


def credentials(headers: Mapping[str, str], *, path: str = PATH, body: bytes = BODY) -> Credentials:
    return Credentials("POST", path, (), CIMultiDict(headers), body)


def signed(key: KeyAuth = KEY, at: float = NOW, **extra: str) -> dict[str, str]:
    headers = {"Host": HOST, "Content-Type": "application/json", "X-Project-Id": PROJECT, **extra}
    return headers | dict(sign(key, "POST", PATH, (), list(headers.items()), BODY, int(at)))


def fault(found: Refusal | None) -> tuple[int, str, str]:
    assert found is not None
    return found.status, found.code, found.message


def token_request(password: str = "demo", project: object = None, user: str = "demo") -> bytes:
    scope = {"scope": {"project": project or {"id": PROJECT}}}
    known = {"name": user, "password": password, "domain": {"name": "demo"}}
    return json.dumps({"auth": {"identity": {"methods": ["password"], "password": {"user": known}}, **scope}}).encode()


def agency_request(key: str = "agency_name", agency: str = "demo") -> bytes:
    role = {"domain_name": "demo", key: agency}
    identity = {"methods": ["assume_role"], "assume_role": role}
    return json.dumps({"auth": {"identity": identity, "scope": {"project": {"id": PROJECT}}}}).encode()


def token(server: Iam, body: bytes = token_request(), asked_by: str | None = None, now: float = NOW) -> str:
    answer = server.give_token(body, asked_by, "127.0.0.1:80", now)
    assert answer.status == 201, answer
    return answer.headers["X-Subject-Token"]


def error(answer: Answer) -> tuple[int, str]:
    """Status and title of an error, which is in Keystone's envelope."""
    found = json.loads(answer.body)["error"]
    assert found["code"] == answer.status
    assert found["message"]
    return answer.status, found["title"]


# Signatures


def test_the_first_known_answer_of_the_vendors_signer_is_accepted() -> None:
    headers = {
        "Host": HOST,
        "Content-Type": "application/json",
        "X-Project-Id": PROJECT,
        "X-Sdk-Date": "20260102T030405Z",
        "Authorization": "SDK-HMAC-SHA256 Access=AKDUMMY, SignedHeaders=content-type;host;x-project-id;x-sdk-date, "
        "Signature=1fd8f6344fb73aa13782d9592b6cf517f51cfc7b322fafc15e671d02ca9e25ce",
    }
    assert iam().check(credentials(headers), PROJECT, NOW) is None
    encoded = PATH.replace(":", "%3A")
    assert iam().check(credentials(headers, path=encoded), PROJECT, NOW) is None


def test_the_second_known_answer_of_the_vendors_signer_is_accepted() -> None:
    headers = {
        "Host": "127.0.0.1:8080",
        "Content-Type": "application/json",
        "X-Project-Id": PROJECT,
        "X-Sdk-Date": "20260102T030405Z",
        "X-Security-Token": "STSTOKEN",
        "X-CFF-Request-Version": "v1",
        "X-Cff-Log-Type": "tail",
        "Authorization": "SDK-HMAC-SHA256 Access=AKDUMMY, SignedHeaders=content-type;host;x-cff-log-type;"
        "x-cff-request-version;x-project-id;x-sdk-date;x-security-token, "
        "Signature=8b7cc61c422ff8097df68d5bb44fa9a2c8fe9592a22e14f7bf423ac66b19c10c",
    }
    path = f"/v2/{PROJECT}/fgs/functions/urn:fss:eu-de:{PROJECT}:function:default:demo:!prod/invocations"
    server = iam(account=Account(access_key="AKDUMMY", secret_key="SKDUMMY", security_token="STSTOKEN"))
    assert server.check(credentials(headers, path=path, body=b"{}"), PROJECT, NOW) is None
    assert server.check(credentials(headers, path=path, body=b"{ }"), PROJECT, NOW) is not None


def test_a_right_signature_is_accepted_within_fifteen_minutes_of_its_time() -> None:
    server = iam()
    for seconds in (-900, -1, 0, 1, 900):
        assert server.check(credentials(signed()), PROJECT, NOW + seconds) is None
    for seconds in (-901, 901):
        status, code, message = fault(server.check(credentials(signed()), PROJECT, NOW + seconds))
        assert (status, code) == (401, "APIG.0301")
        assert message == (
            "Incorrect IAM authentication information: calc aksk signature fail:signature expired, "
            f"signature time:20260102T030405Z,server time:{sdk_date(int(NOW + seconds))}"
        )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"X-Project-Id": "another"}, "the signatures differ"),
        ({"Host": "elsewhere"}, "the signatures differ"),
        ({"X-Sdk-Date": "20260102T030406Z"}, "the signatures differ"),
        ({"X-Sdk-Date": "20269902T030406Z"}, "malformed"),
        ({"X-Sdk-Date": "yesterday"}, "malformed"),
        ({"Authorization": "SDK-HMAC-SHA256 nonsense"}, "malformed"),
        ({"Authorization": f"SDK-HMAC-SHA256 Access=AKDUMMY, SignedHeaders=host, Signature={'0' * 64}"}, "x-sdk-date"),
        (
            {
                "Authorization": "SDK-HMAC-SHA256 Access=AKDUMMY, SignedHeaders=host;x-gone;x-sdk-date, "
                f"Signature={'0' * 64}"
            },
            "x-gone is signed and not sent",
        ),
    ],
)
def test_a_request_that_is_not_the_one_that_was_signed_is_refused(change: dict[str, str], why: str) -> None:
    status, code, message = fault(iam().check(credentials(signed() | change), PROJECT, NOW))
    assert (status, code) == (401, "APIG.0301")
    assert message.startswith("Incorrect IAM authentication information: ")
    assert why in message


def test_a_changed_body_is_refused_unless_the_signature_leaves_it_out() -> None:
    assert iam().check(credentials(signed(), body=b"{}"), PROJECT, NOW) is not None
    unsigned = {"Host": HOST, "Content-Type": "text/plain"}
    unsigned |= dict(sign(KEY, "POST", PATH, (), list(unsigned.items()), BODY, int(NOW)))
    assert unsigned["X-Sdk-Content-Sha256"] == "UNSIGNED-PAYLOAD"
    assert iam().check(credentials(unsigned, body=b"other"), PROJECT, NOW) is None


def test_no_body_is_signed_even_where_a_body_would_not_be() -> None:
    headers = {"Host": HOST, "Content-Type": "text/plain"}
    headers |= dict(sign(KEY, "POST", PATH, (), list(headers.items()), b"", int(NOW)))
    assert headers["X-Sdk-Content-Sha256"] == "UNSIGNED-PAYLOAD"
    assert iam().check(credentials(headers, body=b""), PROJECT, NOW) is None
    assert iam().check(credentials(headers, body=b"other"), PROJECT, NOW) is not None


def test_an_unknown_access_key_is_named() -> None:
    _, code, message = fault(iam().check(credentials(signed(KeyAuth("AKWRONG", "SK"))), PROJECT, NOW))
    assert code == "APIG.0301"
    assert message.endswith("Get secretKey failed,ak:AKWRONG,err:ak not exist")


def test_more_than_five_wrong_signatures_in_a_row_lock_the_key_for_five_minutes() -> None:
    server = iam()
    wrong = credentials(signed(KeyAuth("AKDUMMY", "wrong")))
    for _ in range(LOCK_AFTER):
        server.check(wrong, PROJECT, NOW)
    assert server.check(credentials(signed()), PROJECT, NOW) is None  # which starts the count again
    for _ in range(LOCK_AFTER + 1):
        assert "the signatures differ" in fault(server.check(wrong, PROJECT, NOW))[2]
    locked = fault(server.check(credentials(signed()), PROJECT, NOW + LOCK_S - 1))
    assert locked[2].endswith("AK access failed to reach the limit,forbidden.")
    assert server.check(credentials(signed(at=NOW + LOCK_S)), PROJECT, NOW + LOCK_S) is None


def test_a_temporary_key_needs_its_security_token() -> None:
    server = iam(account=Account(access_key="AKDUMMY", secret_key="SKDUMMY", security_token="STSTOKEN"))
    assert server.check(credentials(signed(KeyAuth("AKDUMMY", "SKDUMMY", "STSTOKEN"))), PROJECT, NOW) is None
    assert "security token" in fault(server.check(credentials(signed()), PROJECT, NOW))[2]


# Tokens


def test_a_token_is_good_for_its_lifetime_and_must_then_be_updated() -> None:
    server = iam(lifetime_s=5)
    headers = {"X-Auth-Token": token(server)}
    assert server.check(credentials(headers), PROJECT, NOW + 4.9) is None
    assert fault(server.check(credentials(headers), PROJECT, NOW + 5))[:2] == (401, "APIG.0307")


def test_a_new_token_leaves_the_old_one_good() -> None:
    server = iam()
    old, new = token(server), token(server)
    assert old != new
    assert server.check(credentials({"X-Auth-Token": old}), PROJECT, NOW) is None


def test_a_token_of_nobody_cannot_be_decrypted() -> None:
    found = fault(iam().check(credentials({"X-Auth-Token": "MIIabc"}), PROJECT, NOW))
    assert found == (401, "APIG.0301", "Incorrect IAM authentication information: decrypt token fail")


@pytest.mark.parametrize("auth", [CredentialCheck.LENIENT, CredentialCheck.STRICT])
def test_credentials_have_to_be_there(auth: CredentialCheck) -> None:
    found = fault(iam(auth).check(credentials({}), PROJECT, NOW))
    assert found == (401, "APIG.0301", "Incorrect IAM authentication information: x-auth-token not found")


def test_lenient_takes_what_looks_like_credentials_and_nothing_else() -> None:
    server = iam(CredentialCheck.LENIENT)
    assert server.check(credentials({"X-Auth-Token": "any"}), "any", NOW) is None
    assert server.check(credentials(signed(KeyAuth("any", "other"))), "any", NOW + 10**6) is None
    assert server.check(credentials({"Authorization": "Bearer x"}), "any", NOW) is not None


def test_off_takes_everything() -> None:
    assert iam(CredentialCheck.OFF).check(credentials({}), "any", NOW) is None


def test_credentials_of_one_project_do_not_open_another() -> None:
    server = iam()
    for headers in ({"X-Auth-Token": token(server)}, signed()):
        assert fault(server.check(credentials(headers), "another", NOW))[:2] == (403, "APIG.0310")


def test_a_token_says_whose_it_is_and_until_when_in_the_documented_form() -> None:
    answer = iam(lifetime_s=100).give_token(token_request(), None, "127.0.0.1:8080", NOW)
    document = json.loads(answer.body)["token"]
    assert answer.headers["X-Subject-Token"].startswith("MII")
    assert 1000 < len(answer.headers["X-Subject-Token"]) < 32 * 1024
    assert document["issued_at"] == "2026-01-02T03:04:05.000000Z"
    assert document["expires_at"] == "2026-01-02T03:05:45.000000Z"
    assert document["methods"] == ["password"]
    assert document["project"]["id"] == PROJECT
    endpoints = {each["type"]: each["endpoints"][0]["url"] for each in document["catalog"]}
    assert endpoints["functiongraph"] == f"http://127.0.0.1:8080/v2/{PROJECT}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (token_request(password="wrong"), (401, "Unauthorized")),
        (token_request(user="nobody"), (401, "Unauthorized")),
        (token_request(project={"name": "elsewhere"}), (401, "Unauthorized")),
        (agency_request(), (401, "Unauthorized")),
        (b"", (400, "Bad Request")),
        (b"{}", (400, "Bad Request")),
        (b"[" * 100_000, (400, "Bad Request")),
        (b'{"auth": {"identity": {"methods": ["password"]}}}', (400, "Bad Request")),
        (b'{"auth": {"identity": {"methods": ["magic"]}}}', (400, "Bad Request")),
        (b"\xff\xfe", (400, "Bad Request")),
    ],
)
def test_a_request_for_a_token_is_refused_in_keystones_envelope(body: bytes, expected: tuple[int, str]) -> None:
    assert error(iam().give_token(body, None, "h", NOW)) == expected


@pytest.mark.parametrize("key", ["agency_name", "xrole_name"])
def test_an_agency_is_assumed_with_the_users_own_token(key: str) -> None:
    server = iam(lifetime_s=5)
    own = token(server)
    assert server.check(credentials({"X-Auth-Token": token(server, agency_request(key), own)}), PROJECT, NOW) is None
    assert error(server.give_token(agency_request(key, "other"), own, "h", NOW)) == (403, "Forbidden")
    assert error(server.give_token(agency_request(key), own, "h", NOW + 5)) == (401, "Unauthorized")


def test_a_token_without_a_project_opens_none() -> None:
    body: dict[str, Any] = json.loads(token_request())
    del body["auth"]["scope"]
    server = iam()
    headers = {"X-Auth-Token": token(server, json.dumps(body).encode())}
    assert fault(server.check(credentials(headers), PROJECT, NOW))[:2] == (403, "APIG.0310")


def test_whoever_does_not_check_gives_tokens_to_anyone() -> None:
    server = iam(CredentialCheck.OFF)
    assert token(server, token_request(user="anyone", password="anything"))


@given(
    headers=st.dictionaries(
        st.sampled_from(["X-Auth-Token", "Authorization", "X-Sdk-Date", "X-Sdk-Content-Sha256", "Host"]), st.text()
    ),
    body=st.binary(max_size=20),
)
def test_no_headers_pass_by_chance_and_none_break_the_check(headers: dict[str, str], body: bytes) -> None:
    assert isinstance(iam().check(credentials(headers, body=body), PROJECT, NOW), Refusal)


def test_bytes_that_are_no_text_in_a_signed_header_are_refused() -> None:
    headers = signed() | {"X-Project-Id": "\udcff"}
    assert "not UTF-8" in fault(iam().check(credentials(headers), PROJECT, NOW))[2]
    assert iam().check(credentials({"X-Auth-Token": "\udcff"}), PROJECT, NOW) is not None
