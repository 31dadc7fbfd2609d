"""``loadgen run`` with a feeder that fills the URL and the headers: what the server got, row by row."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.e2e.conftest import Loadgen
from tests.servers.scripted import answer_all, serving

VALUES = ["plain", "a/b?c=d&e#f", "50 % ü", "..", "1"]
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
        assert b"c=d" not in file.read_bytes(), file.name
