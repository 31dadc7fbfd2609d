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
from loadgen.scenario.event import Content
from loadgen.scenario.model import Index, Scenario
from loadgen.targets.port import PEM_FILES, is_pem
from loadgen.targets.registry import tenant_of, tenant_written
from loadgen.targets.target import Target
from loadgen.text.form import mapping


def scenario(
    data: dict[str, Any],
    event: str,
    body: Content | None,
    directory: Path,
    prices: PriceBook | None = None,
    traces: Mapping[int, Trace] = {},
    index: Index | None = None,
) -> Scenario:
    """The Scenario of data without faults; ``sha256`` is left empty. Relative paths start at ``directory``.

    ``index`` is that of the feeder's file.
    """
    invoked = _target(data, directory)
    timeout_ns = invoked.timeout.total_ns
    phases = tuple(phase(each, timeout_ns, traces.get(number)) for number, each in enumerate(data.get("phases", ())))
    stand_in = tenant_of(invoked).stand_in(invoked, data)
    made: dict[str, Any] = {"target": invoked, "event": event, "body": body, "phases": phases}
    made |= {"prices": prices, "emulator": stand_in}
    if (feeder := data.get("feeder")) and index:
        made["feeder"] = {**feeder, "file": str((directory / feeder["file"]).absolute()), "index": index}
    made |= _experiment(data, invoked, stand_in)
    return msgspec.convert({key: value for key, value in {**data, **made}.items() if key != "event_file"}, Scenario)


def _target(data: dict[str, Any], directory: Path) -> Target:
    block = data["target"]
    if tls := mapping(block, "tls"):
        paths = {key: tls[key] for key in PEM_FILES if key in tls and not is_pem(tls[key])}
        absolute = {key: str((directory / path).absolute()) for key, path in paths.items()}
        block = {**block, "tls": {**tls, **absolute}}
    tenant = tenant_written(block)
    assert tenant is not None, "a target has the key of some tenant; rules checks it"
    target: Target = tenant.made({**data, "target": block})
    return target


def _experiment(data: dict[str, Any], invoked: Target, stand_in: Any) -> dict[str, Any]:
    """The block of the scenario's kind, which may be left out where all of it has defaults."""
    tenant = tenant_of(invoked)
    match data.get("kind"):
        case "cold-starts":
            block, own_mb = mapping(data, "cold-starts"), tenant.asked_mb(invoked)
            return {"cold-starts": cold_starts(block, own_mb, tenant.memory_sizes_mb)}
        case "memory":
            return {"memory": memory_comparison(mapping(data, "memory"), tenant.memory_sizes_mb)}
        case "capacity":
            limit = tenant.at_once(invoked, stand_in)
            return {"capacity": msgspec.convert({"limit": limit, **data["capacity"]}, Capacity)}
        case _:
            return {}
