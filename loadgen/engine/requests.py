"""The requests of a run: what the n-th arrival sends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Set

from loadgen.engine.clock import unix_ms, unix_s
from loadgen.engine.invoker import Requests
from loadgen.load.law import random_stream
from loadgen.scenario.dynamic import is_dynamic, make
from loadgen.scenario.event import compile_content, compile_event
from loadgen.scenario.feeder import row_index
from loadgen.scenario.model import Feeder, Scenario
from loadgen.scenario.rows import Row, Rows
from loadgen.targets.request import RequestTemplate
from loadgen.text.template import Template

Seconds = Callable[[], int]
"""The time, in whole seconds since 1970."""
Filled = Callable[[int], Row | None]
"""The fields of an arrival by its global index; None when a feeder read once has run out."""


def requests(
    scenario: Scenario, template: RequestTemplate, agent: int, now: Seconds = unix_s
) -> ConstantRequests | FedRequests:
    """The request of an arrival by its global index; None when a feeder read once has run out.

    It is asked for when the arrival starts, so that a signature is of that time. Raises ChangedError, here or then,
    when the feeder's file has changed.
    """
    body = compile_event(scenario.event) if scenario.body is None else compile_content(scenario.body)
    share = template.tail_share
    chance = random_stream(scenario.seed, "tail", str(agent)).random
    tail = (lambda: chance() < share) if share else None
    fields = body.fields | template.fields
    if body.constant is not None and not fields and scenario.feeder is None:
        return ConstantRequests(body.constant, template, tail, now)
    return FedRequests(body, filled(scenario, fields), template, tail, now)


def filled(scenario: Scenario, fields: Set[str]) -> Filled:
    """What fills these fields for an arrival by its global index; None when a feeder read once has run out."""
    fed = _nothing if scenario.feeder is None else _fed(scenario.feeder, scenario.seed, fields)
    makes = [(field, make(field, scenario.seed, unix_ms)) for field in sorted(fields) if is_dynamic(field)]
    if not makes:
        return fed

    def row(index: int) -> Row | None:
        found = fed(index)
        return found if found is None else {**found, **{field: made(index) for field, made in makes}}

    return row


def _nothing(index: int) -> Row | None:
    return {}


def _fed(feeder: Feeder, seed: int, fields: Set[str]) -> Filled:
    found = Rows(feeder, {field for field in fields if not is_dynamic(field)})
    order, count = feeder.order, len(found)

    def row(index: int) -> Row | None:
        number = row_index(order, index, count, seed)
        return None if number is None else found[number]

    return row


class TurnedRequests(Requests):
    """Arrivals that ask for memory sizes in turns. The n-th arrivals of all sizes send the same event."""

    __slots__ = ("_each", "_first", "_numbers", "_turns")

    def __init__(self, turns: tuple[int, ...], sizes: Mapping[int, Requests], first_index: int) -> None:
        """``turns`` are the sizes in order, round and round; ``sizes`` the requests of each; ``first_index`` begins."""
        super().__init__()
        self._turns = tuple(sizes[size] for size in turns)
        self._each = max(Counter(turns).values())
        seen: Counter[int] = Counter()
        self._numbers: list[int] = []
        for size in turns:
            self._numbers.append(seen[size])
            seen[size] += 1
        self._first = first_index

    def of(self, index: int) -> bytes | None:
        """See Requests."""
        rounds, position = divmod(index - self._first, len(self._turns))
        return self._turns[position].of(self._first + rounds * self._each + self._numbers[position])


class ConstantRequests(Requests):
    """The same event for every arrival: rendered once, or where requests are signed once a second."""

    __slots__ = ("_at", "_body", "_now", "_plain", "_signed", "_tail", "_template", "_with_tail")

    def __init__(self, body: bytes, template: RequestTemplate, tail: Callable[[], bool] | None, now: Seconds) -> None:
        super().__init__()
        self._body = body
        self._tail = tail
        self._now = now
        self.use(template)

    def use(self, template: RequestTemplate) -> None:
        """From the next arrival on, send requests of this template."""
        self._template = template
        self._signed = template.signed
        self._render(self._now())

    def of(self, index: int) -> bytes | None:
        """See Requests."""
        if self._signed and (now := self._now()) != self._at:
            self._render(now)
        return self._plain if self._tail is None or not self._tail() else self._with_tail

    def _render(self, at: int) -> None:
        self._at = at
        self._plain = self._template.render(self._body, False, at)
        self.fixed = None if self._signed or self._tail is not None else self._plain
        self._with_tail = self._template.render(self._body, True, at)


class FedRequests(Requests):
    """A request for each arrival, filled from the rows of a feeder, or by its number."""

    __slots__ = ("_body", "_now", "_rows", "_tail", "_template")

    def __init__(
        self, body: Template, rows: Filled, template: RequestTemplate, tail: Callable[[], bool] | None, now: Seconds
    ) -> None:
        super().__init__()
        self._body = body
        self._rows = rows
        self._template = template
        self._tail = tail
        self._now = now

    def use(self, template: RequestTemplate) -> None:
        """From the next arrival on, send requests of this template."""
        self._template = template

    def of(self, index: int) -> bytes | None:
        """See Requests."""
        row, template = self._rows(index), self._template
        if row is None:
            return None
        tail = self._tail is not None and self._tail()
        return template.render(self._body.render(row), tail, self._now() if template.signed else 0, row)
