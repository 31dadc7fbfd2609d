"""A FunctionGraph endpoint with its IAM, on loopback: tokens that expire, and calls that need one."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

EXPIRED = {"error_code": "APIG.0307", "error_msg": "The token must be updated."}
SUMMARY = '{"duration":1,"billingDuration":1,"memorySize":128,"memoryUsed":30}'


class Platform:
    """What is served, and what was seen. ``refusals`` are answered, first to last, before any token is given."""

    def __init__(self, lifetime_s: float, *, secret: str = "tok", slow_by_s: float = 0) -> None:
        self.url = ""
        self.lifetime_s = lifetime_s
        self.asked: list[dict[str, Any]] = []
        self.asked_by: list[str | None] = []
        self.refusals: list[tuple[int, dict[str, Any]]] = []
        self.calls: list[tuple[str, bool]] = []
        """The token of each call, and whether it was still good."""
        self.arrivals_s: list[float] = []
        self._secret = secret
        self._ends: dict[str, float] = {}
        self._slow_by_s = slow_by_s  # how far this server's clock is behind

    def revoke(self) -> None:
        """End every token, as a changed password does."""
        self._ends = dict.fromkeys(self._ends, 0.0)

    def give_now(self) -> str:
        """A new token, without being asked over HTTP."""
        token = f"{self._secret}-{len(self._ends)}"
        self._ends[token] = time.monotonic() + self.lifetime_s
        return token

    async def give(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        self.asked_by.append(request.headers.get("X-Auth-Token"))
        if self.refusals:
            status, body = self.refusals.pop(0)
            return web.json_response(body, status=status)
        token = self.give_now()
        issued = datetime.now(UTC) - timedelta(seconds=self._slow_by_s)
        times = {"issued_at": _written(issued), "expires_at": _written(issued + timedelta(seconds=self.lifetime_s))}
        return web.json_response({"token": times}, status=201, headers={"X-Subject-Token": token})

    async def call(self, request: web.Request) -> web.Response:
        token = request.headers.get("X-Auth-Token", "")
        good = time.monotonic() < self._ends.get(token, 0.0)
        self.calls.append((token, good))
        self.arrivals_s.append(time.monotonic())
        if not good:
            return web.json_response(EXPIRED, status=401)
        return web.Response(body=b"{}", headers={"X-Cff-Request-Id": "r", "X-Cff-Invoke-Summary": SUMMARY})


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@asynccontextmanager
async def platform(lifetime_s: float, *, secret: str = "tok", slow_by_s: float = 0) -> AsyncIterator[Platform]:
    """Serve until the context ends."""
    served = Platform(lifetime_s, secret=secret, slow_by_s=slow_by_s)
    app = web.Application()
    app.router.add_post("/v3/auth/tokens", served.give)
    app.router.add_post("/v2/{project}/fgs/functions/{function}/invocations", served.call)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield served
    finally:
        await runner.cleanup()


def keystone(status: int, message: str) -> tuple[int, dict[str, Any]]:
    """An error as IAM words it."""
    return status, json.loads(json.dumps({"error": {"code": status, "message": message, "title": "x"}}))
