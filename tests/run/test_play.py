from __future__ import annotations

import asyncio

import pytest

from loadgen.engine.messages import Plan, Stop
from loadgen.fleet.crew import Crew
from loadgen.fleet.port import FleetError
from loadgen.load.bursts import Bursts
from loadgen.load.law import Arrivals
from loadgen.load.phase import Phase
from loadgen.measure.interval import Frame
from loadgen.run.play import Played, Watch, connections_for, play, service_ns
from tests.fleet.fake import FakeFleet, last, twice
from tests.frames import frame, plan, total
from tests.scenarios import S, closed_phase, function, open_phase, phase, scenario

OPEN = open_phase(60, 30)


class Log(Watch):
    """Notes what it is told, and has enough after so many invocations."""

    def __init__(self, enough: int = 10**9, *, gives_up: bool = False) -> None:
        self.told: list[str] = []
        self.count = 0
        self.played: Played | None = None
        self._enough = enough
        self._gives_up = gives_up

    @property
    def given_up(self) -> bool:
        return self._gives_up

    def begun(self, played: Played) -> None:
        self.played = played
        self.told.append(f"begun {played.plan.drawn}")

    def ready(self, frame: Frame) -> None:
        self.told.append(f"ready {frame.tally.planned}")

    def reported(self, phase: Phase, frame: Frame) -> bool:
        self.count += frame.tally.planned
        return self.count >= self._enough


async def once(fleet: FakeFleet, phase: Phase, watch: Watch) -> Played | None:
    load = scenario(function("http://127.0.0.1:9"), phase)
    async with Crew(fleet, [Plan(load, "127.0.0.1", agent, 0) for agent in range(2)]) as crew:
        return await play(crew, 0, phase, seed=1, connections=4, watch=watch)


async def test_a_phase_is_begun_then_every_agent_is_ready_then_there_is_load() -> None:
    watch = Log()
    played = await once(FakeFleet(), OPEN, watch)
    assert played is not None
    assert watch.told == ["begun 1800", "ready 0", "ready 0"]
    assert watch.count == played.total.tally.planned == 1800
    assert (played.plan.duration_ns, played.plan.drawn) == (30 * S, 1800)


async def test_a_poisson_schedule_is_drawn_to_know_how_many_starts_it_has() -> None:
    played = await once(FakeFleet(), OPEN, Log())
    drawn = await once(FakeFleet(), phase_of(Arrivals.POISSON), Log())
    assert played is not None
    assert drawn is not None
    assert played.plan.drawn == 1800
    assert drawn.plan.drawn is not None
    assert abs(drawn.plan.drawn - 1800) < 5 * 1800**0.5


def phase_of(arrivals: Arrivals) -> Phase:
    return Phase(OPEN.name, OPEN.shape, OPEN.duration_ns, False, arrivals, 1000, None, S)


async def test_what_proves_enough_ends_the_phase_which_then_has_no_schedule_to_fall_short_of() -> None:
    fleet = FakeFleet(a_frame=1)
    played = await once(fleet, OPEN, Log(enough=20))
    assert played is not None
    assert 20 <= played.total.tally.planned == len(fleet.started) < 1800
    assert played.plan.drawn is None
    assert Stop() in [message for _, message in fleet.told]


async def test_a_phase_that_is_given_up_while_connections_are_opened_never_begins() -> None:
    fleet, watch = FakeFleet(), Log(gives_up=True)
    assert await once(fleet, OPEN, watch) is None
    assert (watch.told, fleet.started) == ([], [])


async def test_of_a_phase_in_which_an_agent_died_the_record_stays_and_how_long_there_was_load() -> None:
    watch = Log()
    with pytest.raises(FleetError):
        await once(FakeFleet(last(lambda frame: frame.seq == 3)), OPEN, watch)
    assert watch.played is not None
    assert 0 < watch.played.total.tally.planned < 1800
    assert 0 < watch.played.plan.duration_ns < OPEN.duration_ns


async def test_a_watch_is_told_of_nothing_twice() -> None:
    watch = Log()
    played = await once(FakeFleet(twice(lambda frame: True)), OPEN, watch)
    assert played is not None
    assert watch.count == played.total.tally.planned == 1800


async def test_a_phase_that_nobody_watches_is_played_to_its_end() -> None:
    played = await asyncio.wait_for(once(FakeFleet(), OPEN, Watch()), 5)
    assert played is not None
    assert played.total.tally.planned == 1800


@pytest.mark.parametrize(
    ("of", "service_ns", "connections"),
    [
        (closed_phase(7, 1), 0, 7),
        (open_phase(100, 1), 0, 1),
        (open_phase(100, 1), 100_000_000, 16),  # ten in flight, half as many to spare, and one
        (open_phase(100, 1, limit=5), S, 5),
        (phase(Bursts(20, S, 3), 3), 0, 20),
        (phase(Bursts(20, S, 3), 3, limit=5), 0, 5),
    ],
)
def test_as_many_connections_are_opened_ahead_as_are_expected_to_be_in_flight(
    of: Phase, service_ns: int, connections: int
) -> None:
    assert connections_for(of, service_ns) == connections


def test_how_long_a_call_takes_is_what_the_last_phase_with_an_ok_one_showed() -> None:
    def one(us: int, outcome: str = "ok") -> Played:
        return Played(plan(), total(frame({outcome: [us]}, metrics={f"{outcome}/service_time": [us]})))

    assert service_ns([], 7) == 7
    assert service_ns([one(1000), one(2000), one(9000, "timeout")], 7) == 2_000_000
    assert service_ns([one(9000, "timeout")], 7) == 7
