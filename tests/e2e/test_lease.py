"""A run that is stopped, starved, killed or kept from its terminal: its agents send no load that nobody watches."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from loadgen.engine.messages import LEASE_NS
from tests.e2e.conftest import environment
from tests.e2e.processes import agents_of, finish, start
from tests.servers.scripted import Peer, serving

LEASE_S = LEASE_NS / 1e9
SLOW_S = 0.5
"""How late a busy machine may notice a call."""
MS_PRICE = '{currency: CNY, dated: "2024-09", per_million_requests: 0, per_gb_second: 1000}'
"""A millisecond with 1024 MB costs 1 CNY."""
LOAD = """
name: watched
target: {{endpoint: "http://127.0.0.1:{port}", project_id: demo, function: hello}}
prices: prices.yaml
budget: {{cost: {cost} CNY}}
phases:
  - {{name: steady, {shape}}}
samples: all
"""
BILLED = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Cff-Invoke-Summary: "
    b'{"duration":0.9,"billingDuration":1,"memorySize":1024,"memoryUsed":30}\r\n\r\n{}'
)


class Target:
    """A function that costs 1 CNY a call, or ``bill`` after the first, and when it was called."""

    def __init__(self, delay_s: float = 0.0, bill: int = 1) -> None:
        self.calls: list[float] = []
        self._delay_s = delay_s
        self._bill = bill

    async def play(self, peer: Peer) -> None:
        while await peer.request() is not None:
            self.calls.append(time.monotonic())
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            bill = b'"billingDuration":%d' % (self._bill if len(self.calls) > 1 else 1)
            await peer.send(BILLED.replace(b'"billingDuration":1', bill))

    def since(self, at_s: float) -> list[float]:
        return [call for call in self.calls if call > at_s]


def prepared(tmp_path: Path, port: int, shape: str, cost: int = 100_000) -> str:
    (tmp_path / "prices.yaml").write_text(MS_PRICE)
    return LOAD.format(port=port, shape=shape, cost=cost)


async def called(target: Target, times: int) -> None:
    async with asyncio.timeout(20):
        while len(target.calls) < times:
            await asyncio.sleep(0.01)


async def ended(process: subprocess.Popen[str], tmp_path: Path) -> tuple[str, str, dict[str, Any]]:
    return await asyncio.to_thread(finish, process, tmp_path)


def alive(pid: int) -> bool:
    """Whether there is such a process that is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(("shape", "agents"), [("rate: 200/s, duration: 20s", 1), ("workers: 4, duration: 20s", 2)])
async def test_a_run_that_is_stopped_for_long_starts_nothing_more_and_leaves_no_agent(
    tmp_path: Path, shape: str, agents: int
) -> None:
    target = Target(0.02)
    async with serving(target.play) as server:
        process = start(tmp_path, "--agents", str(agents), scenario=prepared(tmp_path, server.port, shape))
        await called(target, 100)
        pids = agents_of(process.pid)
        assert len(pids) == agents
        with stopped(process.pid):
            at = time.monotonic()
            await asyncio.sleep(5)
            async with asyncio.timeout(5):
                while any(map(alive, pids)):
                    await asyncio.sleep(0.1)
            assert not target.since(at + LEASE_S + SLOW_S)
            assert target.since(at)  # the lease was still good
        _, stderr, summary = await ended(process, tmp_path)
    assert process.returncode == 1
    assert "its lease was not renewed for 5 s: was loadgen stopped" in stderr
    assert summary["totals"]["started"] >= 100
    assert summary["cost"]["amount"] >= 100


