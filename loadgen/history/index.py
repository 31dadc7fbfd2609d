"""The runs under a directory, from an index that is nothing but a cache.

Theory of operation. Reading every summary.json of hundreds of runs takes seconds; so what a listing shows of each is
kept in a SQLite file beside them, with the size and the times of the summary.json that it was read from. Every listing
looks at the directories themselves, takes from the index what still belongs to the same file, reads the others, and
puts those into the index. So an index that is missing, of another version, damaged or deleted meanwhile is made anew,
and one that is locked or cannot be written is done without: the listing is the same.

Runs that were cut short are listed, too: a directory with files of a run and no summary.json is one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from loadgen.history.rundir import JOURNAL, KNOWN, SUMMARY, RunDirectoryError, read_summary
from loadgen.measure.summary import Summary
from loadgen.measure.threshold import together
from loadgen.text import foreign

INDEX = ".history.sqlite"
VERSION = 2
"""Of what the index holds; another one is made anew."""
MEASURED = "measured"
"""Of a run without rules."""
INTERRUPTED, BUDGET, INVALID = "interrupted", "budget", "invalid"
PARTIAL = "partial"
"""Of a run that was cut short, whatever what it left says."""
UNFINISHED, UNREADABLE = "unfinished", "unreadable"

_WAIT_S = 0.2
"""For how long another listing is waited for that is writing."""


class Entry(Struct, frozen=True):
    """What a listing tells of a run.

    Null is what is not known, or may not be shown (see the run's report). ``started_at`` is RFC 3339 in UTC, of a run
    without a summary when its directory was last changed. ``why`` says why a run cannot be read.
    """

    directory: str
    name: str
    started_at: str
    outcome: str
    kind: str | None = None
    verdict: str | None = None
    p50_ns: int | None = None
    p99_ns: int | None = None
    rate: float | None = None
    tags: dict[str, str] = {}
    why: str | None = None


Of = Callable[[str, Summary], Entry]
"""What is told of a run, by the name of its directory."""


class Listing(Struct, frozen=True):
    """Runs, newest first; ``without`` says why the index was not used, None where it was."""

    entries: list[Entry]
    without: str | None = None


def outcome(summary: Summary) -> str:
    """How a run ended, as its exit code says: of everything that applies, what comes first."""
    if summary.run.partial:
        return PARTIAL
    if summary.run.interrupted:
        return INTERRUPTED
    if summary.run.stopped is not None and not _aborted(summary):
        return BUDGET
    if summary.verdict.status == "invalid":
        return INVALID
    return together(summary.thresholds) or MEASURED


def _aborted(summary: Summary) -> bool:
    """Whether a rule ended the run, and no budget."""
    return any(each.passed is False and each.rule in (summary.run.stopped or "") for each in summary.thresholds)


def listing(directory: Path, of: Of) -> Listing:
    """The runs in a directory. Raises OSError when it cannot be read."""
    found = list(_runs(directory))
    known, without = _kept(directory)
    entries, fresh = [], {}
    for name, stamp, entry in found:
        if entry is None and (kept := known.get(name)) is not None and kept[0] == stamp:
            entry = _decoded(kept[1], name)
        if entry is None:
            entry = _read(directory, name, of)
            fresh[name] = (stamp, entry)
        entries.append(entry)
    gone = known.keys() - {name for name, _, entry in found if entry is None}
    if without is None and (fresh or gone):
        without = _keep(directory, fresh, gone)
    return Listing(sorted(entries, key=lambda entry: (entry.started_at, entry.directory), reverse=True), without)


def _runs(directory: Path) -> Iterator[tuple[str, str, Entry | None]]:
    """Each run directory by name, with what tells its summary.json from another; an Entry where it has none."""
    with os.scandir(directory) as found:
        for each in found:
            try:
                if not each.is_dir():
                    continue
                at = Path(each.path)
                try:
                    seen = (at / SUMMARY).stat()
                except FileNotFoundError:
                    if any(os.path.lexists(at / name) for name in KNOWN):
                        yield each.name, "", _unfinished(at)
                    continue
                yield each.name, f"{seen.st_size}-{seen.st_mtime_ns}-{seen.st_ctime_ns}-{seen.st_ino}", None
            except OSError as error:  # it went away meanwhile, or may not be looked into
                if each.name and not isinstance(error, FileNotFoundError):
                    yield each.name, "", _unreadable(Path(each.path), error.strerror or str(error))


def _read(directory: Path, name: str, of: Of) -> Entry:
    try:
        return of(name, read_summary(directory / name))
    except RunDirectoryError as error:
        return _unreadable(directory / name, str(error))
    except (ValueError, ArithmeticError, LookupError, RecursionError) as error:
        return _unreadable(directory / name, f"it holds something that no loadgen writes ({type(error).__name__})")


def _unfinished(at: Path) -> Entry:
    remedy = "; `loadgen report` makes one of what it left" if os.path.lexists(at / JOURNAL) else ""
    why = f"it has no summary.json: it is not over, or was cut short{remedy}"
    return Entry(foreign.line(at.name), foreign.line(at.name), _changed(at), UNFINISHED, why=why)


def _unreadable(at: Path, why: str) -> Entry:
    return Entry(foreign.line(at.name), foreign.line(at.name), _changed(at), UNREADABLE, why=foreign.line(why))


def _changed(at: Path) -> str:
    """When a directory was last changed; nothing where nobody says."""
    try:
        instant = datetime.fromtimestamp(at.stat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        return ""
    return instant.isoformat("T", "milliseconds").replace("+00:00", "Z")


def _decoded(kept: bytes, name: str) -> Entry | None:
    try:
        entry = msgspec.json.decode(kept, type=Entry)
    except msgspec.MsgspecError:
        return None
    return entry if entry.directory == foreign.line(name) else None


def _kept(directory: Path) -> tuple[dict[str, tuple[str, bytes]], str | None]:
    """What the index holds, and why it cannot be used; an index that is damaged is removed, and is empty then."""
    path = directory / INDEX
    try:
        return _rows(path), None
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR:
            return {}, str(error)  # locked, or in a directory that cannot be written
    except (sqlite3.Error, OSError, TypeError, ValueError):
        pass
    with contextlib.suppress(OSError):
        path.unlink()
    try:
        return _rows(path), None
    except (sqlite3.Error, OSError, TypeError, ValueError) as error:
        return {}, str(error)


def _rows(path: Path) -> dict[str, tuple[str, bytes]]:
    with contextlib.closing(_opened(path)) as index:
        rows = index.execute("SELECT directory, stamp, entry FROM runs").fetchall()
    if not all(isinstance(n, bytes) and isinstance(s, str) and isinstance(e, bytes) for n, s, e in rows):
        raise ValueError("an index with other types")
    return {os.fsdecode(name): (stamp, entry) for name, stamp, entry in rows}


def _keep(directory: Path, fresh: dict[str, tuple[str, Entry]], gone: set[str]) -> str | None:
    """Put entries into the index; why that failed, None where it did not. What failed is read again the next time."""
    rows = [
        (os.fsencode(name), stamp, msgspec.json.encode(entry))
        for name, (stamp, entry) in fresh.items()
        if entry.outcome != UNREADABLE  # it may be readable the next time without having changed
    ]
    try:
        with contextlib.closing(_opened(directory / INDEX)) as index, index:
            index.executemany("DELETE FROM runs WHERE directory = ?", [(os.fsencode(name),) for name in gone])
            index.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", rows)
    except (sqlite3.Error, OSError) as error:
        return str(error)
    return None


def _opened(path: Path) -> sqlite3.Connection:
    """The index, made if need be: nobody else's business, as what it tells of."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise sqlite3.OperationalError("it is no regular file")
    with contextlib.suppress(FileExistsError, OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    index = sqlite3.connect(path, timeout=_WAIT_S)
    try:
        (version,) = index.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            with index:
                index.execute("BEGIN IMMEDIATE")
                index.execute("DROP TABLE IF EXISTS runs")
                index.execute(
                    "CREATE TABLE runs (directory BLOB PRIMARY KEY, stamp TEXT NOT NULL, entry BLOB NOT NULL)"
                )
                index.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        index.close()
        raise
    return index
