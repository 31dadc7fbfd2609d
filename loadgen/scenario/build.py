"""From the data of a document without faults to the Scenario: each block by its own module, and what they share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from loadgen.experiments.capacity.block import Capacity
from loadgen.experiments.coldstarts.block import cold_starts
from loadgen.experiments.memory.block import memory_comparison
from loadgen.invocation.bill import PriceBook
from loadgen.load.phase import phase
from loadgen.load.trace import Trace
from loadgen.scenario.model import Scenario
from loadgen.targets.functiongraph.protocol.function import DEFAULT_FUNCTION, function_name
from loadgen.targets.functiongraph.protocol.platform import Emulator, emulator, only_function
from loadgen.targets.functiongraph.protocol.target import FunctionTarget
from loadgen.targets.target import target
from loadgen.text.form import mapping

DEFAULT_LIMIT = 100
"""Executions at once in an account. Source: FunctionGraph documentation, Notes and Constraints."""


def scenario(
    data: dict[str, Any],
    event: str,
    directory: Path,
    prices: PriceBook | None = None,
    traces: Mapping[int, Trace] = {},
    rows: int = 0,
) -> Scenario:
    """The Scenario of data without faults; ``sha256`` is left empty. Relative paths start at ``directory``.

    ``rows`` is how many the feeder's file has.
    """
    has_event = "event" in data or "event_file" in data
    invoked = target(data["target"], _function(data), directory, has_event=has_event)
    timeout_ns = invoked.timeout.total_ns
    phases = tuple(phase(each, timeout_ns, traces.get(number)) for number, each in enumerate(data.get("phases", ())))
    made: dict[str, Any] = {"target": invoked, "event": event, "phases": phases, "prices": prices, "emulator": None}
    if feeder := data.get("feeder"):
        made["feeder"] = {**feeder, "file": str((directory / feeder["file"]).absolute()), "rows": rows}
    if isinstance(invoked, FunctionTarget):
        made["emulator"] = _emulator(data) if invoked.emulated else None
        made |= _experiment(data, invoked)
    elif "capacity" in data:
        made["capacity"] = msgspec.convert(data["capacity"], Capacity)
    return msgspec.convert({key: value for key, value in {**data, **made}.items() if key != "event_file"}, Scenario)


def _experiment(data: dict[str, Any], invoked: FunctionTarget) -> dict[str, Any]:
    """The block of the scenario's kind, which may be left out where all of it has defaults."""
    match data.get("kind"):
        case "cold-starts":
            return {"cold-starts": cold_starts(mapping(data, "cold-starts"), invoked.memory_mb)}
        case "memory":
            return {"memory": memory_comparison(mapping(data, "memory"))}
        case "capacity":
            return {"capacity": msgspec.convert({"limit": _limit(data, invoked), **data["capacity"]}, Capacity)}
        case _:
            return {}


def _emulator(data: dict[str, Any]) -> Emulator:
    block = mapping(data, "emulator")
    return emulator(block, seed=data.get("seed", 1), function=function_name(_function(data)))


def _function(data: dict[str, Any]) -> str:
    """The function that is meant: the one that is named, else that of the emulator."""
    named: str = data["target"].get("function") or only_function(mapping(data, "emulator")) or DEFAULT_FUNCTION
    return named


def _limit(data: dict[str, Any], invoked: FunctionTarget) -> int | None:
    """How many invocations may run at once: the emulator's setting, else a platform's default, which is a guess."""
    if not invoked.emulated:
        return DEFAULT_LIMIT
    platform, name = _emulator(data), function_name(invoked.function)
    function = next((each for each in platform.functions if each.name == name), None)
    if function is None or function.max_instances <= 0:
        return None
    return min(function.max_instances, platform.max_instances) * function.concurrency
