"""What commands a terminal, or is markup, in everything that comes from outside: nothing written or shown has it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from loadgen.targets.functiongraph.protocol.target import IamAuth
from loadgen.targets.functiongraph.protocol.token import IamError, read
from loadgen.targets.functiongraph.settings.failure import refused, unanswered
from loadgen.text.foreign import printable
from tests.e2e.test_secrets import run
from tests.servers.scripted import Peer, Play, serving

HOSTILE = "\x1b[2J\x1b]0;x\x07\x9b31m\u202eP1\u2066<script>a()</script>[P2](javascript:a())|`P3`\r\n# P4"
SAID = json.dumps({"error_code": HOSTILE, "error_msg": HOSTILE, "request_id": HOSTILE, "code": HOSTILE})
CONFIG = json.dumps({"memory_size": 128, "func_name": HOSTILE, "strategy_config": {"concurrency": HOSTILE}})
IN_HEADER = "\x9b31m\u202eP1\u2066<script>a()</script>|`P3`".encode()
"""What a header can hold: one with a C0 control is a fault of the protocol."""

SCENARIO = """
name: planted
tags: {{"\\e[2J<script>": "\\e]0;x\\a\\u202e[x](javascript:a())"}}
target: {{endpoint: "{url}", project_id: demo, function: hello, auth: {auth}, log: tail}}
event: {{"\\e[31m": "{{{{column}}}}"}}
feeder: {{file: rows.csv}}
phases: [{{name: steady, rate: 20/s, duration: 1s, grace: 1s}}]
samples: all
thresholds: [errors < 1%]
"""


def quiet(text: str) -> bool:
    return all(c == "\n" or printable(c) for c in text)


def hostile(*statuses: int, headers: bool) -> Play:
    """Answers of the function, of the management API and of IAM with hostile text wherever there can be any."""
    turn = iter(statuses)

    async def play(peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            management = (b"/fgs/functions" in request and b"invocations" not in request) or b"/quotas" in request
            status = 400 if management else next(turn, statuses[-1])
            body = SAID.encode()
            lines = [f"HTTP/1.1 {status} X".encode(), b"Content-Length: %d" % len(body)]
            if headers:
                names = (
                    b"X-Cff-Request-Id",
                    b"X-Func-Err-Code",
                    b"X-Cff-Invoke-Summary",
                    b"X-Cff-Func-Log",
                    b"X-Request-Id",
                )
                lines += [name + b": " + IN_HEADER for name in names]
            await peer.send(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    return play


@pytest.mark.parametrize("headers", [True, False])
async def test_hostile_answers_are_clean_in_every_medium(tmp_path: Path, headers: bool) -> None:
    (tmp_path / "rows.csv").write_text('column,"\x1b[2J<script>"\n"\x1b[2J\u202e`x`",1\n')
    async with serving(hostile(200, 200, 500, 404, 500, headers=headers)) as server:
        url = f"http://127.0.0.1:{server.port}"
        _, said = await run(tmp_path, SCENARIO.format(url=url, auth="{token: some-token}"), "--force")
    assert quiet(said)
    files = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    files["samples.ndjson.gz"] = gzip.decompress(files["samples.ndjson.gz"])
    assert {"summary.json", "report.md", "report.html", "scenario.yaml", "environment.json"} <= files.keys()
    assert [name for name, raw in files.items() if not quiet(raw.decode())] == []
    assert b"P1" in files["summary.json"], "the test sees nothing unless it is repeated"
    assert b"P1" in files["samples.ndjson.gz"]
    assert files["report.html"].count(b"<script>") == 1, "the page's own"
    assert b"<script>" not in files["report.md"].replace(b"\\<", b"")
    summary = json.loads(files["summary.json"])
    assert summary["scenario"]["tags"] == {"\x1b[2J<script>": "\x1b]0;x\x07\u202e[x](javascript:a())"}, (
        "it is kept true"
    )


async def test_a_hostile_answer_of_iam_is_clean(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("column\nx\n")
    async with serving(hostile(401, headers=False)) as server:
        url = f"http://127.0.0.1:{server.port}"
        auth = "{iam: {username: u, password: some-password, domain: D}}"
        code, said = await run(tmp_path, SCENARIO.format(url=url, auth=auth))
    assert code == 1
    assert "P1" in said
    assert quiet(said)
    assert "\n# P4" not in said, "nor does it begin a line of its own"


def test_the_faults_of_the_control_plane_quote_one_clean_line() -> None:
    fault = refused("GET x", 400, HOSTILE, HOSTILE)
    assert quiet(str(fault))
    assert "\n" not in str(fault)
    assert fault.code is not None
    assert quiet(fault.code)
    assert "\n" not in str(unanswered("GET x", HOSTILE, write=True))
    iam = IamAuth("https://iam.example", "u", "some-password", "D", "p")
    with pytest.raises(IamError) as caught:
        read(401, {}, SAID.encode(), iam)
    assert quiet(str(caught.value))
    assert "\n" not in str(caught.value)
