"""A server that knows when each request arrived: ``python -m benchmarks.recording_server DELAY FILE``.

It answers on loopback as a function does, at once or after an injected delay (see ``benchmarks.delays``), prints its
port when it is ready, and at the end of stdin writes three numbers for each request, in order of arrival: when its
first byte was read, when its answer was due, and when it was written (monotonic ns, 64 bit). Requests that become
readable at once are read one after another, some 10 µs apart.

A process of its own, so that it shares no interpreter with what is measured. Answers that are held wait on a timerfd,
because the loop's own timers are a millisecond off. It never sleeps: waking up takes 50 µs or more, which would be
taken for the lateness of a request.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import re
import subprocess
import sys
import tempfile
from array import array
from pathlib import Path
from time import monotonic_ns
from types import TracebackType
from typing import NamedTuple, Self, cast

import uvloop

from benchmarks import process
from benchmarks.delays import DELAYS, Delay
from loadgen.engine.timer import ALARM, Alarm

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n"
    b'X-Cff-Invoke-Summary: {"duration":0.013,"billingDuration":1,"memorySize":128,"memoryUsed":41.51171875}\r\n'
    b"X-Cff-Request-Id: 1cbe80f3-3c65-475e-ad88-76ac518d386a\r\nX-CFF-Billing-Duration: 1\r\n"
    b"X-Func-Err-Code: 0\r\nX-Is-Func-Err: false\r\n"
    b'Content-Length: 45\r\n\r\n{"message": "hello world from FunctionStage"}'
)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Recorded(NamedTuple):
    """A request, in monotonic ns."""

    read_ns: int
    due_ns: int
    sent_ns: int


class RecordingServer:
    """The server as a process, while the context is open; ``records`` is known after it."""

    def __init__(self, delay: str, *, core: int | None = None) -> None:
        self._delay = delay
        self._core = core
        self.records: list[Recorded] = []

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory()
        self._file = Path(self._directory.name, "records")
        command = [sys.executable, "-m", "benchmarks.recording_server", self._delay, str(self._file)]
        with process.pinned(self._core):
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.origin = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)
        values = array("q", self._file.read_bytes())
        self.records = [Recorded(*values[i : i + 3]) for i in range(0, len(values), 3)]
        self._directory.cleanup()


class _Recorder:
    """What all connections share: the delay, the records, and the answers that are held."""

    def __init__(self, delay: Delay, loop: asyncio.AbstractEventLoop) -> None:
        self.values = array("q")
        self._delay = delay
        self._first_ns = 0
        self._count = 0
        self._held: list[tuple[int, int, asyncio.WriteTransport]] = []
        self._alarm: Alarm = ALARM(loop, self._ring)

    def arrived(self, read_ns: int, transport: asyncio.WriteTransport) -> None:
        """Answer a complete request, now or later."""
        number = self._count
        self._count += 1
        if not number:
            self._first_ns = read_ns
        due_ns = read_ns + self._delay.held_ns(number, read_ns - self._first_ns)
        self.values.extend((read_ns, due_ns, 0))
        if due_ns == read_ns:
            self._answer(number, transport)
        else:
            heapq.heappush(self._held, (due_ns, number, transport))
            self._alarm.set(self._held[0][0])

    def _answer(self, number: int, transport: asyncio.WriteTransport) -> None:
        if not transport.is_closing():
            transport.write(ANSWER)
        self.values[3 * number + 2] = monotonic_ns()

    def _ring(self) -> None:
        while self._held and self._held[0][0] <= monotonic_ns():
            _, number, transport = heapq.heappop(self._held)
            self._answer(number, transport)
        if self._held:
            self._alarm.set(self._held[0][0])


class _Connection(asyncio.Protocol):
    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder
        self._received = b""
        self._read_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's own class is none of asyncio's

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self._read_ns = monotonic_ns()
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end:
            length = _LENGTH.search(head)
            if len(body) >= (int(length[1]) if length else 0):
                self._received = b""
                self._recorder.arrived(self._read_ns, self._transport)


def never_sleep(loop: asyncio.AbstractEventLoop) -> None:
    """Keep the loop going round: waking up takes 50 µs or more, and would be taken for the lateness of a request."""
    loop.call_soon(never_sleep, loop)


async def serve(delay: Delay, file: Path) -> None:
    """Serve until the end of stdin, then write the records."""
    loop = asyncio.get_running_loop()
    recorder = _Recorder(delay, loop)
    never_sleep(loop)
    server = await loop.create_server(lambda: _Connection(recorder), "127.0.0.1", 0, backlog=4096)
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    gc.collect()
    gc.freeze()
    gc.disable()
    print(server.sockets[0].getsockname()[1], flush=True)
    await stdin.read()
    file.write_bytes(recorder.values.tobytes())


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(DELAYS[sys.argv[1]], Path(sys.argv[2])))
