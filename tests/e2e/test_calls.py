"""Runs of a mix of calls: exact in its shares, with results of each call, whatever the number of agents."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Command, Loadgen, count, running_in
from tests.servers.scripted import Peer, serving

MIX = """
name: mixed
target: {endpoint: emulator}
calls:
  - {name: browse, weight: 6, function: hello, event: {a: 1}, checks: [status == 200]}
  - {name: buy, weight: 3, function: other, response: v1, event: {order: "{{$uuid}}"}}
  - {name: pay, weight: 1, function: third, memory: 512MB}
phases:
  - {name: one, rate: 55/s, duration: 1s}
  - {name: two, rate: 145/s, duration: 1s}
samples: all
prices: huawei-cny-2024-09
thresholds: [browse/latency.p50 < 1s, pay/errors == 0, "two:buy/cost < 1 CNY"]
emulator:
  functions:
    hello: {memory: 1024MB, work: {median: 2ms, sigma: 0.1}, cold_start: none}
    other: {memory: 512MB, work: {median: 4ms, sigma: 0.1}, cold_start: none}
    third: {memory: 256MB, work: {median: 1ms, sigma: 0.1}, cold_start: none, dynamic_memory: true}
"""
FUNCTIONS = {"browse": "hello", "buy": "other", "pay": "third"}
SHARES = {"browse": 120, "buy": 60, "pay": 20}


def truth(run: Command) -> list[dict[str, Any]]:
    """What the emulator served, without the pre-flight of each call."""
    lines = [json.loads(line) for line in (run.out / "truth.ndjson").read_text().splitlines()]
    return lines[len(SHARES) :]


def samples(run: Command) -> list[dict[str, Any]]:
    with gzip.open(run.out / "samples.ndjson.gz", "rt") as file:
        return [json.loads(line) for line in file]


def held(run: Command) -> Command:
    """That shares are exact over the run, and what each call's figures say is what the emulator served."""
    assert run.passed, run.stdout + run.stderr
    totals = run.summary["totals"]
    assert {name: each["planned"] for name, each in totals["by_call"].items()} == SHARES
    assert totals["planned"] == totals["outcomes"]["ok"] == sum(SHARES.values())
    served = truth(run)
    assert Counter(call["function"] for call in served) == {FUNCTIONS[name]: n for name, n in SHARES.items()}
    for name, each in totals["by_call"].items():
        own = [call for call in served if call["function"] == FUNCTIONS[name]]
        assert each["billing"]["requests"] == each["started"] == len(own)
        gb_seconds = sum(call["memory_mb"] * call["billed_duration_ns"] for call in own) / 1024 / 1e9
        assert each["billing"]["gb_seconds"] == pytest.approx(gb_seconds, rel=1e-9)
        assert count(each["metrics"]["duration"]) == len(own)
        parts = [phase["by_call"][name]["planned"] for phase in run.summary["phases"]]
        assert sum(parts) == each["planned"]
    assert {call["memory_mb"] for call in served if call["function"] == "third"} == {512}
    by_id = {call["request_id"]: FUNCTIONS[name] for call in samples(run) for name in [call["call"]]}
    assert by_id == {call["request_id"]: call["function"] for call in served}
    return run


def test_shares_are_exact_and_the_same_calls_are_made_by_one_agent_and_by_three(tmp_path: Path) -> None:
    made = []
    for agents in (1, 3):
        directory = tmp_path / str(agents)
        directory.mkdir()
        run = held(running_in(directory)(MIX, "--agents", str(agents)))
        made.append(sorted((each["phase"], each["index"], each["call"]) for each in samples(run)))
        assert {each["agent"] for each in samples(run)} == set(range(agents))
    assert made[0] == made[1]


