"""A target as the engine sees it: the wire to it, on which the answers of each call are read in its own way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from loadgen.engine.address import Address
from loadgen.engine.connection import Connection, Wire
from loadgen.engine.tls import TlsConnection
from loadgen.invocation.facts import Facts
from loadgen.scenario.model import Call
from loadgen.targets.checks import checked
from loadgen.targets.port import Answer, Classify, Probe, Reading
from loadgen.targets.registry import tenant_of

_DATE = b"date"


def wire_to(
    calls: Sequence[Call],
    addresses: Sequence[Address],
    loop: asyncio.AbstractEventLoop,
    dated: Callable[[str], None] | None = None,
    probe: Probe | None = None,
) -> Wire:
    """The wire to what these calls invoke, at least one, which share all but what each may have of its own.

    ``dated`` is told the Date of every answer that has one, a ``probe`` is looked for in every body; each takes longer,
    as do checks.
    """
    target = calls[0].target
    first, *others = (_reading(call, dated, probe) for call in calls)
    head, *heads = (tenant_of(call.target).template(call.target).method.upper() == "HEAD" for call in calls)
    wire = Wire(
        loop,
        addresses,
        target.timeout,
        connection=Connection if addresses[0].tls is None else TlsConnection,
        wanted=first.headers.union(*(each.headers for each in others)),
        keep=first.keep,
        most=first.most,
        classify=first.classify,
        fresh=target.fresh_connections,
        bodiless=head,
        quick=first.quick,
    )
    for each, bodiless in zip(others, heads, strict=True):
        wire.add(each.classify, each.keep, each.most, bodiless=bodiless, quick=each.quick)
    return wire


def _reading(call: Call, dated: Callable[[str], None] | None, probe: Probe | None) -> Reading:
    """How the answers of a call are read."""
    tenant, target = tenant_of(call.target), call.target
    reading = checked(tenant.reading(target, probe), call.checks, partial(tenant.result, target))
    if dated is None:
        return reading
    return Reading(
        reading.headers | {_DATE}, _dating(reading.classify, dated), keep=reading.keep, most=reading.most, quick=None
    )


def _dating(classify: Classify, dated: Callable[[str], None]) -> Classify:
    def classified(answer: Answer) -> Facts:
        if date := answer.headers.get(_DATE):
            dated(date.rpartition(b"\n")[2].decode("latin-1"))  # the last, where every hop added its own
        return classify(answer)

    return classified
