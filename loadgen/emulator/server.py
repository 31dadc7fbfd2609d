"""The platform model behind real sockets.

Theory of operation. A call is decided as soon as its request is complete; then its answer waits until the instant the
model gave it. An answer never leaves early: the platform's reported duration must not exceed what the client sees. It
leaves late by what the loop's timer needs, some 1 ms and at most about 2, and by what is before it on the loop; the
client sees that delay as overhead, like that of a real front end.
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from loadgen.emulator import EmulatorError
from loadgen.emulator.answer import Answer, refusal, result_answer, throttled
from loadgen.emulator.model import Admitted, Platform, Rejected, truth_line
from loadgen.emulator.request import MAX_EVENT_BYTES, Invocation, read_invocation, read_path
from loadgen.engine.timer import ALARM
from loadgen.scenario.model import Emulator

LOOPBACK: Final = "127.0.0.1"

# aiohttp's own limit of 8 KB would refuse a large token; the real gateway takes 128 KB of headers and 32 KB of path.
# A compressed event would be no JSON to the platform, which documents no content encoding.
_CONNECTION_SETTINGS: Final[dict[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,
    "max_field_size": 128 * 1024,
    "max_line_size": 64 * 1024,
}
_FLUSH_EVERY_S: Final = 1.0
_BACKLOG: Final = 4096  # a burst of connections must not meet a full queue, whose retries take a second
_SERVER: Final = "loadgen-emulator"

_MALFORMED = (web.RequestPayloadError, HttpProcessingError)


class DueAnswers:
    """Wakes waiting calls once their instant has passed, never before it, since an alarm may ring early."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._loop = loop
        self._clock = clock
        self._heap: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._alarm = ALARM(loop, self._ring)

    def wait_until(self, instant_ns: int) -> asyncio.Future[None]:
        """A future that is done at or after this instant of the clock."""
        due = self._loop.create_future()
        heapq.heappush(self._heap, (instant_ns, next(self._numbers), due))
        if self._heap[0][2] is due:
            self._alarm.set(instant_ns)
        return due

    def cancel(self) -> None:
        """Cancel every wait, for good."""
        self._alarm.close()
        for _, _, due in self._heap:
            due.cancel()
        self._heap.clear()

    def _ring(self) -> None:
        now_ns = self._clock()
        while self._heap and self._heap[0][0] <= now_ns:
            due = heapq.heappop(self._heap)[2]
            if not due.done():
                due.set_result(None)
        if self._heap:
            self._alarm.set(self._heap[0][0])


class TruthLog:
    """The decisions of the model, one line each, in a file that replaces an older one; or nowhere."""

    def __init__(self, path: Path | None) -> None:
        """Raises EmulatorError when the file cannot be opened."""
        self._path = path
        self._file: BinaryIO | None = None
        if path is not None:
            with self._naming_the_file():
                self._file = path.open("wb", buffering=1 << 20)

    def write(self, call: Admitted | Rejected) -> None:
        """Add a line, in memory or in the file. A line that cannot be written makes the next `flush` raise, too."""
        if self._file is not None:
            self._file.write(truth_line(call))

    def flush(self) -> None:
        """Hand everything written to the operating system. Raises EmulatorError."""
        if self._file is not None:
            with self._naming_the_file():
                self._file.flush()

    def __enter__(self) -> TruthLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._file is not None:
            with self._naming_the_file():
                self._file.close()

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EmulatorError(f"cannot write the truth log {self._path}: {error.strerror or error}") from error


async def serve(
    settings: Emulator,
    *,
    project_id: str,
    truth: Path | None,
    ready: Callable[[str], None],
    stop: asyncio.Event,
    port: int = 0,
    host: str = LOOPBACK,
) -> None:
    """Serve the functions of ``settings`` until ``stop`` is set; then every call in flight is cut off.

    ``ready`` is called with the origin (``http://127.0.0.1:<port>``) once connections are accepted; port 0 takes a free
    one. ``truth`` is the file of the truth log. It is flushed each second and at the end.

    Raises EmulatorError when the host is not a loopback address, the port is taken or the truth log cannot be written.
    """
    _require_loopback(host)
    platform = Platform(settings)
    with TruthLog(truth) as log:
        async with _listening(_Service(platform, project_id, log), host, port) as origin:
            ready(origin)
            while not stop.is_set():
                await _wait(stop, _FLUSH_EVERY_S)
                log.flush()


