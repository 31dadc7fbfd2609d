"""What every load generator is asked for, and what it answers, so that a table can hold them side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

BODY = '{"k":"v"}'
PATH = "/v2/demo/fgs/functions/urn:fss:local:demo:function:default:hello:latest/invocations"
HEADERS = {"Content-Type": "application/json", "X-CFF-Request-Version": "v0"}


@dataclass(frozen=True, slots=True)
class Closed:
    """``connections`` callers that call back to back for ``seconds``."""

    connections: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Open:
    """``rate`` requests per second for ``seconds``.

    ``workers`` is the number of connections, users or VUs, for tools that must be given one.
    """

    rate: int
    seconds: int
    workers: int


Load = Closed | Open


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An ``origin`` (``http://127.0.0.1:8080``), and the certificate of an https one, None to use the system's."""

    origin: str
    certificate: str | None = None

    @property
    def url(self) -> str:
        """Where requests go."""
        return self.origin + PATH


@dataclass(frozen=True, slots=True)
class Freeze:
    """Stop the processes of the tool for ``for_s`` seconds, ``after_s`` seconds after it was started.

    Then again every ``every_s`` seconds, 0 for once. ``only`` names them by a part of their command line, and time
    counts from when one of them is there; all of them where it is empty.
    """

    after_s: float
    for_s: float
    every_s: float = 0
    only: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What the tool itself says about a run.

    ``rate`` is in requests per second. ``percentiles_ms`` (percent to ms) holds those that the tool prints as one
    figure, ``ranges`` those that it prints as a range, in its words.
    ``remark`` is what it says about the quality of the run or about failures, empty for nothing. ``begin_ns``
    (monotonic) is when its schedule began, None when it does not tell.
    """

    requests: int
    failed: int
    rate: float
    percentiles_ms: Mapping[float, float] = field(default_factory=dict)
    ranges: Mapping[float, str] = field(default_factory=dict)
    remark: str = ""
    begin_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time and largest memory of all processes of the tool, from their start to their end.

    ``load_cpu_ns`` is what of the CPU time was spent while there was load, None where the tool does not tell.
    """

    cpu_ns: int
    rss_bytes: int
    load_cpu_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a tool."""

    report: Report
    usage: Usage


class ToolError(Exception):
    """The tool could not make the run; the message is what it last said."""


class Tool(Protocol):
    """A load generator. ``version`` is None when it is not installed."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def version(self) -> str | None:
        """Its version as it tells it."""

    def command(self, load: Load, url: str) -> list[str] | None:
        """The command line of a run, None when it makes no such load."""

    def run(self, load: Load, endpoint: Endpoint, *, core: int | None = None, freeze: Freeze | None = None) -> Measured:
        """Make the load, on one core where it is given. Raises ToolError."""
