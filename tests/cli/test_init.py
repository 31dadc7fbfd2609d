from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from loadgen.cli.check import check
from loadgen.cli.confirm import never_asks
from loadgen.cli.init import STARTER, init
from loadgen.measure.percentile import supported
from loadgen.measure.rule import MetricRule
from loadgen.run.forecast import forecast
from loadgen.scenario.load import load, load_file
from loadgen.scenario.schema import scenario_schema
from tests.servers import disk

SMALL = 'mount -t tmpfs -o size=16k none "$0" && exec "$@"'


def test_what_init_writes_passes_check_and_its_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(init, [])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "next: loadgen check scenario.yaml" in result.stdout
    assert CliRunner().invoke(check, ["scenario.yaml"]).exit_code == 0
    schema = tmp_path / (tmp_path / "scenario.yaml").read_text().splitlines()[0].partition("$schema=")[2]
    assert json.loads(schema.read_text()) == scenario_schema()
    jsonschema.validate(load_file("scenario.yaml", environment={}).document, scenario_schema())


def test_init_makes_the_directory_and_puts_the_schema_beside_the_file(tmp_path: Path) -> None:
    assert CliRunner().invoke(init, [str(tmp_path / "new" / "load.yaml")]).exit_code == 0
    assert (tmp_path / "new" / ".loadgen" / "scenario.schema.json").is_file()


def test_init_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("mine")
    result = CliRunner().invoke(init, [str(path)])
    assert result.exit_code == 2
    assert result.stderr == f"{path} exists and is left as it is; name another file: loadgen init PATH\n"
    assert path.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(init, [str(tmp_path / "file" / "scenario.yaml")])
    assert result.exit_code == 2
    assert str(tmp_path / "file") in result.stderr


@pytest.mark.skipif(not disk.possible(), reason="this user cannot mount a disk of its own")
def test_a_full_disk_is_said_with_its_file_and_leaves_none(tmp_path: Path) -> None:
    place = tmp_path / "full"
    place.mkdir()
    path = place / "scenario.yaml"
    command = f'"{sys.executable}" -m loadgen init {path}; ls {place} >&2; exit 2'
    done = subprocess.run(disk.within(disk.FULL, place, "sh", "-c", command), capture_output=True, text=True)
    assert done.stderr.splitlines() == [
        f"cannot write {path}: No space left on device. Nothing was written; name a place that can be: "
        "loadgen init PATH",
        "filler",
    ]


@pytest.mark.skipif(not disk.possible(), reason="this user cannot mount a disk of its own")
def test_a_disk_with_room_for_the_scenario_alone_keeps_it_and_says_how_to_get_the_rest(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    command = f'"{sys.executable}" -m loadgen init {place}/scenario.yaml && exit 9; tail -n 1 {place}/scenario.yaml'
    done = subprocess.run(disk.within(SMALL, place, "sh", "-c", command), capture_output=True, text=True)
    assert done.stdout == STARTER.splitlines()[-1] + "\n"
    assert done.stderr.startswith(f"wrote {place}/scenario.yaml, which is complete; cannot write what editors use, ")
    assert "No space left on device. Once there is room: loadgen schema scenario > " in done.stderr


def test_what_init_writes_asks_nobody_when_it_is_run_against_a_real_platform(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    CliRunner().invoke(init, [str(path)])
    real = path.read_text().replace("endpoint: emulator", "endpoint: https://functiongraph.eu-de.otc.t-systems.com")
    overrides = ["target.project_id=p"]
    scenario = load(real, source="s", directory=tmp_path, environment={}, overrides=overrides).scenario
    assert not never_asks(scenario.target)
    at_most = forecast(scenario).at_most
    assert at_most is not None
    assert at_most <= scenario.confirm.invocations


def test_a_name_that_is_not_utf_8_leaves_no_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(init, [os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml")])
    assert result.exit_code == 2
    assert "its name is not UTF-8" in result.stderr
    assert not list(tmp_path.iterdir())


def test_what_init_writes_makes_enough_calls_for_its_own_thresholds(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    CliRunner().invoke(init, [str(path)])
    scenario = load_file(path, environment={}).scenario
    calls = sum(phase.expected() or 0 for phase in scenario.phases if not phase.warmup)
    ps = [rule.percentile for rule in scenario.thresholds if isinstance(rule, MetricRule) and rule.percentile]
    assert ps
    assert all(supported(calls, p) for p in ps)
