"""A small HTTP server on loopback, in a thread of its own: nothing that a client does or leaves undone reaches the run.

Only who is on this machine gets that far, and browsers are on it: a page of a stranger may ask for any address, and a
name of his own may lead to 127.0.0.1 (DNS rebinding). So a request is answered only where its Host is one of loopback,
and its Origin, if it has one, the server itself; it may only read; and the number of connections is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable

from aiohttp import web

from loadgen.streams.fault import StreamError

HOST = "127.0.0.1"
MOST_CONNECTIONS = 64
_PATIENCE_S = 2.0  # for which clients may still take what there is when the server ends

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def bound(port: int, option: str) -> socket.socket:
    """A listening socket on loopback, at any free port for 0. Raises StreamError, which names the ``option``."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(MOST_CONNECTIONS)
    except OSError as error:
        listening.close()
        raise StreamError(
            f"{option}: cannot listen on {HOST}:{port}: {error.strerror or error}; give it another port, or end the "
            "program that has this one"
        ) from error
    return listening


class _Refusal(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It ends as soon as it begins."""
        transport.close()


class Loopback:
    """Has ``answer`` answer who comes to a bound socket, from ``start`` to ``close``. What changes: whether it does."""

    def __init__(self, listening: socket.socket, answer: Handler) -> None:
        self.port: int = listening.getsockname()[1]
        self._listening = listening
        self._answer = answer
        self._allowed = {f"{name}:{self.port}" for name in (HOST, "localhost", "[::1]")}
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._work, name=f"loopback {self.port}", daemon=True)

    def start(self) -> None:
        """Begin to serve. Signals that the calling thread blocks are never heard by the server's."""
        self._thread.start()
        self._ready.wait(_PATIENCE_S)

    @property
    def ending(self) -> bool:
        """Whether it ends."""
        return self._end is not None and self._end.is_set()

    async def pause(self, at_most_s: float) -> None:
        """Let some time pass, less where the server ends."""
        assert self._end is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._end.wait(), at_most_s)

    def close(self) -> None:
        """End within seconds, whatever clients do. Calling it again does nothing."""
        if self._loop is not None and self._end is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(2 * _PATIENCE_S)
        self._listening.close()

    def _work(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application(middlewares=[self._guarded])
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=_PATIENCE_S, keepalive_timeout=15.0)
        await runner.setup()
        served = runner.server
        assert served is not None

        def protocol() -> asyncio.BaseProtocol:
            return served() if len(served.connections) < MOST_CONNECTIONS else _Refusal()

        server = await self._loop.create_server(protocol, sock=self._listening)
        self._ready.set()
        try:
            await self._end.wait()
        finally:
            server.close()
            await runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host, origin = (request.headers.get(name, "").lower() for name in ("Host", "Origin"))
        if host not in self._allowed or (origin and origin.removeprefix("http://") not in self._allowed):
            return web.Response(status=403, text="this address is for this machine alone\n")
        if request.method != "GET":
            return web.Response(status=405, headers={"Allow": "GET"}, text="there is only something to read\n")
        return await handler(request)
