"""What a run may still start and spend, and when that is nothing. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from loadgen.engine.numbers import ENDLESS, Ranges, below, parted, size, united
from loadgen.engine.workers import COST, INVOCATIONS
from loadgen.fleet.crew import Means
from loadgen.load.phase import Phase
from loadgen.measure.cost import Spent, spent
from loadgen.measure.guard import Guard
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.purse import Tariff
from loadgen.measure.summary import Cost
from loadgen.run.agents import Agents
from loadgen.scenario.model import FeederOrder, Scenario
from loadgen.text.units import Money


class Allowance:
    """The budget and the feeder of a scenario, as far as they are not used up.

    What changes: the numbers of the arrivals to come, with each phase; what the guard and the tariff know, with each
    frame.
    """

    def __init__(self, scenario: Scenario, agents: Agents, tariff: Tariff | None, first: Spent) -> None:
        """``first`` is what the pre-flight used; the tariff is None where money is not limited."""
        self._scenario = scenario
        self._agents = agents
        self._tariff = tariff
        self._first = first
        self._guard = Guard(scenario.budget)
        self._numbers = ENDLESS

    def means(self, phase: Phase, totals: Sequence[PhaseTotal]) -> Means:
        """What the next phase may use, after the phases with these totals."""
        allowance, rows = self._starts(phase, totals)
        money = None
        if self._tariff is not None and self._limit is not None:
            money = self._tariff.left(self._limit.amount, self._used(totals))
        agents = self._agents.of(phase, self._scenario.target)
        return Means(agents, self._numbers, allowance, rows, money)

    def played(self, phase: Phase, means: Means, total: PhaseTotal, left: Ranges) -> None:
        """A phase with these means is over; ``left`` is what it was allowed to start, and did not."""
        dealt = means.allowance if phase.closed else None
        self._numbers = to_come(self._numbers, total, means.agents or 1, dealt, left)

    def exhausted(self, phase: Phase, frame: Frame) -> tuple[str, bool] | None:
        """Take in a frame; why the run has to end, and whether for want of money; None if it may go on."""
        why = self._guard.reached(phase, frame)
        if why is not None:
            return why, False
        if self._tariff is None or self._limit is None:
            return None
        self._tariff.learn(frame.dearest, frame.tally.billed_ns)
        return (self._tariff.reached(self._limit), True) if frame.budget_reached == COST else None

    def used_up(self, frame: Frame) -> str | None:
        """Why an agent has ended that has made all that was allowed."""
        if frame.budget_reached == INVOCATIONS:
            return "budget.invocations: all that are allowed were made"
        return None

    def spent(self, totals: Sequence[PhaseTotal]) -> str:
        """What was spent of the money, in the end."""
        assert self._tariff is not None
        return self._tariff.spent(self._used(totals))

    @property
    def _limit(self) -> Money | None:
        return self._scenario.budget.cost

    def _used(self, totals: Sequence[PhaseTotal]) -> Spent:
        return sum((spent(total.tally) for total in totals), self._first)

    def _starts(self, phase: Phase, totals: Sequence[PhaseTotal]) -> tuple[Ranges | None, bool]:
        """What a phase may start, None for any number, and whether it ends with a feeder's rows and not the budget.

        Workers draw the numbers of their arrivals from it, so that of rows to be sent once none is left out, whichever
        agent is the fastest. In an open phase the numbers follow from the schedule, and only how many there are counts.
        """
        scenario = self._scenario
        budget, feeder = scenario.budget.invocations, scenario.feeder
        made = scenario.preflights + sum(total.tally.started for total in totals)
        left = None if budget is None else max(0, budget - made)
        if not phase.closed:
            return (None if left is None else parted(ENDLESS, left)[0]), False
        once = feeder is not None and feeder.order is FeederOrder.ONCE
        numbers = below(self._numbers, feeder.rows) if once and feeder is not None else self._numbers
        if left is not None and (not once or left <= size(numbers)):
            return parted(numbers, left)[0], False
        return (numbers, True) if once else (None, False)


def to_come(numbers: Ranges, total: PhaseTotal, agents: int, dealt: Ranges | None, left: Ranges) -> Ranges:
    """The numbers for later phases, after one of so many agents that might use ``numbers``.

    ``dealt`` is what they drew theirs from, and ``left`` what they did not use of it. Without it agent i takes every
    n-th number, beginning with the i-th, as far as it comes.
    """
    if dealt is not None:
        return united(left, parted(numbers, size(dealt))[1])
    planned = {agent: frames.planned for agent, frames in total.agents.items() if frames.planned}
    used = max((agent + (n - 1) * agents + 1 for agent, n in planned.items()), default=0)
    return parted(numbers, used)[1]


def excess(charged: Cost | None, limit: Money | None) -> str | None:
    """By how much a run has cost more than it was allowed to; None where it has not, or that is not known."""
    if charged is None or charged.amount is None or limit is None or charged.amount <= limit.amount:
        return None
    least, more = "> " if charged.unmetered else "", charged.amount - limit.amount
    return f"the run cost {least}{charged.amount:.6g} {limit.currency}, {least}{more:.3g} more than allowed"
