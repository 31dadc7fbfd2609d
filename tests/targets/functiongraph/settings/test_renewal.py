from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from loadgen.targets.functiongraph.protocol.target import IamAuth, TokenAuth
from loadgen.targets.functiongraph.protocol.token import IamError, Token
from loadgen.targets.functiongraph.settings.renewal import Renewal, obtain
from tests.servers.iam import keystone, platform
from tests.servers.ports import free_port

BIG = "M" * 20_000


def user(url: str, agency: str | None = None) -> IamAuth:
    return IamAuth(url, "u", "pass-word", "ACCOUNT", "demo", agency, agency and "OTHER")


async def test_a_token_is_obtained_however_long_it_is_and_whatever_the_servers_clock() -> None:
    async with platform(60, secret=BIG, slow_by_s=3600) as iam:
        token = await obtain(user(iam.url), None)
    assert token.auth.token == f"{BIG}-0"
    assert token.lifetime_s == pytest.approx(60)
    assert [asked["auth"]["identity"]["methods"] for asked in iam.asked] == [["password"]]


async def test_an_agencys_token_is_bought_with_the_users() -> None:
    async with platform(60) as iam:
        token = await obtain(user(iam.url, "readers"), None)
    assert token.auth.token == "tok-1"
    assert [asked["auth"]["identity"]["methods"] for asked in iam.asked] == [["password"], ["assume_role"]]
    assert iam.asked_by == [None, "tok-0"]


async def test_a_refused_password_is_said_once_and_not_tried_again() -> None:
    async with platform(60) as iam:
        iam.refusals = [keystone(401, "wrong pass-word")]
        with pytest.raises(IamError, match="Check username, password, domain") as error:
            await obtain(user(iam.url), None)
    assert len(iam.asked) == 1
    assert error.value.final
    assert "pass-word" not in str(error.value)


async def test_an_iam_that_is_not_there_may_be_there_later() -> None:
    with pytest.raises(IamError, match="no answer from IAM at http://127") as error:
        await obtain(user(f"http://127.0.0.1:{free_port()}"), None)
    assert not error.value.final


class Script:
    """Tokens and failures to come, and what became of them."""

    def __init__(self, *steps: Token | IamError) -> None:
        self._steps = list(steps)
        self.renewed: list[str] = []
        self.notes: list[str] = []
        self.now_ns = 0
        self.renewal = Renewal(self.get, self._taken, self.notes.append, clock=lambda: self.now_ns)

    async def get(self) -> Token:
        step = self._steps.pop(0)
        if isinstance(step, IamError):
            raise step
        return step

    def _taken(self, auth: TokenAuth) -> None:
        self.renewed.append(auth.token)

    async def settle(self) -> None:
        """Let everything happen that needs no time."""
        for _ in range(20):
            await asyncio.sleep(0)


def token(name: str, lifetime_s: float | None = 3600) -> Token:
    return Token(TokenAuth(name), lifetime_s)


async def test_a_token_that_is_due_at_once_is_renewed_at_once_and_the_next_when_it_is_due() -> None:
    script = Script(token("a", 0), token("b"), token("c"))
    await script.renewal.first()
    keeping = asyncio.create_task(script.renewal.keep())
    await asyncio.sleep(0.05)
    assert script.renewed == ["a", "b"]
    await cancelled(keeping)


async def test_a_refused_token_is_renewed_once_until_the_next_falls_due() -> None:
    script = Script(token("a"), token("b"), token("c"))
    await script.renewal.first()
    keeping = asyncio.create_task(script.renewal.keep())
    await script.settle()
    assert script.renewed == ["a"]
    for _ in range(3):
        script.renewal.refused()
        await script.settle()
    assert script.renewed == ["a", "b"]
    await cancelled(keeping)


async def test_a_token_of_unknown_lifetime_is_renewed_when_it_is_refused_only() -> None:
    script = Script(token("a", None), token("b"))
    await script.renewal.first()
    keeping = asyncio.create_task(script.renewal.keep())
    await asyncio.sleep(0.02)
    assert script.renewed == ["a"]
    script.renewal.refused()
    await script.settle()
    assert script.renewed == ["a", "b"]
    await cancelled(keeping)


async def test_a_renewal_that_can_never_succeed_is_given_up_and_said() -> None:
    script = Script(token("a"), IamError("wrong password", final=True))
    await script.renewal.first()
    script.renewal.refused()
    await asyncio.wait_for(script.renewal.keep(), 5)
    assert script.notes == ["the token could not be renewed: wrong password"]


async def test_a_renewal_that_failed_is_tried_again() -> None:
    script = Script(token("a"), IamError("busy", final=False), token("b"))
    await script.renewal.first()
    keeping = asyncio.create_task(script.renewal.keep())
    script.renewal.refused()
    await script.settle()
    assert (script.renewed, script.notes) == (["a"], ["the token could not be renewed: busy"])
    script.renewal.refused()  # it was hurried already
    await script.settle()
    assert script.renewed == ["a"]
    await cancelled(keeping)


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
