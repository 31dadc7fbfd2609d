"""A process that runs out of descriptors in the middle of a ramp, and has some again later."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time

import pytest

from tests.servers.blocking import blocking, request
from tests.servers.scripted import OK

RAMP = """
import asyncio, json, os, resource, sys
import uvloop
from tests.engine.test_bad_peers import Again, wire_to

async def ramp():
    wire = wire_to(int(sys.argv[1]))
    await asyncio.sleep(0)
    spare = [os.dup(1) for _ in range(3)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 6, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    callers = []
    for _ in range(15):
        callers.append(Again(wire, 5))
        callers[-1].begin()
        await asyncio.sleep(0.002)
    await asyncio.gather(*(caller.over for caller in callers))
    first = [caller.ends for caller in callers]
    failed = wire.counts.failed
    for descriptor in spare:
        os.close(descriptor)
    again = [Again(wire, 5) for _ in range(3)]
    for caller in again:
        caller.begin()
    await asyncio.gather(*(caller.over for caller in again))
    for caller in (*callers, *again):
        caller.invoker.close()
    wire.close()
    print(json.dumps({"first": first, "failed": failed, "again": [caller.ends for caller in again]}))

loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
with asyncio.Runner(loop_factory=loops[sys.argv[2]]) as runner:
    runner.run(ramp())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_without_descriptors_calls_fail_as_a_limit_of_this_machine_and_go_on_when_there_are_some_again(
    loop: str,
) -> None:
    def play(connection: socket.socket, number: int) -> None:
        while request(connection):
            time.sleep(0.005)
            connection.sendall(OK)

    with blocking(play) as port:
        done = subprocess.run(
            [sys.executable, "-c", RAMP, str(port), loop], capture_output=True, text=True, timeout=30, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    ends = [end for each in found["first"] for end in each]
    assert set(ends) == {"ok/ok", "connection/local_limit"}
    assert len(ends) == 15 * 5
    assert 3 * 5 <= ends.count("ok/ok") <= 8 * 5
    assert found["failed"] == ends.count("connection/local_limit")
    assert found["again"] == [["ok/ok"] * 5] * 3
