"""Arrivals from published traces: which calls a stretch of a trace holds.

Traces of counts (calls of each function in each minute or second) say nothing about when in the minute a call came; it
is drawn when the load is made, uniformly, which is a Poisson process given its counts. Timers are the exception: they
are spread evenly, each with a phase of its own that it keeps, because without it every timer of a trace would fire at
the beginning of every minute. Traces of single calls give each start exactly.

Layouts, all CSV with a header line:

- ``azure-2019``: HashOwner, HashApp, HashFunction, Trigger, 1 … 1440: calls in each minute of a day.
- ``azure-2021``: app, func, end_timestamp, duration, in s: a line for each call.
- ``huawei-minute``, ``huawei-second``: day, time, then a column for each function: its calls in a minute or second.
- ``huawei-requests``: a line for each call, with its start at time_frontend - totalCost_frontend, in s.

A file is read once, line by line; what is kept is 8 bytes a call (``huawei-requests``: 16), or one number a minute.

Whether the functions of a trace of single calls are locked to the minute, all calling at the same second of it, is
Rayleigh's test on one call of each, taken by chance: the first of a minute would be biased.

Sources: Azure/AzurePublicDataset, AzureFunctionsDataset2019.md and AzureFunctionsInvocationTrace2021.md;
sir-lab/data-release, README.md; on phases of timers: vhive-serverless/invitro, pull request 242; J. H. Zar,
Biostatistical Analysis, chapter 27 (Rayleigh's test).
"""

from __future__ import annotations

import csv
import heapq
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Annotated, TextIO

from msgspec import Struct

from loadgen.load.law import Arrivals, Chance, Law, random_stream
from loadgen.text import file
from loadgen.text.fault import Fault, Place, ScenarioError
from loadgen.text.file import unreadable
from loadgen.text.form import DERIVED, DurationOrZero, Share, Text, doc, within, without_unit
from loadgen.text.units import NS_PER_S

MOST_CALLS = 10_000_000
"""A stretch with more is refused: its starts would not fit into the messages to agents."""

_MINUTE_NS = 60 * NS_PER_S
_KEYS_2019 = ("HashOwner", "HashApp", "HashFunction", "Trigger")
_KEYS_2021 = ("app", "func", "end_timestamp", "duration")
_KEYS_COUNTS = ("day", "time")
_KEYS_REQUESTS = ("time_frontend", "funcName", "totalCost_frontend")


LONGEST_LINE = 2**20
"""Characters of a line: those of the widest layout, a column for each minute of a day, have some ten thousand."""


class TraceFormat(Enum):
    """The layouts of published traces, see above."""

    AZURE_2019 = "azure-2019"
    AZURE_2021 = "azure-2021"
    HUAWEI_MINUTE = "huawei-minute"
    HUAWEI_SECOND = "huawei-second"
    HUAWEI_REQUESTS = "huawei-requests"


