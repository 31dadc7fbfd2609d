"""One run per function, and writes that arrive late, against a real server."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from msgspec.structs import replace

from loadgen.targets.functiongraph.settings.again import Patience
from loadgen.targets.functiongraph.settings.authorization import Nobody
from loadgen.targets.functiongraph.settings.changes import Changes, UndoError
from loadgen.targets.functiongraph.settings.client import Control
from loadgen.targets.functiongraph.settings.failure import ControlError
from loadgen.targets.functiongraph.settings.journal import Undone
from loadgen.targets.functiongraph.settings.journalfile import JournalFile, journals
from loadgen.targets.functiongraph.settings.lock import FunctionLock, HeldError
from loadgen.targets.functiongraph.settings.mark import MARK, NAME, mark_text
from tests.servers.management import CONFIG, HELLO, PROJECT, Management, Request, managing
from tests.targets.functiongraph.settings.entries import BEGUN, QUICK, memory, written
from tests.targets.functiongraph.settings.restorer import restore

ROOM = Patience(settle_s=0.05, late_s=1.5, back_s=1.0, mark_s=0.2)
"""For writes that arrive half a second late."""


@asynccontextmanager
async def running(
    platform: Management, directory: Path, run: str = "run-1", *, patience: Patience = QUICK
) -> AsyncIterator[tuple[Changes, list[str]]]:
    """A run that may change the function, and what it has told its user."""
    notes: list[str] = []
    journal = partial(JournalFile.create, directory, replace(BEGUN, run=run))
    async with (
        Control(platform.url, PROJECT, Nobody()) as control,
        Changes(control, control.resource(HELLO), journal, note=notes.append, patience=patience) as changes,
    ):
        yield changes, notes


def variables(platform: Management) -> dict[str, str]:
    found: dict[str, str] = json.loads(platform.config["user_data"] or "{}")
    return found


async def resized(platform: Management, directory: Path, run: str, size: int, patience: Patience = QUICK) -> str:
    """How a run ended that gives the function a size."""
    try:
        async with running(platform, directory, run, patience=patience) as (changes, _):
            await changes.config({("memory_size",): size})
            await asyncio.sleep(0.1)
            assert platform.config["memory_size"] == size
    except HeldError as error:
        return str(error)
    return "ended"


@pytest.mark.parametrize("user_data", [CONFIG["user_data"], ""])
async def test_a_function_is_marked_before_it_is_changed_and_its_mark_goes_last(
    platform: Management, tmp_path: Path, user_data: str
) -> None:
    platform.config["user_data"] = user_data
    before = platform.state()
    async with running(platform, tmp_path) as (changes, notes):
        await changes.config({("memory_size",): 512})
        assert variables(platform)[NAME] == mark_text(BEGUN)
        await changes.config({("user_data", "LOADGEN_RUN"): "1"})
    first, *between, last = [json.loads(request.body) for request in platform.writes]
    assert (NAME in first["user_data"], first["memory_size"]) == (True, 128)
    assert [NAME in each["user_data"] for each in between] == [True] * len(between)
    assert (NAME in last["user_data"], last["memory_size"]) == (False, 128)
    assert (platform.state(), notes, list(tmp_path.iterdir())) == (before, [], [])


async def test_a_run_on_the_same_machine_is_refused_before_it_asks_for_anything(
    platform: Management, tmp_path: Path
) -> None:
    async with running(platform, tmp_path) as (changes, _):
        await changes.config({("memory_size",): 512})
        requests = len(platform.requests)
        said = await resized(platform, tmp_path, "run-2", 1024)
        assert "is held by run run-1 (process 1 on this machine, since 2026-01-02T03:04:05Z)" in said
        assert (len(platform.requests), len(journals(tmp_path))) == (requests, 1)
    assert platform.config["memory_size"] == 128


async def test_a_run_on_another_machine_is_refused_before_it_writes_anything(
    platform: Management, tmp_path: Path
) -> None:
    async with running(platform, tmp_path / "here") as (changes, _):
        await changes.config({("memory_size",): 512})
        writes = len(platform.writes)
        said = await resized(platform, tmp_path / "there", "run-2", 1024)
        assert (
            f'is held by another run, whose journal is not in this state directory: its {NAME} is "loadgen run run-1'
            in said
        )
        assert f"remove {NAME} from its environment variables in the console" in said
        assert len(platform.writes) == writes
    assert platform.config["memory_size"] == 128


async def test_cancelled_before_it_is_sure_a_run_takes_its_mark_away(platform: Management, tmp_path: Path) -> None:
    before = platform.state()

    async def work() -> None:
        async with running(platform, tmp_path, patience=replace(QUICK, mark_s=30.0)):
            pytest.fail("it is not sure yet")

    task = asyncio.create_task(work())
    while NAME not in variables(platform):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (platform.state(), list(tmp_path.iterdir())) == (before, [])


async def two_at_once(directory: Path, chance: random.Random, *, machines: int) -> tuple[int, int]:
    """Start two runs at nearly the same time; how many of them had the function, and were refused."""
    async with managing() as platform:
        before = platform.state()

        async def slowly(request: Request) -> web.Response | None:
            await asyncio.sleep(chance.uniform(0, 0.04))
            return None

        async def later(number: int) -> str:
            await asyncio.sleep(chance.uniform(0, 0.1))
            return await resized(platform, directory / str(number % machines), f"run-{number}", 512 * number, ROOM)

        platform.before = slowly
        said = await asyncio.gather(later(1), later(2))
        assert platform.state() == before
        assert [path for path in directory.rglob("*") if path.is_file()] == []
    return said.count("ended"), sum("held by" in each or "holds it now" in each for each in said)


@pytest.mark.parametrize("machines", [1, 2])
@pytest.mark.parametrize("seed", range(2))
async def test_of_two_runs_at_once_one_is_refused(tmp_path: Path, seed: int, machines: int) -> None:
    assert await two_at_once(tmp_path, random.Random(seed), machines=machines) == (1, 1)


@pytest.mark.soak
async def test_of_two_runs_at_once_one_is_refused_twenty_times(tmp_path: Path) -> None:
    tried = [await two_at_once(tmp_path / str(seed), random.Random(seed), machines=1 + seed % 2) for seed in range(20)]
    assert tried == [(1, 1)] * 20


async def test_what_a_killed_run_left_is_never_taken_for_the_original(platform: Management, tmp_path: Path) -> None:
    resource = Control(platform.url, PROJECT, Nobody()).resource(HELLO)
    (tmp_path / "dead.ndjson").write_bytes(written(replace(BEGUN, run="dead"), memory(1, 128, 512, resource)))
    platform.config["memory_size"] = 512
    said = await resized(platform, tmp_path, "run-2", 1024)
    assert "run dead ended without putting back what it had changed" in said
    assert "Put it back with: loadgen restore dead (its journal is " in said
    assert "kept for good with --keep, and overwritten with --force. This run has changed nothing" in said
    assert platform.requests == []
    await restore(tmp_path)
    assert await resized(platform, tmp_path, "run-2", 1024) == "ended"
    assert platform.config["memory_size"] == 128


@pytest.mark.parametrize("spoilt", ["newer", "torn", "twice"])
async def test_a_journal_that_cannot_be_read_whole_counts_where_it_names_the_function(
    platform: Management, tmp_path: Path, spoilt: str
) -> None:
    resource = Control(platform.url, PROJECT, Nobody()).resource(HELLO)
    change = memory(1, 128, 512, resource)
    texts = {
        "newer": written(BEGUN, replace(change, v=9)),
        "torn": written(BEGUN, change)[:-20],
        "twice": written(BEGUN, change, Undone(1), BEGUN, change),
    }
    (tmp_path / "dead.ndjson").write_bytes(texts[spoilt])
    assert "loadgen restore dead" in await resized(platform, tmp_path, "run-2", 1024)
    other = replace(resource, function=resource.function.replace("hello", "hello2"))
    (tmp_path / "dead.ndjson").write_bytes(written(BEGUN, replace(memory(1, 128, 512, other), v=9)))
    assert await resized(platform, tmp_path, "run-2", 1024) == "ended"


async def test_a_lock_that_a_killed_run_left_is_taken_over_and_said(platform: Management, tmp_path: Path) -> None:
    resource = Control(platform.url, PROJECT, Nobody()).resource(HELLO)
    with FunctionLock.take(tmp_path, resource, replace(BEGUN, run="dead")) as lock:
        text = lock.path.read_bytes()
    lock.path.write_bytes(text)
    async with running(platform, tmp_path) as (_, notes):
        assert notes == [
            "the lock of run dead (process 1 on this machine, since 2026-01-02T03:04:05Z), which ended without letting "
            "go of it, is taken over"
        ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("variables", ["", '{"HOST": "db"}'])
async def test_a_mark_that_somebody_removed_is_said_and_the_rest_put_back(
    platform: Management, tmp_path: Path, variables: str
) -> None:
    platform.config["user_data"] = variables
    before = platform.state()
    async with running(platform, tmp_path) as (changes, notes):
        await changes.config({("memory_size",): 512})
        platform.config["user_data"] = variables
    assert platform.state() == before
    (note,) = notes
    assert f"{NAME} is gone from its environment: somebody has removed it" in note
    assert list(tmp_path.iterdir()) == []


async def test_a_mark_that_is_another_runs_now_is_left_and_said(platform: Management, tmp_path: Path) -> None:
    async with running(platform, tmp_path) as (changes, notes):
        await changes.config({("memory_size",): 512})
        platform.config |= {"user_data": json.dumps({NAME: "run-2 \x1b[2J"}), "memory_size": 128}
    assert variables(platform) == {NAME: "run-2 \x1b[2J"}
    (note,) = notes
    assert f"{NAME} was overwritten, by run-2 \\x1b[2J" in note


async def test_a_run_whose_mark_is_gone_changes_nothing_more(platform: Management, tmp_path: Path) -> None:
    before = platform.state()

    async def work() -> None:
        async with running(platform, tmp_path) as (changes, _):
            platform.config["user_data"] = CONFIG["user_data"]
            await changes.config({("memory_size",): 512})

    with pytest.raises(HeldError, match="somebody has removed it, so another run may change the function meanwhile"):
        await work()
    assert platform.state() == before
    assert [b'"memory_size":512' in request.body for request in platform.writes] == [False]


async def test_while_another_run_has_it_nothing_is_put_back_and_the_journal_stays(
    platform: Management, tmp_path: Path
) -> None:
    async def work() -> None:
        async with running(platform, tmp_path) as (changes, _):
            await changes.config({("memory_size",): 512})
            platform.config["user_data"] = json.dumps({NAME: "run-2"})

    with pytest.raises(UndoError, match="the function is held by another run now"):
        await work()
    assert platform.config["memory_size"] == 512
    platform.config["user_data"] = CONFIG["user_data"]
    assert [each.fault for each in await restore(tmp_path)] == [None]
    assert platform.config["memory_size"] == 128


async def test_the_mark_stays_until_all_else_is_back(platform: Management, tmp_path: Path) -> None:
    async def stuck(request: Request) -> web.Response | None:
        return web.json_response({}, status=403) if request.writes else None

    async def work() -> None:
        async with running(platform, tmp_path) as (changes, _):
            await changes.config({("user_data", "LOADGEN_RUN"): "1"})
            platform.before = stuck

    platform.config["user_data"] = ""
    with pytest.raises(UndoError, match=f"{NAME} stays until the rest is put back"):
        await work()
    assert NAME in variables(platform)
    platform.before = None
    assert [each.fault for each in await restore(tmp_path)] == [None, None]
    assert platform.config["user_data"] == ""


async def test_a_variable_that_somebody_adds_to_a_function_that_had_none_stays(
    platform: Management, tmp_path: Path
) -> None:
    platform.config["user_data"] = ""
    async with running(platform, tmp_path) as (changes, notes):
        await changes.config({("memory_size",): 512})
        platform.config["user_data"] = json.dumps({**variables(platform), "NEW": "x"})
    assert (variables(platform), platform.config["memory_size"], notes) == ({"NEW": "x"}, 128, [])


async def test_a_value_that_somebody_gave_it_meanwhile_is_not_replaced(platform: Management, tmp_path: Path) -> None:
    async def work() -> None:
        async with running(platform, tmp_path) as (changes, _):
            await changes.config({("memory_size",): 512})
            platform.config["memory_size"] = 2048
            await changes.config({("memory_size",): 1024})

    with pytest.raises(UndoError, match="memory_size is 2048, was 128 before") as raised:
        await work()
    assert isinstance(raised.value.__context__, ControlError)
    assert "kept for good with --keep" in str(raised.value)
    assert (platform.config["memory_size"], variables(platform).get(NAME)) == (2048, None)


def late(platform: Management, number: int, after_s: float) -> None:
    """Break the connection of the write of this number, and carry it out so much later."""

    async def once(request: Request) -> web.Response | None:
        if not request.writes or len(platform.writes) != number:
            return None
        asyncio.get_running_loop().call_later(after_s, platform.carry_out, request)
        request.break_off()
        return web.Response(status=500)

    platform.before = once


async def written_late(directory: Path, number: int, after_s: float, patience: Patience) -> list[str | None]:
    """How a run of two sizes ends, one of whose writes is late: nothing is left, or what its restore says."""
    async with managing() as platform:
        before = platform.state()
        late(platform, number, after_s)
        try:
            async with running(platform, directory, patience=patience) as (changes, _):
                for size in (512, 1024):
                    await changes.config({("memory_size",): size})
        except (ControlError, UndoError):
            pass
        restored = await restore(directory)
        await asyncio.sleep(after_s)
        assert len(platform.writes) >= number
        assert platform.state() == before
        assert list(directory.iterdir()) == []
    return [each.fault for each in restored]


@pytest.mark.parametrize("number", [1, 3, 4])
async def test_a_write_that_is_carried_out_late_is_waited_for(tmp_path: Path, number: int) -> None:
    assert await written_late(tmp_path, number, 0.5, ROOM) == []


async def test_one_that_is_carried_out_after_a_run_gave_up_is_seen_before_its_journal_ends(
    platform: Management, tmp_path: Path
) -> None:
    """The reads fail, too, so that the run cannot wait for it: it does when it puts back."""
    before = platform.state()
    gone = 0

    async def once(request: Request) -> web.Response | None:
        if request.writes and len(platform.writes) == 2:
            asyncio.get_running_loop().call_later(1.0, platform.carry_out, request)
            request.break_off()
        elif len(platform.writes) == 2 and len(platform.requests) < gone + 6:
            return web.json_response({}, status=503)
        return None

    async def work() -> None:
        nonlocal gone
        async with running(platform, tmp_path, patience=ROOM) as (changes, _):
            gone = len(platform.requests)
            platform.before = once
            await changes.config({("memory_size",): 512})

    with pytest.raises(ControlError, match="answered 503"):
        await work()
    assert b'"memory_size":512' in platform.writes[1].body
    assert platform.state() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.soak
async def test_writes_that_are_carried_out_late_twenty_times(tmp_path: Path) -> None:
    """With the waits of production, but for that between marking and looking."""
    patience = Patience(mark_s=1.0)
    tried = [
        written_late(tmp_path / f"{number}-{after_s}", number, after_s, patience)
        for number in (1, 2, 3, 4)
        for after_s in (0.2, 0.5, 1.5, 4.0, 12.0)
    ]
    assert await asyncio.gather(*tried) == [[]] * 20


def test_the_mark_says_who_and_since_when() -> None:
    assert MARK == ("user_data", "LOADGEN_HELD_BY")
    assert mark_text(BEGUN).startswith("loadgen run run-1, process 1 on ")
    assert mark_text(BEGUN).endswith(", since 2026-01-02T03:04:05Z")
