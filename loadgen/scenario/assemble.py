"""From the data of a document without faults to the Scenario: each block by its own module, and what they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loadgen.experiments.capacity.block import Capacity
from loadgen.experiments.coldstarts.block import cold_starts
from loadgen.experiments.memory.block import memory_comparison
from loadgen.invocation.bill import PriceBook
from loadgen.load.phase import phase
from loadgen.load.trace import Trace
from loadgen.scenario.calls import merged
from loadgen.scenario.event import Content
from loadgen.scenario.model import Call, Index, Scenario
from loadgen.targets.port import PEM_FILES, is_pem
from loadgen.targets.registry import tenant_of, tenant_written
from loadgen.targets.target import Target
from loadgen.text.form import mapping


class Sent(NamedTuple):
    """What a call sends: its event, or body, and the index of its feeder's file."""

    event: str = ""
    body: Content | None = None
    rows: Index | None = None


def scenario(
    data: dict[str, Any],
    sent: Sequence[Sent],
    directory: Path,
    prices: PriceBook | None = None,
    traces: Mapping[int, Trace] = {},
) -> Scenario:
    """The Scenario of data without faults; ``sha256`` is left empty. Relative paths start at ``directory``.

    ``sent`` is what each call sends, of which there is one where there is no mix.
    """
    written = [merged(data, number) for number in range(len(data["calls"]))] if "calls" in data else [data]
    calls = [_call(one, each, directory) for one, each in zip(written, sent, strict=True)]
    first = calls[0]
    invoked = first["target"]
    timeout_ns = invoked.timeout.total_ns
    phases = tuple(phase(each, timeout_ns, traces.get(number)) for number, each in enumerate(data.get("phases", ())))
    stand_in = tenant_of(invoked).stand_in(invoked, data)
    made: dict[str, Any] = {**first, "phases": phases, "prices": prices, "emulator": stand_in}
    if "calls" in data:
        named = ({"name": each["name"], "weight": each.get("weight", 1)} for each in data["calls"])
        made["calls"] = [msgspec.convert({**call, **name}, Call) for call, name in zip(calls, named, strict=True)]
    made |= _experiment(data, [call["target"] for call in calls], stand_in)
    return msgspec.convert({key: value for key, value in {**data, **made}.items() if key != "event_file"}, Scenario)


def _call(data: dict[str, Any], sent: Sent, directory: Path) -> dict[str, Any]:
    """What is called, sent and expected by the data of a scenario of one call."""
    call: dict[str, Any] = {"target": _target(data, directory), "event": sent.event, "body": sent.body}
    if (feeder := data.get("feeder")) and sent.rows:
        call["feeder"] = {**feeder, "file": str((directory / feeder["file"]).absolute()), "index": sent.rows}
    return {**call, "checks": data.get("checks", ())}


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


def _experiment(data: dict[str, Any], targets: Sequence[Target], stand_in: Any) -> dict[str, Any]:
    """The block of the scenario's kind, which may be left out where all of it has defaults."""
    invoked = targets[0]
    tenant = tenant_of(invoked)
    match data.get("kind"):
        case "cold-starts":
            block, own_mb = mapping(data, "cold-starts"), tenant.asked_mb(invoked)
            return {"cold-starts": cold_starts(block, own_mb, tenant.memory_sizes_mb)}
        case "memory":
            return {"memory": memory_comparison(mapping(data, "memory"), tenant.memory_sizes_mb)}
        case "capacity":
            # functions have limits of their own, and none that holds for a mix of several
            one = len(set(map(tenant.described, targets))) == 1
            limit = tenant.at_once(invoked, stand_in) if one else None
            return {"capacity": msgspec.convert({"limit": limit, **data["capacity"]}, Capacity)}
        case _:
            return {}
