"""The HdrHistogram log, format 1.3: one histogram per line, tagged, readable by every HdrHistogram implementation.

A line is ``Tag=<tag>,<start>,<length>,<max>,<blob>``: start since StartTime and length in seconds with three digits,
the maximum in ms, the blob in V2 compressed base64. The histograms count µs, so the maximum is the largest value
divided by 1,000, rounded up as in the Summary; a comment in the header says so, as the format itself has no field for
it. Tags are ours to choose; a character that would end the field early (a comma, white space), or cannot be printed, is
percent-encoded.

How many invocations of a phase were started in an interval is in a comment, which other readers pass over:
``#[Started: <phase>,<start>,<length>,<number>]``.

The Python library's own writer is not used: it cannot write a start time or a tag, and cuts the maximum to whole units.

Source: HdrHistogram's Java classes HistogramLogWriter, HistogramLogReader and HistogramLogProcessor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import quote, unquote

from msgspec import Struct

from loadgen.invocation.metric import TIME, Metric
from loadgen.measure.histogram import Histogram
from loadgen.text.units import NS_PER_S

DISTURBED = "disturbed"
"""The part of a tag before the metric, of calls that the load generator disturbed: ``<phase>.disturbed.latency``."""
VERSION = "#[Histogram log format version 1.3]"
LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'

_MS_PER_S = 1_000
_US_PER_MS = 1_000
_NUMBER = r"(\d{1,15}(?:\.\d{1,15})?)"
_LINE = re.compile(rf"Tag=([^,\s]+),{_NUMBER},{_NUMBER},{_NUMBER},([A-Za-z0-9+/]+={{0,2}})", re.ASCII)
_STARTED = re.compile(rf"#\[Started: ([^,\s]+),{_NUMBER},{_NUMBER},(\d{{1,15}})\]", re.ASCII)


class Line(Struct, frozen=True):
    """One histogram of the log. ``start_ns`` is since the log's StartTime; both times are whole ms."""

    tag: str
    start_ns: int
    length_ns: int
    histogram: Histogram


class Started(Struct, frozen=True):
    """How many invocations of a ``phase`` were started in an interval; its times are those of a ``Line``."""

    phase: str
    start_ns: int
    length_ns: int
    n: int


def header(started_at_epoch_ms: int) -> list[str]:
    """The lines a log begins with, without their ends, for a run that began then (ms since 1970, UTC)."""
    seconds = f"{started_at_epoch_ms / _MS_PER_S:.3f}"
    began = datetime.fromtimestamp(started_at_epoch_ms / _MS_PER_S, UTC).isoformat(" ", "milliseconds")
    others = "".join(
        f" (tags that end in {metric.value}: {metric.kind.unit.counted})"
        for metric in Metric
        if metric.kind.reported and metric.kind.unit is not TIME
    )
    return [
        VERSION,
        f"#[Histograms count microseconds{others}; Interval_Max: ms (MiB/1000), rounded up]",
        f"#[StartTime: {seconds} (seconds since epoch), {began}]",
        LEGEND,
    ]


def text(entry: Line | Started) -> str:
    """An entry as it stands in the log, without its end; see ``line``."""
    if isinstance(entry, Started):
        return f"#[Started: {_safe(entry.phase)},{_interval(entry.start_ns, entry.length_ns)},{entry.n}]"
    return line(entry.tag, entry.start_ns, entry.length_ns, entry.histogram)


def line(tag: str, start_ns: int, length_ns: int, histogram: Histogram) -> str:
    """One line of the log, without its end. ``start_ns`` is since the log's StartTime.

    Raises ValueError for an empty tag.
    """
    longest = (histogram.ceiling_us or 0) / _US_PER_MS
    return f"Tag={_safe(tag)},{_interval(start_ns, length_ns)},{longest:.3f},{histogram.encode()}"


def _safe(tag: str) -> str:
    if not tag:
        raise ValueError("an empty tag, expected the name of what the histogram is of")
    return "".join(quote(c, safe="") if c in "%," or c.isspace() or not c.isprintable() else c for c in tag)


def _interval(start_ns: int, length_ns: int) -> str:
    return f"{start_ns / NS_PER_S:.3f},{length_ns / NS_PER_S:.3f}"


def read(lines: Iterable[str]) -> Iterator[Line]:
    """The histograms of a log, in its order; see ``entries``."""
    return (entry for entry in entries(lines) if isinstance(entry, Line))


def entries(lines: Iterable[str]) -> Iterator[Line | Started]:
    """What a log tells, in its order.

    A last line without its end that cannot be read is passed over: the writer died in the middle of it.

    Raises ValueError, naming the line, for anything else that is not a log of format 1.3 with tags.
    """
    numbered = enumerate(lines, start=1)
    for number, written in numbered:
        try:
            found = _line(written.rstrip("\r\n"), first=number == 1)
        except ValueError as error:
            if not written.endswith("\n") and next(numbered, None) is None:
                return
            raise ValueError(f"line {number} of the histogram log: {error}") from error
        if found is not None:
            yield found


def _line(written: str, *, first: bool) -> Line | Started | None:
    if first and written != VERSION:
        raise ValueError(f"expected {VERSION}")
    if (comment := _STARTED.fullmatch(written)) is not None:
        phase, start, length, n = comment.groups()
        return Started(unquote(phase), _ns(start), _ns(length), int(n))
    if written.startswith("#") or written == LEGEND:
        return None
    match = _LINE.fullmatch(written)
    if match is None:
        raise ValueError("expected Tag=<tag>,<start>,<length>,<max>,<histogram>")
    tag, start, length, _, blob = match.groups()
    return Line(unquote(tag), _ns(start), _ns(length), Histogram.decode(blob))


def _ns(seconds: str) -> int:
    return int(Decimal(seconds) * NS_PER_S)
