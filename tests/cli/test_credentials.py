from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli import main

SCENARIO = """
name: x
target: {endpoint: "https://functiongraph.eu-de.otc.t-systems.com", project_id: p, function: f, auth: environment}
phases: [{name: steady, rate: 1/s, duration: 1s}]
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("OS_TOKEN", "OS_CLOUD", "OS_CLIENT_CONFIG_FILE", "HUAWEICLOUD_SDK_AK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    return str(path)


@pytest.mark.parametrize("command", ["check", "run"])
def test_without_credentials_a_command_ends_with_2_and_says_which_to_set(scenario: str, command: str) -> None:
    done = CliRunner().invoke(main, [command, scenario])
    assert done.exit_code == 2
    assert "there are no credentials: set HUAWEICLOUD_SDK_AK" in done.stderr
    assert not Path("reports").exists()


def test_check_says_where_the_credentials_come_from_and_not_what_they_are(scenario: str) -> None:
    done = CliRunner(env={"OS_TOKEN": "s3cret-token"}).invoke(main, ["check", scenario, "--offline"])
    assert done.exit_code == 0
    assert done.stderr == "credentials: a token from OS_TOKEN\n"
    assert "s3cret-token" not in done.output


def test_a_file_open_to_others_is_warned_of(scenario: str) -> None:
    Path("clouds.yaml").write_text("clouds: {otc: {ak: s3cret, sk: s3cret}}\n")
    Path("clouds.yaml").chmod(0o644)
    done = CliRunner().invoke(main, ["check", scenario, "--offline"])
    assert done.exit_code == 0
    assert "clouds.yaml holds credentials and is open to others (mode 0644): chmod 600" in done.stderr
    assert "s3cret" not in done.output


def test_a_malformed_file_is_named_with_its_line(scenario: str) -> None:
    Path("clouds.yaml").write_text("clouds:\n  otc: 5\n")
    done = CliRunner().invoke(main, ["check", scenario, "--offline"])
    assert done.exit_code == 2
    assert "clouds.yaml:2:8: expected a cloud to be a mapping" in done.stderr
