"""Secrets of every kind, planted, in runs that go well and runs that do not: nothing written or shown has them."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import ssl
import sys
from base64 import b64encode
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from click.testing import CliRunner

from loadgen.cli import main
from loadgen.scenario.load import load_file
from loadgen.text import yaml
from tests.e2e.conftest import environment
from tests.e2e.processes import agents_of
from tests.servers.certificate import make_certificate
from tests.servers.scripted import Peer, Play, serving

TOKEN = "PLANTED-token-cd0f2b8f6a71" + "x1-_" * 200
"""Longer than the part of a body that is kept."""
SECRET_KEY = "PLANTED-sk-93d1e07cb2aa"
ACCESS_KEY = "PLANTED-ak-5be2f4c0a913"
SECURITY_TOKEN = "PLANTED-sts-0f77c1d2e8b4"
PASSWORD = "PLANTED-pw-7a60d9e1c5f3"
OBTAINED = "PLANTED-obtained-4c1b8e2f9d07"
HEADER = "PLANTED-header-b7e3a1d4c260"
IN_BASE64 = "PLANTED/+=/PLANTED-base64-e19c/+PLANTED-rest=="

KEYS = f'{{access_key: {ACCESS_KEY}, secret_key: "${{PLANTED_SK}}", security_token: {SECURITY_TOKEN}}}'
FUNCTION = "endpoint: {url}, project_id: demo, function: hello, auth: "
TARGETS = {
    "token": FUNCTION + f"{{{{token: {TOKEN}}}}}",
    "key": FUNCTION + KEYS.replace("{", "{{").replace("}", "}}"),
    "iam": FUNCTION + f"{{{{iam: {{{{username: u, password: {PASSWORD}, domain: D}}}}}}}}",
    "environment": FUNCTION + "environment",
    "fed": 'url: "{url}/x?n={{{{n}}}}", headers: {{Authorization: "Bearer {{{{token}}}}"}}',
    "header": f"url: {{url}}/x, method: POST, headers: {{{{Authorization: Bearer {HEADER}}}}}",
}
VARIABLES = {
    "PLANTED_SK": SECRET_KEY,
    "HUAWEICLOUD_SDK_AK": ACCESS_KEY,
    "HUAWEICLOUD_SDK_SK": SECRET_KEY,
    "HUAWEICLOUD_SDK_SECURITY_TOKEN": SECURITY_TOKEN,
}
SCENARIO = """
name: planted
target: {{{target}}}
phases:
  - {{name: steady, rate: 20/s, duration: {seconds}s, grace: 1s}}
