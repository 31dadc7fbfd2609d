"""Runs of a URL, a URN or stdin: the same as those of a file, in results and in messages."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from loadgen.scenario.load import load_file
from tests.e2e.conftest import EMULATED, Command, Loadgen, environment, running_in
from tests.servers.scripted import OK, Peer, serving

URN = "urn:fss:local:demo:function:default:hello:latest"


async def requests_of(
    directory: Path, path: str, *options: str, env: dict[str, str] | None = None
) -> tuple[Command, list[bytes]]:
    """A run of a URL of a real server, and the requests that it got."""
    got: list[bytes] = []

    async def play(peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            got.append(request)
            await peer.send(OK)

    async with serving(play) as server:
        run = await asyncio.to_thread(running_in(directory), f"http://127.0.0.1:{server.port}{path}", *options, env=env)
    return run, got


async def test_a_url_is_run_with_what_the_options_say(tmp_path: Path) -> None:
    run, got = await requests_of(
        tmp_path, "/a?b=c", "--rate", "20/s", "--duration", "1s", "--method", "PUT", "--event", '{"id": 5}',
        "-H", "X-A: b: c", "-H", "Accept:text/plain",
    )  # fmt: skip
    assert run.passed, run.stderr
    assert run.summary["totals"]["outcomes"] == {"ok": 20}
    assert [phase["name"] for phase in run.summary["phases"]] == ["load"]
    assert run.summary["run"]["name"] == "127-0-0-1"
    assert len(got) == 21
    for request in got:
        assert request.startswith(b"PUT /a?b=c HTTP/1.1\r\n")
        assert b"\r\nX-A: b: c\r\nAccept: text/plain\r\n" in request
        assert request.endswith(b'\r\n\r\n{"id":5}')


async def test_by_default_ten_workers_get_it(tmp_path: Path) -> None:
    run, got = await requests_of(tmp_path, "/", "--duration", "300ms", "--set", "name=mine")
    assert run.passed, run.stderr
    assert run.summary["scenario"] == {
        "name": "mine",
        "target": {"url": run.summary["scenario"]["target"]["url"]},
        "phases": [{"name": "load", "workers": 10, "duration": "300ms"}],
    }
    assert got[0].startswith(b"GET / HTTP/1.1\r\n")


async def test_what_is_saved_is_the_same_scenario_without_its_secrets(tmp_path: Path) -> None:
    options = ("--workers", "2", "--duration", "300ms", "-H", "Authorization: Bearer ${T}", "--save", "saved.yaml")
    run, got = await requests_of(tmp_path, "/", *options, env={"T": "planted-secret"})
    assert run.passed, run.stderr
    assert "saved as saved.yaml" in run.stderr
    assert b"\r\nAuthorization: Bearer planted-secret\r\n" in got[0]
    text = (tmp_path / "saved.yaml").read_text()
    assert "planted-secret" not in text + run.stdout + run.stderr
    again = load_file(tmp_path / "saved.yaml", environment={"T": "planted-secret"}).scenario
    assert again.sha256 == run.summary["environment"]["scenario_sha256"]
    before = text
    again_saved, _ = await requests_of(tmp_path, "/", *options, env={"T": "x"})
    assert (again_saved.code, (tmp_path / "saved.yaml").read_text()) == (2, before)
    assert "saved.yaml exists and is left as it is; give --save another name" in again_saved.stderr


def test_a_function_is_run_by_its_urn(loadgen: Loadgen) -> None:
    run = loadgen(URN, "--endpoint", "emulator", "--rate", "50/s", "--duration", "1s", "--event", "{user: ada}")
    assert run.passed, run.stderr
    assert run.summary["totals"]["outcomes"] == {"ok": 50}
    assert run.summary["run"]["name"] == "hello"


def test_a_scenario_on_stdin_is_one_like_any_other(loadgen: Loadgen) -> None:
    run = loadgen("-", "--set", "phases.1.duration=500ms", stdin=EMULATED)
    assert run.passed, run.stderr
    assert run.summary["totals"]["outcomes"] == {"ok": 50}
    broken = loadgen("-", stdin=EMULATED.replace("100/s", "100"))
    assert broken.code == 2
    assert "stdin:7:26: phases[1].rate: got 100, expected a number per unit" in broken.stderr


@pytest.mark.parametrize(
    ("invoked", "options", "said"),
    [
        ("http://127.0.0.1:1/", ["--rate", "50"], '--rate: phases[0].rate: got 50, expected a number per unit'),
        ("http://127.0.0.1:1/", ["--rate", "5/s", "--workers", "2"], "--workers: phases[0].workers: rate is written"),
        ("http://127.0.0.1:1/", ["--workers", "x"], '--workers: phases[0].workers: got "x", expected'),
        ("http://127.0.0.1:1/", ["--duration", "9"], "--duration: phases[0].duration: got 9, expected a number with"),
        ("http://127.0.0.1:1/", ["--event", "{"], "--event: this is not YAML"),
        ("http://127.0.0.1:1/", ["--event", "{a: '{{x}}'}"], "--event: event.a: {{x}} needs a feeder"),
        ("http://127.0.0.1:1/", ["--method", "get"], '--method: target.method: got "get", expected an HTTP method'),
        ("http://127.0.0.1:1/", ["-H", "X"], "-H: got no name and colon, expected 'Name: value'"),
        ("http://127.0.0.1:1/", ["-H", "X: a", "-H", "X: b"], "-H X: this header is written twice"),
        ("http://127.0.0.1:1/", ["-H", "Host x: a"], '-H Host x: target.headers.Host x: got the header name "Host x"'),
        ("http://127.0.0.1:1/", ["--endpoint", "emulator"], "--endpoint: target.endpoint: endpoint belongs to a func"),
        ("ftp://127.0.0.1/", [], 'URL: target.url: got "ftp://127.0.0.1/", expected a URL such as http://'),
        (URN, [], f"{URN} needs --endpoint: the origin of the platform's API"),
        (URN, ["--endpoint", "emulator", "-H", "X: a"], "-H X: target.headers: headers belongs to a url"),
        ("urn:fss:x", ["--endpoint", "emulator"], "URN: target.function: "),
        ("none.yaml", ["--rate", "5/s", "-H", "X: a"], "--rate, -H: for a URL or URN; none.yaml says it itself."),
        ("none.yaml", [], "none.yaml: cannot read this file: No such file or directory"),
        ("-", ["--save", "x.yaml"], "--save: for a URL or URN; - says it itself. Leave it out, or write --set"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_of_the_option_that_it_is_wrong_with(
    invoked: str, options: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    from loadgen.cli import main

    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["run", invoked, *options], env=environment())
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split()), done.stderr
    assert not Path("reports").exists()


def test_every_fault_of_the_options_is_said_at_once_and_no_secret_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from loadgen.cli import main

    options = [
        "--rate",
        "5",
        "--duration",
        "7",
        "-H",
        "Authorization: planted\x01secret",
        "--set",
        "budget.cost=planted",
    ]
    done = CliRunner().invoke(main, ["run", "http://127.0.0.1:1/", *options])
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 5
    assert "planted\x01" not in done.stderr
    assert "planted\\x01" not in done.stderr


def test_a_function_on_a_cloud_is_called_with_the_credentials_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from click.testing import CliRunner

    from loadgen.cli import main

    for name in ("OS_TOKEN", "OS_CLOUD", "HUAWEICLOUD_SDK_AK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    done = CliRunner().invoke(
        main, ["run", URN.replace("local", "eu-de"), "--endpoint", "https://functiongraph.eu-de.example.invalid"]
    )
    assert done.exit_code == 2
    assert "there are no credentials" in done.stderr
