"""A plan whose files came with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import BinaryIO

from msgspec import structs

from loadgen.engine.messages import Plan
from loadgen.scenario.model import Feeder


def received(plan: Plan, files: Mapping[str, BinaryIO]) -> Plan:
    """The plan, which names these open files where it named those that they were sent for."""
    if not files:
        return plan
    for file in files.values():
        file.flush()
    scenario = plan.scenario
    calls = tuple(structs.replace(call, feeder=_feeder(call.feeder, files)) for call in scenario.calls)
    own = structs.replace(scenario, feeder=_feeder(scenario.feeder, files), calls=calls)
    return structs.replace(plan, scenario=own)


def _feeder(feeder: Feeder | None, files: Mapping[str, BinaryIO]) -> Feeder | None:
    if feeder is None or feeder.path not in files:
        return feeder
    # a descriptor that nobody closes: which row is read when is the business of whoever sends it
    return structs.replace(feeder, path=f"/dev/fd/{os.dup(files[feeder.path].fileno())}")
