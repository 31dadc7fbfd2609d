"""The run directory: where the files of one run are written, and read again.

What grows during a run (intervals, samples) is appended and handed to the kernel on every call, and an append that
fails is taken back, so a crash or a full disk at any moment leaves whole lines. What is written once is written beside
its place, synced and renamed, so it is either there or not. Samples are a sequence of complete gzip members (RFC 1952,
section 2.2), one per call, which every gzip reader takes as one file.

frames.journal (``loadgen.history.journal``) is there for a run that is cut short: it is removed when summary.json is
written, which says the same.

What a target answers may be nobody else's business: the directory and its files are their owner's alone.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

import msgspec

from loadgen.history import journal
from loadgen.invocation.sample import Sample
from loadgen.measure import summary
from loadgen.measure.summary import Environment, Summary
from loadgen.text import file, foreign

SCENARIO = "scenario.yaml"
ENVIRONMENT = "environment.json"
SUMMARY = "summary.json"
INTERVALS = "intervals.hlog"
SAMPLES = "samples.ndjson.gz"
TRUTH = "truth.ndjson"
JOURNAL = "frames.journal"
KNOWN = (SCENARIO, ENVIRONMENT, SUMMARY, INTERVALS, SAMPLES, "report.md", "report.html", "junit.xml", TRUTH, JOURNAL)
"""Every file a run may leave."""
LARGEST_SUMMARY = 64 * 2**20
"""Bytes of a summary.json that is read."""
LARGEST_JOURNAL = 2**28
"""Bytes of a frames.journal that is read: some sixteen times what one has before it is written anew."""
_LONGEST_NAME = 100
LONGEST_LINE = 2**20
"""Bytes of a line of intervals.hlog that is read: a packed histogram has some kilobytes."""


class RunDirectoryError(Exception):
    """A run directory cannot be made, written or read. The message is one line: what was seen and what to do."""


def default_path(name: str, at: datetime) -> Path:
    """Where a run lands unless told otherwise: ``reports/<name>-<UTC time>``, with a number where that is taken.

    ``at`` carries a time zone. Characters of ``name`` that are not safe in a file name become ``-``, and a long one is
    cut, as no file system takes more than 255 bytes.
    """
    safe = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII)[:_LONGEST_NAME].strip(".-") or "run"
    instant = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    first = Path("reports") / f"{safe}-{instant}"
    numbered = (first.with_name(f"{first.name}-{n}") for n in count(2))
    return next(path for path in chain([first], numbered) if not file.there(path))


class RunDirectory:
    """The directory of a run in progress. Every method that writes raises RunDirectoryError when it cannot.

    Made with ``create``; ``close`` it when the run is over.
    """

    def __init__(self, path: Path, intervals: io.FileIO, hide: Callable[[str], str]) -> None:
        self.path = path
        self._intervals = intervals
        self._hide = hide
        self._samples: io.FileIO | None = None
        self._key = journal.new_key()
        self._journal: io.FileIO | None = None

    @classmethod
    def create(cls, path: Path, hide: Callable[[str], str] = str) -> RunDirectory:
        """An empty run directory at ``path``, parents included, shown to be writable before any load is sent.

        ``hide`` masks the secrets in what a target said.

        Raises RunDirectoryError when it holds a run already or cannot be written.
        """
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            message = f"cannot write a run to {path}: its name is not UTF-8; give --out another name"
            raise RunDirectoryError(message) from error
        held = [name for name in KNOWN if os.path.lexists(path / name)]
        if held:
            raise RunDirectoryError(
                f"{path} already holds a run ({', '.join(held)}); give --out a new directory or remove this one"
            )
        try:
            _make(path)
            directory = cls(path, _opened(path / INTERVALS, os.O_EXCL), hide)
            try:
                directory._try_to_write()
            except OSError:
                directory.discard()
                raise
        except OSError as error:
            raise RunDirectoryError(
                f"cannot write a run to {path}: {_cause(error)}; give --out a directory that can be written"
            ) from error
        return directory

    def _try_to_write(self) -> None:
        """Raises OSError where the disk takes nothing, which a file can be made on all the same."""
        _write_all(self._intervals, b"loadgen\n")
        os.fsync(self._intervals.fileno())
        self._intervals.truncate(0)

    def discard(self) -> None:
        """Remove what was written, for a run that did not begin; the directory too unless it holds something else."""
        self.close()
        with contextlib.suppress(OSError):
            for name in KNOWN:
                (self.path / name).unlink(missing_ok=True)
            self.path.rmdir()

    @property
    def truth_path(self) -> Path:
        """Where the embedded emulator writes its ground truth."""
        return self.path / TRUTH

    def write_scenario(self, text: str) -> None:
        """Write scenario.yaml; ``text`` has its secrets masked already."""
        self._replace(SCENARIO, text.encode())

    def write_environment(self, environment: Environment) -> None:
        """Write environment.json."""
        encoded = msgspec.json.format(msgspec.json.encode(environment), indent=1)
        self._replace(ENVIRONMENT, foreign.json(encoded) + b"\n")

    def write_summary(self, encoded: bytes) -> None:
        """Write summary.json, which frames.journal is not needed beside."""
        self._replace(SUMMARY, encoded)
        with contextlib.suppress(OSError):
            (self.path / JOURNAL).unlink()

    def write_report(self, name: str, text: str) -> None:
        """Write a rendering, such as report.md."""
        self._replace(name, text.encode())

    def append_interval_lines(self, lines: list[str]) -> None:
        """Append lines to intervals.hlog; a missing line end is added."""
        self._append(INTERVALS, self._intervals, "".join(f"{line.rstrip(chr(10))}\n" for line in lines).encode())

    def append_samples(self, samples: list[Sample]) -> None:
        """Append one JSON line per sample to samples.ndjson.gz, which the first call creates."""
        if not samples:
            return
        if self._samples is None:
            try:
                self._samples = _opened(self.path / SAMPLES, os.O_APPEND | os.O_EXCL)
            except OSError as error:
                raise self._failed(SAMPLES, error) from error
        assert self._samples is not None
        phases = {name: self._hide(name) for name in {each.phase for each in samples}}
        shown = [
            msgspec.structs.replace(
                each,
                phase=phases[each.phase],
                error_code=self._hidden(each.error_code),
                request_id=self._hidden(each.request_id),
                instance=self._hidden(each.instance),
            )
            for each in samples
        ]
        # Level 1: the parent that writes shares the machine with the agents that measure.
        self._append(SAMPLES, self._samples, gzip.compress(foreign.json(_LINES.encode_lines(shown)), 1, mtime=0))

    def append_record(self, body: bytes) -> int:
        """Append a record to frames.journal, which the first call creates; how many bytes it has then."""
        record = journal.framed(self._key, body)
        if self._journal is None:
            try:
                self._journal = _opened(self.path / JOURNAL, os.O_APPEND | os.O_EXCL)
            except OSError as error:
                raise self._failed(JOURNAL, error) from error
            record = journal.beginning(self._key) + record
        self._append(JOURNAL, self._journal, record)
        return self._journal.tell()

    def rewrite_journal(self, shorter: Callable[[bytes], list[bytes]]) -> int:
        """Put fewer records, made of what frames.journal holds, in its place; how many bytes it has then."""
        try:
            held = file.read(self.path / JOURNAL, LARGEST_JOURNAL)
            parts = [journal.beginning(self._key), *(journal.framed(self._key, each) for each in shorter(held))]
            replace(self.path / JOURNAL, b"".join(parts))
            if self._journal is not None:
                self._journal.close()
            self._journal = _opened(self.path / JOURNAL, os.O_APPEND)
            return self._journal.seek(0, os.SEEK_END)
        except OSError as error:
            raise self._failed(JOURNAL, error) from error

    def close(self) -> None:
        """Close the files that are appended to. Calling it again does nothing."""
        for each in (self._intervals, self._samples, self._journal):
            if each is not None:
                each.close()

    def _append(self, name: str, to: io.FileIO, data: bytes) -> None:
        end = to.seek(0, os.SEEK_END)
        try:
            _write_all(to, data)
        except OSError as error:
            with contextlib.suppress(OSError):  # a device cannot be cut; then the torn line stays
                to.truncate(end)
            raise self._failed(name, error) from error

    def _hidden(self, text: str | None) -> str | None:
        return None if text is None else self._hide(text)

    def _replace(self, name: str, data: bytes) -> None:
        try:
            replace(self.path / name, data)
        except OSError as error:
            raise self._failed(name, error) from error

    def _failed(self, name: str, error: OSError) -> RunDirectoryError:
        held = [known for known in KNOWN if (self.path / known).exists()]
        remedy = "free space on that disk" if error.errno in _FULL else "check the directory"
        return RunDirectoryError(
            f"cannot write {self.path / name}: {_cause(error)}; {remedy}. "
            f"Kept as far as written: {', '.join(held) or 'nothing'}"
        )


def replace(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves either what was there before or all of ``data``.

    Raises OSError; the temporary file is then removed, as after an interrupt.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # another process may write the same file
    try:
        _write(temporary, data)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the new name lasts only once its directory is on the disk
    finally:
        os.close(directory)


def read_summary(path: Path) -> Summary:
    """The Summary in the run directory ``path``.

    Raises RunDirectoryError when there is none or it is not of this version.
    """
    try:
        text = file.read(path / SUMMARY, LARGEST_SUMMARY)
    except OSError as error:
        if not file.there(path / "."):
            raise RunDirectoryError(
                f"{foreign.quote(str(path))} is not a directory; expected one that `loadgen run` wrote"
            ) from error
        missing = isinstance(error, FileNotFoundError)
        hint = " (the run was cut short before its end)" if missing and file.there(path / INTERVALS) else ""
        if missing and file.there(path / JOURNAL):
            hint = " (the run is not over, or was cut short; `loadgen report` with this directory makes one)"
        raise RunDirectoryError(
            f"{path} is not the directory of a finished run: cannot read {SUMMARY}: {_cause(error)}{hint}"
        ) from error
    return _decoded(path / SUMMARY, text)


def read_summary_file(path: Path) -> Summary:
    """The Summary in a file of any name.

    Raises RunDirectoryError when there is none or it is not of this version.
    """
    try:
        text = file.read(path, LARGEST_SUMMARY)
    except OSError as error:
        raise RunDirectoryError(
            f"{foreign.quote(str(path))} is neither the directory of a run nor a {SUMMARY}: {_cause(error)}"
        ) from error
    return _decoded(path, text)


def _decoded(path: Path, text: bytes) -> Summary:
    try:
        return summary.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RunDirectoryError(
            f"{path} is not a {summary.SCHEMA} file: {foreign.unquoted(str(error))}; "
            "was it written by another version of loadgen?"
        ) from error


def read_journal(path: Path) -> bytes | None:
    """frames.journal of a run that is not over, or was cut short; None where there is none.

    Raises RunDirectoryError when it is there but cannot be read.
    """
    if not file.there(path / JOURNAL):
        return None
    try:
        return file.read(path / JOURNAL, LARGEST_JOURNAL)
    except FileNotFoundError:
        return None  # its run has just ended
    except OSError as error:
        raise RunDirectoryError(f"cannot read {path / JOURNAL}: {_cause(error)}") from error


def read_intervals(path: Path) -> Iterator[str]:
    """The lines of intervals.hlog in the run directory ``path`` with their ends, none when the file is absent.

    A last line without its end is what a crash tore. Raises RunDirectoryError when the file is there but cannot be
    read, or is not text.
    """
    try:
        with file.opened(path / INTERVALS) as log:
            while line := log.readline(LONGEST_LINE + 1):
                if len(line) > LONGEST_LINE:
                    raise RunDirectoryError(f"{path / INTERVALS} has a line of more than {LONGEST_LINE >> 20} MiB")
                yield line.decode()
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunDirectoryError(f"cannot read {path / INTERVALS}: {_cause(error)}") from error
    except UnicodeDecodeError as error:
        raise RunDirectoryError(f"{path / INTERVALS} is not a histogram log: it is not UTF-8 text") from error


_LINES = msgspec.json.Encoder()
_NO_MODES = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _cause(error: OSError) -> str:
    return error.strerror or str(error)


def _make(path: Path) -> None:
    """Make a directory that nobody else can look into; one that is there already stays as it is."""
    new = not file.there(path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if new:
        with _modes_refused():
            path.chmod(0o700)  # whatever the umask took


def _opened(path: Path, flags: int) -> io.FileIO:
    """A file to write that nobody else can read, made if need be; OSError where there is a link in its place.

    Who else may write to the directory may put links there, to what only the user of the run may write.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    with _modes_refused():
        os.fchmod(fd, 0o600)  # whatever the umask took
    return io.FileIO(fd, "wb")


@contextlib.contextmanager
def _modes_refused() -> Iterator[None]:
    """Go on where the file system keeps no modes, as FAT and some shares do: what was made is as it was asked for."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_MODES:
            raise


def _write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)  # of a run that was killed, or somebody's link
    with _opened(path, os.O_EXCL) as written:
        _write_all(written, data)
        os.fsync(written.fileno())


def _write_all(to: io.FileIO, data: bytes) -> None:
    """Write everything; an unbuffered file may take less than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[to.write(rest) :]
