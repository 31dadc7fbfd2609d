"""What a crew makes of what its agents say, and how it deals with a fleet that loses, repeats and delays it."""

from __future__ import annotations

import asyncio
import time

import pytest

from loadgen.engine.messages import (
    LEASE_NS,
    Cede,
    Ceded,
    Go,
    GrantWorkers,
    Lack,
    Lease,
    Plan,
    Prepare,
    Renew,
    Stop,
    TakeOver,
)
from loadgen.engine.numbers import ENDLESS, Ranges
from loadgen.fleet.crew import Crew, Means
from loadgen.fleet.port import FleetError, Gone, Said
from loadgen.load.phase import Phase
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhaseTotal
from loadgen.scenario.model import OnAgentLoss
from tests import frames
from tests.fleet.fake import FakeFleet, Way, last, late, lost, silent, straight, twice
from tests.scenarios import closed_phase, function, open_phase, scenario

OPEN, CLOSED = open_phase(60, 1), closed_phase(4, 1)
AHEAD_NS = [0, 10**15, -7]
"""Of the clocks of agents."""


def crew(fleet: FakeFleet, *phases: Phase, agents: int = 2) -> Crew:
    load = scenario(function("http://127.0.0.1:9"), *phases)
    return Crew(fleet, [Plan(load, "127.0.0.1", agent, 0) for agent in range(agents)])


async def played(crew: Crew, number: int, phase: Phase, means: Means = Means()) -> PhaseTotal:  # noqa: B008 - immutable
    total = PhaseTotal(phase.name)
    for frame in await crew.prepare(number, 4, means.agents):
        total.add(frame)
    async for frame in crew.run(0, means):
        total.add(frame)
    return total


async def two_phases(way: Way, *, agents: int = 2, patience_s: float = 30) -> list[PhaseTotal]:
    again = open_phase(60, 1, name="again")
    async with crew(FakeFleet(way, patience_s=patience_s), OPEN, again, agents=agents) as of:
        return [await played(of, 0, OPEN), await played(of, 1, again)]


@pytest.mark.parametrize("agents", [1, 2, 3])
async def test_agents_make_the_whole_schedule_once_and_are_gone_after_it(agents: int) -> None:
    fleet = FakeFleet()
    async with crew(fleet, OPEN, agents=agents) as of:
        total = await played(of, 0, OPEN)
    assert sorted(fleet.started) == list(range(60))
    assert (total.tally.planned, list(total.faults())) == (60, [])
    assert fleet.closed


@pytest.mark.parametrize("fault", [OSError("no way to agent 1"), asyncio.CancelledError()])
async def test_agents_that_cannot_be_told_the_plan_are_not_left_behind(fault: BaseException) -> None:
    class Unreachable(FakeFleet):
        def send(self, agent: int, message: bytes) -> None:
            if agent == 1:
                raise fault
            super().send(agent, message)

    fleet = Unreachable()
    with pytest.raises(type(fault)):
        async with crew(fleet, OPEN):
            pass
    assert fleet.closed


async def test_agents_are_not_left_behind_with_a_plan_that_is_none() -> None:
    fleet = FakeFleet()
    with pytest.raises(OverflowError):
        async with Crew(fleet, [Plan(scenario(function("http://127.0.0.1:9"), OPEN), "127.0.0.1", 0, 2**64)]):
            pass
    assert fleet.closed


async def test_those_that_take_no_part_open_nothing_and_hold_nothing() -> None:
    fleet = FakeFleet()
    async with crew(fleet, CLOSED, agents=3) as of:
        await played(of, 0, CLOSED, Means(2, allowance=((0, 11),), money=7))
    assert [message.connections for _, message in fleet.told if isinstance(message, Prepare)] == [2, 2, 0]
    gos = [message for _, message in fleet.told if isinstance(message, Go)]
    assert [(go.allowance, go.money) for go in gos] == [(((0, 6),), 4), (((6, 11),), 3), (None, None)]


@pytest.mark.parametrize("ahead_ns", AHEAD_NS)
@pytest.mark.parametrize("agents", [1, 2, 3])
async def test_what_is_allowed_is_started_over_all_phases_and_nothing_else(agents: int, ahead_ns: int) -> None:
    fleet = FakeFleet(calls=40, ahead_ns=ahead_ns)
    left: Ranges = ((0, 200),)
    async with crew(fleet, CLOSED, agents=agents) as of:
        while left:
            await played(of, 0, CLOSED, Means(numbers=left, allowance=left))
            left = of.left
    assert sorted(fleet.started) == list(range(200))


async def test_what_comes_twice_counts_once_and_ends_no_phase_before_every_agent_has() -> None:
    for total in await two_phases(twice(lambda frame: True)):
        assert (total.tally.planned, total.tally.completed) == (60, 60)
        assert any("came twice" in fault for fault in total.faults())


