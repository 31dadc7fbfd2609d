"""What a run costs, and the limits that end it, against what the emulator says really happened."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from loadgen.cli import main
from tests.e2e.conftest import EMULATED, PRICED, Command, Loadgen
from tests.servers.scripted import Peer, serving

HOUR = ("--set", "phases=[{name: steady, rate: 100/s, duration: 1h}]")


def truth(run: Command) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.out / "truth.ndjson").read_text().splitlines()]


def billed(run: Command) -> Decimal:
    """GB-seconds of all calls that ran."""
    return sum(
        (Decimal(line["memory_mb"] * line["billed_duration_ns"]) / 1024 / 10**9 for line in truth(run)), Decimal(0)
    )


def charged(run: Command) -> Decimal:
    """What they cost at the prices that come with loadgen."""
    return billed(run) * Decimal("0.00011108") + len(truth(run)) * Decimal("0.00000133")


def test_gb_seconds_and_money_are_exactly_what_the_platform_billed(whole: Command) -> None:
    assert whole.passed, whole.stderr
    cost = whole.summary["cost"]
    assert cost["requests"] == len(truth(whole))
    assert Decimal(str(cost["gb_seconds"])) == billed(whole)
    assert Decimal(str(cost["amount"])) == charged(whole)
    assert (cost["currency"], cost["price_book"], cost["unmetered"]) == ("CNY", "huawei-cny-2024-09", 0)
    parts = [phase["billing"] for phase in whole.summary["phases"]]
    assert sum(part["requests"] for part in parts) == cost["requests"] - 1  # the pre-flight
    assert all(part["audit"]["units"] == {"1 ms": part["requests"]} for part in parts)
    if whole.code == 0:  # else the machine was busy, and all that thresholds read is withheld
        assert whole.summary["thresholds"][0]["value"] == whole.summary["totals"]["billing"]["amount"]
    for report in (whole.stdout, (whole.out / "report.md").read_text(), (whole.out / "report.html").read_text()):
        assert "free tier and discounts left out" in " ".join(report.split())
        assert "Bill audit" not in report


def test_without_prices_a_run_has_gb_seconds_and_no_money(other: Command) -> None:
    assert other.summary["cost"]["currency"] is None
    assert other.summary["cost"]["amount"] is None
    assert Decimal(str(other.summary["cost"]["gb_seconds"])) == billed(other)


def test_a_platform_that_bills_in_hundreds_of_milliseconds_is_seen_to(other: Command) -> None:
    billing = other.summary["totals"]["billing"]
    assert billing["audit"]["units"] == {"100 ms": billing["requests"]}
    assert billing["audit"]["misbilled"] == 0


def test_a_limit_that_is_not_reached_changes_nothing(whole: Command) -> None:
    assert whole.passed, whole.stderr
    assert whole.summary["run"]["stopped"] is None


MINE = "currency: EUR\ndated: 2026-01\nper_million_requests: 1000000\nper_gb_second: 0\n"


def test_failed_calls_that_ran_are_billed_and_throttled_ones_are_not(loadgen: Loadgen, tmp_path: Path) -> None:
    """A price book of one's own says what: 1 EUR a request."""
    (tmp_path / "mine.yaml").write_text(MINE)
    functions = "emulator.functions={hello: {memory: 1024MB, work: {median: 40ms}, errors: 20%, max_instances: 2}}"
    run = loadgen(EMULATED, "--set", functions, "--set", "prices=mine.yaml", "--set", "thresholds=[cost < 20 EUR]")
    outcomes = run.summary["totals"]["outcomes"]
    assert outcomes["throttled"]
    assert outcomes["function_error"]
    ran = [line for line in truth(run) if line["status"] == 200]
    assert run.summary["cost"]["requests"] == run.summary["cost"]["amount"] == len(ran)
    assert run.code in (97, 99), run.stderr
    assert run.summary["thresholds"][0]["passed"] in (False, None)
    assert run.summary["cost"]["refused"] == len(truth(run)) - len(ran)
    assert Decimal(str(run.summary["cost"]["gb_seconds"])) == sum(
        Decimal(line["memory_mb"] * line["billed_duration_ns"]) / 1024 / 10**9 for line in ran
    )