async def test_a_run_that_is_stopped_for_a_moment_goes_on_and_says_what_it_missed(tmp_path: Path) -> None:
    target = Target()
    async with serving(target.play) as server:
        process = start(tmp_path, scenario=prepared(tmp_path, server.port, "rate: 100/s, duration: 7s"))
        await called(target, 50)
        with stopped(process.pid):
            at = time.monotonic()
            await asyncio.sleep(4)
            assert not target.since(at + LEASE_S + SLOW_S)
        back = time.monotonic()
        _, _, summary = await ended(process, tmp_path)
    assert process.returncode == 97
    totals = summary["totals"]
    missed = totals["reasons"]["dropped/paused"]
    assert totals["planned"] == totals["started"] + missed == 700
    assert 50 <= missed <= 300  # some two seconds without a lease, of which the last one was made up for
    assert len([call for call in target.calls if back < call < back + 0.2]) <= 140
    (missing,) = [reason for reason in summary["verdict"]["reasons"] if reason["rule"] == "rate_missed"]
    assert "paused" in missing["causes"]


async def test_when_everything_was_asleep_the_run_goes_on(tmp_path: Path) -> None:
    target = Target()
    async with serving(target.play) as server:
        process = start(tmp_path, scenario=prepared(tmp_path, server.port, "rate: 100/s, duration: 9s"))
        await called(target, 50)
        (agent,) = agents_of(process.pid)
        with stopped(agent), stopped(process.pid):
            await asyncio.sleep(6.5)
        back = time.monotonic()
        _, _, summary = await ended(process, tmp_path)
    assert process.returncode == 97
    assert len([call for call in target.calls if back < call < back + 0.2]) <= 140  # no heap
    assert summary["totals"]["planned"] == 900
    assert len(target.since(back)) >= 100


async def test_a_parent_that_is_killed_takes_its_agents_with_it_under_a_server_that_floods(tmp_path: Path) -> None:
    """E4: interim answers without end keep an agent busy, and it never comes to read its stdin."""

    async def flood(peer: Peer) -> None:
        if peer.number == 0:  # the pre-flight
            await peer.request()
            await peer.send(BILLED)
        elif await peer.request() is not None:
            while True:
                await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 10_000)
                await asyncio.sleep(0)  # an agent that reads as fast as this writes would keep all others waiting

    async with serving(flood) as server:
        process = start(tmp_path, scenario=prepared(tmp_path, server.port, "workers: 4, duration: 30s"))
        async with asyncio.timeout(20):
            while not (pids := agents_of(process.pid)) or len(server.peers) < 5:
                await asyncio.sleep(0.02)
        process.kill()
        await asyncio.to_thread(process.communicate)
        deadline = time.monotonic() + 5
        while any(map(alive, pids)) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert not any(map(alive, pids))


async def test_a_load_that_grows_spends_no_more_than_it_may(tmp_path: Path) -> None:
    """E5: 5/s, then 400/s, with 200 CNY; one more second used to be spent before anybody looked."""
    target = Target(0.02)
    shape = "rate: {steps: [5/s, 400/s]}, duration: 4s"
    async with serving(target.play) as server:
        scenario = prepared(tmp_path, server.port, shape, cost=200)
        process = start(tmp_path, "--agents", "2", scenario=scenario)
        _, stderr, summary = await ended(process, tmp_path)
    assert process.returncode == 98, stderr
    assert len(target.calls) == summary["cost"]["amount"] == 200
    assert "budget.cost: what was left of 200 CNY did not cover another call, at 1 CNY" in summary["run"]["stopped"]


async def test_a_bill_that_is_dearer_than_any_before_is_told_to_all_agents_at_once(tmp_path: Path) -> None:
    """The pre-flight costs 1 CNY and every call 50: there is money for three, or four where two were under way."""
    target = Target(bill=50)
    async with serving(target.play) as server:
        scenario = prepared(tmp_path, server.port, "rate: 20/s, duration: 4s", cost=200)
        process = start(tmp_path, "--agents", "2", scenario=scenario)
        _, _, summary = await ended(process, tmp_path)
    assert process.returncode == 98
    assert summary["cost"]["amount"] == 1 + 50 * (len(target.calls) - 1) <= 201
    assert f"{summary['cost']['amount']} are spent" in summary["run"]["stopped"]