class Trace(Law, frozen=True, tag="trace"):
    """Open model: the arrivals of a trace.

    ``counts`` are starts in each ``slot_ns``, at instants that are drawn: uniformly, slot by slot, each from a stream
    of its own, so that only one slot is in memory. ``starts`` are others, known exactly: sorted ns since the phase
    began, as 8-byte signed integers of this machine. ``locked`` is how probable it is that functions which have nothing
    to do with each other agree on the second of the minute as much as these do, None where there is no telling.
    """

    counts: tuple[int, ...]
    slot_ns: int
    starts: bytes
    locked: float | None = None

    def __repr__(self) -> str:
        return f"Trace({sum(self.counts) + len(self._exact())} starts)"

    def offsets(self, duration_ns: int, arrivals: Arrivals, chance: Chance) -> Iterator[int]:
        """See Law."""
        return heapq.merge(self._exact(), self._drawn(duration_ns, chance))

    def expected(self, duration_ns: int, arrivals: Arrivals) -> int:
        """See Law."""
        return sum(self.counts) + len(self._exact())

    def peak_rate(self) -> float:
        """See Law."""
        slots = Counter(dict(enumerate(self.counts)))
        slots.update(start // self.slot_ns for start in self._exact())
        return max(slots.values()) * NS_PER_S / self.slot_ns

    def lockstep(self) -> float | None:
        """See Law."""
        return self.locked

    def words(self) -> str:
        """See Law."""
        return "arrivals of a trace"

    def _exact(self) -> memoryview[int]:
        return memoryview(self.starts).cast("q")

    def _drawn(self, duration_ns: int, chance: Chance) -> Iterator[int]:
        for slot, number in enumerate(self.counts):
            if number:
                draw = chance(str(slot)).random
                first = slot * self.slot_ns
                room = min(self.slot_ns, duration_ns - first)
                yield from sorted(first + int(draw() * room) for _ in range(number))


class Wanted(Struct, frozen=True, rename=without_unit):
    """Arrivals of a published trace.

    What to take of it: ``span_ns`` of its time from ``from_ns`` on, of one ``function`` or of all. ``keep`` is the
    share of the calls that are kept, each by chance; a larger share keeps those of a smaller one, too. The time of the
    trace passes ``speed`` times as fast as it did.
    """

    file: Annotated[Text, doc("The trace, a CSV file.")]
    format: Annotated[TraceFormat, doc("Its layout.")]
    span_ns: Annotated[int, DERIVED]
    seed: Annotated[int, DERIVED]
    function: Annotated[Text | None, doc("One function of the trace, `name` or `app/name`; default all together.")] = (
        None
    )
    from_ns: Annotated[DurationOrZero, doc("Where to begin, in the trace's own time.")] = 0
    speed: Annotated[float, within(0.001, 100_000), doc("How many times as fast as in the trace time passes.")] = 1.0
    keep: Annotated[Share, doc("The share of its calls that are made, chosen by chance.")] = 1.0


def chance_of(phases: Sequence[float]) -> float:
    """How probable it is that independent, uniform phases (in turns) agree as much as these; 1.0 for none.

    Rayleigh's test: p = exp(√(1 + 4n + 4(n² - R²)) - (1 + 2n)) with R the length of the sum of n unit vectors.
    """
    n = len(phases)
    across, along = (sum(turn(2 * math.pi * each) for each in phases) for turn in (math.sin, math.cos))
    return math.exp(math.sqrt(max(0.0, 1 + 4 * n + 4 * (n * n - across**2 - along**2))) - (1 + 2 * n))


def read_trace(path: Path, wanted: Wanted) -> Trace:
    """The arrivals of a stretch of a trace.

    Raises ScenarioError, located in the file, when it cannot be read, does not have the layout, or has no such call.
    """
    reader = _Reader(path, wanted)
    try:
        with TextIOWrapper(file.opened(path), encoding="utf-8-sig", newline="") as text:
            reader.read(csv.reader(_lines(text), strict=True))
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise reader.fault(f"got bytes that are not UTF-8 text ({error.reason}) here or somewhat below") from error
    except csv.Error as error:
        raise reader.fault(f"this is not CSV: {error}") from error
    return reader.trace()


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise csv.Error(f"a line has more than {LONGEST_LINE:,} characters")
        yield line


class _Reader:
    def __init__(self, path: Path, wanted: Wanted) -> None:
        self._path = path
        self._wanted = wanted
        self._line = 0
        self._slot_ns = NS_PER_S if wanted.format is TraceFormat.HUAWEI_SECOND else _MINUTE_NS
        self._counts = [0] * -(-wanted.span_ns // self._slot_ns)
        self._starts = array("q")  # ns of the trace's time since from_ns
        self._one_each: dict[str, tuple[int, int]] = {}  # how many calls of a function, and the start of one of them
        self._chance = random_stream(wanted.seed, "trace", "phases").random
        self._found = wanted.function is None
        self._total = 0

    def read(self, lines: Iterator[list[str]]) -> None:
        """Take in the whole file."""
        header = next(lines, None)
        self._line = 1
        if header is None:
            raise self.fault("got an empty file, expected a header line")
        rows = (row for row in self._numbered(lines) if row)
        match self._wanted.format:
            case TraceFormat.AZURE_2019:
                self._azure_2019(header, rows)
            case TraceFormat.AZURE_2021:
                self._azure_2021(header, rows)
            case TraceFormat.HUAWEI_REQUESTS:
                self._requests(header, rows)
            case _:
                self._by_column(header, rows)

    def trace(self) -> Trace:
        """What was read, in the time of the run."""
        wanted = self._wanted
        if not self._found:
            raise self._nothing(f"there is no function {wanted.function} in it")
        counts = [self._thinned(number, count) for number, count in enumerate(self._counts)]
        chance = random_stream(wanted.seed, "trace", "keep", "starts").random
        starts = [start for start in self._starts if wanted.keep >= 1 or chance() < wanted.keep]
        if not starts and not any(counts):
            raise self._nothing("there is no call in this stretch of it")
        starts.sort()
        packed = array("q", (int(start / wanted.speed) for start in starts))
        phases = [start % _MINUTE_NS / _MINUTE_NS for _, start in self._one_each.values()]
        return Trace(
            tuple(counts),
            int(self._slot_ns / wanted.speed),
            packed.tobytes(),
            locked=chance_of(phases) if phases else None,
        )

    def fault(self, message: str, column: int = 1) -> ScenarioError:
        """A fault of the line that was read last."""
        return ScenarioError([Fault(Place(self._path.name, self._line, column), (), message)])

    def _nothing(self, message: str) -> ScenarioError:
        return ScenarioError([Fault(Place(self._path.name), (), message)])

    def _numbered(self, lines: Iterator[list[str]]) -> Iterator[list[str]]:
        for row in lines:
            self._line += 1
            yield row

    def _azure_2019(self, header: list[str], rows: Iterator[list[str]]) -> None:
        self._expect(header, _KEYS_2019)
        first = self._wanted.from_ns // _MINUTE_NS
        if self._wanted.from_ns % _MINUTE_NS:
            raise self._nothing("it counts by minutes: from is to be a whole number of them")
        for row in rows:
            self._same(row, header)
            if not self._is(row[2], row[1]):
                continue
            timer = random_stream(self._wanted.seed, "trace", "timer", row[1], row[2]) if row[3] == "timer" else None
            phase = None if timer is None else timer.random()
            begin = len(_KEYS_2019) + first
            for number, text in enumerate(islice(row, begin, begin + len(self._counts))):
                count = self._count(text, begin + number)
                if count and phase is not None:
                    step = _MINUTE_NS / count
                    self._add_starts(int(number * _MINUTE_NS + (each + phase) * step) for each in range(count))
                elif count:
                    self._add(number, count)

    def _azure_2021(self, header: list[str], rows: Iterator[list[str]]) -> None:
        at = self._expect(header, _KEYS_2021)
        for row in rows:
            self._same(row, header)
            if self._is(row[at["func"]], row[at["app"]]):
                end_s, took_s = (self._number(row, at[key]) for key in ("end_timestamp", "duration"))
                self._add_stamped(f"{row[at['app']]}/{row[at['func']]}", round((end_s - took_s) * NS_PER_S))

    def _requests(self, header: list[str], rows: Iterator[list[str]]) -> None:
        at = self._expect(header, _KEYS_REQUESTS)
        every, whose = array("q"), array("q")
        numbers: dict[str, int] = {}
        earliest: int | None = None
        for row in rows:
            self._same(row, header)
            end_s, took_s = (self._number(row, at[key]) for key in ("time_frontend", "totalCost_frontend"))
            start = round((end_s - took_s) * NS_PER_S)
            earliest = start if earliest is None else min(earliest, start)
            if self._is(row[at["funcName"]], ""):
                every.append(start)
                whose.append(numbers.setdefault(row[at["funcName"]], len(numbers)))
        for start, number in zip(every, whose, strict=True):
            self._add_stamped(str(number), start - (earliest or 0))

    def _by_column(self, header: list[str], rows: Iterator[list[str]]) -> None:
        self._expect(header, _KEYS_COUNTS)
        if self._wanted.from_ns % self._slot_ns:
            raise self._nothing(f"it counts by {self._slot_ns // NS_PER_S} s: from is to be a whole number of that")
        taken = [at for at, name in enumerate(header) if at >= len(_KEYS_COUNTS) and self._is(name, "")]
        begun: float | None = None
        for row in rows:
            self._same(row, header)
            time_s = self._number(row, 1)
            begun = time_s if begun is None else begun
            number = round((time_s - begun) * NS_PER_S - self._wanted.from_ns) // self._slot_ns
            if 0 <= number < len(self._counts):
                self._add(number, sum(self._count(row[at], at) for at in taken))

    def _expect(self, header: list[str], keys: tuple[str, ...]) -> dict[str, int]:
        """Where the columns are. Raises ScenarioError when one is missing."""
        if missing := [key for key in keys if key not in header]:
            raise self.fault(f"no column {missing[0]}, which {self._wanted.format.value} has")
        return {key: header.index(key) for key in keys}

    def _same(self, row: list[str], header: list[str]) -> None:
        if len(row) != len(header):
            raise self.fault(f"got {len(row)} columns, expected {len(header)} as in the header")

    def _is(self, name: str, app: str) -> bool:
        """Whether a function is wanted: by its name, or by app/name where names are not unique."""
        wanted = self._wanted.function
        fits = wanted is None or wanted in (name, f"{app}/{name}")
        self._found |= fits
        return fits

    def _number(self, row: list[str], at: int) -> float:
        try:
            value = float(row[at])
        except ValueError:
            value = -1.0
        if not 0 <= value < 1e11:
            raise self.fault(f"column {at + 1} holds something else, expected a number of seconds")
        return value

    def _count(self, text: str, at: int) -> int:
        if not text:
            return 0
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= MOST_CALLS or value != int(value):
            raise self.fault(f"column {at + 1} holds something else, expected a number of calls")
        return int(value)

    def _add(self, number: int, count: int) -> None:
        self._counts[number] += count
        self._more(count)

    def _add_stamped(self, function: str, at_ns: int) -> None:
        """Add a call of a function by its instant in the trace, and perhaps keep it as the one of the function."""
        start = at_ns - self._wanted.from_ns
        if not 0 <= start < self._wanted.span_ns:
            return
        self._add_starts((start,))
        seen, kept = self._one_each.get(function, (0, start))
        self._one_each[function] = (seen + 1, start if self._chance() * (seen + 1) < 1 else kept)

    def _add_starts(self, starts: Iterator[int] | tuple[int, ...]) -> None:
        for start in starts:
            if 0 <= start < self._wanted.span_ns:
                self._starts.append(start)
                self._more(1)

    def _more(self, count: int) -> None:
        self._total += count
        if self._total > MOST_CALLS:
            raise self._nothing(
                f"this stretch of it has more than {MOST_CALLS} calls: take a shorter one, or a single function"
            )

    def _thinned(self, number: int, count: int) -> int:
        """The calls of a slot that are kept; of the last one, if only part of it is taken, a part."""
        part = min(1.0, (self._wanted.span_ns - number * self._slot_ns) / self._slot_ns)
        share = self._wanted.keep * part
        if share >= 1:
            return count
        chance = random_stream(self._wanted.seed, "trace", "keep", str(number)).random
        return sum(chance() < share for _ in range(count))
