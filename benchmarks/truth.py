"""Whether figures are true when the machine that measures is late: see ``captured``, ``stops`` and ``quickstart``."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import captured, quickstart, stops
from benchmarks.document import commands, provenance
from benchmarks.stops import STOPS, Stop
from benchmarks.tool import Closed


def section(seconds: int, stopped_seconds: int, runs: int, how: str, pauses: Sequence[Stop] = STOPS) -> str:
    """Measure, and tell in Markdown.

    Captured runs take ``seconds`` each, runs that are stopped ``stopped_seconds``, and the quickstart is run ``runs``
    times alone and as often beside a busy loop.
    """
    tools = captured.tools()
    return "\n\n".join(
        [
            provenance(tools, how),
            *captured.parts(seconds, captured.CASES),
            *stops.parts(stopped_seconds, stops.CASES, pauses),
            *quickstart.parts(runs),
            commands((tool, Closed(64, seconds)) for tool in tools),
        ]
    )
