"""One invocation before the load, so that what load cannot make better costs one call and not a run."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime

from msgspec import Struct

from loadgen.engine.address import address_of, addresses_of, called
from loadgen.engine.clock import monotonic_ns, unix_s
from loadgen.engine.connection import HttpInvoker
from loadgen.engine.invoker import Caller
from loadgen.engine.requests import requests
from loadgen.engine.wire import wire_to
from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.scenario.model import Scenario
from loadgen.targets.registry import tenant_of

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


async def preflight(scenario: Scenario) -> Answer:
    """Invoke the target once, at the first of its addresses that accepts a connection.

    Raises AddressError when its name does not resolve or its CA file cannot be used, ValueError when the feeder is
    empty.
    """
    template = tenant_of(scenario.target).template(scenario.target)
    request = requests(scenario, template, 0).of(0)
    if request is None:
        raise ValueError("the feeder has no rows")
    answer = None
    dates: list[str] = []
    known = await addresses_of(scenario.target, template.origin)
    for ip in known:
        wire = wire_to(
            scenario.each_call,
            [address_of(template.origin, ip, scenario.target.tls)],
            asyncio.get_running_loop(),
            dates.append,
        )
        ending = _Ending(asyncio.get_running_loop().create_future())
        invoker = HttpInvoker(wire, ending)
        started = invoker.invoke(request, monotonic_ns())
        try:
            ended_ns, facts, connect_ns, body = await ending.told
        finally:
            invoker.close()
            wire.close()
        ahead_s = clock_ahead_s(dates[-1], unix_s()) if dates else None
        used = called(scenario.target, ip, known)
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
