from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.targets.functiongraph.protocol.target import IamAuth, TokenAuth
from loadgen.targets.functiongraph.protocol.token import (
    LONGEST,
    IamError,
    Token,
    agency_request,
    password_request,
    read,
)

ID = "0123456789abcdef0123456789abcdef"
USER = IamAuth("https://iam.example", "u", "pass-word", "ACCOUNT", ID)


def agency(project: str = "eu-de", domain: str | None = "OTHER") -> IamAuth:
    return IamAuth("https://iam.example", "u", "pass-word", "ACCOUNT", project, "readers", domain)


def times(issued: str, expires: str) -> bytes:
    return json.dumps({"token": {"issued_at": issued, "expires_at": expires}}).encode()


def test_a_password_buys_a_token_for_the_project() -> None:
    assert json.loads(password_request(USER)) == {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "u", "password": "pass-word", "domain": {"name": "ACCOUNT"}}},
            },
            "scope": {"project": {"id": ID}},
        }
    }


def test_a_project_by_name_is_looked_for_in_the_account() -> None:
    user = IamAuth("https://iam.example", "u", "p", ID, "eu-de")
    auth = json.loads(password_request(user))["auth"]
    assert auth["scope"] == {"project": {"name": "eu-de", "domain": {"id": ID}}}
    assert auth["identity"]["password"]["user"]["domain"] == {"id": ID}


def test_an_agency_takes_the_users_token_of_the_account_and_gives_one_for_the_project() -> None:
    assert json.loads(password_request(agency()))["auth"]["scope"] == {"domain": {"name": "ACCOUNT"}}
    assert json.loads(agency_request(agency())) == {
        "auth": {
            "identity": {
                "methods": ["assume_role"],
                "assume_role": {"domain_name": "OTHER", "xrole_name": "readers"},
            },
            "scope": {"project": {"name": "eu-de", "domain": {"name": "OTHER"}}},
        }
    }


def test_the_lifetime_is_what_the_server_says_whatever_its_clock() -> None:
    body = times("2019-02-12T06:52:13.855000Z", "2019-02-13T06:52:13.855000Z")
    token = read(201, {"X-Subject-Token": "MII"}, body, USER)
    assert token == Token(TokenAuth("MII"), 86_400.0)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[", b"\xff", times("x", "y"), times("2019-02-12T06:52:13", "2019-02-12T06:52:13Z")]
)
def test_a_token_without_readable_times_is_good_for_nobody_knows_how_long(body: bytes) -> None:
    token = read(201, {"X-Subject-Token": "MII"}, body, USER)
    assert token.lifetime_s is None
    assert token.renew_after_s is None


@given(st.floats(0, 1e6))
def test_a_token_is_renewed_in_time_and_never_in_its_first_half(lifetime: float) -> None:
    after = Token(TokenAuth("t"), lifetime).renew_after_s
    assert after is not None
    assert lifetime / 2 <= after <= lifetime
    assert lifetime < 600 or lifetime - after <= 300.001


@pytest.mark.parametrize(
    ("status", "message", "expected", "final"),
    [
        (401, "The username or password is wrong.", "Check username, password, domain", True),
        (403, "locked", "wait if it is locked", True),
        (400, "bad", "Check domain and project", True),
        (404, "", "Check url, project and agency", True),
        (429, "slow down", "Try again in a minute", False),
        (503, "", "Try again later", False),
        (200, "", "not how IAM answers", True),
    ],
)
def test_a_refusal_says_what_to_do_and_whether_asking_again_may_help(
    status: int, message: str, expected: str, final: bool
) -> None:
    body = json.dumps({"error": {"code": status, "message": message, "title": "t"}}).encode()
    with pytest.raises(IamError, match=r"iam\.example") as error:
        read(status, {}, body, USER)
    assert expected in str(error.value)
    assert message in str(error.value)
    assert error.value.final is final


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "x" * (LONGEST + 1)])
def test_an_answer_without_a_token_that_can_be_sent_is_not_one_of_iam(token: str) -> None:
    with pytest.raises(IamError, match="without a token"):
        read(201, {"X-Subject-Token": token}, b"", USER)


def test_no_refusal_shows_the_password_that_a_server_repeats() -> None:
    body = json.dumps({"error": {"message": "no pass-word\x1b[31m here" + "x" * 1000}}).encode()
    with pytest.raises(IamError) as error:
        read(401, {}, body, USER)
    assert "pass-word" not in str(error.value)
    assert "\x1b" not in str(error.value)
    assert len(str(error.value)) < 600
    assert "pass-word" not in repr(USER)


@given(st.integers(100, 599), st.text(max_size=20), st.binary(max_size=100))
def test_any_answer_is_a_token_or_an_error(status: int, token: str, body: bytes) -> None:
    with suppress(IamError):
        read(status, {"X-Subject-Token": token}, body, USER)
