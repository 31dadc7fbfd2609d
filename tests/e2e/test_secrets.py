"""Secrets of every kind, planted, in runs that go well and runs that do not: nothing written or shown has them."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest

from tests.e2e.conftest import environment
from tests.e2e.processes import agents_of
from tests.servers.scripted import Peer, Play, serving

TOKEN = "PLANTED-token-cd0f2b8f6a71"
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


def echoing(*statuses: int, escape: Escape = bytes) -> Play:
    """Statuses in turn; the first is that of the pre-flight. The token endpoint gives its token."""
    turn = iter(statuses)
    rest = statuses[-1]

    async def play(peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            if request.startswith(b"POST /v3/auth/tokens"):
                await peer.send(f"HTTP/1.1 201 C\r\nX-Subject-Token: {OBTAINED}\r\nContent-Length: 0\r\n\r\n".encode())
            else:
                await peer.send(echo(next(turn, rest), request, escape))

    return play


async def run(tmp_path: Path, scenario: str, *, kill_agent: bool = False) -> tuple[int, str]:
    """The exit code of ``loadgen run`` and everything it printed; no process shows a literal secret to others."""
    file = tmp_path / "scenario.yaml"
    file.write_text(scenario)
    (tmp_path / "tokens.csv").write_text(TOKENS)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadgen", "run", str(file), "--out", str(tmp_path / "run"), "--agents", "2",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path,
        env={**environment(), **VARIABLES, "XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)},
    )  # fmt: skip
    talk = asyncio.create_task(process.communicate())
    if kill_agent:
        while len(agents := agents_of(process.pid)) < 2:
            await asyncio.sleep(0.02)
        for agent in agents:
            shown = Path(f"/proc/{agent}/cmdline").read_bytes() + Path(f"/proc/{agent}/environ").read_bytes()
            assert not any(secret.encode() in shown for secret in (TOKEN, PASSWORD, OBTAINED, HEADER))
        await asyncio.sleep(1.5)
        os.kill(agents[0], signal.SIGKILL)
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


@pytest.mark.parametrize("escape", [bytes, as_json, as_gson, as_url])
async def test_a_secret_that_the_target_escapes_as_it_repeats_it_is_hidden_too(tmp_path: Path, escape: Escape) -> None:
    text = scenario("token", "http://127.0.0.1:{port}").replace(TOKEN, f"'{IN_BASE64}'")
    async with serving(echoing(200, 200, 401, 500, 404, 200, escape=escape)) as server:
        code, said = await run(tmp_path, text.replace("{port}", str(server.port)))
    assert IN_BASE64.encode() in b"".join(server.requests)
    assert code in (97, 99), said
    assert "bad token: ***" in (tmp_path / "run" / "summary.json").read_text()
    assert leaks(said, tmp_path / "run") == []


@pytest.mark.parametrize("kind", TARGETS)
async def test_a_refused_preflight_shows_no_secret(tmp_path: Path, kind: str) -> None:
    async with serving(echoing(401)) as server:
        code, said = await run(tmp_path, scenario(kind, f"http://127.0.0.1:{server.port}"))
    assert code == 1, said
    assert "pre-flight" in said
    assert leaks(said, tmp_path / "run") == []


@pytest.mark.parametrize("kind", ["token", "iam", "header"])
async def test_an_agent_that_dies_takes_its_secrets_with_it(tmp_path: Path, kind: str) -> None:
    async with serving(echoing(200)) as server:
        code, said = await run(tmp_path, scenario(kind, f"http://127.0.0.1:{server.port}", 30), kill_agent=True)
    assert code == 1, said
    assert "died" in said
    assert leaks(said, tmp_path / "run") == []


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
        f"{{access_key: {ACCESS_KEY}, secret_key: {SECRET_KEY}, security_token: {SECURITY_TOKEN}}}",
        f"{{access_key: {ACCESS_KEY}, secret_key: {SECRET_KEY}-wrong, security_token: {SECURITY_TOKEN}}}",
        f"{{token: {TOKEN}}}",
    ],
)
async def test_the_emulator_and_its_truth_keep_them_too(tmp_path: Path, auth: str) -> None:
    code, said = await run(tmp_path, EMULATED.replace("AUTH", auth))
    refused = "wrong" in auth or "token: " + TOKEN in auth
    assert (code == 1) is refused, said
    assert refused or (tmp_path / "run" / "truth.ndjson").stat().st_size
    assert leaks(said, tmp_path / "run") == []
