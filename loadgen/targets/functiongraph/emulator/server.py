"""The platform model behind real sockets.

Theory of operation. A call is decided as soon as its request is complete; then its answer waits until the instant the
model gave it. An answer never leaves early: the platform's reported duration must not exceed what the client sees. It
leaves late by what making it takes, and by what is before it on the loop; the client sees that, and what reading the
request took, as overhead, like that of a real front end: some 0.7 ms on a slow machine.
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import os
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
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from loadgen.engine.timer import ALARM
from loadgen.targets.functiongraph.emulator import EmulatorError
from loadgen.targets.functiongraph.emulator.answer import Answer, Refusal, call_log, refused, rejection, result_answer
from loadgen.targets.functiongraph.emulator.iam import Credentials, Iam
from loadgen.targets.functiongraph.emulator.management import Call, Management
from loadgen.targets.functiongraph.emulator.model import Admitted, Platform, Rejected
from loadgen.targets.functiongraph.emulator.request import (
    HEADERS_TOO_LARGE,
    MAX_EVENT_BYTES,
    PATH_TOO_LONG,
    Invocation,
    Route,
    over_limit,
    read_invocation,
    read_path,
)
from loadgen.targets.functiongraph.emulator.truth import truth_line
from loadgen.targets.functiongraph.protocol.platform import CredentialCheck, Emulator

LOOPBACK: Final = "127.0.0.1"

# Beyond what the gateway takes, so that it is the gateway's answer that the client gets. A compressed event would be no
# JSON to the platform, which documents no content encoding.
_CONNECTION_SETTINGS: Final[dict[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,
    "max_field_size": 192 * 1024,
    "max_line_size": 64 * 1024,
    "max_headers": 1024,
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
        self._failed: OSError | None = None
        if path is not None:
            with self._naming_the_file():
                # a link in a directory of others may lead to what only this user may write; /dev/stdout is one, too
                direct = 0 if path.is_relative_to("/dev") else os.O_NOFOLLOW
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | direct, 0o600)
                self._file = os.fdopen(fd, "wb", 1 << 20)

    def write(self, call: Admitted | Rejected) -> None:
        """Add a line, in memory or in the file. A line that cannot be written makes the next `flush` raise."""
        if self._file is not None:
            try:
                self._file.write(truth_line(call))
            except (
                OSError
            ) as error:  # the call is answered as it was decided; that it is not in the log ends everything
                self._failed = error

    def flush(self) -> None:
        """Hand everything written to the operating system. Raises EmulatorError."""
        if self._file is not None:
            with self._naming_the_file():
                if self._failed is not None:
                    raise self._failed
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
        service = _Service(platform, project_id, log)
        async with _listening(service, host, port, settings.idle_timeout_ns / 1e9) as origin:
            ready(origin)
            while not stop.is_set():
                await _wait(stop, _FLUSH_EVERY_S)
                log.flush()


class _Service:
    """Answers the requests of all connections."""

    def __init__(self, platform: Platform, project_id: str, log: TruthLog) -> None:
        settings = platform.settings
        self._platform = platform
        self._settings = settings
        self._probes = frozenset(each.name for each in settings.functions if each.probe)
        self._printed_bytes = {each.name: each.log_bytes for each in settings.functions}
        self._management = Management(platform, project_id)
        self._iam = Iam(settings, project_id)
        self._asks = settings.auth is not CredentialCheck.OFF
        self._log = log
        self._requests = count(1)
        self.due = DueAnswers(asyncio.get_running_loop())
        # clients repeat few paths, and reading one is as much work as the rest of the answer
        self._read_path = lru_cache(maxsize=1024)(
            lambda method, raw_path: read_path(method, raw_path, project_id, settings.region)
        )

    async def handle(self, request: web.BaseRequest) -> web.Response:
        request_id = f"{next(self._requests):032x}"
        try:
            answer = await self._answer(request, request_id)
        except _MALFORMED as error:
            answer = _malformed(str(error))
        if isinstance(answer, Refusal):
            if not answer.status and request.transport is not None:
                request.transport.abort()
            answer = refused(answer, request_id)
        answer.headers["X-Request-Id"] = request_id
        return _response(answer)

    async def _answer(self, request: web.BaseRequest, request_id: str) -> Answer | Refusal:
        await _continue(request)
        body, size = await _read_body(request)
        url = request.rel_url
        if refusal := over_limit(len(request.path_qs), request.raw_headers, size):
            return refusal
        route = self._read_path(request.method, url.raw_path)
        if isinstance(route, Refusal):
            return route
        if route.resource == "/v3/auth/tokens":
            return self._iam.give_token(body, request.headers.get("X-Auth-Token"), request.host, time.time())
        if route.resource == "/v3":
            return self._iam.version(request.host)
        if self._asks:
            credentials = Credentials(request.method, url.raw_path, list(url.query.items()), request.headers, body)
            if refusal := self._iam.check(credentials, route.project_id, time.time()):
                return refusal
        if route.refusal is not None:
            return route.refusal
        if route.invokes:
            return await self._invoke(route, request, body, request_id)
        if route.resource == "/v3/projects":
            return self._iam.projects()
        return self._management.handle(Call(route, request.method, url.query, body, time.monotonic_ns(), time.time()))

    async def _invoke(self, route: Route, request: web.BaseRequest, body: bytes, request_id: str) -> Answer | Refusal:
        received = time.time()
        assert route.urn is not None, "an invocation names a function"
        target = self._management.target(route.urn)
        if isinstance(target, Refusal):
            return target
        invocation = read_invocation(request.headers, body)
        if isinstance(invocation, Refusal):
            return invocation
        call = self._arrive(invocation, *target)
        if call.ends_at_ns > call.received_ns:
            await self.due.wait_until(call.ends_at_ns)
        if isinstance(call, Rejected):
            return rejection(call)
        settings = self._settings
        log = None
        if invocation.tail:
            printed = self._printed_bytes[call.function]
            log = call_log(call, received, start_lines=settings.start_lines, printed_bytes=printed)
        return result_answer(
            call,
            invocation.form,
            log=log,
            request_id=request_id,
            log_tail_bytes=settings.log_tail_bytes,
            probe=call.function in self._probes,
        )

    def _arrive(self, invocation: Invocation, function: str, version: str) -> Admitted | Rejected:
        call = self._platform.arrive(time.monotonic_ns(), function, invocation.memory_mb, version)
        self._log.write(call)
        return call


async def _continue(request: web.BaseRequest) -> None:
    """Let a client that asked first (``Expect: 100-continue``, as curl does for large bodies) send its body."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # or aiohttp takes the answer for already begun


