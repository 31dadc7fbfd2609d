"""``--live``: the charts of a run on loopback while it goes on, as a page that is told of each second.

The page, its script and its style are files; what they show comes as server-sent events, and only as text. Whoever
wants them needs the token in the URL, which is new with each run. A client takes the newest state whenever it has taken
the last one, so a slow one skips some, and nothing piles up for one that never reads; it is dropped after a while. No
more than ``MOST_STREAMS`` are served at once.

Source: HTML Living Standard, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import Counter
from collections.abc import Iterable
from importlib import resources
from typing import Any

import msgspec
from aiohttp import web

from loadgen.invocation.metric import Metric
from loadgen.invocation.outcome import OK
from loadgen.measure.histogram import Histogram
from loadgen.measure.seconds import NEEDED, SHOWN
from loadgen.report import units
from loadgen.report.families import Part
from loadgen.streams.loopback import HOST, Loopback, bound
from loadgen.streams.view import Doing, Snapshot, View
from loadgen.text import foreign
from loadgen.text.units import NS_PER_S

MOST_STREAMS = 16
_LOOK_S = 0.25  # how often it is looked whether there is something new
_AGAIN_S = 1.0  # after which the same is told again: time passes
_PATIENCE_S = 10.0  # for which a client may leave what it was sent
_TOKEN_BYTES = 18
_FILES = {
    "": ("loadgen.streams", "live.html", "text/html"),
    "live.js": ("loadgen.streams", "live.js", "text/javascript"),
    "live.css": ("loadgen.streams", "live.css", "text/css"),
    "uPlot.js": ("loadgen.report", "vendor/uPlot.iife.min.js", "text/javascript"),
    "uPlot.css": ("loadgen.report", "vendor/uPlot.css", "text/css"),
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Live:
    """Serves the page of a view. What changes: ``_streams``, how many are being told."""

    def __init__(self, view: View, port: int) -> None:
        """``port`` 0 is any that is free. Raises StreamError where it is taken."""
        self._view = view
        self._token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._streams = 0
        self._server = Loopback(bound(port, "--live-port"), self._answer)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self._server.port}/{self._token}/"

    @property
    def said(self) -> str:
        """Where it is, for the user."""
        return f"live: {self.url}"

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def close(self) -> None:
        """End, once clients have been told what there is by now, as far as they take it."""
        self._server.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        token, slash, name = request.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(errors="replace"), self._token.encode()) or not slash:
            return web.Response(status=404, text="there is nothing here\n", headers=HEADERS)
        if name == "events":
            return await self._told(request)
        if name not in _FILES:
            return web.Response(status=404, text="there is nothing here\n", headers=HEADERS)
        package, path, kind = _FILES[name]
        text = resources.files(package).joinpath(path).read_bytes()
        return web.Response(body=text, content_type=kind, charset="utf-8", headers=HEADERS)

    async def _told(self, request: web.Request) -> web.StreamResponse:
        if self._streams >= MOST_STREAMS:
            text = f"{MOST_STREAMS} pages are open already; close one\n"
            return web.Response(status=503, text=text, headers={**HEADERS, "Retry-After": "10"})
        self._streams += 1
        try:
            return await self._stream(request)
        finally:
            self._streams -= 1

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        sent, told = -1, 0.0
        while True:
            snapshot, now = self._view.snapshot, time.monotonic()
            if snapshot.number != sent or now >= told + _AGAIN_S:
                data = foreign.json(msgspec.json.encode(state(snapshot, sent, time.monotonic_ns())))
                try:
                    await asyncio.wait_for(response.write(b"data: " + data + b"\n\n"), _PATIENCE_S)
                except (TimeoutError, OSError):
                    if request.transport is not None:
                        request.transport.abort()
                    return response
                sent, told = snapshot.number, now
                if snapshot.over:
                    return response
            await self._server.pause(_LOOK_S)
            if self._server.ending and not self._view.snapshot.over:
                return response


def state(snapshot: Snapshot, since: int, now_ns: int) -> dict[str, Any]:
    """What the page is told: how the run stands, and each second that is newer than snapshot ``since``."""
    standing = snapshot.standing
    outcomes: Counter[str] = Counter()
    for part in standing.parts:
        outcomes.update(part.outcomes)
    return {
        "name": foreign.line(standing.name),
        "over": snapshot.over,
        "doing": foreign.line(_doing(snapshot.doing, now_ns)),
        "outcome": snapshot.outcome,
        "answer": foreign.line(snapshot.answer),
        "all": since < 0,
        "tiles": _tiles(standing.parts, outcomes, standing.in_flight),
        "outcomes": [[outcome, units.count(n)] for outcome, n in outcomes.most_common()],
        "rules": [
            [foreign.line(text), {True: "met", False: "broken", None: "open"}[it]] for text, it in standing.rules
        ],
        "seconds": [
            [
                each.at,
                foreign.line(each.phase),
                each.planned,
                each.started,
                each.failed,
                *(None if value is None else value / NS_PER_S for value in (*each.percentiles, each.longest)),
            ]
            for each in snapshot.seconds
            if each.number > since
        ],
    }


def _tiles(parts: Iterable[Part], outcomes: Counter[str], in_flight: int) -> list[list[str]]:
    """The figures at the head: counts of the run, and latency of the ok calls of the last phase that has any."""
    ended = sum(outcomes.values())
    failed = ended - outcomes[OK]
    share = f" ({units.share(failed, ended)})" if failed else ""
    counts = {
        "calls": units.count(ended),
        "failed": f"{units.count(failed)}{share}",
        "in flight": units.count(in_flight),
    }
    tiles = [list(each) for each in counts.items()]
    every = list(parts)
    latency = _latency(every)
    of = f" of {foreign.line(every[-1].phase)}" if every else ""
    for p in SHOWN:
        value = latency.value_at(p) if latency.count >= NEEDED[p] else None
        shown = f"n < {units.count(NEEDED[p])}" if value is None else units.duration(value * 1000)
        tiles.append([f"{units.percentile(p)}{of}", shown])
    return tiles


def _latency(parts: list[Part]) -> Histogram:
    """Latency of ok calls of the phase that is under way, or was last."""
    merged = Histogram()
    for part in parts:
        if part.phase == parts[-1].phase:
            for (_, outcome, metric), histogram in part.histograms.items():
                if (outcome, metric) == (OK, Metric.LATENCY):
                    merged.add(histogram)
    return merged


def _doing(doing: Doing, now_ns: int) -> str:
    """What goes on, in a few words."""
    passed = units.span(max(0, now_ns - doing.began_ns) // NS_PER_S * NS_PER_S)
    of = f" of {units.span(doing.lasts_ns)}" if doing.lasts_ns else ""
    match doing.what:
        case "phase":
            return f"{doing.phase}: {passed}{of}"
        case "silence":
            return f"silence: {passed}{of}{f', then {doing.phase}' if doing.phase else ''}"
        case "draining":
            return "ending: nothing more is started"
        case "ended":
            return "The run has ended."
        case _:
            return "getting ready"
