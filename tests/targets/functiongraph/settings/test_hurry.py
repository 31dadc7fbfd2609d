"""Putting back that is cut short: nothing is tried again or waited for, and the journal stays for restore."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from msgspec.structs import replace

from loadgen.targets.functiongraph.settings.again import Patience
from loadgen.targets.functiongraph.settings.changes import UndoError
from loadgen.targets.functiongraph.settings.journalfile import journals
from tests.servers.management import Management, Request, failure
from tests.targets.functiongraph.settings.entries import QUICK
from tests.targets.functiongraph.settings.restorer import restore
from tests.targets.functiongraph.settings.test_hold import running

PRODUCTION = Patience(mark_s=0.05, note_s=0.1)
"""It tries for a minute and looks for lost writes for half of one."""
LONGEST_S = 20.0
Hook = Callable[[Request], Awaitable[web.Response | None]]


async def broken(request: Request) -> web.Response | None:
    request.break_off()
    return None


async def down(request: Request) -> web.Response | None:
    return failure(503, "FSS.0503", "down")


async def lost(request: Request) -> web.Response | None:
    if not request.writes:
        return None
    request.break_off()
    return web.Response(status=500)


@pytest.mark.parametrize("platform_is", [broken, down, lost], ids=lambda fault: str(fault.__name__))
async def test_a_hurry_ends_what_is_tried_again_and_its_journal_stays_until_it_is_restored(
    platform: Management, tmp_path: Path, platform_is: Hook
) -> None:
    before = platform.state()
    told: list[str] = []

    async def work() -> None:
        async with running(platform, tmp_path, patience=PRODUCTION) as (changes, notes):
            await changes.config({("memory_size",): 512})
            await changes.config({("user_data", "LOADGEN_RUN"): "1"})
            platform.before = platform_is
            asyncio.get_running_loop().call_later(0.5, changes.hurry)
            nonlocal told
            told = notes

    began = time.monotonic()
    with pytest.raises(UndoError, match=r"could be put back.*loadgen restore run-1"):
        await work()
    assert time.monotonic() - began < LONGEST_S
    assert told == [
        f"Putting back: not done yet at {platform.url}, tried for a minute; interrupt again to leave it to "
        "loadgen restore.",
        "Putting back: waiting for the request under way, 30 s at most; what fails is left to loadgen restore.",
    ]
    assert len(journals(tmp_path)) == 1
    platform.before = None
    assert {each.fault for each in await restore(tmp_path)} == {None}
    assert (platform.state(), journals(tmp_path)) == (before, [])


async def test_in_a_hurry_a_lost_write_is_not_taken_to_be_settled(platform: Management, tmp_path: Path) -> None:
    """It may be carried out after the run has ended, so the journal still says that it is under way."""
    before = platform.state()

    async def resizing_is_lost(request: Request) -> web.Response | None:
        return await lost(request) if b'"memory_size":512' in request.body else None

    async def work() -> None:
        async with running(platform, tmp_path, patience=PRODUCTION) as (changes, _):
            platform.before = resizing_is_lost
            asyncio.get_running_loop().call_later(0.3, changes.hurry)
            await changes.config({("memory_size",): 512})

    with pytest.raises(UndoError, match="never seen to arrive, and may do so yet"):
        await work()
    platform.before = None
    request = next(each for each in platform.writes if b'"memory_size":512' in each.body)
    asyncio.get_running_loop().call_later(0.1, platform.carry_out, request)
    assert {each.fault for each in await restore(tmp_path)} == {None}
    assert platform.state() == before


async def test_in_a_hurry_a_platform_that_answers_is_put_back_whole_and_nothing_is_said(
    platform: Management, tmp_path: Path
) -> None:
    before = platform.state()
    async with running(platform, tmp_path, patience=replace(QUICK, note_s=5.0)) as (changes, notes):
        await changes.config({("memory_size",): 512})
        await changes.config({("user_data", "LOADGEN_RUN"): "1"})
        changes.hurry()
    assert (platform.state(), notes, list(tmp_path.iterdir())) == (before, [], [])


async def test_in_a_hurry_what_comes_after_a_failure_is_not_asked_for(platform: Management, tmp_path: Path) -> None:
    platform.config["user_data"] = ""  # so that it takes two steps to put it back

    async def work() -> None:
        async with running(platform, tmp_path, patience=PRODUCTION) as (changes, _):
            await changes.config({("memory_size",): 512})
            await changes.config({("user_data", "LOADGEN_RUN"): "1"})
            changes.hurry()
            platform.requests.clear()
            platform.before = down

    with pytest.raises(UndoError, match="not tried, as that was interrupted"):
        await work()
    assert len(platform.requests) == 1
