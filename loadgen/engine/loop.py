"""The event loop the engine runs on."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

try:
    import uvloop
except ImportError:  # Windows, where uvloop does not exist
    uvloop = None  # type: ignore[assignment,unused-ignore]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A uvloop where there is one."""
    return asyncio.new_event_loop() if uvloop is None else uvloop.new_event_loop()


def uvloop_version() -> str | None:
    """Its version, None where there is none."""
    return None if uvloop is None else version("uvloop")
