from __future__ import annotations

import asyncio

import pytest

from loadgen.run.ending import Ending


class Parts:
    """An ending, and what it told whom."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.ending = Ending(self.told.append, lambda text: text.replace("s3cret", "***"))

    def begin(self) -> None:
        self.ending.load = self
        self.ending.hurry = lambda: self.told.append("hurry")

    def stop(self) -> None:
        self.told.append("stop")

    def cut(self) -> None:
        self.told.append("cut")


@pytest.fixture
def parts() -> Parts:
    return Parts()


STOPPING = "Stopping: waiting for what is in flight. Interrupt again to stop at once."


def test_an_interrupt_stops_the_load_and_a_second_one_waits_for_nothing(parts: Parts) -> None:
    parts.begin()
    assert not parts.ending.ending
    parts.ending.interrupt()
    assert (parts.ending.ending, parts.ending.interrupted, parts.ending.cut) == (True, True, False)
    assert parts.told == [STOPPING, "stop"]
    parts.ending.interrupt()
    assert parts.ending.cut
    assert parts.told[2:] == ["cut", "hurry"]
    assert (parts.ending.stopped, parts.ending.failed) == (None, None)


def test_before_there_is_a_load_an_interrupt_is_only_remembered(parts: Parts) -> None:
    parts.ending.interrupt()
    parts.ending.interrupt()
    assert parts.told == [STOPPING]
    assert parts.ending.cut


def test_a_spent_budget_says_why_and_stops_the_load(parts: Parts) -> None:
    parts.begin()
    parts.ending.exhaust("budget.cost: s3cret", of_money=True)
    assert parts.told[1:] == ["stop"]
    assert (parts.ending.ending, parts.ending.budget_reached, parts.ending.out_of_money) == (True, True, True)
    parts.ending.account("0.2 are spent")
    parts.ending.exceed("the run cost more")
    assert parts.ending.stopped == "budget.cost: s3cret; 0.2 are spent; the run cost more"
    assert parts.told[-1] == "warning: the run cost more."


@pytest.mark.parametrize("of_money", [(True, False), (False, True), (True, True)])
def test_money_that_is_spent_stays_spent_whatever_else_runs_out(parts: Parts, of_money: tuple[bool, ...]) -> None:
    for each in of_money:
        parts.ending.exhaust("budget", of_money=each)
    assert parts.ending.out_of_money


def test_agents_that_made_all_that_was_allowed_end_by_themselves_and_the_first_reason_stays(parts: Parts) -> None:
    parts.begin()
    parts.ending.exhaust("budget.errors: too many")
    parts.told.clear()
    parts.ending.used_up("budget.invocations: all")
    assert parts.told == []
    assert parts.ending.stopped == "budget.errors: too many"


def test_a_run_that_cost_too_much_when_it_was_over_reached_its_budget(parts: Parts) -> None:
    parts.ending.exceed("the run cost more")
    assert (parts.ending.stopped, parts.ending.budget_reached) == ("budget.cost: the run cost more", True)


def test_the_death_of_the_emulator_ends_everything_and_is_why_the_run_failed(parts: Parts) -> None:
    parts.begin()
    parts.ending.unserve("the emulator ended")
    assert parts.told == ["stop", "cut"]  # settings of an emulator that is gone are not put back in a hurry
    parts.ending.lose("agent 0 died")
    assert (parts.ending.stopped, parts.ending.failed) == ("the emulator ended", "the emulator ended")


def test_agents_that_are_gone_are_a_fault_unless_nothing_was_waited_for(parts: Parts) -> None:
    parts.ending.interrupt()
    parts.ending.lose("agent 0 said s3cret and died")
    assert parts.ending.failed == "agent 0 said *** and died"
    cut = Parts()
    cut.ending.interrupt()
    cut.ending.interrupt()
    cut.ending.lose("agent 0 died")
    assert cut.ending.failed is None


def test_what_cannot_be_written_is_said_once_and_only_where_nothing_else_went_wrong(parts: Parts) -> None:
    parts.ending.unwritten("the disk is full")
    parts.ending.unwritten("the disk is full")
    assert parts.told == ["the disk is full"]
    assert parts.ending.failed == "the disk is full"
    other = Parts()
    other.ending.fail("agent 0 died")
    other.ending.unwritten("the disk is full")
    assert (other.told, other.ending.failed) == ([], "agent 0 died")


async def test_work_ends_with_the_run_and_what_it_returns_is_its_result(parts: Parts) -> None:
    async def done() -> int:
        return 3

    assert await parts.ending.interruptible(done()) == 3
    asyncio.get_running_loop().call_soon(parts.ending.interrupt)
    assert await parts.ending.interruptible(asyncio.sleep(60, 3)) is None


async def test_work_that_someone_else_ends_is_no_end_of_the_run(parts: Parts) -> None:
    task = asyncio.create_task(parts.ending.interruptible(asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_rule_that_breaks_stops_the_load_and_no_budget_has_a_say_after_it(parts: Parts) -> None:
    parts.begin()
    parts.ending.abort("errors are too many")
    assert parts.told == ["Stopping: errors are too many.", "stop"]
    parts.ending.exhaust("budget.duration: the time allowed is over")
    assert (parts.ending.ending, parts.ending.aborted, parts.ending.budget_reached) == (True, True, False)
    parts.ending.interrupt()
    assert (parts.ending.stopped, parts.ending.interrupted) == ("errors are too many", True)
