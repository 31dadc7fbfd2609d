"""The probe functions in docs/probe/ answer as the cold-starts experiment reads them."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from loadgen.invocation.facts import Facts
from loadgen.invocation.outcome import Outcome
from loadgen.targets.functiongraph.protocol.probe import with_probe
from loadgen.targets.functiongraph.protocol.target import ResponseVersion
from loadgen.targets.port import Probe

PROBES = Path(__file__).parents[1] / "docs" / "probe"


def fresh() -> ModuleType:
    """The Python probe as a new instance loads it."""
    spec = importlib.util.spec_from_file_location("probe", PROBES / "index.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(answer: object) -> tuple[str | None, str | None]:
    facts = with_probe(Facts(Outcome.OK, "ok", 200), json.dumps(answer).encode(), Probe(), ResponseVersion.V0)
    return facts.start, facts.instance


def test_the_first_call_of_a_python_instance_is_cold_and_the_next_is_warm() -> None:
    one, other = fresh(), fresh()
    assert [read(one.handler({}, None))[0] for _ in range(2)] == ["cold", "warm"]
    assert read(other.handler({}, None))[0] == "cold"
    assert read(one.handler({}, None))[1] != read(other.handler({}, None))[1]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_first_call_of_a_nodejs_instance_is_cold_and_the_next_is_warm() -> None:
    script = (
        f"const {{ handler }} = require({json.dumps(str(PROBES / 'index.js'))});"
        "(async () => console.log(JSON.stringify([await handler({}, {}), await handler({}, {})])))()"
    )
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
    assert [read(answer)[0] for answer in json.loads(done.stdout)] == ["cold", "warm"]