def ended(run: Command, name: str) -> None:
    assert run.code == 98, run.stderr
    assert run.summary["run"]["stopped"].startswith(f"{name}: "), run.summary["run"]["stopped"]
    assert f"Stopping: {name}: " in run.stderr
    assert name in run.stdout


def test_money_ends_a_run_within_a_second_and_is_not_exceeded(loadgen: Loadgen) -> None:
    limit = Decimal("0.002")  # some three seconds' worth
    began = time.monotonic()
    run = loadgen(EMULATED, *PRICED, *HOUR, "--set", f"budget.cost={limit} CNY", "--set", "phases.0.rate=500/s")
    ended(run, "budget.cost")
    assert Decimal(str(run.summary["cost"]["amount"])) == billed(run) * Decimal("0.00011108") + len(
        truth(run)
    ) * Decimal("0.00000133")
    assert limit / 4 < Decimal(str(run.summary["cost"]["amount"])) <= limit
    assert time.monotonic() - began < 40


SILENT = """
name: silent
target: {{endpoint: "http://127.0.0.1:{port}", project_id: p, function: f, auth: none, timeout: {{total: 500ms}}}}
phases: [{{name: steady, rate: 20/s, duration: 1h, grace: 1s}}]
"""


async def silence(peer: Peer) -> None:
    while await peer.request() is not None:
        pass


REFUSING = """
name: refusing
target:
  {{endpoint: "http://127.0.0.1:{port}", project_id: p, function: f, auth: none, preflight: false,
    timeout: {{total: 500ms}}}}
phases: [{{name: steady, rate: 100/s, duration: 1s, grace: 1s}}]
thresholds: [cost < 1 CNY]
"""
BILLED = b"""HTTP/1.1 400 Bad Request\r
X-Cff-Invoke-Summary: {"duration":99.5,"billingDuration":100,"memorySize":512,"memoryUsed":30.0}\r
Content-Length: 0\r
\r
"""


async def test_answers_that_carry_a_bill_are_billed_and_those_that_did_not_come_stay_unknown(loadgen: Loadgen) -> None:
    seen = 0

    async def play(peer: Peer) -> None:
        nonlocal seen
        while await peer.request() is not None:
            seen += 1
            if seen % 2:
                await peer.send(BILLED)

    async with serving(play) as server:
        run = await asyncio.to_thread(loadgen, REFUSING.format(port=server.port), *PRICED, "--agents", "2")
    assert run.summary["totals"]["outcomes"] == {"bad_request": 50, "timeout": 50}
    cost = run.summary["cost"]
    assert (cost["requests"], cost["unmetered"], cost["refused"]) == (100, 50, 0)
    used = 50 * Decimal(512) / 1024 / 10
    amount = used * Decimal("0.00011108") + 100 * Decimal("0.00000133")
    assert (Decimal(str(cost["gb_seconds"])), Decimal(str(cost["amount"]))) == (used, amount)
    assert run.summary["thresholds"][0]["passed"] is None
    assert run.code != 0
    for report in (run.stdout, (run.out / "report.md").read_text(), (run.out / "report.html").read_text()):
        text = report.replace("&gt;", ">").replace("\\>", ">").replace("\N{NO-BREAK SPACE}", " ")
        assert "> 0.000411" in text
        assert "> 4.11 CNY per million" in text
        told = report is run.stdout or "50 requests may have run" in " ".join(text.split())
        assert told, "what the > is for"


