"""The emulator's management API with whatever may go wrong put into its way: on loopback, or without a socket.

It is as careless as the platform may be: an update resets what it leaves out. There are two functions.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from loadgen.targets.error_body import error_body
from loadgen.targets.functiongraph.emulator.answer import Refusal, refused
from loadgen.targets.functiongraph.emulator.management import Call
from loadgen.targets.functiongraph.emulator.management import Management as Emulated
from loadgen.targets.functiongraph.emulator.model import Platform
from loadgen.targets.functiongraph.emulator.request import read_path
from loadgen.targets.functiongraph.protocol import platform
from loadgen.targets.functiongraph.protocol.platform import EmulatedFunction, Emulator, Injected, Work
from loadgen.targets.functiongraph.protocol.urn import parse
from loadgen.targets.functiongraph.settings.authorization import Nobody
from loadgen.targets.functiongraph.settings.client import Control
from loadgen.targets.functiongraph.settings.edit import Document
from loadgen.targets.functiongraph.settings.failure import refused as unaccepted

PROJECT = "demo"
HELLO = parse("urn:fss:local:demo:function:default:hello", project_id=PROJECT)
OTHER = parse("urn:fss:local:demo:function:default:other", project_id=PROJECT)
NOWHERE = "http://127.0.0.1:9"
"""The endpoint of what is asked without a socket."""
_S = 1_000_000_000
_NOW_S = 1_767_323_045.0  # 2026-01-02T03:04:05Z
_FUNCTIONS = tuple(
    EmulatedFunction(each.name, 128, Work(1, 0.0), "none", 100, False, 0.0, timeout_ns=30 * _S)
    for each in (HELLO, OTHER)
)
_OF_HELLO: dict[str, Any] = {
    "user_data": '{"HOST": "10.0.0.1", "PASSWORD": "hunter2-hunter2"}',
    "xrole": "agency",
    "description": "says hello",
    "func_vpc": {"vpc_id": "v1", "subnet_id": "s1"},
    "not_documented_yet": {"a": [1, 2.5, None, "ü"]},
}


class Request:
    """One request as it came."""

    def __init__(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: dict[str, str] | None = None,
        transport: asyncio.Transport | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.headers = headers or {}
        self._transport = transport

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    def break_off(self) -> None:
        """Break the connection, so that no answer arrives."""
        if self._transport is not None:
            self._transport.abort()


class Management:
    """The platform, and what was asked of it. ``faults`` are shares of all requests, drawn with ``seed``."""

    def __init__(self, *faults: Injected, seed: int = 1) -> None:
        switches = platform.Management(omitted_reset=True, faults=faults)
        self._emulated = Emulated(Platform(Emulator(seed, _S, _FUNCTIONS, management=switches)), PROJECT)
        self._asked = itertools.count(1)
        self.config |= copy.deepcopy(_OF_HELLO)
        self.requests: list[Request] = []
        self.url = NOWHERE
        self.before: Callable[[Request], Awaitable[web.Response | None]] | None = None
        """Called with each request; an answer it gives takes the place of the real one."""
        self.after: Callable[[Request], Awaitable[None]] | None = None
        """Called once a request is carried out, before it is answered."""

    def config_of(self, name: str) -> dict[str, Any]:
        """A function's config as it is now; what is written into it somebody else has changed."""
        return self._emulated._functions[name].latest

    @property
    def config(self) -> dict[str, Any]:
        """That of the function hello."""
        return self.config_of(HELLO.name)

    @config.setter
    def config(self, config: dict[str, Any]) -> None:
        self._emulated._functions[HELLO.name].latest = config

    @property
    def writes(self) -> list[Request]:
        return [request for request in self.requests if request.writes]

    def state(self) -> dict[str, Any]:
        """The configs, but for when they were changed."""
        found = {each.name: copy.deepcopy(self.config_of(each.name)) for each in _FUNCTIONS}
        for config in found.values():
            del config["last_modified"]
        return found

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve what came over a connection."""
        body, headers = await request.read(), dict(request.headers)
        return await self.ask(Request(request.method, request.raw_path, body, headers, request.transport))

    async def ask(self, request: Request) -> web.Response:
        """What is answered to a request, once it is carried out."""
        self.requests.append(request)
        if self.before is not None and (answer := await self.before(request)) is not None:
            return answer
        answer = self.carry_out(request)
        if self.after is not None:
            await self.after(request)
        return answer

    def carry_out(self, request: Request) -> web.Response:
        """Do what a request asks for."""
        path = request.path.partition("?")[0]
        route = read_path(request.method, path, PROJECT, None)
        said = route if isinstance(route, Refusal) else route.refusal
        if said is None:
            assert not isinstance(route, Refusal)
            now = next(self._asked)
            answer = self._emulated.handle(Call(route, request.method, {}, request.body, now * _S, _NOW_S + now))
        else:
            answer = said
        if isinstance(answer, Refusal):
            answer = refused(answer, "r")
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


class Direct(Control):
    """What reads and changes functions over HTTP, here without a socket. A hook's ControlError is what it raises."""

    def __init__(self, management: Management) -> None:
        super().__init__(NOWHERE, PROJECT, Nobody())
        self.management = management

    async def _exchange(self, method: str, path: str, body: Document | None) -> bytes:
        content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        answer = await self.management.ask(Request(method, f"/v2/{PROJECT}/fgs/{path}", content))
        assert isinstance(answer.body, bytes)
        if answer.status // 100 == 2:
            return answer.body
        said = error_body(answer.body)
        raise unaccepted(f"{method} {path}", answer.status, said.code, said.message)


def failure(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error_code": code, "error_msg": message}, status=status)


@asynccontextmanager
async def managing(*faults: Injected, seed: int = 1) -> AsyncIterator[Management]:
    """Serve the management API on loopback until the context ends."""
    served = Management(*faults, seed=seed)
    server = web.Server(served.handle)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    served.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        listener.close()
        await server.shutdown(timeout=1)


CONFIG = Management().config
"""That of the function hello at first."""
