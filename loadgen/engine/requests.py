"""The requests of a run: what the n-th arrival sends."""

from __future__ import annotations

from pathlib import Path

from loadgen.engine.workers import Requests
from loadgen.functiongraph.request import RequestTemplate
from loadgen.pacing import random_stream
from loadgen.scenario.event import compile_event
from loadgen.scenario.feeder import read_rows, row_index
from loadgen.scenario.model import FunctionTarget, Scenario


def requests(scenario: Scenario, template: RequestTemplate, agent: int) -> Requests:
    """The request of an arrival by its global index; None when a feeder read once has run out.

    A constant event is rendered once and sent as it is. Reads the feeder's file.
    """
    event = compile_event(scenario.event)
    share = scenario.target.tail_share if isinstance(scenario.target, FunctionTarget) else 0.0
    tail = random_stream(scenario.seed, "tail", str(agent)).random
    if event.constant is not None and scenario.feeder is None:
        plain = template.constant(event.constant, False)
        with_tail = template.constant(event.constant, True)
        if not share:
            return lambda index: plain
        return lambda index: with_tail if tail() < share else plain
    if scenario.feeder is None:
        raise AssertionError("an event with placeholders needs a feeder; loading checks it")
    rows = read_rows(Path(scenario.feeder.path))
    order, seed, count = scenario.feeder.order, scenario.seed, len(rows)

    def render(index: int) -> bytes | None:
        row = row_index(order, index, count, seed)
        return None if row is None else template.render(event.render(rows[row]), tail() < share)

    return render