async def test_a_last_frame_that_comes_again_in_the_next_phase_is_none_of_it() -> None:
    """That of the agent that ends last: nobody waits any more for what it says."""
    for total in await two_phases(twice(lambda frame: frame.final), agents=1):
        assert (total.tally.planned, list(total.faults())) == (60, [])


async def test_a_frame_that_is_lost_or_overtaken_is_missed() -> None:
    for way in (lost, late):
        first, second = await two_phases(way(lambda frame: frame.seq == 2 and frame.agent == 0))
        assert first.tally.planned < 60
        assert any("frames of agent 0 are missing" in fault for fault in first.faults())
        assert (second.tally.planned, list(second.faults())) == (60, [])


async def test_an_agent_whose_last_frame_is_lost_is_not_waited_for_forever() -> None:
    with pytest.raises(FleetError, match=r"no agent has said anything for 0\.3 s"):
        await asyncio.wait_for(two_phases(lost(lambda frame: frame.final and frame.agent == 1), patience_s=0.3), 5)


async def test_an_agent_that_falls_silent_is_not_waited_for_forever() -> None:
    with pytest.raises(FleetError, match=r"no agent has said anything for 0\.3 s"):
        await asyncio.wait_for(two_phases(silent(lambda frame: frame.seq == 2), patience_s=0.3), 5)


async def test_the_last_agent_that_dies_is_an_error_with_what_it_last_said() -> None:
    with pytest.raises(FleetError, match="agent 0 died with exit code -9: silently"):
        await two_phases(last(lambda frame: frame.seq == 2), agents=1)


async def test_one_of_several_that_dies_is_missed_in_its_phase_and_the_others_make_the_next() -> None:
    first, second = await two_phases(last(lambda frame: frame.seq == 2 and frame.agent == 1))
    assert first.tally.planned == first.tally.completed == 40
    assert second.tally.planned == second.tally.completed == 60
    assert list(second.faults()) == []


async def test_where_the_load_is_to_stop_the_others_end_with_one_that_dies() -> None:
    fleet = FakeFleet(last(lambda frame: frame.seq == 2 and frame.agent == 1), a_frame=1)
    load = scenario(function("http://127.0.0.1:9"), OPEN, on_agent_loss=OnAgentLoss.STOP)
    async with Crew(fleet, [Plan(load, "127.0.0.1", agent, 0) for agent in range(2)]) as of:
        with pytest.raises(FleetError, match=r"agent 1 died with exit code -9: silently\. The load was ended"):
            await played(of, 0, OPEN)
    assert (0, Stop()) in fleet.told


async def test_where_the_load_is_to_stop_it_does_not_begin_without_one_that_dies_before_it() -> None:
    fleet = FakeFleet(last(lambda frame: frame.seq == 0 and frame.agent == 1))
    load = scenario(function("http://127.0.0.1:9"), OPEN, on_agent_loss=OnAgentLoss.STOP)
    async with Crew(fleet, [Plan(load, "127.0.0.1", agent, 0) for agent in range(2)]) as of:
        with pytest.raises(FleetError, match=r"agent 1 died with exit code -9: silently\. The load was ended"):
            await of.prepare(0, 2)


async def test_the_part_of_one_that_dies_is_taken_over_by_the_others_and_so_is_that_of_another() -> None:
    """Of a schedule of 12 arrivals agents 0, 1 and 2 have every third; then 1 has every sixth besides, then all."""
    fleet = FakeFleet(
        lambda said: [] if isinstance(said, Frame) and said.final else [said],
    )
    load = scenario(function("http://127.0.0.1:9"), OPEN, on_agent_loss=OnAgentLoss.REDISTRIBUTE)
    async with Crew(fleet, [Plan(load, "127.0.0.1", agent, 0) for agent in range(3)]) as of:
        await of.prepare(0, 3)
        playing = of.run(time.monotonic_ns())
        await anext(playing)
        for lost in (2, 0):
            fleet.gone(Gone(lost, "died"))
            while not any(message for agent, message in fleet.told if isinstance(message, TakeOver)):
                await anext(playing)
            while lost not in fleet.dropped:
                await asyncio.sleep(0)
    told = [(agent, message.parts) for agent, message in fleet.told if isinstance(message, TakeOver)]
    assert told == [(0, ((2, 6),)), (1, ((5, 6),)), (1, ((0, 3), (2, 6)))]