async def test_money_ends_a_run_whose_calls_are_never_answered(loadgen: Loadgen) -> None:
    limit = Decimal("0.01111")  # 20 calls of 500 ms with the most memory that there is
    options = ("--set", f"budget.cost={limit} CNY")
    async with serving(silence) as server:
        run = await asyncio.to_thread(loadgen, SILENT.format(port=server.port), "--force", *PRICED, *options)
    ended(run, "budget.cost")
    assert "that did not tell their bill (each taken as 0.5 s with 10240 MB)" in run.summary["run"]["stopped"]
    assert run.summary["phases"][0]["planned"] < 200


def test_too_many_failures_end_a_run_with_the_reason(loadgen: Loadgen) -> None:
    function = "emulator.functions={hello: {work: {median: 5s}, max_instances: 1}}"
    options = ("--set", "budget.throttled=50%", "--set", function)
    run = loadgen(EMULATED, *HOUR, *options, "--set", "target.preflight=false", "--set", "phases.0.grace=0s")
    ended(run, "budget.throttled")
    assert run.summary["phases"][0]["planned"] < 1000


def test_bills_that_do_not_follow_from_durations_are_shown(loadgen: Loadgen) -> None:
    """An initializer that is billed with the call that waited for it is such a bill; so may others be."""
    slow = "hello: {memory: 1024MB, work: {median: 2ms}, cold_start: none, initializer: {median: 80ms, sigma: 0}}"
    options = ("--set", f"emulator={{init_billing: same_call, functions: {{{slow}}}}}")
    run = loadgen(EMULATED, *options, "--set", "phases=[{name: steady, burst: {size: 20, gap: 1s, repeat: 2}}]")
    (reason,) = [each for each in run.summary["verdict"]["reasons"] if each["rule"] == "billing_mismatch"]
    assert reason["severity"] == "warning"
    audit = run.summary["phases"][0]["billing"]["audit"]
    off = [line for line in truth(run)[1:] if line["billed_duration_ns"] > line["duration_ns"] + 1_001_000]
    assert audit["misbilled"] == reason["value"] == len(off) > 10
    assert (audit["units"], audit["underbilled"]) == ({"1 ms": 40 - len(off)}, 0)
    assert "Bill audit" in run.stdout
    phase = run.summary["phases"][0]
    assert (phase["planned"], 1_000_000_000 < phase["duration_ns"] < 1_900_000_000) == (40, True), (
        "a phase of bursts lasts until its last answer"
    )


def refused(tmp_path: Path, scenario: str, *options: str) -> str:
    """What a run that is a usage error says."""
    (tmp_path / "scenario.yaml").write_text(scenario)
    out = tmp_path / "run"
    done = CliRunner().invoke(main, ["run", str(tmp_path / "scenario.yaml"), "--out", str(out), *options])
    assert (done.exit_code, out.exists()) == (2, False), done.output
    return done.stderr


def test_a_run_that_may_make_many_invocations_elsewhere_needs_a_yes(tmp_path: Path) -> None:
    elsewhere = EMULATED.replace(
        "endpoint: emulator", "endpoint: 'https://functiongraph.example.invalid', project_id: p"
    )
    elsewhere = elsewhere.partition("emulator:\n")[0]
    said = refused(tmp_path, elsewhere, "--set", "phases=[{name: steady, rate: 1000/s, duration: 1m}]")
    assert "this run may make 60001 invocations, and confirm.invocations is 10000" in said
    assert "--yes" in said
    said = refused(tmp_path, elsewhere, "--set", "phases=[{name: closed, workers: 1, duration: 1s}]")
    assert "budget.invocations would say how many at most" in said


def test_a_price_book_of_ones_own_that_is_broken_is_a_located_error(tmp_path: Path) -> None:
    book = tmp_path / "mine.yaml"
    book.write_text("dated: 2026-01\nper_million_requests: -1\nper_gb_second: 0\n")
    said = refused(tmp_path, EMULATED, "--set", "prices=mine.yaml")
    assert f"{book}:1:1: currency is missing" in said
    assert f"{book}:2:23: per_million_requests: expected a price" in said
