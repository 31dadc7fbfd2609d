from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from loadgen.targets.functiongraph.settings.again import LATE_S, Patience, read, write
from loadgen.targets.functiongraph.settings.edit import Edit
from loadgen.targets.functiongraph.settings.failure import ControlError, refused, unanswered
from loadgen.targets.functiongraph.settings.journal import Back, Change, Done, Resource, Undone
from loadgen.targets.functiongraph.settings.undo import undo
from tests.servers.management import Direct, Management, Request
from tests.targets.functiongraph.settings.clock import Hours
from tests.targets.functiongraph.settings.entries import CONFIG, OTHER, memory
from tests.targets.functiongraph.settings.test_undo import Memory

BUSY = refused("PUT", 429, "FSS.0429", None)
FAILED = refused("PUT", 500, "FSS.0500", None)
NO_ANSWER = unanswered("PUT", "reset", write=True)
NEVER_SENT = unanswered("PUT", "connection refused", write=False)
GATEWAY = refused("PUT", 504, "APIG.0201", None)
GROWN = (Edit(("memory_size",), 128, 512),)


class Shaky(Direct):
    """Writes fail in turn, and are carried out so many seconds later, or never."""

    def __init__(self, hours: Hours, memory_size: int, *failures: tuple[ControlError, float | None]) -> None:
        super().__init__(Management())
        self.hours = hours
        self.management.config["memory_size"] = memory_size
        self.management.before = self._fail
        self.failures: Iterator[tuple[ControlError, float | None]] = iter(failures)
        self.late: list[tuple[int, Request]] = []
        self.written: list[tuple[float, Any]] = []

    @property
    def memory_size(self) -> Any:
        return self.management.config["memory_size"]

    async def arrives(self, after_s: float, memory_size: int) -> None:
        """Have a write of a process that is no more arrive so much later."""
        self.failures = iter([(NO_ANSWER, after_s)])
        with suppress(ControlError):
            await self.write(CONFIG, {**await self.read(CONFIG), "memory_size": memory_size})
        self.written.clear()

    async def _fail(self, request: Request) -> web.Response | None:
        for due, late in list(self.late):
            if due <= self.hours.now_ns:
                self.late.remove((due, late))
                self.management.carry_out(late)
        if not request.writes:
            return None
        self.written.append((self.hours.now_ns / 1e9, json.loads(request.body)["memory_size"]))
        failure = next(self.failures, None)
        if failure is None:
            return None
        error, after_s = failure
        if after_s is not None:
            self.late.append((self.hours.now_ns + round(after_s * 1e9), request))
        raise error


def shaky(memory_size: int, *failures: tuple[ControlError, float | None]) -> tuple[Shaky, Patience]:
    hours = Hours()
    return Shaky(hours, memory_size, *failures), hours.patience


async def grow(platform: Shaky, patience: Patience) -> None:
    """Write another memory size."""
    await write(platform, CONFIG, await platform.read(CONFIG), GROWN, patience)


@pytest.mark.parametrize("error", [NO_ANSWER, GATEWAY])
@pytest.mark.parametrize("after_s", [0.5, 7.0, LATE_S - 1])
async def test_a_write_without_an_answer_is_waited_for_and_not_made_again(error: ControlError, after_s: float) -> None:
    platform, patience = shaky(128, (error, after_s))
    await grow(platform, patience)
    assert platform.written == [(0.0, 512)]
    assert after_s <= patience.clock() / 1e9 < after_s + 2


async def test_one_that_never_arrives_is_made_again_once_it_must_have_been_lost() -> None:
    platform, patience = shaky(128, (NO_ANSWER, None))
    await grow(platform, patience)
    assert [size for _, size in platform.written] == [512, 512]
    assert platform.written[1][0] >= LATE_S


@pytest.mark.parametrize("error", [BUSY, FAILED, NEVER_SENT])
async def test_one_that_was_answered_or_never_left_is_made_again_at_once(error: ControlError) -> None:
    platform, patience = shaky(128, (error, None), (error, None))
    await grow(platform, patience)
    assert [at_s for at_s, _ in platform.written] == [0.0, 1.0, 4.0]


async def test_within_a_run_three_tries_are_all() -> None:
    platform, patience = shaky(128, *[(BUSY, None)] * 9)
    with pytest.raises(ControlError, match=r"It was tried 3 times, and nothing has changed") as raised:
        await grow(platform, patience)
    assert (len(platform.written), raised.value.unsure) == (3, False)


@pytest.mark.parametrize("error", [BUSY, FAILED, NEVER_SENT])
async def test_putting_back_is_tried_for_a_minute(error: ControlError) -> None:
    log = Memory(memory(1, 128, 512), Done(1))
    platform, patience = shaky(512, *[(error, None)] * 6)
    (undone,) = await undo(log, platform, patience=patience)
    assert (undone.fault, platform.memory_size) == (None, 128)
    assert [at_s for at_s, _ in platform.written] == [0.0, 1.0, 4.0, 8.0, 16.0, 31.0, 46.0]


