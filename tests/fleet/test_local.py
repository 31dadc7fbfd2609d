from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import msgspec
import pytest

from loadgen.engine.messages import Phases, Plan
from loadgen.fleet.crew import Crew
from loadgen.fleet.local import LocalFleet
from loadgen.fleet.port import FleetError
from loadgen.load.bursts import Bursts
from loadgen.load.phase import Phase
from loadgen.measure.merge import PhaseTotal
from loadgen.scenario.model import Scenario
from loadgen.targets.functiongraph.protocol.request import request_template
from loadgen.targets.functiongraph.protocol.target import KeyAuth
from loadgen.targets.port import Timeout, Tls
from tests.scenarios import S, closed_phase, feeder, function, open_phase, phase, scenario
from tests.servers.scripted import OK, Peer, answer_all, serving

ANSWER = (
    b"HTTP/1.1 200 OK\r\nX-Cff-Request-Id: r\r\nX-Func-Err-Code: 0\r\nX-Is-Func-Err: false\r\n"
    b'X-Cff-Invoke-Summary: {"duration":1.5,"billingDuration":2,"memorySize":128,"memoryUsed":40}\r\n'
    b"Content-Length: 2\r\n\r\n{}"
)


async def answer(peer: Peer) -> None:
    await answer_all(peer, ANSWER)


def plan(load: Scenario, agent: int = 0) -> Plan:
    return Plan(load, "127.0.0.1", agent, time.monotonic_ns())


def pid_of(crew: Crew) -> int:
    assert isinstance(crew._fleet, LocalFleet)
    return crew._fleet._agents[0].pid


async def run_phase(crew: Crew, number: int, name: str) -> PhaseTotal:
    total = PhaseTotal(name)
    for frame in await crew.prepare(number, 4):
        total.add(frame)
    async for frame in crew.run(time.monotonic_ns() + 20_000_000):
        total.add(frame)
    return total


async def test_an_agent_runs_phase_after_phase_and_its_counts_are_the_servers() -> None:
    async with serving(answer) as server:
        load = scenario(
            function(f"http://127.0.0.1:{server.port}"), closed_phase(2, 0.3), open_phase(100, 1.5), sample_share=1.0
        )
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            closed = await run_phase(crew, 0, "closed")
            (ready,) = await crew.prepare(1, 4)
            steady = await run_phase(crew, 1, "steady")
        served = len(server.requests)
    assert (closed.tally.connections.opened, ready.tally.connections.opened) == (4, 0)  # connections outlive phases
    assert list(closed.faults()) == list(steady.faults()) == []
    assert steady.tally.planned == steady.tally.started == steady.tally.completed == 150
    assert closed.tally.started + steady.tally.started == served
    assert steady.merged("duration").counts == {1500: 150}
    assert steady.merged("billed_duration").counts == {2000: 150}
    assert steady.agents[0].count >= 3


