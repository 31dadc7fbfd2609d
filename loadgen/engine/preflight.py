"""One invocation of each call before the load, so that what load cannot make better costs that and not a run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from itertools import count

from msgspec import Struct

from loadgen.engine.address import address_of, addresses_of, called
from loadgen.engine.clock import monotonic_ns, unix_s
from loadgen.engine.connection import HttpInvoker
from loadgen.engine.invoker import Caller
from loadgen.engine.requests import mixed, requests
from loadgen.engine.wire import wire_to
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.scenario.model import Call, Scenario
from loadgen.targets.registry import tenant_of
from loadgen.targets.request import Origin, RequestTemplate

_NEXT_ADDRESS = {"refused", "unreachable", "connect", "timed_out"}


class Answer(Struct, frozen=True):
    """What the pre-flight found. ``latency_ns`` includes opening the connection, ``service_ns`` does not.

    ``address`` answered, or was the last that did not; ``addresses`` are those that the load calls.
    ``ahead_s`` is by how much this machine's clock is ahead of the answer's Date (negative: behind), None without one.
    """

    facts: Facts
    address: str
    addresses: tuple[str, ...]
    others: int
    latency_ns: int
    service_ns: int
    body: bytes
    ahead_s: int | None


class _Ending(Caller):
    def __init__(self, told: asyncio.Future[tuple[int, Facts, int, bytes]]) -> None:
        self.told = told

    def ended(self, arrived_ns: int, read_ns: int, facts: Facts, connect_ns: int, body: bytes) -> None:
        self.told.set_result((arrived_ns, facts, connect_ns, body))


async def preflight(scenario: Scenario) -> tuple[Answer, ...]:
    """Make each call of the scenario once, one after another, with what its first arrival sends.

    The first is made at the first of the target's addresses that accepts a connection, and the others begin with that.
    Raises AddressError when its name does not resolve or its CA file cannot be used, ValueError when the feeder is
    empty.
    """
    template = tenant_of(scenario.target).template(scenario.target)
    known = await addresses_of(scenario.target, template.origin)
    found: list[Answer] = []
    for call, request in zip(scenario.each_call, _requests(scenario, template), strict=True):
        at = found[-1].address if found else known[0]
        found.append(await _answer(call, request, template.origin, [at, *(ip for ip in known if ip != at)]))
    return tuple(found)


def _requests(scenario: Scenario, template: RequestTemplate) -> Iterator[bytes]:
    """What the first arrival of each call sends."""
    wanted = mixed(scenario, 0) if scenario.calls else requests(scenario, template, 0)
    firsts: dict[int, int] = {}
    for index in count():
        firsts.setdefault(wanted.call_of(index), index)
        if len(firsts) == len(scenario.each_call):
            break
    for call in sorted(firsts):
        request = wanted.of(firsts[call])
        if request is None:
            raise ValueError("the feeder has no rows")
        yield request


async def _answer(call: Call, request: bytes, origin: Origin, known: Sequence[str]) -> Answer:
    """The answer to a call, at the first of these addresses that accepts a connection; at least one."""
    answer = None
    dates: list[str] = []
    for ip in known:
        address = address_of(origin, ip, call.target.tls)
        wire = wire_to([call], [address], asyncio.get_running_loop(), dates.append)
        ending = _Ending(asyncio.get_running_loop().create_future())
        invoker = HttpInvoker(wire, ending)
        started = invoker.invoke(request, monotonic_ns())
        try:
            ended_ns, facts, connect_ns, body = await ending.told
        finally:
            invoker.close()
            wire.close()
        ahead_s = clock_ahead_s(dates[-1], unix_s()) if dates else None
        used = called(call.target, ip, known)
        answer = Answer(
            facts, ip, used, len(known) - len(used), ended_ns - started, ended_ns - started - connect_ns, body, ahead_s
        )
        if facts.reason not in _NEXT_ADDRESS or facts.outcome not in (Outcome.CONNECTION, Outcome.TIMEOUT):
            break
    assert answer is not None
    return answer


def clock_ahead_s(date: str, now: int) -> int | None:
    """By how much ``now`` (seconds since 1970) is ahead of a Date; None when that is none. Source: RFC 9110, 5.6.7."""
    try:
        return now - round(parsedate_to_datetime(date).timestamp())
    except (ValueError, OverflowError):
        return None
