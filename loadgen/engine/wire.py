"""A target as the engine sees it: its request template and its wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from loadgen.engine.address import Address
from loadgen.engine.clock import Clock
from loadgen.engine.connection import Classify, Wire
from loadgen.engine.http1 import Response
from loadgen.engine.quick import Quick
from loadgen.invocation.facts import Facts
from loadgen.targets.functiongraph.protocol.probe import with_probe
from loadgen.targets.functiongraph.protocol.request import RequestTemplate
from loadgen.targets.functiongraph.protocol.response import HEADERS, classify_function, classify_http
from loadgen.targets.functiongraph.protocol.target import FunctionTarget, Probe, ResponseVersion
from loadgen.targets.target import Target

_DATE = b"date"
_KEEP = 64 * 1024
"""What is kept of an answer whose body is the function's result: enough for error bodies and examples."""
MOST = 16 * 1024 * 1024
"""Bytes of a function's answer, which holds at most 6 MB of result, in v1 escaped, and the log.

A v1 answer is kept whole, as it must be read whole. Other endpoints may answer at any length.
"""


def wire_to(
    target: Target,
    template: RequestTemplate,
    address: Address,
    loop: asyncio.AbstractEventLoop,
    clock: Clock,
    dated: Callable[[str], None] | None = None,
    probe: Probe | None = None,
) -> Wire:
    """The wire of a target.

    ``dated`` is told the Date of every answer that has one, and a ``probe`` is looked for in every body; both take
    longer.
    """
    v1 = isinstance(target, FunctionTarget) and target.response is ResponseVersion.V1
    return Wire(
        loop,
        clock,
        address,
        target.timeout,
        wanted=HEADERS if dated is None else HEADERS | {_DATE},
        keep=MOST if v1 else _KEEP,
        most=MOST if isinstance(target, FunctionTarget) else None,
        classify=_classifier(target, probe) if dated is None else _dating(_classifier(target, probe), dated),
        fresh=target.fresh_connections,
        bodiless=template.method.upper() == "HEAD",
        quick=Quick if isinstance(target, FunctionTarget) and not v1 and dated is None and probe is None else None,
    )


def _classifier(target: Target, probe: Probe | None) -> Classify:
    if isinstance(target, FunctionTarget):
        version = target.response

        def function(response: Response) -> Facts:
            return classify_function(response.status, response.headers, response.body, version)

        def probed(response: Response) -> Facts:
            facts = function(response)
            return facts if probe is None else with_probe(facts, response.body, probe, version)

        return function if probe is None else probed
    return lambda response: classify_http(response.status, response.headers, response.body)


def _dating(classify: Classify, dated: Callable[[str], None]) -> Classify:
    def classified(response: Response) -> Facts:
        if date := response.headers.get(_DATE):
            dated(date.rpartition(b"\n")[2].decode("latin-1"))  # the last, where every hop added its own
        return classify(response)

    return classified
