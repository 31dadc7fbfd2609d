from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec.inspect as mi
import pytest

from loadgen.scenario import document
from loadgen.scenario.load import load_file
from loadgen.targets.functiongraph.protocol.platform import COLD_START_PROFILES
from loadgen.targets.functiongraph.protocol.target import MEMORY_SIZES_MB

ROOT = Path(__file__).parents[2]
STRUCTS = (
    document.Scenario,
    document.Target,
    document.Timeout,
    document.Tls,
    document.Auth,
    document.Iam,
    document.LogTail,
    document.Feeder,
    document.Phase,
    document.RateShape,
    document.Burst,
    document.Trace,
    document.WorkersRamp,
    document.Budget,
    document.Emulator,
    document.EmulatedFunction,
    document.MemoryComparison,
    document.Work,
    document.Initializer,
    document.Account,
    document.Management,
)


def fields() -> Iterator[tuple[str, mi.Field]]:
    for struct in STRUCTS:
        form = mi.type_info(struct)
        assert isinstance(form, mi.StructType)
        for field in form.fields:
            yield f"{struct.__name__}.{field.encode_name}", field


def test_the_choices_written_out_are_those_of_the_model() -> None:
    assert get_args(document.Memory) == tuple(f"{size}MB" for size in MEMORY_SIZES_MB)
    assert get_args(document.ColdStart) == COLD_START_PROFILES


@pytest.mark.parametrize(("name", "field"), list(fields()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_key_is_described_for_editors(name: str, field: mi.Field) -> None:
    assert isinstance(field.type, mi.Metadata), name
    assert (field.type.extra_json_schema or {}).get("description"), name


def test_every_key_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "scenario.md").read_text()
    assert [name for name, field in fields() if f"`{field.encode_name}`" not in reference] == []


def test_every_name_of_a_cold_start_profile_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "scenario.md").read_text()
    assert [name for name in COLD_START_PROFILES if f"`{name}`" not in reference] == []


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_loads_and_names_its_schema(path: Path) -> None:
    loaded = load_file(path, environment={"FG_PROJECT_ID": "0123456789abcdef", "FG_TOKEN": "s3cret"})
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
