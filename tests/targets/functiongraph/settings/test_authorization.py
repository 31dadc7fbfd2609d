from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from loadgen.targets.functiongraph.protocol.signature import sign
from loadgen.targets.functiongraph.protocol.target import Auth, EnvironmentAuth, IamAuth, KeyAuth, NoAuth, TokenAuth
from loadgen.targets.functiongraph.settings.authorization import Key, Nobody, User, authorization
from loadgen.targets.functiongraph.settings.client import Control
from loadgen.targets.functiongraph.settings.failure import ControlError
from tests.servers.management import HELLO, PROJECT, Management, Request

KEY = KeyAuth("AKDUMMY", "SKDUMMY", "STSTOKEN")


async def headers_of(platform: Management, auth: Auth) -> dict[str, str]:
    async with Control(platform.url, PROJECT, authorization(auth, PROJECT)) as control:
        await control.config(HELLO)
    return platform.requests[-1].headers


async def test_each_kind_of_credentials_authorises_in_its_own_way(platform: Management) -> None:
    names = {"X-Auth-Token", "Authorization", "X-Sdk-Date", "X-Project-Id", "X-Security-Token"}
    assert names & (await headers_of(platform, NoAuth())).keys() == set()
    assert (await headers_of(platform, TokenAuth("t0k")))["X-Auth-Token"] == "t0k"
    signed = await headers_of(platform, KEY)
    assert names & signed.keys() == names - {"X-Auth-Token"}
    assert signed["Authorization"].startswith("SDK-HMAC-SHA256 Access=AKDUMMY, SignedHeaders=content-type;host;")


async def test_a_path_is_signed_as_it_is_sent_encoded(platform: Management) -> None:
    async with Control(platform.url, PROJECT, Key(KEY, PROJECT, lambda: 1_767_323_045.7)) as control:
        await control.config(HELLO)
    request = platform.requests[0]
    assert request.path == f"/v2/demo/fgs/functions/{HELLO.path_segment}/config"
    sent = [(name, request.headers[name]) for name in ("Host", "Content-Type", "X-Project-Id")]
    expected = sign(KEY, "GET", request.path, [], sent, b"", 1_767_323_045)
    assert {name: request.headers[name] for name, _ in expected} == dict(expected)


class Iam:
    """IAM, as part of a platform: a token per request, good for four seconds."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.status = 201

    async def before(self, request: Request) -> web.Response | None:
        if not request.path.startswith("/v3/auth/tokens"):
            return None
        self.asked.append(json.loads(request.body))
        times = {"issued_at": "2026-01-02T00:00:00.000000Z", "expires_at": "2026-01-02T00:00:04.000000Z"}
        token = {"X-Subject-Token": f"token-{len(self.asked)}"}
        return web.json_response({"token": times}, status=self.status, headers=token)


async def test_a_users_token_is_obtained_once_and_anew_when_it_is_due(platform: Management) -> None:
    iam = Iam()
    platform.before = iam.before
    clock = [0]
    user = User(IamAuth(platform.url, "u", "p", "account", PROJECT), None, lambda: clock[0])
    async with Control(platform.url, PROJECT, user) as control:
        for seconds in (0, 1, 3):
            clock[0] = seconds * 1_000_000_000
            await control.config(HELLO)
    tokens = [request.headers["X-Auth-Token"] for request in platform.requests if "config" in request.path]
    assert tokens == ["token-1", "token-1", "token-2"]


async def test_a_refused_user_is_an_error_like_any_other(platform: Management) -> None:
    iam = Iam()
    iam.status = 401
    platform.before = iam.before
    user = User(IamAuth(platform.url, "u", "hunter2-hunter2", "account", PROJECT), None)
    async with Control(platform.url, PROJECT, user) as control:
        with pytest.raises(ControlError, match="401") as raised:
            await control.config(HELLO)
    assert "hunter2" not in str(raised.value)


def test_credentials_that_were_not_looked_up_yet_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="looked up"):
        authorization(EnvironmentAuth(), PROJECT)


@pytest.mark.parametrize("auth", [TokenAuth("s3cret-s3cret"), KeyAuth("AK", "s3cret-s3cret"), NoAuth()])
def test_no_secret_is_in_the_repr_of_what_holds_it(auth: Auth) -> None:
    held = authorization(auth, PROJECT)
    assert "s3cret" not in repr(held) + repr(held.__dict__)
    assert isinstance(authorization(NoAuth(), PROJECT), Nobody)
