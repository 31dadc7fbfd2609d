"""Runs with checks: what is expected of answers, beside what a call itself says."""

from __future__ import annotations

import asyncio
from pathlib import Path

from loadgen.scenario.load import load_file
from tests.e2e.conftest import Command, running_in
from tests.servers.scripted import Peer, serving

SCENARIO = """
name: checked
target: {url: "http://127.0.0.1:PORT/"}
event: {n: "{{$index}}"}
checks:
  - status < 300
  - json.n != 3
  - header.X-Seen exists
  - body contains "ok"
phases: [{name: steady, rate: 20/s, duration: 1s}]
thresholds: [errors <= 5%]
"""


async def answered(directory: Path, text: str, first: bytes = b'{"n": 0, "ok": 1}') -> Command:
    """A run against a server that says what it got, of the pre-flight ``first``."""
    seen = 0
    directory.mkdir(exist_ok=True)

    async def play(peer: Peer) -> None:
        nonlocal seen
        while (request := await peer.request()) is not None:
            seen += 1
            body = request.partition(b"\r\n\r\n")[2].replace(b"}", b',"ok":1}') if seen > 1 else first
            head = b"HTTP/1.1 200 OK\r\nX-Seen: 1\r\nContent-Length: %d\r\n\r\n" % len(body)
            await peer.send(head + body)

    async with serving(play) as server:
        return await asyncio.to_thread(running_in(directory), text.replace("PORT", str(server.port)))


async def test_an_answer_that_breaks_a_check_failed_with_its_text_as_the_reason(tmp_path: Path) -> None:
    run = await answered(tmp_path, SCENARIO)
    assert run.passed, run.stderr
    (steady,) = run.summary["phases"]
    assert steady["outcomes"] == {"ok": 19, "check_failed": 1}
    assert steady["reasons"] == {"check_failed/json.n != 3": 1}
    (example,) = steady["examples"]["failures"]
    assert (example["outcome"], example["reason"]) == ("check_failed", "json.n != 3")
    assert '"n":3' in example["body"]
    assert "json.n != 3" in run.stdout + (run.out / "report.md").read_text()


async def test_at_the_pre_flight_a_broken_check_is_a_warning_and_the_load_follows(tmp_path: Path) -> None:
    run = await answered(tmp_path, SCENARIO, b"<html>")
    assert run.passed, run.stderr
    assert run.summary["preflight"]["outcome"] == "check_failed"
    assert run.summary["totals"]["planned"] == 20
    said = " ".join(run.stderr.split())
    assert 'answered 200 with a body that begins with "' in said
    assert "and a check does not hold: json.n != 3. See the answer, or correct the check." in said


async def test_what_is_no_check_is_named_with_its_line(tmp_path: Path) -> None:
    run = await answered(tmp_path, SCENARIO.replace("json.n != 3", "jsn.n != 3"))
    assert run.code == 2
    said = f'{run.out.parent / "scenario.yaml"}:7:5: checks[1]: got "jsn.n != 3", expected status, body, json.PATH or'
    assert said in run.stderr
    assert "did you mean json?" in run.stderr


async def test_results_that_tell_of_failure_are_mentioned_where_there_are_no_checks(tmp_path: Path) -> None:
    text = """
name: inside
target: {endpoint: "http://127.0.0.1:PORT", project_id: p, function: f}
phases: [{name: steady, rate: 20/s, duration: 500ms}]
"""
    run = await answered(tmp_path, text, b'{"statusCode": 500}')
    assert (run.summary["preflight"]["outcome"], run.summary["preflight"]["reason"]) == ("ok", "status_inside")
    failing = text + "event: {statusCode: 500}\n"
    run = await answered(tmp_path / "failing", failing)
    assert run.summary["totals"]["outcomes"] == {"ok": 10}
    reasons = {reason["rule"]: reason for reason in run.summary["verdict"]["reasons"]}
    assert reasons["status_inside"]["value"] == 10
    assert "Write checks: [json.statusCode < 400]" in run.stdout + reasons["status_inside"]["message"]
    judged = await answered(tmp_path / "judged", failing + "checks: [json.statusCode < 400]\n")
    assert judged.summary["totals"]["outcomes"] == {"check_failed": 10}


def test_a_scenario_as_it_was_run_has_its_checks(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SCENARIO.replace("PORT", "1"))
    loaded = load_file(tmp_path / "s.yaml", environment={})
    (tmp_path / "again.yaml").write_text(loaded.as_run)
    assert load_file(tmp_path / "again.yaml", environment={}).scenario == loaded.scenario
