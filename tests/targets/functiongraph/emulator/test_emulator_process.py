"""The emulator as a process: it starts, it answers, and it never outlives its parent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from aiohttp import ClientError, ClientSession

from loadgen.targets.functiongraph.emulator import EmulatorError
from loadgen.targets.functiongraph.emulator.process import Ready, Setup, embedded
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction, Emulator, Work

MS = 1_000_000
SETTINGS = Emulator(1, 60_000 * MS, (EmulatedFunction("hello", 128, Work(1 * MS, 0.3), "none", 100, True, 0.0),))
COMMAND = [sys.executable, "-m", "loadgen.targets.functiongraph.emulator.process"]


class Child:
    """A process started as a parent of any kind would, and its origin."""

    def __init__(self, setup: Setup) -> None:
        self.process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(setup) + b"\n")
        self.process.stdin.flush()
        self.url = msgspec.json.decode(self.process.stdout.readline(), type=Ready).url

    def ended(self) -> tuple[int, bytes]:
        """Exit code and stderr, once it has ended."""
        _, stderr = self.process.communicate(timeout=10)
        return self.process.returncode, stderr


async def invoke(url: str) -> int:
    async with ClientSession() as session, session.post(f"{url}/v2/demo/fgs/functions/hello/invocations") as response:
        return response.status


def test_the_end_of_its_stdin_ends_it_and_completes_the_truth_log(tmp_path: Path) -> None:
    truth = tmp_path / "truth.ndjson"
    child = Child(Setup(SETTINGS, "demo", str(truth)))
    assert asyncio.run(invoke(child.url)) == 200
    assert child.ended() == (0, b"")  # communicate closes stdin
    assert [json.loads(line)["status"] for line in truth.read_bytes().splitlines()] == [200]


def test_sigterm_ends_it_and_sigint_does_not() -> None:
    child = Child(Setup(SETTINGS, "demo"))
    child.process.send_signal(signal.SIGINT)
    assert asyncio.run(invoke(child.url)) == 200
    child.process.send_signal(signal.SIGTERM)
    assert child.process.wait(timeout=10) == 0
    assert child.ended() == (0, b"")


def test_a_killed_parent_leaves_no_child(tmp_path: Path) -> None:
    parent_code = textwrap.dedent("""
        import asyncio, os, sys
        from loadgen.targets.functiongraph.emulator.process import embedded
        from tests_settings import SETTINGS

        async def main():
            async with embedded(SETTINGS, "demo", None) as url:
                print(url, flush=True)
                await asyncio.sleep(60)

        asyncio.run(main())
    """)
    (tmp_path / "tests_settings.py").write_text(
        "import msgspec\nfrom loadgen.scenario.model import Emulator\n"
        f"SETTINGS = msgspec.json.decode({msgspec.json.encode(SETTINGS)!r}, type=Emulator)\n"
    )
    (tmp_path / "parent.py").write_text(parent_code)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    url = parent.stdout.readline().decode().strip()
    assert asyncio.run(invoke(url)) == 200
    parent.kill()
    parent.wait(timeout=10)
    parent.stdout.close()
    _assert_gone(url)


def _assert_gone(url: str) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            asyncio.run(invoke(url))
        except ClientError:
            return
        time.sleep(0.05)
    pytest.fail(f"an emulator still answers at {url}")


def test_a_file_on_stdin_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "setup.json"
    file.write_bytes(msgspec.json.encode(Setup(SETTINGS, "demo")) + b"\n")
    with file.open() as stdin:
        done = subprocess.run(COMMAND, stdin=stdin, capture_output=True, timeout=10, check=False)
    assert done.returncode == 1
    assert done.stderr == b"got a file on stdin: expected a pipe, whose end says when to stop\n"


def test_clients_that_break_off_leave_no_trace_on_stderr() -> None:
    child = Child(Setup(SETTINGS, "demo"))
    parts = urlsplit(child.url)
    head = b"POST /v2/demo/fgs/functions/hello/invocations HTTP/1.1\r\nHost: x\r\n"
    for rest in (
        b"Content-Length: 9\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\n",
        b"Content-Length: 0\r\n\r\n",
    ):
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(head + rest)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with a reset
    assert asyncio.run(invoke(child.url)) == 200
    assert child.ended() == (0, b"")


@pytest.mark.parametrize(
    ("line", "expected"),
    [(b"", b"expected one line of settings on stdin"), (b"{}\n", b"Object missing required field `emulator`")],
)
def test_without_settings_it_says_what_it_expects(line: bytes, expected: bytes) -> None:
    done = subprocess.run(COMMAND, input=line, capture_output=True, timeout=10, check=False)
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stdout == b""


async def test_embedded_serves_for_as_long_as_its_context_lasts(tmp_path: Path) -> None:
    truth = tmp_path / "truth.ndjson"
    async with embedded(SETTINGS, "demo", truth) as url:
        assert await invoke(url) == 200
    with pytest.raises(ClientError):
        await invoke(url)
    assert truth.read_bytes().count(b"\n") == 1


async def test_embedded_stops_its_process_when_the_body_fails() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def fail() -> None:
        async with embedded(SETTINGS, "demo", None) as url:
            ready.set_result(url)
            raise RuntimeError("the body's own")

    with pytest.raises(RuntimeError, match="the body's own"):
        await fail()
    with pytest.raises(ClientError):
        await invoke(ready.result())


async def test_embedded_stops_its_process_when_it_is_cancelled() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def hold() -> None:
        async with embedded(SETTINGS, "demo", None) as url:
            ready.set_result(url)
            await asyncio.sleep(60)

    task = asyncio.create_task(hold())
    url = await ready
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ClientError):
        await invoke(url)


async def test_a_failed_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match=r"the emulator did not start: exit code 1; cannot write the truth log .*"):
        async with embedded(SETTINGS, "demo", tmp_path / "missing" / "truth.ndjson"):
            pytest.fail("started")


async def test_a_crash_of_the_emulator_is_an_error_with_its_last_words() -> None:
    unknown = Emulator(1, 1, (EmulatedFunction("hello", 128, Work(1, 0.3), "no-such-profile", 1, True, 0.0),))
    with pytest.raises(EmulatorError, match="KeyError: 'no-such-profile'"):
        async with embedded(unknown, "demo", None):
            pytest.fail("started")


async def test_an_emulator_that_ends_early_is_an_error() -> None:
    async def lose_it() -> None:
        async with embedded(SETTINGS, "demo", None):
            _terminate_children()
            await asyncio.sleep(0.5)

    with pytest.raises(EmulatorError, match="the emulator ended on its own: exit code 0"):
        await lose_it()


def _terminate_children() -> None:
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            if b"loadgen.targets.functiongraph.emulator.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGTERM)
