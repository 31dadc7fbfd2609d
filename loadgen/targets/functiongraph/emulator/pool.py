"""The instances of one version of a function, at one memory size; pure, in virtual time.

Theory of operation. A call occupies a slot of an instance until an instant that is known when it begins, so the end of
every call is known, too. A pool keeps the ends in a heap and lets time pass when it is asked (`Pool.settle`): calls
end, and instances that had none for the keep-alive time go away.

A free slot is taken, in this order: of an idle reserved instance; of an instance that has other calls; of an idle one,
chosen by the routing. When no instance may be started, a call may wait for the slot that frees first
(`Pool.take_first_free`); as slots are handed on in the order of their ends, waiting calls are served in the order in
which they came. An instance that is doomed serves the calls it has and takes no more.
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from random import Random

from loadgen.targets.functiongraph.protocol.platform import Routing


class Instance:
    """One copy of a function.

    ``ready_ns`` is when it can begin its first call; its calls take ``slowness`` times as long as an ordinary one's,
    and it is one of those that are ``slow``.
    """

    __slots__ = ("busy", "doomed", "name", "number", "ready_ns", "reserved", "served", "slow", "slowness")

    def __init__(
        self, name: str, number: int = 0, ready_ns: int = 0, slowness: float = 1.0, *, slow: bool = False
    ) -> None:
        self.name = name
        self.number = number
        self.ready_ns = ready_ns
        self.slowness = slowness
        self.slow = slow
        self.served = 0
        self.busy = 0
        self.doomed = False
        self.reserved = False


class Pool:
    """The instances of one version and memory size. Calls come in order of time; instants are in ns."""

    def __init__(
        self,
        keep_alive_ns: int,
        *,
        concurrency: int = 1,
        routing: Routing = Routing.RECENT,
        random: Random | None = None,
    ) -> None:
        """An empty pool. ``concurrency`` is how many calls an instance serves at a time; ``random`` is for routing."""
        self._keep_alive_ns = keep_alive_ns
        self._concurrency = concurrency
        self._routing = routing
        self._random = random or Random(0)
        self._ends: list[tuple[int, int, Instance]] = []  # a heap: (end of a call, number of the call, instance)
        self._idle: deque[tuple[int, Instance]] = deque()  # (idle since, instance), in that order
        self._kept: list[Instance] = []  # reserved and idle
        self._open: list[Instance] = []  # with calls and free slots
        self._calls = count()
        self._busy = 0

    @property
    def busy(self) -> int:
        """Instances that serve a call, as of the last `settle`."""
        return self._busy

    @property
    def idle(self) -> int:
        """Instances that wait for a call, as of the last `settle`."""
        return len(self._idle) + len(self._kept)

    @property
    def live(self) -> int:
        """All instances, as of the last `settle`."""
        return self._busy + len(self._idle) + len(self._kept)

    def settle(self, now_ns: int) -> None:
        """Let time pass until now: calls end, and instances idle for the keep-alive time go away."""
        while self._ends and self._ends[0][0] <= now_ns:
            ended_ns, _, instance = heapq.heappop(self._ends)
            self._release(instance, ended_ns)
        while self._idle and self._idle[0][0] + self._keep_alive_ns <= now_ns:
            self._idle.popleft()

    def take(self) -> Instance | None:
        """An instance with a free slot, as of the last `settle`; the caller occupies it next."""
        if self._kept:
            return self._kept.pop()
        if self._open:
            return self._open.pop()
        if not self._idle:
            return None
        if self._routing is Routing.RECENT:
            return self._idle.pop()[1]
        return self._take_idle_at(self._position())

    def take_first_free(self, latest_ns: int) -> tuple[int, Instance | None] | None:
        """Where a call that finds no slot may begin, and when, if that is not after ``latest_ns``.

        None for the instance when a doomed one ends then, and another may be started in its place.
        """
        while self._ends and self._ends[0][0] <= latest_ns:
            free_ns, _, instance = heapq.heappop(self._ends)
            instance.busy -= 1
            if not instance.doomed:
                self._busy -= not instance.busy
                return free_ns, instance
            if not instance.busy:
                self._busy -= 1
                return free_ns, None
        return None

    def occupy(self, instance: Instance, until_ns: int, *, doomed: bool = False) -> None:
        """Take a slot of an instance for its next call. ``doomed``: the call is the instance's last."""
        self._busy += not instance.busy
        instance.served += 1
        instance.busy += 1
        instance.doomed = doomed
        heapq.heappush(self._ends, (until_ns, next(self._calls), instance))
        if instance.busy < self._concurrency and not doomed:
            self._open.append(instance)

    def keep(self, instance: Instance) -> None:
        """Add a reserved instance, which takes calls once it is ready and never ends for want of them."""
        instance.reserved = True
        instance.busy = 1
        self._busy += 1
        heapq.heappush(self._ends, (instance.ready_ns, next(self._calls), instance))

    def let_go(self, number: int, now_ns: int) -> None:
        """Turn reserved instances, the idle ones first, into ordinary ones, as of the last `settle`."""
        while number > 0 and self._kept:
            instance = self._kept.pop()
            instance.reserved = False
            self._idle.append((now_ns, instance))
            number -= 1
        for _, _, instance in self._ends:
            if number > 0 and instance.reserved:
                instance.reserved = False
                number -= 1

    def retire(self) -> None:
        """No instance takes another call: the idle ones end, the others with the calls they have."""
        self._idle.clear()
        self._kept.clear()
        self._open.clear()
        for _, _, instance in self._ends:
            instance.doomed = True

    def _release(self, instance: Instance, ended_ns: int) -> None:
        instance.busy -= 1
        if instance.busy:
            if instance.busy == self._concurrency - 1 and not instance.doomed:
                self._open.append(instance)
            return
        self._busy -= 1
        if self._concurrency > 1 and instance in self._open:
            self._open.remove(instance)
        if instance.doomed:
            return
        if instance.reserved:
            self._kept.append(instance)
        else:
            self._idle.append((ended_ns, instance))

    def _position(self) -> int:
        """Which of the idle instances, in the order in which they became idle, takes the next call."""
        if self._routing is Routing.OLDEST:
            return 0
        if self._routing is Routing.NEWEST:
            return max(range(len(self._idle)), key=lambda position: self._idle[position][1].number)
        return int(self._random.random() * len(self._idle))

    def _take_idle_at(self, position: int) -> Instance:
        instance = self._idle[position][1]
        del self._idle[position]
        return instance
