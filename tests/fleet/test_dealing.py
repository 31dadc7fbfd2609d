"""Several agents in virtual time, with messages that take a while, held against one agent that has everything."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import count, islice

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.engine.invoker import Caller, Invoker
from loadgen.engine.messages import Cede, Ceded, GrantMoney, GrantStarts, GrantWorkers, Lack
from loadgen.engine.numbers import ENDLESS, Ranges, each, parted, shares, size, united
from loadgen.engine.workers import ClosedRun, OpenRun, Terms, WorkerPool
from loadgen.fleet.dealing import Dealer, Told
from loadgen.invocation.bill import PriceBook
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.invocation.sample import Sample
from loadgen.measure.histogram import Histogram, slot
from loadgen.measure.purse import Purse, Tariff
from loadgen.measure.recorder import Recorder
from tests.engine.virtual import MS, OK, S, Sends, VirtualTime
from tests.examples import fewer

Delay = Callable[[int], int]
"""How long the call of an arrival takes, by its number."""


@dataclass
class Target:
    """What the agents call: every request is answered after its own time. ``most`` were in flight at once."""

    time: VirtualTime
    delay: Delay
    sent: list[int] = field(default_factory=list)
    in_flight: int = 0
    most: int = 0
    answers: Callable[[int], Facts] = lambda number: OK

    of: dict[int, int] = field(default_factory=dict)
    most_of: dict[int, int] = field(default_factory=dict)

    def invoker(self, agent: int, caller: Caller) -> Called:
        return Called(self, agent, caller)


class Called(Invoker):
    def __init__(self, target: Target, agent: int, caller: Caller) -> None:
        self._target = target
        self._agent = agent
        self._caller = caller
        self._call = self._number = 0

    def invoke(self, request: bytes, started_ns: int) -> int:
        target, number = self._target, int(request)
        self._number = number
        target.sent.append(number)
        target.in_flight += 1
        target.most = max(target.most, target.in_flight)
        target.of[self._agent] = target.of.get(self._agent, 0) + 1
        target.most_of[self._agent] = max(target.most_of.get(self._agent, 0), target.of[self._agent])
        self._call += 1
        call = self._call
        target.time.at(started_ns + target.delay(number), lambda: self._end(call))
        return started_ns

    def _end(self, call: int) -> None:
        if call == self._call:
            self._target.in_flight -= 1
            self._target.of[self._agent] -= 1
            self._caller.ended(self._target.time.now, self._target.time.now, self._target.answers(self._number), 0, b"")

    def abandon(self) -> None:
        self._call += 1
        self._target.in_flight -= 1
        self._target.of[self._agent] -= 1


class Crowd:
    """The agents of one phase and the Dealer between them. A message takes ``way_ns`` and overtakes no other."""

    def __init__(self, agents: int, delay: Delay, *, way_ns: int = MS, seed: int | None = None) -> None:
        self.time = VirtualTime()
        self.target = Target(self.time, delay)
        self.dealer = Dealer(range(agents), 0)
        self.agents = [Member(self, number) for number in range(agents)]
        self._chance = random.Random(seed)
        self._way_ns = way_ns
        self._varies = seed is not None
        self._arrives: dict[tuple[str, int], int] = {}

    def post(self, way: str, agent: int, deliver: Callable[[], None]) -> None:
        takes = self._chance.randrange(1, 2 * self._way_ns) if self._varies else self._way_ns
        at = max(self.time.now + takes, self._arrives.get((way, agent), 0))
        self._arrives[way, agent] = at
        self.time.at(at, deliver)

    def tell(self, told: list[Told]) -> None:
        for agent, message in told:
            member = self.agents[agent]
            self.post("to", agent, lambda member=member, message=message: member.hear(message))  # type: ignore[misc]

    def samples(self) -> list[Sample]:
        """Of all agents, by their numbers."""
        found = [sample for member in self.agents for sample in member.samples]
        return sorted(found, key=lambda sample: sample.index)

    def lag(self, part: str) -> Histogram:
        """``waited`` or ``late`` of all started invocations of all agents, where it is not 0."""
        found = Histogram()
        for member in self.agents:
            now = member.run.recorder.now
            for lot in (now.undisturbed, now.disturbed):
                found.add_packed(getattr(lot.ok, part).pack())
        return found

    @property
    def left(self) -> Ranges:
        return self.dealer.left


class Member:
    """One agent: what loadgen.engine.agent does between messages and its run."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self._number = number
        self.pool = WorkerPool(partial(crowd.target.invoker, number))
        self.run: OpenRun | ClosedRun
        self.over = False
        self.grants = 0
        self.samples: list[Sample] = []
        self.purse: Purse | None = None
        self.asked = 0

    def terms(self, duration_ns: int, allowance: Ranges | None, *, rows: bool) -> Terms:
        crowd = self._crowd
        others = self if len(crowd.agents) > 1 else None
        grace_ns = 1000 * S
        return Terms(
            crowd.time.clock, crowd.time.alarm, 0, duration_ns, grace_ns, allowance, self.done, rows, others, self.purse
        )

    def recorder(self, *, closed: bool) -> Recorder:
        return Recorder("p", self._number, origin_ns=0, closed=closed, expects_summary=False, sampled=lambda: True)

    def done(self) -> None:
        self.over = True
        self.samples = self.run.recorder.now.samples
        left, grants, number = self.run.left, self.grants, self._number
        self._crowd.post("from", number, lambda: self._crowd.tell(self._crowd.dealer.ended(number, left, grants)))

    def hear(self, message: Cede | GrantStarts | GrantMoney | GrantWorkers) -> None:
        match message:
            case Cede(deal, money=True):
                assert self.purse is not None
                self._give(Ceded(self._number, 0, deal, money=self.purse.cede(half=not self.over)))
            case GrantMoney(money):
                assert self.purse is not None
                self.purse.left += money
                if not self.over:
                    self.run.grant_money(money)
            case Cede(deal, due_ns) if due_ns is not None:
                ceded, since_ns = self.run.cede_workers(due_ns)
                self._give(Ceded(self._number, 0, deal, (), ceded, since_ns))
            case Cede(deal):
                if not self.over:
                    self._give(Ceded(self._number, 0, deal, self.run.cede_starts()))
            case GrantStarts(numbers):
                if not self.over:
                    self.grants += 1
                    self.run.grant_starts(numbers)
            case GrantWorkers(workers, since_ns, waiting_ns):
                self.run.grant_workers(workers, since_ns, waiting_ns)

    def lack_starts(self) -> None:
        self._ask(Lack(self._number, 0))

    def lack_money(self, each: int, rest: int) -> None:
        self.asked += 1
        self._ask(Lack(self._number, 0, money=each, rest=rest))

    def dearer(self, bill: int) -> None:
        """A bill is told to all, at the end of two ways."""
        crowd = self._crowd

        def learn(member: Member) -> None:
            assert member.purse is not None
            member.purse.tariff.learn(bill)

        def tell() -> None:
            for number, member in enumerate(crowd.agents):
                crowd.post("to", number, partial(learn, member))

        crowd.post("from", self._number, tell)

    def lack_worker(self, due_ns: int) -> None:
        self._ask(Lack(self._number, 0, due_ns))

    def offer(self, workers: int, since_ns: int) -> None:
        assert workers > 0
        self._give(Ceded(self._number, 0, None, (), workers, since_ns))

    def _ask(self, lack: Lack) -> None:
        crowd = self._crowd
        crowd.post("from", self._number, lambda: crowd.tell(crowd.dealer.lack(lack)))

    def _give(self, ceded: Ceded) -> None:
        crowd = self._crowd
        crowd.post("from", self._number, lambda: crowd.tell(crowd.dealer.ceded(ceded)))


