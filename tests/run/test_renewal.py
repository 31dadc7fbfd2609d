"""A token that ends during the load: renewed without a failed call, without a gap, and without a call made twice."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import msgspec

from loadgen.run.runner import Finished
from loadgen.targets.functiongraph.protocol.target import Auth, IamAuth, TokenAuth
from tests.run.runs import Notes, run
from tests.scenarios import function, open_phase, scenario
from tests.servers.iam import Platform, keystone, platform


def user(served: Platform) -> IamAuth:
    return IamAuth(served.url, "u", "pass-word", "ACCOUNT", "demo")


async def load(served: Platform, auth: Auth, tmp_path: Path, *, rate: int, seconds: float) -> tuple[Finished, Notes]:
    target = msgspec.structs.replace(function(served.url), auth=auth)
    notes = Notes()
    finished = await run(scenario(target, open_phase(rate, seconds)), tmp_path, notes=notes, agents=2)
    return finished, notes


async def test_a_run_longer_than_its_tokens_shows_no_failed_invocation_and_no_gap(tmp_path: Path) -> None:
    async with platform(2.0) as served:
        finished, notes = await load(served, user(served), tmp_path, rate=50, seconds=4)
    totals = finished.summary.totals
    assert totals.outcomes == {"ok": 200}
    assert (totals.dropped, totals.unfinished) == (0, 0)
    assert all(good for _, good in served.calls)
    assert len(served.calls) == 201  # and the pre-flight
    tokens = list(dict.fromkeys(token for token, _ in served.calls))
    assert tokens == [f"tok-{n}" for n in range(len(tokens))]
    assert len(tokens) >= 3
    assert [said for said in notes.said if not said.startswith("expected: ")] == []
    # a start every 20 ms; one that had waited for a token would have waited for a whole exchange with IAM and more
    assert max(later - earlier for earlier, later in pairwise(served.arrivals_s[1:])) < 1


async def test_a_token_that_was_revoked_is_renewed_once_and_the_refused_calls_stay_refused(tmp_path: Path) -> None:
    async with platform(3600) as served:
        asyncio.get_running_loop().call_later(2.5, served.revoke)
        finished, _ = await load(served, user(served), tmp_path, rate=20, seconds=5)
    outcomes = finished.summary.totals.outcomes
    assert len(served.asked) == 2
    assert sum(outcomes.values()) == 100
    assert outcomes["auth"] == sum(not good for _, good in served.calls)
    assert 0 < outcomes["auth"] < 80
    assert len(served.calls) == 101
    assert served.calls[-1] == ("tok-1", True)


async def test_a_token_that_cannot_be_renewed_is_said_once_and_the_load_goes_on(tmp_path: Path) -> None:
    async with platform(1.5) as served:
        given = served.give_now()
        finished, notes = await load(served, TokenAuth(given), tmp_path, rate=20, seconds=4)
    assert sum(finished.summary.totals.outcomes.values()) == 80
    assert finished.summary.totals.outcomes["auth"] > 0
    assert len([said for said in notes.said if "cannot be renewed" in said]) == 1
    assert served.asked == []
    assert given not in " ".join(notes.said)


async def test_a_renewal_that_is_refused_is_said_without_the_password(tmp_path: Path) -> None:
    async with platform(2.0) as served:

        def wrong_from_now_on() -> None:
            served.refusals = [keystone(401, "wrong: pass-word")]

        asyncio.get_running_loop().call_later(0.3, wrong_from_now_on)
        _, notes = await load(served, user(served), tmp_path, rate=10, seconds=2)
    assert len(served.asked) == 2
    said = " ".join(notes.said)
    assert "the token could not be renewed" in said
    assert "pass-word" not in said