async def test_and_then_it_is_said_and_what_is_left_stays_in_the_journal() -> None:
    log = Memory(memory(1, 128, 512), Done(1))
    platform, patience = shaky(512, *[(BUSY, None)] * 99)
    (undone,) = await undo(log, platform, patience=patience)
    assert "answered 429 FSS.0429: the management API is busy" in str(undone.fault)
    assert "It was tried 8 times, and nothing has changed" in str(undone.fault)
    assert 60 <= patience.clock() / 1e9 < 75
    assert log.kept[-2:] == [Back((1,)), Done(1)]  # nothing of it is under way, so the next restore need not wait


async def test_many_steps_share_the_minute() -> None:
    log = Memory(memory(1, 128, 512), Done(1), memory(2, 128, 512, OTHER), Done(2))
    platform, patience = shaky(512, *[(BUSY, None)] * 99)
    platform.management.config_of("other")["memory_size"] = 512
    assert None not in [each.fault for each in await undo(log, platform, patience=patience)]
    assert patience.clock() / 1e9 < 80


async def test_reads_are_tried_for_as_long() -> None:
    class Down(Shaky):
        async def read(self, resource: Resource) -> dict[str, Any]:
            if self.hours.now_ns < 40e9:
                raise FAILED
            return await super().read(resource)

    hours = Hours()
    platform = Down(hours, 512)
    (undone,) = await undo(Memory(memory(1, 128, 512), Done(1)), platform, patience=hours.patience)
    assert undone.fault is None
    hours = Hours()
    with pytest.raises(ControlError):
        await read(Down(hours, 512), CONFIG, hours.patience)
    assert hours.now_ns == 4e9


@pytest.mark.parametrize("after_s", [0.5, 10.0, LATE_S - 1])
async def test_a_change_that_was_never_seen_is_looked_for_before_it_is_undone(after_s: float) -> None:
    log = Memory(memory(1, 128, 512))
    platform, patience = shaky(128)
    await platform.arrives(after_s, 512)
    (undone,) = await undo(log, platform, patience=patience)
    assert (undone.fault, platform.memory_size, log.kept[-1]) == (None, 128, Undone(1))
    assert patience.clock() / 1e9 >= LATE_S


async def test_one_that_has_arrived_is_put_back_without_a_wait() -> None:
    platform, patience = shaky(512)
    (undone,) = await undo(Memory(memory(1, 128, 512)), platform, patience=patience)
    assert (undone.fault, platform.memory_size, patience.clock()) == (None, 128, 0)


async def test_what_a_killed_process_was_putting_back_is_looked_for_too() -> None:
    """Its write brings back what was there before the newest change, which is not what is to be there in the end."""
    other = Change(2, OTHER, (), {})
    log = Memory(memory(1, 128, 512), Done(1), other, Done(2), memory(3, 512, 1024), Done(3), Back((3,)))
    platform, patience = shaky(1024)
    await platform.arrives(20.0, 512)
    assert [each.fault for each in await undo(log, platform, patience=patience)] == [None, None, None]
    assert (platform.memory_size, platform.late) == (128, [])


async def test_a_restore_that_is_killed_once_it_has_put_back_leaves_the_older_request_to_be_looked_for() -> None:
    log = Memory(memory(1, 128, 256), Done(1), memory(2, 256, 512))
    platform, patience = shaky(256)
    killed = undo(log, platform, patience=replace(patience, sleep=_killed))
    with pytest.raises(KeyboardInterrupt):
        await killed
    assert platform.memory_size == 128
    await platform.arrives(20.0, 512)
    (undone,) = await undo(log, platform, patience=patience)
    assert (undone.fault, platform.memory_size, platform.late) == (None, 128, [])


async def _killed(seconds: float) -> None:
    if seconds:
        raise KeyboardInterrupt


async def test_a_change_that_was_refused_is_under_way_no_more() -> None:
    from loadgen.targets.functiongraph.settings.make import change

    log = Memory()
    platform, patience = shaky(128, (refused("PUT", 400, "FSS.1007", None), None))
    with pytest.raises(ControlError):
        await change(log, platform, CONFIG, {("memory_size",): 512}, patience)
    (undone,) = await undo(log, platform, patience=patience)
    assert (undone.fault, patience.clock()) == (None, 0)


async def test_a_refusal_while_putting_back_is_none_where_it_is_back_already() -> None:
    """As a write of the process that was killed may have brought about in the meantime."""
    platform, patience = shaky(512, (refused("PUT", 400, "FSS.1007", None), 0.0))
    (undone,) = await undo(Memory(memory(1, 128, 512), Done(1)), platform, patience=patience)
    assert (undone.fault, platform.memory_size, len(platform.written)) == (None, 128, 1)
