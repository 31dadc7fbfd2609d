from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from loadgen.targets.functiongraph.settings.edit import Edit, public
from loadgen.targets.functiongraph.settings.failure import ControlError
from loadgen.targets.functiongraph.settings.journal import Back, Change, Done, Entry, Undone
from loadgen.targets.functiongraph.settings.journalfile import JournalError
from loadgen.targets.functiongraph.settings.undo import undo
from tests.servers.management import Direct, Management, Request
from tests.targets.functiongraph.settings.entries import CONFIG, OTHER, QUICK, memory


class Memory:
    """A log in memory. ``full`` ones take nothing more."""

    def __init__(self, *entries: Entry, full: bool = False) -> None:
        self.kept = list(entries)
        self.full = full

    @property
    def entries(self) -> Sequence[Entry]:
        return self.kept

    def append(self, entry: Entry) -> None:
        if self.full:
            raise JournalError("no space left")
        self.kept.append(entry)


def holding(**settings: Any) -> Direct:
    """A platform whose function hello has these settings."""
    platform = Management()
    platform.config |= settings
    return Direct(platform)


def spoiling(control: Direct, **settings: Any) -> Callable[[Request], Awaitable[None]]:
    """What changes these as well with the first write."""

    async def spoil(request: Request) -> None:
        if control.management.writes == [request]:
            control.management.config |= settings

    return spoil


def sizes(control: Direct) -> tuple[Any, Any]:
    """The memory sizes of the two functions."""
    return tuple(control.management.config_of(name)["memory_size"] for name in ("hello", "other"))


async def test_everything_is_put_back_and_written_down_newest_first() -> None:
    log = Memory(memory(1, 128, 256), Done(1), memory(2, 512, 1024, OTHER), Done(2))
    platform = holding(memory_size=256)
    platform.management.config_of("other")["memory_size"] = 1024
    undone = await undo(log, platform, patience=QUICK)
    assert [each.fault for each in undone] == [None, None]
    assert sizes(platform) == (128, 512)
    first, second = platform.management.writes
    assert ("other" in first.path, "hello" in second.path) == (True, True)
    assert log.kept[-6:] == [Back((2,)), Done(2), Undone(2), Back((1,)), Done(1), Undone(1)]


async def test_undoing_twice_changes_nothing_more() -> None:
    log = Memory(memory(1, 128, 256), Done(1))
    platform = holding()
    assert [each.back for each in await undo(log, platform, patience=QUICK)] == [()]
    assert platform.management.writes == []
    assert await undo(log, platform) == []


async def test_somebody_elses_value_is_left_and_said() -> None:
    log = Memory(memory(1, 128, 256), Done(1))
    platform = holding(memory_size=512)
    (undone,) = await undo(log, platform, patience=QUICK)
    assert undone.fault == (
        f"{CONFIG.text}: somebody else has changed it since: memory_size is 512, was 128 before loadgen changed it. "
        "Left as it is"
    )
    assert platform.management.writes == []


async def test_beside_a_conflict_our_other_values_are_put_back() -> None:
    both = Change(1, CONFIG, (Edit(("memory_size",), 128, 256), Edit(("timeout",), 30, 60)), {})
    platform = holding(memory_size=512, timeout=60)
    (undone,) = await undo(Memory(both, Done(1)), platform, patience=QUICK)
    assert undone.fault is not None
    assert (platform.management.config["memory_size"], platform.management.config["timeout"]) == (512, 30)


async def test_what_cannot_be_undone_keeps_nothing_else_from_it() -> None:
    async def broken(request: Request) -> web.Response | None:
        if "other" in request.path:
            raise ControlError("no answer")
        return None

    log = Memory(memory(1, 128, 256), Done(1), memory(2, 128, 256, OTHER), Done(2))
    platform = holding(memory_size=256)
    platform.management.before = broken
    assert [each.fault for each in await undo(log, platform, patience=QUICK)] == ["no answer", None]
    assert sizes(platform) == (128, 128)
    assert log.kept[-1] == Undone(1)


async def test_a_value_that_fits_nowhere_keeps_nothing_else_from_being_put_back() -> None:
    spoilt = Done(2, (Edit((), 5, {"memory_size": 256}),))
    log = Memory(memory(1, 128, 256), Done(1), Change(2, OTHER, (), {}), spoilt)
    platform = holding(memory_size=256)
    faults = [each.fault for each in await undo(log, platform, patience=QUICK)]
    assert faults[1:] == [None]
    assert str(faults[0]).startswith(f"{OTHER.text}: what the journal says of it cannot be put back (IndexError: ")
    assert sizes(platform) == (128, 128)


async def test_a_full_disk_keeps_nothing_from_being_put_back() -> None:
    log = Memory(memory(1, 128, 256), Done(1), memory(2, 128, 256, OTHER), Done(2), full=True)
    platform = holding(memory_size=256)
    platform.management.config_of("other")["memory_size"] = 256
    undone = await undo(log, platform, patience=QUICK)
    assert [each.fault for each in undone] == ["no space left", "no space left"]
    assert sizes(platform) == (128, 128)


async def test_variables_that_the_platform_loses_are_said_without_their_values() -> None:
    platform = holding(memory_size=256, user_data='{"P": "s3cret"}')
    platform.management.after = spoiling(platform, user_data="")
    (undone,) = await undo(Memory(memory(1, 128, 256), Done(1)), platform, patience=QUICK)
    assert undone.fault is not None
    assert "user_data became something else" in undone.fault
    assert "s3cret" not in undone.fault


async def test_a_change_that_arrives_late_is_put_back_too() -> None:
    platform = holding()

    async def arrive(request: Request) -> None:
        if len(platform.management.requests) == 1:
            platform.management.config["memory_size"] = 256

    platform.management.after = arrive
    (undone,) = await undo(Memory(memory(1, 128, 256)), platform, patience=QUICK)
    assert undone.back == (Edit(("memory_size",), 256, 128),)
    assert sizes(platform) == (128, 128)


async def test_what_the_platform_changes_while_undoing_is_undone_as_well() -> None:
    log = Memory(memory(1, 128, 256), Done(1))
    platform = holding(memory_size=256)
    platform.management.after = spoiling(platform, timeout=3)
    (undone,) = await undo(log, platform, patience=QUICK)
    assert undone.fault is None
    assert (platform.management.config["memory_size"], platform.management.config["timeout"]) == (128, 30)
    assert Done(1, (Edit(("timeout",), 30, 3),)) in log.kept


async def test_after_a_crash_other_differences_are_noted_and_left() -> None:
    platform = holding(memory_size=256)
    change = replace(memory(1, 128, 256), original=public(await platform.read(CONFIG)))
    platform.management.config["timeout"] = 60
    (undone,) = await undo(Memory(change), platform, patience=QUICK)
    assert undone.notes == (
        f"{CONFIG.text}: timeout was 30 and is now 60; loadgen was not asked to change it, and leaves it as it is",
    )
    assert (platform.management.config["memory_size"], platform.management.config["timeout"]) == (128, 60)
