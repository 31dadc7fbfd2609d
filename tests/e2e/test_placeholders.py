"""``loadgen run`` with a feeder that fills the URL and the headers: what the server got, row by row."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.e2e.conftest import Loadgen
from tests.servers.scripted import OK, Peer, answer_all, serving

VALUES = ["plain", "a/b?cd=ef&g#h", "50 % ü", "..", "1"]
SCENARIO = """
name: fed
target:
  url: "http://127.0.0.1:PORT/users/{{user}}?q={{user}}&fixed=1"
  headers: {X-Row: "row {{n}}", Host: "{{n}}.example"}
feeder: {file: users.csv, order: once}
phases: [{name: steady, rate: 20/s, duration: 1s}]
"""


@pytest.mark.parametrize(("method", "event"), [("GET", False), ("DELETE", True)])
async def test_every_row_is_in_the_path_the_query_and_the_headers_as_it_is(
    loadgen: Loadgen, tmp_path: Path, method: str, event: bool
) -> None:
    rows = "".join(f'{n},"{value}"\n' for n, value in enumerate(VALUES))
    (tmp_path / "users.csv").write_text("n,user\n" + rows)
    text = SCENARIO.replace("target:", f"target:\n  method: {method}")
    text += 'event: {user: "{{user}}"}\n' if event else ""
    async with serving(answer_all) as server:
        run = await asyncio.to_thread(loadgen, text.replace("PORT", str(server.port)))
    assert run.passed, run.stderr
    sent = []
    for request in server.requests:
        head, _, body = request.decode().partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        assert start.startswith(f"{method} /users/")
        parts = urlsplit(start.split(" ")[1])
        value = unquote(parts.path.removeprefix("/users/"))
        assert parse_qs(parts.query) == {"q": [value], "fixed": ["1"]}
        assert body == (f'{{"user":"{value}"}}' if event else "")
        number = VALUES.index(value)
        assert [line for line in lines if line.startswith(("X-Row", "Host"))] == [
            f"X-Row: row {number}",
            f"Host: {number}.example",
        ]
        sent.append(value)
    assert sorted(sent) == sorted([VALUES[0], *VALUES])  # the pre-flight sends the first row, too
    for file in run.out.iterdir():
        assert b"cd=ef" not in file.read_bytes(), file.name


@pytest.mark.parametrize("change", ["append", "truncate", "remove"])
async def test_a_feeder_that_changes_during_the_run_fails_it_and_what_was_measured_is_written(
    loadgen: Loadgen, tmp_path: Path, change: str
) -> None:
    users = tmp_path / "users.csv"
    users.write_text("n,user\n" + "1,ada\n" * 1000)
    seen = 0

    async def play(peer: Peer) -> None:
        nonlocal seen
        while await peer.request() is not None:
            seen += 1
            if seen == 3:  # in the load, after the pre-flight
                with users.open("r+") as file:
                    file.seek(0, 2)
                    file.write("2,bob\n")
                    if change == "truncate":
                        file.truncate(9)
                if change == "remove":
                    users.unlink()
            await peer.send(OK)

    async with serving(play) as server:
        run = await asyncio.to_thread(loadgen, SCENARIO.replace("PORT", str(server.port)))
    assert run.code == 1
    said = "error: the feeder's file users.csv changed during the run, so what was sent is not what the scenario says"
    assert said in run.stderr
    # the agent that finds no row where one was ends at once, with what it had not yet told
    assert run.summary["totals"]["started"] >= (0 if change == "truncate" else 2)


async def test_what_is_in_a_column_named_as_a_secret_is_in_nothing_that_is_written(
    loadgen: Loadgen, tmp_path: Path
) -> None:
    (tmp_path / "users.csv").write_text("n;user;api_token\n" + "".join(f"{n};u{n};PLANTED-{n:05}\n" for n in range(50)))

    async def play(peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            body = request.partition(b"\r\n\r\n")[2]
            await peer.send(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    text = SCENARIO.replace("{file: users.csv, order: once}", '{file: users.csv, delimiter: ";", columns: {n: int}}')
    text += "event: {t: '{{api_token}}', n: '{{n}}'}\n"
    async with serving(play) as server:
        run = await asyncio.to_thread(loadgen, text.replace("PORT", str(server.port)))
    assert b'{"t":"PLANTED-00019","n":19}' in b"".join(server.requests)
    assert run.summary["totals"]["outcomes"] == {"platform_error": 20}
    assert "PLANTED" not in run.stdout + run.stderr
    for file in run.out.iterdir():
        assert b"PLANTED" not in file.read_bytes(), file.name
