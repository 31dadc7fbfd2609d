"""A target as the engine sees it: its request template and its wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from loadgen.engine.address import Address
from loadgen.engine.connection import Connection, Wire
from loadgen.engine.tls import TlsConnection
from loadgen.invocation.facts import Facts
from loadgen.targets.checks import Check, checked
from loadgen.targets.port import Answer, Classify, Probe
from loadgen.targets.registry import tenant_of
from loadgen.targets.request import RequestTemplate
from loadgen.targets.target import Target

_DATE = b"date"


def wire_to(
    target: Target,
    template: RequestTemplate,
    addresses: Sequence[Address],
    loop: asyncio.AbstractEventLoop,
    dated: Callable[[str], None] | None = None,
    probe: Probe | None = None,
    checks: Sequence[Check] = (),
) -> Wire:
    """The wire of a target.

    ``dated`` is told the Date of every answer that has one, a ``probe`` is looked for in every body, and ``checks`` are
    made of every answer that is ok; each takes longer.
    """
    tenant = tenant_of(target)
    reading = checked(tenant.reading(target, probe), checks, partial(tenant.result, target))
    return Wire(
        loop,
        addresses,
        target.timeout,
        connection=Connection if addresses[0].tls is None else TlsConnection,
        wanted=reading.headers if dated is None else reading.headers | {_DATE},
        keep=reading.keep,
        most=reading.most,
        classify=reading.classify if dated is None else _dating(reading.classify, dated),
        fresh=target.fresh_connections,
        bodiless=template.method.upper() == "HEAD",
        quick=reading.quick if dated is None else None,
    )


def _dating(classify: Classify, dated: Callable[[str], None]) -> Classify:
    def classified(answer: Answer) -> Facts:
        if date := answer.headers.get(_DATE):
            dated(date.rpartition(b"\n")[2].decode("latin-1"))  # the last, where every hop added its own
        return classify(answer)

    return classified