async def test_a_phase_calls_the_version_and_size_it_is_told_and_those_after_it_the_targets_own() -> None:
    own = "urn:fss:local:demo:function:default:hello"
    wanted = [("latest", None), ("v1", None), ("!prod", 512), ("latest", 256), ("latest", None)]
    async with serving(answer) as server:
        target = msgspec.structs.replace(function(f"http://127.0.0.1:{server.port}"), auth=KeyAuth("AK", "SK"))
        once = open_phase(10, 0.1)
        async with Crew(LocalFleet(), [plan(scenario(target, once))]) as crew:
            await run_phase(crew, 0, "steady")
            crew.tell(Phases((once,) * 3, 0.0, (None, 512, 256), ("v1", "!prod", None)))
            for number in range(3):
                await run_phase(crew, number, "steady")
            crew.tell(Phases((once,), 0.0))
            await run_phase(crew, 0, "steady")
        sent = server.requests
    assert len(sent) == len(wanted)
    for request, (version, memory_mb) in zip(sent, wanted, strict=True):
        asked = msgspec.structs.replace(target, function=f"{own}:{version}", memory_mb=memory_mb)
        (at,) = re.findall(rb"X-Sdk-Date: (\S+)\r\n", request)
        second = int(datetime.strptime(at.decode(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
        assert request == request_template(asked).render(b'{"k":"v"}', False, second)


async def test_agents_that_share_a_phase_make_the_whole_schedule_once() -> None:
    async with serving(answer) as server:
        load = scenario(function(f"http://127.0.0.1:{server.port}"), open_phase(99, 1), closed_phase(3, 0.2))
        async with Crew(LocalFleet(), [plan(load, agent) for agent in range(2)]) as crew:
            steady = await run_phase(crew, 0, "steady")
            closed = await run_phase(crew, 1, "closed")
        served = len(server.requests)
    assert steady.tally.planned == 99
    assert steady.tally.planned + closed.tally.planned == served
    assert len(steady.agents) == 2
    assert list(steady.faults()) == list(closed.faults()) == []


async def test_stop_ends_the_phase_and_the_frames_still_add_up() -> None:
    async with serving(answer) as server:
        load = scenario(function(f"http://127.0.0.1:{server.port}"), open_phase(100, 30))
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            total = PhaseTotal("steady")
            for frame in await crew.prepare(0, 1):
                total.add(frame)
            asyncio.get_running_loop().call_later(0.5, crew.stop)
            async for frame in crew.run(time.monotonic_ns()):
                total.add(frame)
        served = len(server.requests)
    assert list(total.faults()) == []
    assert 30 <= total.tally.planned <= 60
    assert total.tally.started == served


async def _never(peer: Peer) -> None:
    while await peer.request() is not None:
        pass


async def test_what_is_in_flight_at_the_end_of_the_grace_is_unfinished() -> None:
    async with serving(_never) as server:
        load = scenario(function(f"http://127.0.0.1:{server.port}"), open_phase(20, 0.5, grace_s=0.2, limit=5))
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            total = await run_phase(crew, 0, "steady")
    assert total.tally.outcomes == {"unfinished": 5, "dropped": 5}
    assert list(total.faults()) == []


@pytest.mark.wallclock
async def test_the_end_of_stdin_stops_the_load_at_once_and_the_frames_still_come() -> None:
    async with serving(_never) as server:
        load = scenario(function(f"http://127.0.0.1:{server.port}"), open_phase(20, 30, grace_s=30))
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            total = PhaseTotal("steady")
            for frame in await crew.prepare(0, 1):
                total.add(frame)
            asyncio.get_running_loop().call_later(0.5, crew.cut)
            begun = time.monotonic()
            async for frame in crew.run(time.monotonic_ns()):
                total.add(frame)
            assert time.monotonic() - begun < 2
    assert total.tally.outcomes.keys() == {"unfinished"}
    assert list(total.faults()) == []


async def exhaust(crew: Crew) -> None:
    async for _ in crew.run(time.monotonic_ns()):
        pass


async def test_an_agent_that_dies_is_an_error_and_not_a_silence() -> None:
    async with serving(answer) as server:
        load = scenario(function(f"http://127.0.0.1:{server.port}"), open_phase(50, 30))
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            await crew.prepare(0, 1)
            asyncio.get_running_loop().call_later(0.3, os.kill, pid_of(crew), signal.SIGKILL)
            with pytest.raises(FleetError, match="died with exit code -9"):
                await asyncio.wait_for(exhaust(crew), 10)


async def test_a_fleet_leaves_no_process_behind_even_when_its_context_fails() -> None:
    load = scenario(function("http://127.0.0.1:9"), open_phase(50, 30))
    pids: list[int] = []

    async def fail() -> None:
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            pids.append(pid_of(crew))
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        await fail()
    assert not Path(f"/proc/{pids[0]}").exists()


async def test_an_agent_ignores_ctrl_c() -> None:
    async with serving(answer) as server:
        load = scenario(function(f"http://127.0.0.1:{server.port}"), open_phase(50, 0.5))
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            total = PhaseTotal("steady")
            for frame in await crew.prepare(0, 1):
                total.add(frame)
            os.kill(pid_of(crew), signal.SIGINT)
            async for frame in crew.run(time.monotonic_ns()):
                total.add(frame)
    assert total.tally.completed == 25


async def _slow(peer: Peer) -> None:
    while await peer.request() is not None:
        await asyncio.sleep(0.1)
        await peer.send(OK)


@pytest.mark.wallclock
async def test_a_burst_starts_together_and_its_phase_ends_with_its_last_answer() -> None:
    burst: Phase = phase(Bursts(20, 20 * S, 1), 20)
    async with serving(_slow) as server:
        load = scenario(function(f"http://127.0.0.1:{server.port}"), burst, sample_share=1.0)
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            begun = time.monotonic()
            total = await run_phase(crew, 0, "steady")
            assert time.monotonic() - begun < 5
    assert total.tally.outcomes == {"ok": 20}


async def _never_shakes_hands(peer: Peer) -> None:
    await asyncio.sleep(60)


def _unreachable(port: int, connect_s: float) -> Scenario:
    timeout = Timeout(int(connect_s * S), 60 * S, 60 * S)
    target = function(f"https://127.0.0.1:{port}", timeout=timeout, tls=Tls(verify=False, ca=None))
    return scenario(target, open_phase(10, 1))


async def test_connections_that_cannot_be_opened_ahead_do_not_hold_up_the_phase() -> None:
    async with (
        serving(_never_shakes_hands) as server,
        Crew(LocalFleet(), [plan(_unreachable(server.port, 0.3))]) as crew,
    ):
        ready = await asyncio.wait_for(crew.prepare(0, 300), 10)
    assert sum(frame.tally.planned for frame in ready) == 0


async def test_stop_ends_the_opening_of_connections() -> None:
    async with (
        serving(_never_shakes_hands) as server,
        Crew(LocalFleet(), [plan(_unreachable(server.port, 60))]) as crew,
    ):
        asyncio.get_running_loop().call_later(1, crew.stop)
        await asyncio.wait_for(crew.prepare(0, 10), 10)


async def test_a_stopped_process_is_killed_when_everything_is_to_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.fleet.local._EXIT_S", 0.3)
    async with serving(answer) as server:
        load = scenario(function(f"http://127.0.0.1:{server.port}"), open_phase(50, 30))
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            await crew.prepare(0, 1)
            os.kill(pid_of(crew), signal.SIGSTOP)
            crew.cut()
            with pytest.raises(FleetError, match="died with exit code -9"):
                await asyncio.wait_for(exhaust(crew), 10)


async def test_an_error_in_the_agent_ends_it_and_says_why(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"user": 1}\n{"usr": 2}\n')  # the second row lacks what the event needs
    async with serving(answer) as server:
        load = scenario(function(f"http://127.0.0.1:{server.port}"), open_phase(50, 30), event='{"id": "{{user}}"}')
        load = msgspec.structs.replace(load, feeder=feeder(rows))
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            await crew.prepare(0, 1)
            with pytest.raises(FleetError, match=r"exit code 1: (?s:.*)rows.jsonl changed during the run"):
                await asyncio.wait_for(exhaust(crew), 10)


@pytest.mark.wallclock
async def test_an_agent_that_is_suspended_reports_how_long_it_stood_still() -> None:
    async with serving(answer) as server:
        load = scenario(function(f"http://127.0.0.1:{server.port}"), open_phase(100, 1.5))
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            total = PhaseTotal("steady")
            for frame in await crew.prepare(0, 4):
                total.add(frame)
            loop = asyncio.get_running_loop()
            loop.call_later(0.5, os.kill, pid_of(crew), signal.SIGSTOP)
            loop.call_later(0.9, os.kill, pid_of(crew), signal.SIGCONT)
            async for frame in crew.run(time.monotonic_ns()):
                total.add(frame)
    assert total.agents[0].loop_lag_ns >= 350_000_000
    late = total.merged("late").max_us
    assert late is not None
    assert late >= 350_000
    assert total.tally.completed == 150


class Timed(BaseHTTPRequestHandler):
    """Answers at once, from a thread that goes on when the loop of the test does not, and notes when."""

    protocol_version = "HTTP/1.1"
    calls: ClassVar[list[float]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.calls.append(time.monotonic())
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        pass


class Listening(ThreadingHTTPServer):
    """It takes as many connections at once as come: one that it lost would be waited for until its timeout."""

    request_queue_size = 1000


@pytest.fixture
def timed() -> Iterator[ThreadingHTTPServer]:
    Timed.calls.clear()
    with Listening(("127.0.0.1", 0), Timed) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.wallclock
async def test_while_the_loop_that_watches_is_kept_busy_no_agent_starts_anything(timed: ThreadingHTTPServer) -> None:
    load = scenario(function(f"http://127.0.0.1:{timed.server_port}"), open_phase(100, 6))
    total, busy_s = PhaseTotal("steady"), 0.0
    async with Crew(LocalFleet(), [plan(load, agent) for agent in range(2)]) as crew:
        await crew.prepare(0, 4)
        async for frame in crew.run(time.monotonic_ns() + 20_000_000):
            total.add(frame)
            if not busy_s:
                busy_s = time.monotonic()
                time.sleep(3.5)  # the loop is not free either way, but here the server's threads are
    assert not [call for call in Timed.calls if busy_s + 2.4 < call < busy_s + 3.5]
    assert [call for call in Timed.calls if call > busy_s + 3.5]
    paused = total.tally.reasons["dropped/paused"]
    assert total.tally.planned == total.tally.started + paused == 600
    assert 20 <= paused <= 300  # of some 1.5 s without a lease one second is made up for
    assert list(total.faults()) == []
    assert max(frames.paused_ns for frames in total.agents.values()) > S


@pytest.mark.wallclock
async def test_agents_end_by_themselves_when_nobody_renews_their_lease() -> None:
    async with serving(answer) as server:
        load = scenario(function(f"http://127.0.0.1:{server.port}"), closed_phase(2, 30))
        async with Crew(LocalFleet(), [plan(load)]) as crew:
            await crew.prepare(0, 2)
            crew._tasks[0].cancel()  # which renews them
            began = time.monotonic()
            with pytest.raises(FleetError, match="agent 0 ended: its lease was not renewed for 5 s"):
                async for _ in crew.run(time.monotonic_ns()):
                    pass
            assert 4 < time.monotonic() - began < 7
