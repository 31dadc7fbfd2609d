"""The requests of a run: what the n-th arrival sends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Set
from functools import lru_cache

from loadgen.engine.clock import unix_ms, unix_s
from loadgen.engine.invoker import Requests
from loadgen.load.law import random_stream
from loadgen.load.mix import REMEMBERED, Drawing, Independent, Mix
from loadgen.scenario.dynamic import is_dynamic, make
from loadgen.scenario.event import compile_content, compile_event
from loadgen.scenario.feeder import row_index
from loadgen.scenario.model import Call, Feeder, Scenario
from loadgen.scenario.rows import Row, Rows
from loadgen.targets.registry import tenant_of
from loadgen.targets.request import RequestTemplate
from loadgen.targets.target import Target
from loadgen.text.template import Template

Seconds = Callable[[], int]
"""The time, in whole seconds since 1970."""
Filled = Callable[[int, int], Row | None]
"""The fields of an arrival by its global index, and by the how manieth of its call it is, which says what row it takes.

None when a feeder read once has run out.
"""


def requests(
    scenario: Scenario, template: RequestTemplate, agent: int, now: Seconds = unix_s
) -> ConstantRequests | FedRequests:
    """The request of an arrival by its global index; None when a feeder read once has run out.

    It is asked for when the arrival starts, so that a signature is of that time. Raises ChangedError, here or then,
    when the feeder's file has changed.
    """
    (one,) = scenario.each_call
    return _of_call(one, scenario.seed, template, agent, now)


def mixed(scenario: Scenario, agent: int, now: Seconds = unix_s) -> MixedRequests:
    """The requests of a scenario's calls, as ``requests``."""
    return MixedRequests(scenario, agent, now)


def _of_call(
    call: Call, seed: int, template: RequestTemplate, agent: int, now: Seconds
) -> ConstantRequests | FedRequests:
    body = compile_event(call.event) if call.body is None else compile_content(call.body)
    share = template.tail_share
    chance = random_stream(seed, "tail", str(agent)).random
    tail = (lambda: chance() < share) if share else None
    fields = body.fields | template.fields
    if body.constant is not None and not fields and call.feeder is None:
        return ConstantRequests(body.constant, template, tail, now)
    return FedRequests(body, filled(call.feeder, seed, fields), template, tail, now)


def filled(feeder: Feeder | None, seed: int, fields: Set[str]) -> Filled:
    """What fills these fields, see ``Filled``."""
    fed = _nothing if feeder is None else _fed(feeder, seed, fields)
    makes = [(field, make(field, seed, unix_ms)) for field in sorted(fields) if is_dynamic(field)]
    if not makes:
        return fed

    def row(index: int, turn: int) -> Row | None:
        found = fed(index, turn)
        return found if found is None else {**found, **{field: made(index) for field, made in makes}}

    return row


def _nothing(index: int, turn: int) -> Row | None:
    return {}


def _fed(feeder: Feeder, seed: int, fields: Set[str]) -> Filled:
    found = Rows(feeder, {field for field in fields if not is_dynamic(field)})
    order, count = feeder.order, len(found)

    def row(index: int, turn: int) -> Row | None:
        number = row_index(order, turn, count, seed)
        return None if number is None else found[number]

    return row


class MixedRequests(Requests):
    """The requests of a mix: which call an arrival is follows from its number, and its row from which of them it is."""

    __slots__ = ("_calls", "_each", "_end", "_first", "_fixed", "_lots", "_size", "_tenant", "_turns")

    def __init__(self, scenario: Scenario, agent: int, now: Seconds) -> None:
        super().__init__()
        self._calls = scenario.calls
        self._tenant = tenant_of(scenario.target)
        # what a capacity is found with has to come as independent users do
        drawing = Independent if scenario.kind == "capacity" else Mix
        mix: Drawing = drawing([call.weight for call in scenario.calls], scenario.seed)
        self._size = mix.size
        self._lots = lru_cache(maxsize=REMEMBERED)(mix.lot)
        self._first = self._end = 0
        self._turns: list[tuple[int, int]] = []
        self._each = tuple(
            _of_call(call, scenario.seed, self._template(call, scenario.target), agent, now) for call in scenario.calls
        )
        self._fixed = [each.fixed for each in self._each]

    def use(self, target: Target) -> None:
        """From the next arrival on, send requests with the credentials of this target."""
        for call, requests in zip(self._calls, self._each, strict=True):
            requests.use(self._template(call, target))
        self._fixed = [each.fixed for each in self._each]

    def call_of(self, index: int) -> int:
        """See Requests."""
        lot, position = divmod(index, self._size)
        return self._lots(lot)[position][0]

    def of(self, index: int) -> bytes | None:
        """See Requests."""
        if not self._first <= index < self._end:
            lot = index // self._size
            self._turns, self._first, self._end = self._lots(lot), lot * self._size, (lot + 1) * self._size
        call, number = self._turns[index - self._first]
        self.call = call
        return self._fixed[call] or self._each[call].turn(index, number)

    def _template(self, call: Call, target: Target) -> RequestTemplate:
        template: RequestTemplate = self._tenant.template(self._tenant.joined(call.target, target))
        return template


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

    def turn(self, index: int, turn: int) -> bytes | None:
        """The request of an arrival that is the ``turn``-th of its call in a mix."""
        return self.of(index)

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
        return self.turn(index, index)

    def turn(self, index: int, turn: int) -> bytes | None:
        """See ConstantRequests; the turn says which row it takes."""
        row, template = self._rows(index, turn), self._template
        if row is None:
            return None
        tail = self._tail is not None and self._tail()
        return template.render(self._body.render(row), tail, self._now() if template.signed else 0, row)
