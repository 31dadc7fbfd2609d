"""Whether the names of a scenario's function and versions are right."""

from __future__ import annotations

from loadgen.experiments.coldstarts.block import ColdStarts
from loadgen.experiments.registry import changes
from loadgen.scenario.model import Scenario
from loadgen.targets.functiongraph.protocol.target import FunctionTarget
from loadgen.targets.functiongraph.protocol.urn import LATEST, Urn, UrnError, contradictions, endpoint_region, read
from loadgen.text.fault import Found, Path


def check_target(scenario: Scenario) -> Found:
    """What is wrong with the names of function and versions, as pairs of the key's path and a message."""
    target = scenario.target
    assert isinstance(target, FunctionTarget)
    where = ("target", "function")
    region = endpoint_region(target.endpoint)
    try:
        urn = read(target.function, target.project_id, region)
    except UrnError as error:
        yield where, str(error)
        return
    for fault in contradictions(urn, target.project_id, region):
        yield where, fault
    emulated = () if scenario.emulator is None else tuple(each.name for each in scenario.emulator.functions)
    if emulated and urn.name not in emulated:
        yield where, f'the emulator has no function "{urn.name}": name one of {", ".join(emulated)}, or add it there'
    if changes(scenario) and urn.qualifier not in (None, LATEST):
        yield where, f'the settings of "{urn.qualifier}" cannot be changed; leave it out, or write {LATEST}'
    if scenario.cold_starts is not None:
        yield from _check_versions(scenario.cold_starts, urn, emulated=scenario.emulator is not None)


def _check_versions(asked: ColdStarts, urn: Urn, *, emulated: bool) -> Found:
    where: Path = ("cold-starts", "versions")
    if asked.versions and emulated:
        yield (
            where,
            f"the embedded emulator has {LATEST} alone: start one with loadgen emulate, publish versions there, and "
            "name it as target.endpoint",
        )
        return
    for index, version in enumerate(asked.versions):
        if version == (urn.qualifier or LATEST):
            yield (*where, index), f"{version} is what target.function names, whose instances are in use; remove it"