samples: all
thresholds: [errors < 0.1%]
feeder: {{file: tokens.csv}}
"""
TOKENS = "n,token\n" + "".join(f"{n},{HEADER}-{n}\n" for n in range(9))


Escape = Callable[[bytes], bytes]


def echo(status: int, request: bytes, escape: Escape = bytes) -> bytes:
    """An answer that repeats the head of its request wherever an answer can."""
    head = request.partition(b"\r\n\r\n")[0].replace(b'"', b"'").replace(b"\r\n", b" | ")
    secrets = b" ".join(line.partition(b": ")[2] for line in request.split(b"\r\n") if b"PLANTED" in line)
    body = b'{"error_code":"APIG.0301 %b","error_msg":"bad token: %b, of %b"}' % tuple(
        map(escape, (secrets, secrets, head))
    )
    return b"HTTP/1.1 %d X\r\nX-Cff-Request-Id: %b\r\nX-Func-Err-Code: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        secrets,
        b"0" if status == 200 else secrets,
        len(body),
        body,
    )


def echoing(*statuses: int, escapes: tuple[Escape, ...] = (bytes,)) -> Play:
    """Statuses in turn; the first is that of the pre-flight. The token endpoint gives its token."""
    turn = iter(statuses)
    rest = statuses[-1]
    escape = cycle(escapes)

    async def play(peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            if request.startswith(b"POST /v3/auth/tokens"):
                await peer.send(f"HTTP/1.1 201 C\r\nX-Subject-Token: {OBTAINED}\r\nContent-Length: 0\r\n\r\n".encode())
            else:
                await peer.send(echo(next(turn, rest), request, next(escape)))

    return play


async def run(
    tmp_path: Path, scenario: str, *options: str, kill_agent: bool = False, out: bool = True
) -> tuple[int, str]:
    """The exit code of ``loadgen run`` and everything it printed; no process shows a literal secret to others."""
    file = tmp_path / "scenario.yaml"
    file.write_text(scenario)
    (tmp_path / "tokens.csv").write_text(TOKENS)
    where = ("--out", str(tmp_path / "run")) if out else ()
    agents = "2" if kill_agent else "1"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadgen", "run", str(file), *where, "--agents", agents, *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path,
        env={**environment(), **VARIABLES, "XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)},
    )  # fmt: skip
    talk = asyncio.create_task(process.communicate())
    if kill_agent:
        while len(started := agents_of(process.pid)) < 2:
            await asyncio.sleep(0.02)
        for agent in started:
            shown = Path(f"/proc/{agent}/cmdline").read_bytes() + Path(f"/proc/{agent}/environ").read_bytes()
            assert b"PLANTED" not in shown, "neither what the scenario holds nor what our own environment does"
        await asyncio.sleep(1.5)
        os.kill(started[0], signal.SIGKILL)
    said = (await talk)[0].decode()
    assert process.returncode is not None
    return process.returncode, said


def leaks(said: str, directory: Path) -> list[str]:
    """Where a planted secret can be read, even in part."""
    found = ["output"] if "PLANTED-" in said else []
    for path in directory.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            found += [path.name] if b"PLANTED-" in (gzip.decompress(raw) if path.suffix == ".gz" else raw) else []
    return found


def scenario(kind: str, url: str, seconds: int = 1) -> str:
    return SCENARIO.format(target=TARGETS[kind].format(url=url), seconds=seconds)


@pytest.mark.parametrize("kind", TARGETS)
async def test_a_run_whose_target_repeats_everything_leaves_no_secret_behind(tmp_path: Path, kind: str) -> None:
    async with serving(echoing(200, 200, 401, 500, 404, 200)) as server:
        code, said = await run(tmp_path, scenario(kind, f"http://127.0.0.1:{server.port}"))
    sent = b"".join(server.requests)
    assert b"PLANTED-" in sent, "the test sees nothing unless the secret was sent and repeated"
    assert code in (97, 99), said
    assert leaks(said, tmp_path / "run") == []
    assert b"PLANTED_SK" in (tmp_path / "run" / "scenario.yaml").read_bytes() or kind != "key"


def as_json(said: bytes) -> bytes:
    return said.replace(b"/", b"\\/")


def as_gson(said: bytes) -> bytes:
    return said.replace(b"+", b"\\u002b").replace(b"=", b"\\u003d")


def as_url(said: bytes) -> bytes:
    return quote_from_bytes(said, safe=" ").encode()


async def test_a_secret_that_the_target_escapes_as_it_repeats_it_is_hidden_too(tmp_path: Path) -> None:
    text = scenario("token", "http://127.0.0.1:{port}").replace(TOKEN, f"'{IN_BASE64}'")
    play = echoing(200, 200, 401, 500, 404, 401, escapes=(bytes, as_json, as_gson, as_url, bytes))
    async with serving(play) as server:
        code, said = await run(tmp_path, text.replace("{port}", str(server.port)))
    assert IN_BASE64.encode() in b"".join(server.requests)
    assert code in (97, 99), said
    assert "bad token: ***" in (tmp_path / "run" / "summary.json").read_text()
    assert leaks(said, tmp_path / "run") == []


@pytest.mark.parametrize("kind", ["token", "fed"])
async def test_a_refused_preflight_shows_no_secret(tmp_path: Path, kind: str) -> None:
    async with serving(echoing(401)) as server:
        code, said = await run(tmp_path, scenario(kind, f"http://127.0.0.1:{server.port}"))
    assert code == 1, said
    assert "pre-flight" in said
    assert leaks(said, tmp_path / "run") == []


async def test_an_agent_that_dies_takes_its_secrets_with_it(tmp_path: Path) -> None:
    async with serving(echoing(200)) as server:
        asked = scenario("iam", f"http://127.0.0.1:{server.port}", 30) + "on_agent_loss: stop\n"
        code, said = await run(tmp_path, asked, kill_agent=True)
    assert code == 1, said
    assert "died" in said
    assert leaks(said, tmp_path / "run") == []


@pytest.mark.parametrize("kind", ["iam", "token"])
async def test_a_run_that_is_killed_leaves_no_secret_behind_nor_does_its_report(tmp_path: Path, kind: str) -> None:
    run = tmp_path / "run"
    async with serving(echoing(200, 401, 500)) as server:
        (tmp_path / "scenario.yaml").write_text(scenario(kind, f"http://127.0.0.1:{server.port}", 30))
        (tmp_path / "tokens.csv").write_text(TOKENS)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadgen", "run", "scenario.yaml", "--out", "run", "--quiet", "--force", cwd=tmp_path,
            env={**environment(), **VARIABLES, "HOME": str(tmp_path)},
        )  # fmt: skip
        while not (run / "intervals.hlog").exists() or b"Tag=" not in (run / "intervals.hlog").read_bytes():
            await asyncio.sleep(0.05)
        process.kill()
        await process.wait()
    assert (run / "frames.journal").stat().st_size > 1000
    assert leaks("", run) == []
    done = CliRunner().invoke(main, ["report", str(run)])
    assert done.exit_code == 0, done.output
    assert leaks(done.output, run) == []


EMULATED = f"""
name: planted
target: {{endpoint: emulator, function: hello, auth: AUTH}}
emulator:
  auth: strict
  account:
    {{password: {PASSWORD}, access_key: {ACCESS_KEY}, secret_key: {SECRET_KEY}, security_token: {SECURITY_TOKEN}}}
  functions: {{hello: {{cold_start: none}}}}
