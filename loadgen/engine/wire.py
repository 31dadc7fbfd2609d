"""A target as the engine sees it: its request template and its wire."""

from __future__ import annotations

import asyncio

from loadgen.engine.address import Address
from loadgen.engine.clock import Clock
from loadgen.engine.connection import Classify, Wire
from loadgen.engine.http1 import Response
from loadgen.engine.quick import Quick
from loadgen.functiongraph.facts import Facts
from loadgen.functiongraph.request import RequestTemplate
from loadgen.functiongraph.response import HEADERS, classify_function, classify_http
from loadgen.scenario.model import FunctionTarget, ResponseVersion, Target

_KEEP_V0 = 64 * 1024
"""What is kept of an answer whose body is the function's result: enough for error bodies and examples."""
_KEEP_V1 = 16 * 1024 * 1024
"""What is kept of a v1 answer, whose body must be read whole: 6 MB of result, escaped, and the log."""


def wire_to(
    target: Target, template: RequestTemplate, address: Address, loop: asyncio.AbstractEventLoop, clock: Clock
) -> Wire:
    """The wire of a target."""
    v1 = isinstance(target, FunctionTarget) and target.response is ResponseVersion.V1
    return Wire(
        loop,
        clock,
        address,
        target.timeout,
        wanted=HEADERS,
        keep=_KEEP_V1 if v1 else _KEEP_V0,
        classify=_classifier(target),
        fresh=target.fresh_connections,
        bodiless=template.method.upper() == "HEAD",
        quick=Quick if isinstance(target, FunctionTarget) and not v1 else None,
    )


def _classifier(target: Target) -> Classify:
    if isinstance(target, FunctionTarget):
        version = target.response

        def function(response: Response) -> Facts:
            return classify_function(response.status, response.headers, response.body, version)

        return function
    return lambda response: classify_http(response.status, response.headers, response.body)