def open_phase(
    crowd: Crowd,
    offsets: list[int],
    *,
    duration_ns: int,
    limit: int,
    budget: int | None = None,
    rows: int | None = None,
) -> None:
    """Run an open phase to its end."""
    n = len(crowd.agents)
    dealt = [None] * n if budget is None else shares(((0, budget),), n)
    for number, member in enumerate(crowd.agents):
        member.run = OpenRun(
            member.pool,
            islice(enumerate(offsets), number, None, n),
            Sends(lambda index: b"%d" % index if rows is None or index < rows else None),
            member.recorder(closed=False),
            member.terms(duration_ns, dealt[number], rows=False),
            limit=limit // n + (number < limit % n),
            max_lag_ns=None,
            until_idle=False,
        )
    crowd.time.run()


def closed_phase(
    crowd: Crowd, workers: int, *, duration_ns: int, numbers: Ranges | None = None, rows: bool = False
) -> None:
    """Run a closed phase to its end."""
    n = len(crowd.agents)
    dealt = [None] * n if numbers is None else shares(numbers, n)
    for number, member in enumerate(crowd.agents):
        member.run = ClosedRun(
            member.pool,
            [(0, duration_ns)] * (workers // n + (number < workers % n)),
            count(number, n),
            Sends(lambda index: b"%d" % index),
            member.recorder(closed=True),
            member.terms(duration_ns, dealt[number], rows=rows),
        )
    crowd.time.run()


def every(gap_ns: int, n: int) -> list[int]:
    return [k * gap_ns for k in range(n)]


def ended(crowd: Crowd) -> bool:
    return all(member.over for member in crowd.agents)


def late_and_waited(samples: list[Sample]) -> Iterator[tuple[int, int]]:
    for sample in samples:
        if sample.started_ns is not None:
            yield sample.index, sample.started_ns - sample.intended_ns


COUNTS = [1, 2, 3, 7]


@pytest.mark.parametrize("agents", COUNTS)
@pytest.mark.parametrize("budget", [1, 2, 5, 599, 600])
def test_workers_of_any_number_of_agents_start_exactly_what_is_allowed(agents: int, budget: int) -> None:
    """Three workers whose calls take as different times as their numbers: the fastest agent takes what others leave."""
    crowd = Crowd(min(agents, 3), lambda number: (1 + number % 7) * MS)
    closed_phase(crowd, 3, duration_ns=100 * S, numbers=((0, budget),))
    assert sorted(crowd.target.sent) == list(range(budget))
    assert ended(crowd)
    assert all(member.run.budget_reached for member in crowd.agents)
    assert crowd.left == ()


@pytest.mark.parametrize("agents", COUNTS)
@pytest.mark.parametrize("rows", [2, 30, 100])
def test_every_row_that_is_read_once_is_sent_whatever_the_agents(agents: int, rows: int) -> None:
    crowd = Crowd(agents, lambda number: (50 if number % 5 == 0 else 3) * MS)
    closed_phase(crowd, 7, duration_ns=100 * S, numbers=((0, rows),), rows=True)
    assert sorted(crowd.target.sent) == list(range(rows))
    assert all(member.run.feeder_exhausted and not member.run.budget_reached for member in crowd.agents)


@pytest.mark.parametrize("agents", COUNTS)
def test_the_numbers_that_are_left_at_the_end_are_those_that_were_not_sent(agents: int) -> None:
    crowd = Crowd(agents, lambda number: 10 * MS)
    closed_phase(crowd, 7, duration_ns=S, numbers=((0, 500), (600, 900)))
    assert len(crowd.target.sent) == 700
    unsent = {*range(500), *range(600, 900)} - {*crowd.target.sent}
    assert list(each(crowd.left)) == sorted(unsent)


@pytest.mark.parametrize("agents", COUNTS)
def test_an_open_phase_of_any_number_of_agents_starts_exactly_what_is_allowed(agents: int) -> None:
    crowd = Crowd(agents, lambda number: MS)
    open_phase(crowd, every(10 * MS, 1000), duration_ns=10 * S, limit=20, budget=333)
    assert len(crowd.target.sent) == 333
    assert all(member.run.budget_reached for member in crowd.agents)


@pytest.mark.parametrize("agents", [2, 3, 7])
def test_a_limit_that_slow_calls_of_one_agent_use_up_is_the_limit_of_all_agents(agents: int) -> None:
    """Every call of the first agent is slow: alone it would be held back with most of what is allowed left unused."""

    def delay(number: int) -> int:
        return S if number % agents == 0 else MS

    crowd, alone = Crowd(agents, delay, way_ns=MS // 10), Crowd(1, delay)
    for each_crowd in (crowd, alone):
        open_phase(each_crowd, every(20 * MS, 500), duration_ns=10 * S, limit=20 * agents)
    assert crowd.target.most == alone.target.most
    assert crowd.lag("waited").count == 0  # at no time were all workers busy
    longest = max(lag for _, lag in late_and_waited(crowd.samples()))
    assert longest <= 2 * MS  # until the others have been asked


@pytest.mark.parametrize("agents", [2, 3, 7])
def test_starts_wait_for_the_target_only_while_no_agent_has_a_worker(agents: int) -> None:
    """The target is too slow for the load: as with one agent nearly all of the wait is its own, and none is lost."""
    crowd, alone = Crowd(agents, lambda number: 100 * MS, way_ns=MS // 10), Crowd(1, lambda number: 100 * MS)
    for each_crowd in (crowd, alone):
        open_phase(each_crowd, every(5 * MS, 1000), duration_ns=5 * S, limit=14)
    assert crowd.target.most == alone.target.most == 14
    assert abs(len(crowd.target.sent) - len(alone.target.sent)) <= 14
    assert crowd.lag("waited").count >= 0.98 * alone.lag("waited").count
    assert crowd.lag("late").count <= 2 * agents


def test_a_start_that_its_own_agent_serves_before_another_with_room_could_answer_is_late() -> None:
    """The first agent has two workers, whose calls take 30 ms, and three starts; the second has two and no call."""
    crowd = Crowd(2, lambda number: 30 * MS if number % 2 == 0 else MS, way_ns=50 * MS)
    open_phase(crowd, [0, 0, 1 * MS, 1 * MS, 10 * MS], duration_ns=S, limit=4)
    assert [sample.started_ns for sample in crowd.samples()] == [0, 0, MS, MS, 30 * MS]
    assert crowd.lag("waited").count == 0
    assert crowd.lag("late").counts == {slot(20_000): 1}


def test_that_no_agent_had_a_worker_says_nothing_about_later_once_one_was_given() -> None:
    """All are busy until 200 ms, so that the fifth start waits for the target; from 1 s the second agent has room."""

    def delay(number: int) -> int:
        return 200 * MS if number < 4 else 30 * MS if number % 2 == 0 else MS

    crowd = Crowd(2, delay, way_ns=10 * MS)
    open_phase(crowd, [0, 0, 0, 0, 100 * MS, *(S + k * MS for k in range(8))], duration_ns=2 * S, limit=4)
    started = [sample.started_ns for sample in crowd.samples()]
    assert started == [0, 0, 0, 0, 200 * MS, *(S + k * MS for k in range(7)), S + 31 * MS]
    assert crowd.lag("waited").counts == {slot(100_000): 1}
    assert crowd.lag("late").counts == {slot(24_000): 1}


def total_us(histogram: Histogram) -> float:
    return (histogram.mean_us or 0) * histogram.count


def held_up_us(samples: list[Sample], limit: int) -> float:
    """For how long starts that were due found ``limit`` invocations in flight, all of them together."""
    changes = sorted([(s.started_ns or 0, 1) for s in samples] + [(s.ended_ns, -1) for s in samples])
    full, since, in_flight = [], 0, 0
    for at, change in changes:
        if in_flight == limit and at > since:
            full.append((since, at))
        in_flight += change
        since = at
    return (
        sum(max(0, min(stop, s.started_ns or 0) - max(start, s.intended_ns)) for s in samples for start, stop in full)
        / 1000
    )


@fewer(2)
@given(agents=st.sampled_from([1, 2, 3, 7]), seed=st.integers(0, 2**32), limit=st.integers(7, 20))
def test_what_is_called_waited_is_the_time_in_which_all_workers_of_all_agents_were_busy(
    agents: int, seed: int, limit: int
) -> None:
    way_us = 10
    chance = random.Random(seed)
    offsets = [0]
    for _ in range(300):
        offsets.append(offsets[-1] + int(chance.expovariate(1 / (6 * MS))))
    times = [int(chance.expovariate(1 / (60 * MS))) + 1 for _ in offsets]
    crowd = Crowd(agents, lambda number: times[number], way_ns=way_us * 1000)
    open_phase(crowd, offsets, duration_ns=offsets[-1] + 60 * S, limit=limit)
    samples, waited = crowd.samples(), crowd.lag("waited")
    held_up = held_up_us(samples, limit)
    slack = 0.001 * held_up + 4 * way_us * (waited.count + agents) * (agents > 1) + waited.count
    assert total_us(waited) <= held_up + slack
    assert total_us(waited) >= held_up - slack


@fewer(2)
@given(
    agents=st.sampled_from([2, 3, 7]),
    seed=st.integers(0, 2**32),
    limit=st.integers(7, 40),
    budget=st.none() | st.integers(1, 400),
    way_us=st.sampled_from([50, 500, 5_000]),
)
def test_no_sum_depends_on_how_many_agents_share_an_open_phase(
    agents: int, seed: int, limit: int, budget: int | None, way_us: int
) -> None:
    """Random schedules, calls and delays of messages: never more in flight nor started than allowed, and none lost."""
    chance = random.Random(seed)
    at = 0
    offsets = []
    for _ in range(chance.randrange(1, 500)):
        at += int(chance.expovariate(1 / (10 * MS)))
        offsets.append(at)
    times = [int(chance.expovariate(1 / (100 * MS))) + 1 for _ in offsets]
    crowd = Crowd(agents, lambda number: times[number], way_ns=way_us * 1000, seed=seed)
    open_phase(crowd, offsets, duration_ns=at + 60 * S, limit=limit, budget=budget)
    assert ended(crowd)
    assert crowd.target.most <= limit
    assert len(crowd.target.sent) == len({*crowd.target.sent}) == min(len(offsets), budget or len(offsets))
    assert sum(member.run.room for member in crowd.agents) == limit  # nothing is in flight any more
    if budget is not None:
        assert size(crowd.left) == budget - len(crowd.target.sent)


@fewer(2)
@given(
    agents=st.sampled_from([1, 2, 3, 7]),
    seed=st.integers(0, 2**32),
    workers=st.integers(7, 20),
    numbers=st.integers(1, 600),
    hole=st.integers(1, 50),
    way_us=st.sampled_from([50, 500, 5_000]),
)
def test_workers_send_every_number_once_and_tell_what_is_left_however_long_messages_take(
    agents: int, seed: int, workers: int, numbers: int, hole: int, way_us: int
) -> None:
    chance = random.Random(seed)
    whole: Ranges = ((0, numbers), (numbers + hole, 2 * numbers + hole))
    times = [int(chance.expovariate(1 / (50 * MS))) + 1 for _ in range(2 * numbers + hole)]
    crowd = Crowd(agents, lambda number: times[number], way_ns=way_us * 1000, seed=seed)
    closed_phase(crowd, workers, duration_ns=chance.randrange(1, 5 * S), numbers=whole)
    assert ended(crowd)
    assert sorted([*crowd.target.sent, *each(crowd.left)]) == list(each(whole))


def test_what_is_given_to_an_agent_that_has_just_ended_is_not_lost() -> None:
    dealer = Dealer(range(2), 0)
    assert dealer.lack(Lack(0, 0)) == [(1, Cede(1))]
    assert dealer.ceded(Ceded(1, 0, 1, ((5, 9),))) == [(0, GrantStarts(((5, 9),)))]
    dealer.ended(0, (), 0)  # it ended before it heard of that
    dealer.ended(1, ((3, 5),), 0)
    assert dealer.left == ((3, 9),)


def test_what_an_ended_agent_had_left_is_there_for_who_asked_before_that_was_known() -> None:
    """Its last frame is the answer: an agent that has ended gives nothing away beside it."""
    dealer = Dealer(range(2), 0)
    assert dealer.lack(Lack(0, 0)) == [(1, Cede(1))]
    assert dealer.ended(1, ((0, 50),), 0) == [(0, GrantStarts(((0, 50),)))]
    assert dealer.lack(Lack(0, 0)) == [(0, GrantStarts(()))]  # nobody is left to be asked


def test_a_stop_that_crosses_what_is_given_is_no_spent_budget() -> None:
    """The first agent asks at 5 ms; the second stops before it hears of that, the first with the answer."""
    crowd = Crowd(2, lambda number: MS)
    schedules = [[(0, 0), (2, 0), (4, 0), (6, 5 * MS)], [(1, 0), (3, 900 * MS)]]
    for member, schedule, allowance in zip(crowd.agents, schedules, (3, 50), strict=True):
        member.run = OpenRun(
            member.pool,
            iter(schedule),
            Sends(lambda index: b"%d" % index),
            member.recorder(closed=False),
            member.terms(S, ((0, allowance),), rows=False),
            limit=3,
            max_lag_ns=None,
            until_idle=False,
        )
    crowd.time.at(6_900_000, crowd.agents[1].run.stop)
    crowd.time.at(9 * MS, crowd.agents[0].run.stop)
    crowd.time.run()
    assert ended(crowd)
    assert not any(member.run.budget_reached for member in crowd.agents)
    assert size(crowd.left) == 53 - len(crowd.target.sent)


@pytest.mark.parametrize("agents", [2, 4])
def test_a_target_at_its_limit_looks_the_same_to_several_agents_as_to_one(agents: int) -> None:
    """Calls are unlike each other, messages take a fifth of a gap, and a fiftieth more falls due than is served."""
    chance = random.Random(3)
    offsets, times = [0], [int(chance.expovariate(1 / (20.4 * MS))) + 1 for _ in range(6001)]
    for _ in range(6000):
        offsets.append(offsets[-1] + int(chance.expovariate(1 / MS)))
    crowds = [Crowd(number, lambda number: times[number], way_ns=MS // 5) for number in (1, agents)]
    for crowd in crowds:
        open_phase(crowd, offsets, duration_ns=offsets[-1] + 60 * S, limit=20)
    alone, several = ([lag for _, lag in late_and_waited(crowd.samples())] for crowd in crowds)
    assert sum(several) == pytest.approx(sum(alone), rel=0.25)
    assert max(several) <= 2.5 * max(alone)
    waited, late = (total_us(crowds[1].lag(part)) for part in ("waited", "late"))
    assert late <= 0.1 * waited
    assert waited >= 0.9 * total_us(crowds[0].lag("waited"))


def test_reports_about_an_earlier_phase_change_nothing() -> None:
    dealer = Dealer(range(2), serial=5)
    assert dealer.lack(Lack(0, 4)) == []
    assert dealer.ceded(Ceded(1, 4, None, workers=3)) == []


def test_a_worker_that_nobody_waits_for_goes_back_to_who_offered_it() -> None:
    assert Dealer(range(2), 0).ceded(Ceded(1, 0, None, workers=2, since_ns=7)) == [(1, GrantWorkers(2, 7, None))]


def test_what_a_dead_agent_held_is_never_dealt_again() -> None:
    """It was asked and never answers: the others go without it, and nothing is made up for it."""
    dealer = Dealer(range(3), 0)
    dealer.lack(Lack(0, 0))
    assert dealer.ceded(Ceded(1, 0, 1, ((10, 12),))) == []  # agent 2 has died
    dealer.ended(0, (), 0)
    dealer.ended(1, (), 0)
    assert dealer.left == ((10, 12),)


RANGES = st.lists(st.integers(0, 200), unique=True).map(
    lambda numbers: united(*(((number, number + 1),) for number in numbers))
)


@given(RANGES, st.integers(0, 250), st.integers(1, 9))
def test_ranges_are_parted_and_shared_without_losing_a_number(ranges: Ranges, n: int, agents: int) -> None:
    numbers = list(each(ranges))
    first, rest = parted(ranges, n)
    assert list(each(first)) == numbers[:n]
    assert list(each(rest)) == numbers[n:]
    dealt = shares(ranges, agents)
    assert [number for share in dealt for number in each(share)] == numbers
    assert max(map(size, dealt)) - min(map(size, dealt)) <= 1
    assert united(*dealt) == ranges
    assert size(parted(ENDLESS, n)[0]) == n


def billed(ms: int) -> Facts:
    return Facts(Outcome.OK, "ok", 200, billed_duration_ns=ms * MS, memory_size_mb=1024)


ONE_A_MS = PriceBook("test", "CNY", "2024-09", Decimal(0), Decimal(1000), MS)
"""A millisecond with 1024 MB costs 1 CNY, and a request nothing."""
CNY = 10**12


def spending_phase(
    crowd: Crowd,
    cap: int,
    bill: Callable[[int], int],
    *,
    closed: bool,
    known: int = 1,
    gap_ns: int = MS,
    limit: int = 60,
) -> int:
    """Run a phase that may spend ``cap`` CNY, whose n-th call costs ``bill(n)``; what it spent."""
    crowd.target.answers = lambda number: billed(bill(number))
    n = len(crowd.agents)
    for number, member in enumerate(crowd.agents):
        tariff = Tariff(ONE_A_MS, size_mb=1024, timeout_ns=S, sizes_mb=(1024,))
        tariff.learn(known * CNY)
        member.purse = Purse(tariff, member.dearer)
        member.purse.left = cap * CNY // n + (number < cap * CNY % n)
    if closed:
        closed_phase(crowd, limit, duration_ns=20 * S)
    else:
        open_phase(crowd, every(gap_ns, 3000), duration_ns=20 * S, limit=limit)
    assert ended(crowd)
    return sum(bill(number) for number in crowd.target.sent)


@pytest.mark.parametrize("agents", [1, 2, 3, 7])
@pytest.mark.parametrize("closed", [False, True])
def test_money_is_spent_to_the_last_and_never_exceeded_however_many_agents_there_are(agents: int, closed: bool) -> None:
    crowd = Crowd(agents, lambda _: 20 * MS)
    assert spending_phase(crowd, 300, lambda _: 1, closed=closed) == 300
    assert {member.run.budget_reached for member in crowd.agents} == {"cost"}


@pytest.mark.parametrize("agents", [1, 3])
def test_a_heap_of_starts_is_covered_one_by_one(agents: int) -> None:
    """A burst of 300 with 100 CNY and a known price of 1: everything falls due in the same instant."""
    crowd = Crowd(agents, lambda _: 50 * MS)
    assert spending_phase(crowd, 100, lambda _: 1, closed=False, gap_ns=0, limit=1000) == 100


def test_a_load_that_grows_does_not_outrun_its_budget() -> None:
    """5/s, then 400/s, with 200 CNY at 1 each: E5."""
    crowd = Crowd(1, lambda _: 30 * MS)
    offsets = [*every(200 * MS, 50), *(10 * S + n * 2_500_000 for n in range(4000))]
    crowd.target.answers = lambda _: billed(1)
    (member,) = crowd.agents
    tariff = Tariff(ONE_A_MS, size_mb=1024, timeout_ns=S, sizes_mb=(1024,))
    member.purse = Purse(tariff)
    member.purse.left = 200 * CNY
    open_phase(crowd, offsets, duration_ns=20 * S, limit=1000)
    assert len(crowd.target.sent) == 200


@example(agents=7, cap=126, dear=10, every_th=3, closed=False, limit=8, seed=0)
@given(
    agents=st.sampled_from([1, 2, 3, 7]),
    cap=st.integers(1, 400),
    dear=st.integers(1, 50),
    every_th=st.integers(1, 40),
    closed=st.booleans(),
    limit=st.integers(7, 60),
    seed=st.integers(0, 1000),
)
def test_a_budget_of_money_is_exceeded_by_nothing_but_what_was_in_flight(
    agents: int, cap: int, dear: int, every_th: int, closed: bool, limit: int, seed: int
) -> None:
    """Every so many-th call turns out ``dear``; those of before may have been started next to it."""
    crowd = Crowd(agents, lambda number: (1 + number % 30) * MS, seed=seed)
    spent = spending_phase(
        crowd, cap, lambda number: dear if number % every_th == every_th - 1 else 1, closed=closed, limit=limit
    )
    assert spent <= cap + sum(crowd.target.most_of.values()) * (dear - 1)
    reached = {member.run.budget_reached for member in crowd.agents}
    assert reached <= ({"", "cost"} if spent + dear <= cap else {"cost"}), reached
    assert sum(member.asked for member in crowd.agents) <= 50 * agents
    if dear == 1:
        assert spent == cap


@pytest.mark.parametrize("agents", [2, 3, 7])
@pytest.mark.parametrize("closed", [False, True])
def test_what_covers_no_call_is_not_passed_to_and_fro(agents: int, closed: bool) -> None:
    """101 CNY and bills of 2: what is left in the end is no whole call, and every agent has to learn that."""
    crowd = Crowd(agents, lambda _: 20 * MS)
    assert spending_phase(crowd, 101, lambda _: 2, closed=closed, known=2, gap_ns=MS // 10) == 100
    assert {member.run.budget_reached for member in crowd.agents} == {"cost"}
    assert sum(member.asked for member in crowd.agents) < 20 * agents


def test_once_the_dear_call_is_known_nothing_is_exceeded() -> None:
    crowd = Crowd(3, lambda _: 20 * MS)
    spent = spending_phase(crowd, 400, lambda number: 1 + number % 9, closed=False, known=9)
    assert 400 - 3 * 9 - 60 * 9 <= spent <= 400