phases:
  - {{name: steady, rate: 20/s, duration: 1s}}
samples: all
"""


@pytest.mark.parametrize(
    "auth",
    [
        f"{{iam: {{username: demo, password: {PASSWORD}, domain: demo}}}}",
        f"{{access_key: {ACCESS_KEY}, secret_key: {SECRET_KEY}-wrong, security_token: {SECURITY_TOKEN}}}",
    ],
)
async def test_the_emulator_and_its_truth_keep_them_too(tmp_path: Path, auth: str) -> None:
    code, said = await run(tmp_path, EMULATED.replace("AUTH", auth))
    refused = "wrong" in auth
    assert (code == 1) is refused, said
    if not refused:
        truth = (tmp_path / "run" / "truth.ndjson").stat()
        assert (truth.st_size > 0, truth.st_mode & 0o777) == (True, 0o600)
    assert leaks(said, tmp_path / "run") == []


SPREAD = {
    "function": """
name: planted
tags: {{copy: {secret}, "{secret}": x, in base64: "{base64}", in a URL: "{percent}", words: "a {secret} b"}}
target: {{endpoint: "{url}", project_id: p-{secret}, function: hello, auth: {{token: {secret}}}}}
event: {{deep: [{{"{secret}": "<{secret}>"}}]}}
phases: [{{name: steady-{secret}, rate: 20/s, duration: 1s, grace: 1s}}]
samples: all
thresholds: [errors < 1%]
""",
    "url": """
name: planted-{secret}
tags: {{copy: "{secret}"}}
target:
  url: "{url}/x/{secret}?copy={secret}"
  headers: {{Authorization: "Bearer {secret}", X-Copy: "{secret}", X-Basic: "Basic {base64}"}}
