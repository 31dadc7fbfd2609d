"""The published schemas as another validator reads them: ajv, in the strict mode that is its default."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from loadgen.measure import summary
from loadgen.scenario.schema import scenario_schema
from loadgen.text import yaml

ROOT = Path(__file__).parents[1]
NPM, NODE = shutil.which("npm"), shutil.which("node")
INSTALL_S = 60

VALIDATE = """
const Ajv = require("ajv/dist/2020").default
const [schema, ...documents] = JSON.parse(require("fs").readFileSync(0, "utf8"))
const validate = new Ajv().compile(schema)
console.log(JSON.stringify(documents.map(each => validate(each) ? null : validate.errors)))
"""

KNOWN = {
    *("$schema", "$ref", "$defs", "title", "description", "default", "examples", "type", "enum", "const", "anyOf"),
    *("properties", "required", "additionalProperties", "minProperties", "maxProperties", "items", "prefixItems"),
    *("pattern", "minLength", "maxLength", "minItems", "maxItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
"""Words of draft 2020-12 that say something to every validator."""

needs_node = pytest.mark.skipif(NPM is None or NODE is None, reason="npm or node is not installed (Debian: npm)")


@pytest.fixture(scope="module")
def ajv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which node finds ajv."""
    assert NPM is not None
    directory = tmp_path_factory.mktemp("ajv")
    command = [NPM, "install", "--silent", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "ajv@8"]
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm could not install ajv within {INSTALL_S} s")
    if done.returncode:
        pytest.skip(f"npm could not install ajv: {(done.stderr.strip() or 'no reason given').splitlines()[0]}")
    return directory


def validated(ajv: Path, schema: dict[str, Any], *documents: Any) -> list[Any]:
    """What ajv says about each of the documents: None where it fits the schema, which has to compile."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, "-e", VALIDATE],
        cwd=ajv,
        input=json.dumps([schema, *documents]),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


@needs_node
def test_ajv_in_strict_mode_compiles_the_schema_of_the_summary_and_takes_a_real_one(ajv: Path) -> None:
    real = json.loads((ROOT / "reports" / "example-quickstart" / "summary.json").read_text())
    told = {"kind": "load", "labelling": real["experiment"]["labelling"] if real["experiment"] else None}
    other = {**real, "experiment": {**told, "kind": "no-such-kind"}}
    assert [each is None for each in validated(ajv, summary.schema(), real, {}, other)] == [True, False, False]


@needs_node
def test_ajv_in_strict_mode_compiles_the_schema_of_scenarios_and_takes_every_example(ajv: Path) -> None:
    nodes = [yaml.parse(path.read_text(), path.name)[0] for path in sorted((ROOT / "scenarios").glob("*.yaml"))]
    examples = [yaml.data(node) for node in nodes if node is not None]
    assert examples
    found = validated(ajv, scenario_schema(), *examples, {"name": "x"})
    assert found[:-1] == [None] * len(examples)
    assert found[-1] is not None


@pytest.mark.parametrize("schema", [summary.schema(), scenario_schema()], ids=["summary", "scenario"])
def test_the_schemas_hold_no_word_that_json_schema_does_not_have(schema: dict[str, Any]) -> None:
    """Also where ajv cannot be had."""

    def walk(node: Any, *, names: bool = False) -> None:
        if isinstance(node, dict):
            assert names or set(node) <= KNOWN, set(node) - KNOWN
            for key, value in node.items():
                if names or key not in ("default", "examples", "enum", "const", "required"):
                    walk(value, names=not names and key in ("properties", "$defs"))
        elif isinstance(node, list):
            for item in node:
                walk(item)

    walk(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