class _Service:
    """Answers the requests of all connections."""

    def __init__(self, platform: Platform, project_id: str, log: TruthLog) -> None:
        self._platform = platform
        self._log = log
        self.due = DueAnswers(asyncio.get_running_loop())
        # clients repeat few paths, and reading one is as much work as the rest of the answer
        self._read_path = lru_cache(maxsize=1024)(
            lambda method, raw_path: read_path(method, raw_path, project_id, platform)
        )

    async def handle(self, request: web.BaseRequest) -> web.Response:
        try:
            answer = await self._answer(request)
        except _MALFORMED as error:
            answer = _malformed(str(error))
        return _response(answer)

    async def _answer(self, request: web.BaseRequest) -> Answer:
        await _continue(request)
        body = await _read_body(request)
        received = time.time()
        function = self._read_path(request.method, request.rel_url.raw_path)
        if isinstance(function, Answer):
            return function
        invocation = read_invocation(function, request.headers, body)
        if isinstance(invocation, Answer):
            return invocation
        call = self._arrive(invocation)
        if isinstance(call, Rejected):
            return throttled(call)
        await self.due.wait_until(call.ends_at_ns)
        return result_answer(call, invocation.form, tail=invocation.tail, received=received, ended=time.time())

    def _arrive(self, invocation: Invocation) -> Admitted | Rejected:
        call = self._platform.arrive(time.monotonic_ns(), invocation.function, invocation.memory_mb)
        self._log.write(call)
        return call


async def _continue(request: web.BaseRequest) -> None:
    """Let a client that asked first (``Expect: 100-continue``, as curl does for large bodies) send its body."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # or aiohttp takes the answer for already begun


async def _read_body(request: web.BaseRequest) -> bytes | None:
    """The whole body; None when it is larger than an event may be.

    Such a body is still read to its end, and thrown away: an answer to a client that is still sending would be lost in
    a connection reset.
    """
    if not request.can_read_body:
        return b""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size <= MAX_EVENT_BYTES:
            chunks.append(chunk)
    return b"".join(chunks) if size <= MAX_EVENT_BYTES else None


def _response(answer: Answer) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body, headers=answer.headers)
    response.headers["Server"] = _SERVER
    return response


def _malformed(what: str) -> Answer:
    return refusal(400, "APIG.0201", f"Bad request: {what}")


class _Connection(RequestHandler):
    """aiohttp's connection, but for its plain-text error pages: the platform's errors are always JSON."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status < 500:
            response = _response(_malformed(message or str(exc)))
        else:
            if not isinstance(exc, ConnectionError):  # a client that went away is none of our errors
                self.log_exception("Error handling a request", exc_info=exc)
            response = _response(refusal(500, "FSS.0500", f"The emulator failed: {exc!r}"))
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **_CONNECTION_SETTINGS)


@asynccontextmanager
async def _listening(service: _Service, host: str, port: int) -> AsyncIterator[str]:
    """Accept connections; gives the origin."""
    loop = asyncio.get_running_loop()
    server = _Server(service.handle)
    try:
        listener = await loop.create_server(server, host, port, backlog=_BACKLOG)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise EmulatorError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
        raise EmulatorError(
            f"port {port} of {host} is in use: choose another one, or leave it out to take any free port"
        ) from error
    try:
        bound_host, bound_port = listener.sockets[0].getsockname()[:2]
        yield f"http://[{bound_host}]:{bound_port}" if ":" in bound_host else f"http://{bound_host}:{bound_port}"
    finally:
        listener.close()
        service.due.cancel()
        await server.shutdown(timeout=0.1)
        await listener.wait_closed()


def _require_loopback(host: str) -> None:
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise EmulatorError(f'got host "{host}": the emulator listens on loopback only, such as {LOOPBACK}')


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait until the event is set, or this long."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