async def _read_body(request: web.BaseRequest) -> tuple[bytes, int]:
    """The body and its size; empty when it is larger than an event may be.

    Such a body is still read to its end, and thrown away: an answer to a client that is still sending would be lost in
    a connection reset.
    """
    if not request.can_read_body:
        return b"", 0
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size <= MAX_EVENT_BYTES:
            chunks.append(chunk)
    return b"".join(chunks) if size <= MAX_EVENT_BYTES else b"", size


def _response(answer: Answer) -> web.Response:
    reason = "Request Header Too Large" if answer.status == 494 else None  # a status of nginx, not of HTTP
    response = web.Response(status=answer.status, reason=reason, body=answer.body, headers=answer.headers)
    response.headers["Server"] = _SERVER
    return response


def _malformed(what: str) -> Refusal:
    return Refusal(400, "APIG.0201", f"Bad request: {what}")


class _Connection(RequestHandler):
    """aiohttp's connection, but for its plain-text error pages: the platform's errors are always JSON."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, LineTooLong):
            # aiohttp's own message would repeat the beginning of the header, which may be a token
            long_path = exc.args[1] == _CONNECTION_SETTINGS["max_line_size"]
            refusal = PATH_TOO_LONG if long_path else HEADERS_TOO_LARGE
        elif status < 500:
            refusal = _malformed(message or str(exc))
        else:
            if not isinstance(exc, ConnectionError):  # a client that went away is none of our errors
                self.log_exception("Error handling a request", exc_info=exc)
            refusal = Refusal(500, "FSS.0500", f"The emulator failed: {exc!r}")
        response = _response(refused(refusal, "0" * 32))
        response.force_close()
        return response


class _Server(web.Server):
    def __init__(self, service: _Service, idle_timeout_s: float) -> None:
        super().__init__(service.handle)
        self._idle_timeout_s = idle_timeout_s

    def __call__(self) -> RequestHandler:
        loop = asyncio.get_running_loop()
        return _Connection(self, loop=loop, keepalive_timeout=self._idle_timeout_s, **_CONNECTION_SETTINGS)


@asynccontextmanager
async def _listening(service: _Service, host: str, port: int, idle_timeout_s: float) -> AsyncIterator[str]:
    """Accept connections; gives the origin."""
    loop = asyncio.get_running_loop()
    server = _Server(service, idle_timeout_s)
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
