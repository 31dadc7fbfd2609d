from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadgen.scenario.load import load, load_file
from loadgen.scenario.schema import scenario_schema
from loadgen.targets.functiongraph.protocol.platform import COLD_START_PROFILES
from loadgen.text import yaml

ROOT = Path(__file__).parents[2]
MAPPINGS = {name: form["properties"] for name, form in scenario_schema()["$defs"].items() if "properties" in form}
KEYS = [f"{name}.{key}" for name, properties in MAPPINGS.items() for key in properties]


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_described_for_editors(key: str) -> None:
    name, _, each = key.partition(".")
    assert MAPPINGS[name][each].get("description")


def test_every_key_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "scenario.md").read_text()
    assert [key for key in KEYS if f"`{key.partition('.')[2]}`" not in reference] == []


def test_every_default_that_is_shown_is_what_leaving_the_key_out_means() -> None:
    """The written defaults, put into a scenario, change nothing but what comes from elsewhere when it is left out."""
    text = "name: x\ntarget: {endpoint: emulator}\nphases: [{name: a, rate: 1/s, duration: 1s}]\n"
    bare = load(text, source="s.yaml", directory=ROOT, environment={}).scenario
    told = {name: _defaults(name) for name in ("Target", "Timeout", "Confirm", "Emulator", "Account", "Management")}
    top = {key: value for key, value in _defaults("Scenario").items() if key != "phases"}
    functions = {"hello": {**_defaults("EmulatedFunction"), "work": _defaults("Work")}}
    whole = yaml.dump(
        {
            **top,
            "name": "x",
            "phases": [{"name": "a", "rate": "1/s", "duration": "1s"}],
            "target": {"endpoint": "emulator", **told["Target"], "timeout": told["Timeout"]},
            "confirm": told["Confirm"],
            "emulator": {
                **told["Emulator"],
                "account": told["Account"],
                "management": told["Management"],
                "functions": functions,
            },
        }
    )
    made = load(whole, source="s.yaml", directory=ROOT, environment={}).scenario
    assert msgspec.structs.replace(made, sha256="") == msgspec.structs.replace(bare, sha256="")


def _defaults(name: str) -> dict[str, Any]:
    return {key: form["default"] for key, form in MAPPINGS[name].items() if "default" in form}


def test_every_name_of_a_cold_start_profile_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "scenario.md").read_text()
    assert [name for name in COLD_START_PROFILES if f"`{name}`" not in reference] == []


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_loads_and_names_its_schema(path: Path) -> None:
    pem = dict.fromkeys(("SERVER_CA", "CLIENT_CERT", "CLIENT_KEY"), "-----BEGIN x")
    loaded = load_file(path, environment={"FG_PROJECT_ID": "0123456789abcdef", "FG_TOKEN": "s3cret", **pem})
    assert loaded.scenario.name == path.stem
    assert "s3cret" not in loaded.as_run
    assert path.read_text().startswith("# yaml-language-server: $schema=scenario.schema.json\n")


def test_every_yaml_block_of_the_reference_loads(tmp_path: Path) -> None:
    blocks = (ROOT / "docs" / "scenario.md").read_text().split("```yaml\n")[1:]
    whole = [block.partition("```")[0] for block in blocks if block.startswith("name:")]
    (tmp_path / "users.csv").write_text("user\nu-1\n")
    for index, text in enumerate(whole):
        path = tmp_path / f"{index}.yaml"
        path.write_text(text)
        assert load_file(path, environment={}).scenario.phases
    assert whole
