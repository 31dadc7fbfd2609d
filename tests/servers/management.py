"""A real server on loopback that keeps functions and answers the management API, as careless as the platform may be.

A PUT of a config replaces the whole of it: what is left out is gone. What the platform derives changes with each one.
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

from loadgen.targets.functiongraph.protocol.urn import Urn, parse

PROJECT = "demo"
HELLO = parse("urn:fss:local:demo:function:default:hello", project_id=PROJECT)
DERIVED = ("last_modified", "image_name", "cpu")

CONFIG: dict[str, Any] = {
    "func_urn": HELLO.text,
    "func_name": "hello",
    "namespace": PROJECT,
    "package": "default",
    "runtime": "Python3.9",
    "timeout": 30,
    "handler": "index.handler",
    "memory_size": 128,
    "cpu": 300,
    "user_data": '{"HOST": "10.0.0.1", "PASSWORD": "hunter2-hunter2"}',
    "xrole": "agency",
    "description": "says hello",
    "func_vpc": {"vpc_id": "v1", "subnet_id": "s1"},
    "strategy_config": {"concurrency": 100, "concurrent_num": 1},
    "enable_dynamic_memory": False,
    "version": "latest",
    "image_name": "latest-0",
    "last_modified": "2026-01-01T00:00:00Z",
    "not_documented_yet": {"a": [1, 2.5, None, "ü"]},
    "type": "v2",
}


class Request:
    """One request as it came."""

    def __init__(
        self, method: str, path: str, headers: dict[str, str], body: bytes, transport: asyncio.Transport | None
    ) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self._transport = transport

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    def break_off(self) -> None:
        """Break the connection, so that no answer arrives."""
        if self._transport is not None:
            self._transport.abort()


class Management:
    """The state of the platform, and what was asked of it."""

    def __init__(self) -> None:
        self.config = copy.deepcopy(CONFIG)
        self.versions: dict[str, str] = {}
        self.aliases: dict[str, dict[str, Any]] = {}
        self.reserved: dict[str, Any] = {"count": 0}
        self.quotas = {"fgs_func_qos_limit": 1000, "fgs_on_demand_instance_limit": 400, "fgs_func_occurs": 100}
        self.requests: list[Request] = []
        self.url = ""
        self.before: Callable[[Request], Awaitable[web.Response | None]] | None = None
        """Called with each request; an answer it gives takes the place of the real one."""
        self.after: Callable[[Request], Awaitable[None]] | None = None
        """Called once a request is carried out, before it is answered."""
        self._modified = itertools.count(1)

    @property
    def writes(self) -> list[Request]:
        return [request for request in self.requests if request.writes]

    def state(self) -> dict[str, Any]:
        """Everything that outlives a request, but for what the platform derives."""
        config = {key: value for key, value in self.config.items() if key not in DERIVED}
        kept = (config, self.versions, self.aliases, self.reserved)
        return dict(zip(("config", "versions", "aliases", "reserved"), copy.deepcopy(kept), strict=True))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        seen = Request(request.method, request.raw_path, dict(request.headers), body, request.transport)
        self.requests.append(seen)
        if self.before is not None and (answer := await self.before(seen)) is not None:
            return answer
        answer = self._answer(seen, dict(request.query))
        if self.after is not None:
            await self.after(seen)
        return answer

    def carry_out(self, request: Request) -> None:
        """Do what a request asks for, without an answer."""
        self._answer(request, {})

    def _answer(self, request: Request, query: dict[str, str]) -> web.Response:
        head, *rest = request.path.partition("?")[0].removeprefix(f"/v2/{PROJECT}/fgs/").split("/")
        body = json.loads(request.body) if request.body else {}
        if head == "quotas":
            return _ok({"quotas": {"resources": [{"type": k, "quota": n, "used": 1} for k, n in self.quotas.items()]}})
        if rest == ["reservedinstances"]:
            return _ok({"reservedinstances": [{"func_urn": f"{HELLO.text}:latest", "count": self.reserved["count"]}]})
        if rest == ["reservedinstanceconfigs"]:
            plan = {"qualifier_type": "version", "qualifier_name": "latest", "min_count": self.reserved["count"]}
            return _ok({"reserved_instances": [{**plan, **{k: v for k, v in self.reserved.items() if k != "count"}}]})
        urn = parse(rest[0], project_id=PROJECT)
        if urn.name != HELLO.name:
            return failure(404, "FSS.1051", "Not found the function")
        return self._function(request.method, urn, rest[1:], body)

    def _function(self, method: str, urn: Urn, path: list[str], body: dict[str, Any]) -> web.Response:
        match method, path:
            case "GET", ["config"]:
                return _ok(self.config)
            case "PUT", ["config"]:
                return self._put_config(body)
            case "PUT", ["config-max-instance"]:
                self.config["strategy_config"]["concurrency"] = body["max_instance_num"]
                return _ok(self.config)
            case "PUT", ["reservedinstances"]:
                self.reserved = body
                return _ok(self.reserved)
            case "GET", ["versions"]:
                names = ["latest", *self.versions]
                return _ok({"versions": [{"version": name} for name in names], "count": len(names)})
            case "POST", ["versions"]:
                self.versions[body["version"]] = body.get("description", "")
                return _ok({**self.config, "version": body["version"]})
            case "DELETE", [] if urn.qualifier in self.versions:
                if any(alias["version"] == urn.qualifier for alias in self.aliases.values()):
                    return failure(400, "FSS.1015", "the version has an alias")
                del self.versions[str(urn.qualifier)]
                return web.Response(status=204)
            case "POST", ["aliases"]:
                self.aliases[body["name"]] = {**body, "additional_version_weights": {}, "last_modified": "now"}
                return _ok(self.aliases[body["name"]])
            case "GET" | "PUT" | "DELETE", ["aliases", name] if name not in self.aliases:
                return failure(404, "FSS.1053", "Not found the alias")
            case "GET", ["aliases", name]:
                return _ok(self.aliases[name])
            case "PUT", ["aliases", name]:
                self.aliases[name] = {"name": name, **body}
                return _ok(self.aliases[name])
            case "DELETE", ["aliases", name]:
                del self.aliases[name]
                return web.Response(status=204)
        return failure(404, "APIG.0101", "The API does not exist or has not been published in the environment")

    def _put_config(self, body: dict[str, Any]) -> web.Response:
        if missing := {"func_name", "runtime", "timeout", "handler", "memory_size"} - body.keys():
            return failure(400, "FSS.0400", f"missing {sorted(missing)}")
        derived = {"func_urn", "namespace", "package", "version", "type"}
        self.config = {
            **{key: value for key, value in self.config.items() if key in derived},
            **body,
            "cpu": body["memory_size"] * 100 // 128 + 200,
            "image_name": f"latest-{next(self._modified)}",
            "last_modified": "2026-01-02T00:00:00Z",
        }
        return _ok(self.config)


def failure(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error_code": code, "error_msg": message}, status=status)


def _ok(body: dict[str, Any]) -> web.Response:
    return web.json_response(body)


@asynccontextmanager
async def managing() -> AsyncIterator[Management]:
    """Serve the management API of one function until the context ends."""
    platform = Management()
    server = web.Server(platform.handle)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    platform.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield platform
    finally:
        listener.close()
        await server.shutdown(timeout=1)