def test_reports_tell_of_each_call(tmp_path: Path) -> None:
    run = running_in(tmp_path)(MIX)
    summary = run.summary
    assert [each["call"] for each in summary["preflights"]] == ["browse", "buy", "pay"]
    assert summary["preflight"] == summary["preflights"][0]
    assert run.passed, run.stderr
    if run.code == 0:  # else the generator was late, and nothing is judged
        assert [(each["rule"], each["passed"]) for each in summary["thresholds"]] == [
            ("browse/latency.p50 < 1s", True),
            ("pay/errors == 0", True),
            ("two:buy/cost < 1 CNY", True),
        ]
    for text in (run.stdout, (run.out / "report.md").read_text(), (run.out / "report.html").read_text()):
        assert all(name in text for name in FUNCTIONS)
    assert "\nCalls\n" in run.stdout
    assert "pre-flight of pay: ok" in run.stderr
    assert "if each call is billed like its pre-flight" in run.stderr


FAILING = """
name: failing
target: {url: "http://127.0.0.1:PORT/", preflight: false}
calls:
  - {name: good, weight: 3, method: GET}
  - {name: gone, url: "http://127.0.0.1:PORT/gone", method: GET}
  - {name: page, url: "http://127.0.0.1:PORT/page", method: GET, checks: [json.ok == true]}
  - {name: head, method: HEAD, url: "http://127.0.0.1:PORT/head"}
phases: [{name: steady, rate: 60/s, duration: 1s}]
thresholds: [good/errors == 0, gone/errors == 0, errors < 50%]
"""


async def answered(directory: Path, text: str, *options: str) -> Command:
    """A run against a server that lacks one page, and has another that is no JSON."""

    async def play(peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            if request.startswith(b"GET /gone"):
                await peer.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            elif request.startswith(b"GET /page"):
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
            elif request.startswith(b"HEAD"):
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
            else:
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with serving(play) as server:
        return await asyncio.to_thread(running_in(directory), text.replace("PORT", str(server.port)), *options)


async def test_a_call_that_fails_leaves_the_figures_of_the_others_as_they_are(tmp_path: Path) -> None:
    run = await answered(tmp_path, FAILING)
    assert run.code in (97, 99), run.stderr
    calls = run.summary["totals"]["by_call"]
    assert {name: each["outcomes"] for name, each in calls.items()} == {
        "good": {"ok": 30},
        "gone": {"not_found": 10},
        "page": {"check_failed": 10},
        "head": {"ok": 10},
    }
    assert calls["page"]["reasons"] == {"check_failed/json.ok == true": 10}
    assert {example["call"] for example in calls["gone"]["examples"]["failures"]} == {"gone"}
    assert calls["good"]["metrics"]["latency_all"].get("failed", 0) == 0
    if run.code == 99:  # else the generator was late, and nothing is judged
        assert [each["passed"] for each in run.summary["thresholds"]] == [True, False, True]


async def test_a_pre_flight_that_is_refused_ends_the_run_and_says_of_which_call(tmp_path: Path) -> None:
    text = FAILING.replace("preflight: false", "preflight: true")
    run = await answered(tmp_path, text)
    assert run.code == 1
    said = " ".join(run.stderr.split())
    assert "error: pre-flight of gone: " in said
    assert "pre-flight of good: ok (status 200)" in said
    assert "pre-flight of page: check_failed" in said
    assert "pre-flight of good: there" not in said
    (tmp_path / "forced").mkdir()
    forced = await answered(tmp_path / "forced", text, "--force")
    assert forced.code in (97, 99), forced.stderr
    assert [each["outcome"] for each in forced.summary["preflights"]] == ["ok", "not_found", "check_failed", "ok"]
    assert forced.summary["preflight"]["call"] == "gone"
    assert "The pre-flight of gone was not ok (not_found" in " ".join(forced.stdout.split())


def test_the_pre_flight_of_each_call_counts_against_the_budget(loadgen: Loadgen) -> None:
    run = loadgen(MIX, "--set", "budget.invocations=33", "--set", "thresholds=[]")
    assert run.code == 98
    assert run.summary["totals"]["started"] == 30
    assert len(truth(run)) == 30
    assert run.summary["cost"]["requests"] == 33