async def test_agents_that_both_lack_money_end_the_run(tmp_path: Path) -> None:
    """100.5 CNY at 2 CNY a call: the rest is no whole call, and no agent waits for what others have of it."""
    target = Target(0.02, bill=2)
    async with serving(target.play) as server:
        scenario = prepared(tmp_path, server.port, "workers: 6, duration: 10s", cost=100)
        process = start(tmp_path, "--agents", "3", "--set", "budget.cost=100.5 CNY", scenario=scenario)
        _, _, summary = await ended(process, tmp_path)
    assert (process.returncode, summary["cost"]["amount"]) == (98, 99)
    assert summary["phases"][0]["duration_ns"] < 5e9


async def test_a_burst_is_covered_call_by_call(tmp_path: Path) -> None:
    target = Target(0.05)
    async with serving(target.play) as server:
        shape = "burst: {size: 300, gap: 1s, repeat: 1}"
        process = start(tmp_path, scenario=prepared(tmp_path, server.port, shape, cost=100))
        _, _, summary = await ended(process, tmp_path)
    assert (process.returncode, len(target.calls), summary["cost"]["amount"]) == (98, 100, 100)


async def test_a_terminal_that_is_held_holds_nothing_up_and_loses_nothing(tmp_path: Path) -> None:
    """Ctrl-S stops the terminal: the load ends in time, what was measured is on the disk, and Ctrl-Q shows it all."""
    target = Target()
    master, slave = pty.openpty()
    async with serving(target.play) as server:
        (tmp_path / "scenario.yaml").write_text(prepared(tmp_path, server.port, "rate: 100/s, duration: 3s"))
        process = subprocess.Popen(
            [sys.executable, "-m", "loadgen", "run", "scenario.yaml", "--out", "run"],
            cwd=tmp_path,
            env={**environment(), "TERM": "xterm", "CI": ""},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        await called(target, 50)
        os.write(master, b"\x13")
        summary = tmp_path / "run" / "summary.json"
        async with asyncio.timeout(15):
            while not summary.exists():
                await asyncio.sleep(0.05)
        assert process.poll() is None  # it waits for its terminal, and for nothing else
        assert len(target.calls) == 301
        os.write(master, b"\x11")
        shown = await asyncio.to_thread(read_all, master)
        assert await asyncio.to_thread(process.wait) in (0, 97)
    assert "steady: ended after" in shown
    assert "latency" in shown.partition("steady: ended after")[2]
    assert json.loads(summary.read_text())["totals"]["started"] == 300


def read_all(terminal: int) -> str:
    text = b""
    try:
        while part := os.read(terminal, 65_536):
            text += part
    except OSError:  # EIO: nobody has the other end any more
        pass
    os.close(terminal)
    return text.decode()


async def test_a_stderr_that_nobody_reads_keeps_no_result_back_and_a_signal_ends_the_wait(tmp_path: Path) -> None:
    target = Target()
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 512)
    os.set_blocking(writing, True)
    async with serving(target.play) as server:
        (tmp_path / "scenario.yaml").write_text(prepared(tmp_path, server.port, "rate: 50/s, duration: 1s"))
        with (tmp_path / "stdout").open("w") as stdout:
            process = subprocess.Popen(
                [sys.executable, "-m", "loadgen", "run", "scenario.yaml", "--out", "run"],
                cwd=tmp_path,
                env=environment(),
                stdout=stdout,
                stderr=writing,
                start_new_session=True,
            )
        os.close(writing)
        async with asyncio.timeout(20):
            while "report:" not in (tmp_path / "stdout").read_text():
                await asyncio.sleep(0.05)
        assert process.poll() is None
        process.terminate()
        assert await asyncio.to_thread(process.wait, 5) == -signal.SIGTERM
    os.close(reading)
    assert (tmp_path / "run" / "report.html").exists()