async def test_an_agent_that_answers_no_renewal_is_lost_and_what_it_says_later_is_not_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("loadgen.fleet.crew._RENEWAL_S", 0.02)
    notices: list[str] = []
    fleet = FakeFleet(silent(lambda frame: frame.seq == 2 and frame.agent == 1))
    load = scenario(function("http://127.0.0.1:9"), OPEN)
    async with Crew(fleet, [Plan(load, "127.0.0.1", agent, 0) for agent in range(2)], notices.append) as of:
        total = await asyncio.wait_for(played(of, 0, OPEN), 5)
        fleet.way = straight
        fleet.say(frames.frame({"ok": [1000]}, phase=OPEN.name, agent=1, seq=9))
        await of.prepare(0, 1)
    assert total.tally.planned == 40
    assert fleet.dropped == [1]
    (notice,) = notices
    assert notice.startswith("warning: agent 1 has said nothing for 0.1 s, expected an answer twice a second. The run")


async def test_what_is_not_a_frame_is_an_error_of_the_agent_that_said_it() -> None:
    class Garbled(FakeFleet):
        async def receive(self) -> Said | Gone:
            await super().receive()
            return Said(0, b"\xff")

    async with crew(Garbled(), OPEN, agents=1) as of:
        with pytest.raises(FleetError, match="agent 0 sent what is not a frame"):
            await played(of, 0, OPEN)


async def test_every_instant_is_told_in_the_clock_of_the_agent() -> None:
    fleet, began_ns = FakeFleet(ahead_ns=10**15), time.monotonic_ns()
    async with crew(fleet, OPEN) as of:
        await played(of, 0, OPEN)
    told = [message for agent, message in fleet.told if agent == 1]
    assert [plan.origin_ns for plan in told if isinstance(plan, Plan)] == [10**15]
    assert [go.at_ns for go in told if isinstance(go, Go)] == [10**15]
    leases = [lease for lease in told if isinstance(lease, Lease)]
    assert leases
    assert all(0 <= lease.until_ns - 10**15 - began_ns - LEASE_NS < 10**9 for lease in leases)


@pytest.mark.parametrize("ahead_ns", AHEAD_NS)
async def test_what_agents_tell_each_other_is_told_in_the_clock_of_whom_it_is_told(ahead_ns: int) -> None:
    fleet = FakeFleet(a_frame=1, ahead_ns=ahead_ns)
    async with crew(fleet, OPEN, agents=3) as of:
        await of.prepare(0, 4)
        playing = of.run(1_000)
        await anext(playing)
        fleet.say(Lack(1, 1, due_ns=2_000 + ahead_ns))
        while not (asked := [(agent, message) for agent, message in fleet.told if isinstance(message, Cede)]):
            await anext(playing)
        assert [(agent, cede.due_ns) for agent, cede in asked] == [(0, 2_000), (2, 2_000 + 2 * ahead_ns)]
        fleet.say(Ceded(0, 1, 1, since_ns=1_500))
        fleet.say(Ceded(2, 1, 1, since_ns=1_600 + 2 * ahead_ns))
        fleet.say(Lack(2, 1, due_ns=2_500 + 2 * ahead_ns))
        fleet.say(Ceded(0, 1, 2, workers=1, since_ns=1_800))
        fleet.say(Ceded(1, 1, 2, workers=1, since_ns=1_700 + ahead_ns))
        async for _ in playing:
            pass
    granted = [(agent, message) for agent, message in fleet.told if isinstance(message, GrantWorkers)]
    assert granted == [
        (1, GrantWorkers(0, 1_600 + ahead_ns, None)),
        (2, GrantWorkers(2, 1_700 + 2 * ahead_ns, 2_000 + 2 * ahead_ns)),
    ]


async def test_what_is_dealt_in_a_phase_that_is_over_is_none_of_the_next_that_begins_at_the_same_instant() -> None:
    fleet = FakeFleet()
    async with crew(fleet, OPEN) as of:
        for _ in range(2):
            await played(of, 0, OPEN)
        fleet.say(Lack(0, 1))
        await asyncio.sleep(0)
    assert not any(isinstance(message, Cede) for _, message in fleet.told)


async def test_all_are_told_what_one_is() -> None:
    fleet, message = FakeFleet(), Renew(function("http://127.0.0.1:1"))
    async with crew(fleet, OPEN, agents=3) as of:
        of.tell(message)
    assert [agent for agent, said in fleet.told if said == message] == [0, 1, 2]


async def test_a_crew_that_is_cut_still_says_what_it_did() -> None:
    fleet = FakeFleet(a_frame=1)
    async with crew(fleet, OPEN) as of:
        total = PhaseTotal(OPEN.name)
        for frame in await of.prepare(0, 1):
            total.add(frame)
        async for frame in of.run(0, Means(numbers=ENDLESS)):
            total.add(frame)
            of.cut()
    assert list(total.faults()) == []
    assert 0 < total.tally.planned == len(fleet.started) < 60
