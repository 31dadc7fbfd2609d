"""A process is killed anywhere between its first change and the last thing put back; what it changed is put back."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web

from loadgen.targets.functiongraph.settings.journalfile import journals
from tests.servers.management import Management, Request
from tests.targets.functiongraph.settings.restorer import restore

ROOT = Path(__file__).parents[4]
STEPS = 88
"""So many steps does the victim have; at the last one everything is undone already."""


async def started(*arguments: str) -> asyncio.subprocess.Process:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


def victim(platform: Management, directory: Path, step: int) -> tuple[str, ...]:
    """The command that changes everything and dies at a step."""
    return ("-m", "tests.targets.functiongraph.settings.victim", platform.url, str(directory), str(step))


def restorer(directory: Path) -> tuple[str, ...]:
    """The command that puts back what is left."""
    return ("-m", "tests.targets.functiongraph.settings.restorer", str(directory))


async def restored(directory: Path) -> None:
    """Put back what is left, twice, as the second time does no harm."""
    faults = [each.fault for each in await restore(directory)]
    assert [fault for fault in faults if fault is not None] == []
    assert journals(directory) == []
    assert await restore(directory) == []


async def kill_at(platform: Management, directory: Path, step: int) -> None:
    platform.config["user_data"] = ""  # so that the mark goes in a step of its own
    before = platform.state()
    process = await started(*victim(platform, directory, step))
    _, stderr = await process.communicate()
    assert process.returncode == -signal.SIGKILL, stderr.decode()
    await restored(directory)
    assert platform.state() == before


def strike(process: asyncio.subprocess.Process) -> None:
    """Kill a process that may just have ended."""
    with suppress(ProcessLookupError):
        process.kill()


async def kill_after(platform: Management, directory: Path, seed: int) -> None:
    """Kill the victim, and then the first restore as well, at a random moment of a slow platform's work."""
    before = platform.state()
    chance = random.Random(seed)
    doomed: asyncio.subprocess.Process | None = None
    deaths = [chance.randrange(1, 10), chance.randrange(1, 6)]  # by the number of requests that write
    writes = 0

    async def slowly(request: Request) -> web.Response | None:
        nonlocal writes
        await asyncio.sleep(chance.uniform(0, 0.02))
        writes += request.writes
        if doomed is not None and deaths and request.writes and writes >= deaths[0]:
            deaths.pop(0)
            asyncio.get_running_loop().call_later(chance.uniform(0, 0.03), strike, doomed)
            await asyncio.sleep(chance.uniform(0, 0.2))  # it is carried out when nobody waits for it any more
        return None

    platform.before = slowly
    for arguments in (victim(platform, directory, -1), restorer(directory)):
        writes = 0
        doomed = await started(*arguments)
        await doomed.communicate()
        doomed = None
    deaths.clear()
    await restored(directory)
    assert platform.state() == before


@pytest.mark.parametrize("step", range(5, STEPS, 11))
async def test_killed_between_any_two_steps_everything_is_put_back(
    platform: Management, tmp_path: Path, step: int
) -> None:
    await kill_at(platform, tmp_path, step)


@pytest.mark.parametrize("seed", range(2))
async def test_killed_at_any_moment_and_in_the_middle_of_restoring_everything_is_put_back(
    platform: Management, tmp_path: Path, seed: int
) -> None:
    await kill_after(platform, tmp_path, seed)


@pytest.mark.soak
@pytest.mark.parametrize("step", range(STEPS))
async def test_killed_at_every_step_everything_is_put_back(platform: Management, tmp_path: Path, step: int) -> None:
    await kill_at(platform, tmp_path, step)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 150))
async def test_killed_at_many_moments_everything_is_put_back(platform: Management, tmp_path: Path, seed: int) -> None:
    await kill_after(platform, tmp_path, seed)


@pytest.mark.parametrize(("step", "code"), [(STEPS - 1, -signal.SIGKILL), (STEPS, 0)])
async def test_the_victim_has_as_many_steps_as_are_tried(
    platform: Management, tmp_path: Path, step: int, code: int
) -> None:
    platform.config["user_data"] = ""  # so that the mark goes in a step of its own
    before = platform.state()
    process = await started(*victim(platform, tmp_path, step))
    await process.communicate()
    assert process.returncode == code
    assert platform.state() == before
    assert len(journals(tmp_path)) == (code != 0)
