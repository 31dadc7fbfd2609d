"""The requests of a run: what the n-th arrival sends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from loadgen.engine.clock import unix_s
from loadgen.load.law import random_stream
from loadgen.scenario.event import compile_event
from loadgen.scenario.feeder import read_rows, row_index
from loadgen.scenario.model import Feeder, Scenario
from loadgen.targets.request import RequestTemplate
from loadgen.text.template import Template

Seconds = Callable[[], int]
"""The time, in whole seconds since 1970."""


def requests(
    scenario: Scenario, template: RequestTemplate, agent: int, now: Seconds = unix_s
) -> ConstantRequests | FedRequests:
    """The request of an arrival by its global index; None when a feeder read once has run out.

    It is asked for when the arrival starts, so that a signature is of that time. Reads the feeder's file.
    """
    event = compile_event(scenario.event)
    share = template.tail_share
    chance = random_stream(scenario.seed, "tail", str(agent)).random
    tail = (lambda: chance() < share) if share else None
    if event.constant is not None and not template.fields and scenario.feeder is None:
        return ConstantRequests(event.constant, template, tail, now)
    if scenario.feeder is None:
        raise AssertionError("placeholders need a feeder; loading checks it")
    return FedRequests(event, scenario.feeder, scenario.seed, template, tail, now)


class TurnedRequests:
    """Arrivals that ask for memory sizes in turns. The n-th arrivals of all sizes send the same event."""

    __slots__ = ("_each", "_first", "_numbers", "_turns")

    def __init__(
        self, turns: tuple[int, ...], sizes: Mapping[int, Callable[[int], bytes | None]], first_index: int
    ) -> None:
        """``turns`` are the sizes in order, round and round; ``sizes`` the requests of each; ``first_index`` begins."""
        self._turns = tuple(sizes[size] for size in turns)
        self._each = max(Counter(turns).values())
        seen: Counter[int] = Counter()
        self._numbers: list[int] = []
        for size in turns:
            self._numbers.append(seen[size])
            seen[size] += 1
        self._first = first_index

    def __call__(self, index: int) -> bytes | None:
        """See ``requests``."""
        rounds, position = divmod(index - self._first, len(self._turns))
        return self._turns[position](self._first + rounds * self._each + self._numbers[position])


class ConstantRequests:
    """The same event for every arrival: rendered once, or where requests are signed once a second."""

    __slots__ = ("_at", "_body", "_now", "_plain", "_signed", "_tail", "_template", "_with_tail")

    def __init__(self, body: bytes, template: RequestTemplate, tail: Callable[[], bool] | None, now: Seconds) -> None:
        self._body = body
        self._tail = tail
        self._now = now
        self.use(template)

    def use(self, template: RequestTemplate) -> None:
        """From the next arrival on, send requests of this template."""
        self._template = template
        self._signed = template.signed
        self._render(self._now())

    def __call__(self, index: int) -> bytes | None:
        """See ``requests``."""
        if self._signed and (now := self._now()) != self._at:
            self._render(now)
        return self._plain if self._tail is None or not self._tail() else self._with_tail

    def _render(self, at: int) -> None:
        self._at = at
        self._plain = self._template.render(self._body, False, at)
        self._with_tail = self._template.render(self._body, True, at)


class FedRequests:
    """A request for each arrival, filled from the rows of a feeder."""

    __slots__ = ("_event", "_now", "_order", "_rows", "_seed", "_tail", "_template")

    def __init__(
        self,
        event: Template,
        feeder: Feeder,
        seed: int,
        template: RequestTemplate,
        tail: Callable[[], bool] | None,
        now: Seconds,
    ) -> None:
        self._event = event
        self._rows = read_rows(Path(feeder.path))
        self._order = feeder.order
        self._seed = seed
        self._template = template
        self._tail = tail
        self._now = now

    def use(self, template: RequestTemplate) -> None:
        """From the next arrival on, send requests of this template."""
        self._template = template

    def __call__(self, index: int) -> bytes | None:
        """See ``requests``."""
        number = row_index(self._order, index, len(self._rows), self._seed)
        if number is None:
            return None
        row, template = self._rows[number], self._template
        tail = self._tail is not None and self._tail()
        return template.render(self._event.render(row), tail, self._now() if template.signed else 0, row)
