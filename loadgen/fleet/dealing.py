"""Passing on what agents share: what may be started and spent, where it is limited, and workers. Pure; one per phase.

Theory of operation. Everything that is shared is dealt out when a phase begins, and from then on is with exactly one
agent, or in exactly one message, so that no sum can exceed what is allowed, whatever is lost. An agent that has used up
its part says so (Lack). Then all others are asked at once (Cede), and give half of what they can do without; only when
every one of them has answered that it has nothing is there nothing left. Money that was meant for a call in flight is
free again once its bill is known, also at an agent that has ended the phase; starts are not. Requests are served one
after another, so that what one agent was just given is there to be asked for by the next.

Workers come back, so who has none is put on notice: as long as anybody waits, it offers every worker that becomes free
and for which no start of its own waits. That makes the workers of all agents one pool, but for the time that messages
take, which agents book as their own lateness.

What a dead agent held is gone, and counts as spent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from msgspec import Struct

from loadgen.engine.messages import Cede, Ceded, GrantMoney, GrantStarts, GrantWorkers, Lack
from loadgen.engine.numbers import Ranges, united

Told = tuple[int, Cede | GrantStarts | GrantMoney | GrantWorkers]
"""An agent, and what it is to be told."""


class _Deal(Struct):
    """A request that is being served."""

    lack: Lack
    number: int
    open: set[int]
    numbers: Ranges = ()
    money: int = 0
    workers: int = 0
    since_ns: int = 0
    scarce_since_ns: int = 0

    @property
    def of_starts(self) -> bool:
        return self.lack.due_ns is None and not self.lack.money


class Dealer:
    """Deals between these ``agents`` of the phase whose Go has this ``serial``.

    All instants that it is told, and those that it has agents told, are on one clock.
    """

    def __init__(self, agents: Collection[int], serial: int) -> None:
        self._pool: Ranges = ()
        self._money = 0
        self._serial = serial
        self._agents = set(agents)
        self._moved = dict.fromkeys(agents, 0)
        self._waiting: dict[int, int] = {}
        self._queue: deque[Lack] = deque()
        self._deal: _Deal | None = None
        self._deals = 0
        self._ended: set[int] = set()
        self._granted: dict[int, list[Ranges]] = {agent: [] for agent in agents}

    @property
    def left(self) -> Ranges:
        """What nobody has started of the allowance, once all agents have ended."""
        return self._pool if self._deal is None else united(self._pool, self._deal.numbers)

    def lack(self, lack: Lack) -> list[Told]:
        """An agent is short of something; what agents are to be told."""
        if lack.serial != self._serial:
            return []
        self._queue.append(lack)
        self._money += lack.rest
        return self._next()

    def ceded(self, ceded: Ceded) -> list[Told]:
        """An agent gives something away, or says that it has nothing; what agents are to be told."""
        deal = self._deal
        if ceded.serial != self._serial or ceded.agent not in self._agents:
            return []
        self._moved[ceded.agent] -= ceded.workers
        if ceded.deal is not None:
            if deal is None or ceded.deal != deal.number:
                return []
            deal.open.discard(ceded.agent)
            deal.numbers = united(deal.numbers, ceded.numbers)
            deal.money += ceded.money
            self._add_workers(deal, ceded)
            return self._closed(deal)
        if deal is not None and deal.lack.due_ns is not None:
            self._add_workers(deal, ceded)
            return []
        to = min(self._waiting, key=lambda agent: self._waiting[agent], default=ceded.agent)
        return [self._granted_workers(to, ceded.workers, ceded.since_ns)]

    def ended(self, agent: int, left: Ranges, grants: int) -> list[Told]:
        """An agent has ended the phase, with so much left to start, and after it got so many grants of starts."""
        if agent not in self._agents:
            return []  # it took no part
        self._ended.add(agent)
        self._waiting.pop(agent, None)
        self._pool = united(self._pool, left, *self._granted[agent][grants:])
        deal = self._deal
        if deal is None or not deal.of_starts:
            return []
        deal.open.discard(agent)
        deal.numbers, self._pool = united(deal.numbers, self._pool), ()
        return self._closed(deal)

    def lost(self, agent: int) -> list[Told]:
        """An agent is lost, with all that it held; nobody waits for its answers."""
        if agent not in self._agents:
            return []
        self._agents.discard(agent)
        self._waiting.pop(agent, None)
        self._queue = deque(lack for lack in self._queue if lack.agent != agent)
        deal = self._deal
        if deal is None:
            return []
        deal.open.discard(agent)
        return self._closed(deal)

    def moved(self, agent: int) -> int:
        """How many workers an agent got of others, less those that it gave them."""
        return self._moved.get(agent, 0)

    def _oldest(self) -> int | None:
        """When the oldest start fell due that waits for a worker."""
        return min(self._waiting.values(), default=None)

    def _next(self) -> list[Told]:
        """Begin to serve the next request, if none is being served."""
        if self._deal is not None or not self._queue:
            return []
        lack = self._queue.popleft()
        self._deals += 1
        others = self._agents - {lack.agent}
        deal = self._deal = _Deal(lack, self._deals, others)
        if deal.of_starts:
            deal.open -= self._ended  # what these had left is in the pool
            deal.numbers, self._pool = self._pool, ()
        if deal.numbers or not deal.open:
            deal.open = set()
            return self._closed(deal)
        return [(agent, Cede(deal.number, lack.due_ns, money=lack.money > 0)) for agent in sorted(deal.open)]

    def _closed(self, deal: _Deal) -> list[Told]:
        """Grant what a request brought, once everybody has answered, and serve the next one."""
        if deal.open:
            return []
        self._deal = None
        return [*self._granting(deal), *self._next()]

    def _granting(self, deal: _Deal) -> list[Told]:
        agent = deal.lack.agent
        if agent not in self._agents:
            return self._returned(deal)
        if deal.lack.money:
            # what covers no start helps nobody: it stays here, or agents would pass it to and fro for ever
            money = self._money + deal.money
            enough = money >= deal.lack.money
            self._money = 0 if enough else money
            return [(agent, GrantMoney(money if enough else 0))]
        due_ns = deal.lack.due_ns
        if due_ns is None:
            if agent in self._ended:
                self._pool = united(self._pool, deal.numbers)
                return []
            self._granted[agent].append(deal.numbers)
            return [(agent, GrantStarts(deal.numbers))]
        if deal.workers:
            return [self._granted_workers(agent, deal.workers, deal.since_ns)]
        if agent not in self._ended:
            self._waiting[agent] = due_ns
        return [(agent, GrantWorkers(0, deal.scarce_since_ns, None))]

    def _granted_workers(self, agent: int, workers: int, since_ns: int) -> Told:
        self._waiting.pop(agent, None)
        self._moved[agent] += workers
        return agent, GrantWorkers(workers, since_ns, self._oldest())

    def _returned(self, deal: _Deal) -> list[Told]:
        """What was given for an agent that is lost is there for the next that asks; workers, for one that waits."""
        self._pool = united(self._pool, deal.numbers)
        self._money += deal.money
        to = min(self._waiting or self._agents, key=lambda agent: self._waiting.get(agent, agent), default=None)
        return [] if to is None or not deal.workers else [self._granted_workers(to, deal.workers, deal.since_ns)]

    @staticmethod
    def _add_workers(deal: _Deal, ceded: Ceded) -> None:
        if ceded.workers:
            # a start may count on the first worker that was free for it
            deal.since_ns = min(deal.since_ns, ceded.since_ns) if deal.workers else ceded.since_ns
            deal.workers += ceded.workers
        else:
            deal.scarce_since_ns = max(deal.scarce_since_ns, ceded.since_ns)
