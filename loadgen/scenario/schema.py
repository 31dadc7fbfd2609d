"""The JSON Schema of scenario files, for editors; ``loadgen check`` also knows which values go together."""

from __future__ import annotations

from typing import Any

from loadgen.scenario.model import Scenario
from loadgen.text.schema import schema


def scenario_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a scenario."""
    return schema(Scenario, "loadgen scenario")