phases: [{{name: steady, rate: 20/s, duration: 1s, grace: 1s}}]
samples: all
""",
}


@pytest.mark.parametrize("kind", SPREAD)
async def test_a_secret_that_is_written_elsewhere_too_is_masked_everywhere(tmp_path: Path, kind: str) -> None:
    secret = "PLANTED-token-cd0f2b8f6a71"
    in_base64 = b64encode(f"user:{secret}".encode()).decode()
    async with serving(echoing(200, 200, 401, 500, 404, 200)) as server:
        written = SPREAD[kind].format(
            url=f"http://127.0.0.1:{server.port}", secret=secret, base64=in_base64, percent=secret.replace("-", "%2D")
        )
        code, said = await run(tmp_path, written, "--force", out=False)
    assert code in (97, 99, 0), said
    assert secret.encode() in b"".join(server.requests)
    (directory,) = (tmp_path / "reports").iterdir()
    assert "PLANTED" not in str(directory)
    assert leaks(said, directory) == []
    assert (
        in_base64[8:-4]
        not in said + (directory / "summary.json").read_text() + (directory / "scenario.yaml").read_text()
    )
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["scenario"]["tags"]["copy"] == "***"
    as_run = (directory / "scenario.yaml").read_text()
    root, _ = yaml.parse(as_run, "")
    assert root is not None
    assert yaml.data(root)["tags"]["copy"] == "***", "it is still YAML"


ORDINARY = """
name: test
target: {url: "URL/test", headers: {X-Api-Key: "test", Cookie: "session=PLANTED-abcd1234; theme=dark"}}
tags: {note: "a test"}
phases: [{name: latest-test, rate: 20/s, duration: 1000ms, grace: 1s}]
thresholds: ["latest-test:errors < 100%"]
"""


async def test_a_secret_that_is_an_ordinary_word_leaves_a_run_readable(tmp_path: Path) -> None:
    warning = "the secret of headers.X-Api-Key is a short or common word: it is masked wherever it stands by itself"
    async with serving(echoing(200)) as server:
        text = ORDINARY.replace("URL", f"http://127.0.0.1:{server.port}")
        code, said = await run(tmp_path, text, "--out", "test/run1", out=False)
    directory = tmp_path / "test" / "run1"
    assert code in (0, 97), said
    assert said.count(warning) == 1
    assert "report: test/run1/report.html\n" in said
    assert "latest-***" in said
    assert leaks(said, directory) == []
    again = load_file(directory / "scenario.yaml", environment={})
    assert again.scenario.name == "test"
    assert [phase.name for phase in again.scenario.phases] == ["latest-test"]
    assert again.document["tags"] == {"note": "a ***"}
    checked = CliRunner().invoke(main, ["check", "--offline", str(tmp_path / "scenario.yaml")])
    assert checked.exit_code == 0, checked.output
    assert checked.stderr.count(warning) == 1


@pytest.mark.parametrize("umask", [0o000, 0o277])
async def test_what_a_run_writes_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        async with serving(echoing(200)) as server:
            text = scenario("token", f"http://127.0.0.1:{server.port}")
            (tmp_path / "reports").mkdir(mode=0o755)
            (tmp_path / "reports").chmod(0o755)
            code, said = await run(tmp_path, text, out=False)
        assert code in (0, 97, 99), said
        (directory,) = (tmp_path / "reports").iterdir()
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in directory.iterdir()}
        assert set(modes.values()) == {"0o600"}, modes
        assert len(modes) >= 7
        assert directory.stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "reports").stat().st_mode & 0o777 == 0o755, "what is above is left as it is"
    finally:
        os.umask(before)


async def test_credentials_over_a_connection_that_nobody_checked_are_said_once_and_in_the_report(
    tmp_path: Path,
) -> None:
    certificate, key = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with serving(echoing(200), tls=tls) as server:
        text = scenario("header", f"https://127.0.0.1:{server.port}").replace(
            "headers:", "tls: {verify: false}, headers:"
        )
        _, said = await run(tmp_path, text)
    assert said.count("target.tls.verify is false and credentials are sent") == 1
    assert "not checked (target.tls.verify: false)" in said
    for name in ("report.md", "report.html"):
        assert "not checked (target.tls.verify: false)" in (tmp_path / "run" / name).read_text()
    checked = CliRunner().invoke(main, ["check", "--offline", str(tmp_path / "scenario.yaml")])
    assert checked.exit_code == 0, checked.output
    assert checked.stderr.count("target.tls.verify is false and credentials are sent") == 1
