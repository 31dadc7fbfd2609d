from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from loadgen.scenario import yaml
from loadgen.scenario.schema import scenario_schema

EXAMPLES = Path(__file__).parents[2] / "scenarios"


def document(text: str) -> Any:
    node, duplicates = yaml.parse(text, "s.yaml")
    assert node is not None
    assert not duplicates
    return yaml.data(node)


def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(scenario_schema())
    return jsonschema.Draft202012Validator(scenario_schema())


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_fits_the_schema(path: Path) -> None:
    assert list(validator().iter_errors(document(path.read_text()))) == []


def test_the_schema_beside_the_examples_is_the_current_one() -> None:
    """When this fails, run: loadgen schema scenario > scenarios/scenario.schema.json."""
    assert json.loads((EXAMPLES / "scenario.schema.json").read_text()) == scenario_schema()


GOOD = "name: x\ntarget: {endpoint: emulator, project_id: p}\nphases: [{name: a, rate: 1/s, duration: 1s}]\n"


@pytest.mark.parametrize("change", ["", "seed: ${SEED:-1}\n", "samples: 1%\n", "event: {a: [{b: null}]}\n"])
def test_good_files_fit_the_schema(change: str) -> None:
    assert list(validator().iter_errors(document(GOOD + change))) == []


def test_any_single_value_may_come_from_the_environment() -> None:
    text = (
        GOOD.replace("1/s", "'${RATE}'").replace("1s", "'${LENGTH:-5s}'").replace("project_id: p", "memory: '${MB}MB'")
    )
    assert list(validator().iter_errors(document(text))) == []


@pytest.mark.parametrize(
    "bad",
    [
        "name: x\n",
        GOOD + "sed: 1\n",
        GOOD + "seed: x\n",
        GOOD.replace("1/s", "50 / sec"),
        GOOD.replace("1/s", "50"),
        GOOD.replace("1s", "10"),
        GOOD.replace("project_id: p", "memory: 500MB"),
        GOOD.replace("rate: 1/s", "workers: 0"),
        GOOD.replace("rate: 1/s", "rate: {form: 1/s, to: 2/s}"),
        GOOD.replace("name: a", "name: a b"),
        GOOD.replace("emulator,", "functiongraph,"),
        GOOD + "emulator: {functions: {hello: {cold_start: r9}}}\n",
    ],
)
def test_bad_files_do_not_fit_the_schema(bad: str) -> None:
    assert list(validator().iter_errors(document(bad)))
