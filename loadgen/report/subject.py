"""What a report is of: what was called, where and when, in a few words."""

from __future__ import annotations

from datetime import datetime

from loadgen.measure.summary import Summary

_LONGEST = 120
_URN_NAME = 6
"""Which field of a function's urn is its name."""


def target(summary: Summary) -> str:
    """What was called and where: ``checkout at functiongraph.eu-de.otc.t-systems.com``; empty where it is not known."""
    scenario = summary.scenario
    calls = scenario.get("calls")
    aim = scenario.get("target")
    if not isinstance(aim, dict):
        aim = {}
    name = f"{len(calls)} calls" if isinstance(calls, list) and len(calls) > 1 else _name(aim)
    where = _host(str(aim["endpoint"])) if aim.get("endpoint") else ""
    return " at ".join(part for part in (name, where) if part)


def when(summary: Summary) -> str:
    """When the run began, to the minute: ``30 Nov 2026, 21:10 Z``; as it is written where that is no instant."""
    try:
        began = datetime.fromisoformat(summary.run.started_at)
    except ValueError:
        return short(summary.run.started_at)
    return f"{began.day} {began:%b %Y, %H:%M} Z"


def tags(summary: Summary) -> list[tuple[str, str]]:
    """The scenario's tags."""
    found = summary.scenario.get("tags")
    return [(str(key), str(value)) for key, value in found.items()] if isinstance(found, dict) else []


def short(text: str) -> str:
    """A name that fits a heading."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _name(aim: dict[str, object]) -> str:
    if aim.get("function"):
        fields = str(aim["function"]).split(":")
        return short(fields[_URN_NAME] if fields[0] == "urn" and len(fields) > _URN_NAME else fields[0])
    return _host(str(aim["url"])) if aim.get("url") else ""


def _host(url: str) -> str:
    return short(url.partition("://")[2].partition("?")[0].rstrip("/") or url)
