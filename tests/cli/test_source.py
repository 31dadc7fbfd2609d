from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli import main

SCENARIO = """
name: ${NAME}
target: {url: "http://127.0.0.1:1/"}
phases: [{name: steady, rate: 5/s, duration: 1s}]
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAME", raising=False)
    (tmp_path / "s.yaml").write_text(SCENARIO)
    return tmp_path


def check(*options: str, stdin: str | None = None, **env: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["check", *options], env=env, input=stdin)
    return done.exit_code, done.stdout.partition("\n")[0], done.stderr


def test_variables_may_come_from_a_file(directory: Path) -> None:
    (directory / "x.env").write_text("NAME=fed\n")
    assert check("s.yaml", "--env-file", "x.env") == (0, "fed: GET http://127.0.0.1:1/", "")


def test_the_environment_comes_first_and_it_is_said_where_it_differs(directory: Path) -> None:
    (directory / "x.env").write_text("NAME=planted\n")
    code, first, said = check("s.yaml", "--env-file", "x.env", NAME="mine")
    assert (code, first) == (0, "mine: GET http://127.0.0.1:1/")
    assert said == "note: the environment has other values for NAME, and x.env is not asked\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "x.env: cannot read this file: No such"), ("planted", "x.env:1:1: expected NAME=value")],
)
def test_a_file_of_variables_that_is_none_is_said(directory: Path, text: str | None, said: str) -> None:
    if text is not None:
        (directory / "x.env").write_text(text)
    code, _, stderr = check("s.yaml", "--env-file", "x.env")
    assert code == 2
    assert said in stderr
    assert "planted" not in stderr


def test_credentials_for_the_vendors_tools_may_be_in_it_too(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(directory))
    for name in ("OS_TOKEN", "OS_CLOUD", "HUAWEICLOUD_SDK_AK"):
        monkeypatch.delenv(name, raising=False)
    (directory / "x.env").write_text("OS_TOKEN=planted-token\n")
    (directory / "f.yaml").write_text(
        "name: x\ntarget: {endpoint: 'https://functiongraph.eu-de.otc.t-systems.com', project_id: p, function: f, "
        "auth: environment}\nphases: [{name: steady, rate: 5/s, duration: 1s}]\n"
    )
    assert check("f.yaml", "--offline", "--env-file", "x.env")[::2] == (0, "credentials: a token from OS_TOKEN\n")


def test_stdin_is_a_file_whose_faults_have_lines(directory: Path) -> None:
    assert check("-", stdin=SCENARIO, NAME="x") == (0, "x: GET http://127.0.0.1:1/", "")
    code, _, said = check("-", stdin=SCENARIO.replace("5/s", "5"), NAME="x")
    assert code == 2
    assert said.startswith("stdin:4:31: phases[0].rate: got 5, expected a number per unit")
