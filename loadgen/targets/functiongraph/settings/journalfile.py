"""Journals on disk: written before the platform is, found again after a crash.

A journal is locked by the process that writes it for as long as that lives, however it ends; so a journal that can be
locked belongs to nobody any more. It appears under its name only once it is locked, and goes away when everything in it
is undone. One that is damaged is kept under another name instead.

A journal is trusted with what is written to the platform, so it must be a regular file of the user's own.

Lines are synced to the disk, and so is the directory that holds the file, before the call that writes them returns.

Sources: flock(2); fsync(2), on new files and their directory.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from loadgen.targets.functiongraph.settings.journal import Begun, Entry, Journal, Resource, line, read
from loadgen.targets.functiongraph.settings.outstanding import outstanding
from loadgen.targets.port import TargetError

DIRECTORY = "journal"
"""Below the directory of the user's in which loadgen keeps what outlives a run."""
SUFFIX = ".ndjson"
DAMAGED = ".damaged"
LARGEST = 256 * 2**20
"""Bytes of a journal that is read: some fifty thousand changes."""
_PATIENCE_S = 1.0
"""How long to wait for another process that only looks whether the journal is somebody's."""


class JournalError(TargetError):
    """A journal cannot be read or written. The message is one line: what was seen and what to do."""


class JournalFile:
    """A journal that this process holds; every method that writes raises JournalError when it cannot.

    Made with ``create`` or ``take``; as a context manager it is let go of in the end, and stays where it is unless
    ``finish`` removed it.
    """

    def __init__(self, path: Path, fd: int, entries: list[Entry]) -> None:
        self.path = path
        self.entries = entries
        self._fd = fd

    @classmethod
    def create(cls, directory: Path, begun: Begun) -> JournalFile:
        """A new journal in a directory, which is made if need be. Raises JournalError."""
        path = directory / f"{_safe(begun.run)}{SUFFIX}"
        unnamed = path.with_suffix(f".{uuid4().hex}.new")
        try:
            make_directory(directory)
            fd = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                journal = cls(path, fd, [])
                journal.append(begun)
                os.link(unnamed, path)
            except BaseException:
                os.close(fd)
                raise
            finally:
                unnamed.unlink()
            sync_directory(directory)
        except FileExistsError as error:
            raise JournalError(
                f"{error.filename2 or path} is there already; loadgen restore puts back what it says"
            ) from error
        except OSError as error:
            raise failed(path, error) from error
        return journal

    @classmethod
    def take(cls, path: Path) -> tuple[JournalFile, Journal] | None:
        """An existing journal and what it says; None when another process holds it, or just finished it.

        Raises JournalError when it cannot be read.
        """
        try:
            fd = opened(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JournalError(f"cannot read {path}: {error.strerror or error}{_remedy(error)}") from error
        try:
            if not locked(fd) or not still(path, fd):
                os.close(fd)
                return None
            text = b"".join(iter(lambda: os.read(fd, 1 << 20), b""))
        except OSError as error:
            os.close(fd)
            raise JournalError(f"cannot read {path}: {error.strerror or error}") from error
        said = read(text)
        return cls(path, fd, list(said.entries)), said

    @property
    def begun(self) -> Begun:
        """Whose journal it is, which one that was made here says."""
        return next(entry for entry in self.entries if isinstance(entry, Begun))

    def append(self, entry: Entry) -> None:
        """Write an entry; it is on the disk when this returns."""
        end = os.lseek(self._fd, 0, os.SEEK_END)
        data = line(entry)
        if end and os.pread(self._fd, 1, end - 1) != b"\n":  # a torn line stays, and stays apart
            data = b"\n" + data
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            os.fsync(self._fd)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, end)
            raise failed(self.path, error) from error
        self.entries.append(entry)

    def finish(self, *, damaged: bool = False) -> Path | None:
        """Take the journal away if nothing in it is left to put back; a damaged one gets another name, given back."""
        if outstanding(self.entries):
            return None
        kept = self.path.with_name(self.path.name + DAMAGED) if damaged else None
        try:
            if kept is None:
                self.path.unlink(missing_ok=True)
            else:
                self.path.replace(kept)
            sync_directory(self.path.parent)
        except OSError as error:
            raise failed(self.path, error) from error
        return kept

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        os.close(self._fd)


def begun(run: str, *, scenario: Path | None, emulated: bool) -> Begun:
    """The first entry of this process's journal of a run."""
    instant = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Begun(run, os.getpid(), instant, None if scenario is None else str(scenario.absolute()), emulated)


def journals(directory: Path) -> list[Path]:
    """Every journal in a directory, by name; none when there is no such directory. Raises JournalError."""
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == SUFFIX)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise JournalError(f"cannot read {directory}: {error.strerror or error}") from error


def open_journal(directory: Path, resource: Resource, *, but: Path) -> Path | None:
    """A journal that says that something of the resource's function may be changed still; ``but`` is left out.

    One that cannot be read whole counts where it names the function. Raises JournalError for a directory that cannot
    be read.
    """
    for path in journals(directory):
        if path == but:
            continue
        with contextlib.suppress(OSError, JournalError):
            with os.fdopen(opened(path, os.O_RDONLY), "rb") as file:
                text = file.read()
            said = read(text)
            if any(step.resource.owner == resource.owner for step in outstanding(said.entries)):
                return path
            if said.damage and re.search(rb":%s[\":]" % re.escape(resource.owner[-1].encode()), text):
                return path
    return None


def abandoned(directory: Path) -> list[str]:
    """The journals that belong to no living process, by name; those that cannot be looked at are left out."""
    with contextlib.suppress(JournalError):
        return [path.stem for path in journals(directory) if _nobodys(path)]
    return []


def opened(path: Path, flags: int) -> int:
    """A journal's descriptor. Raises OSError, and JournalError for what cannot be a journal of this user's."""
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)  # a FIFO would be waited for
    found = os.fstat(fd)
    if (fault := _unlike_a_journal(found)) is not None:
        os.close(fd)
        raise JournalError(f"cannot read {path}: {fault}")
    return fd


def _unlike_a_journal(found: os.stat_result) -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return "expected a regular file. Move it elsewhere"
    if found.st_uid != os.getuid():
        return (
            f"it belongs to user {found.st_uid}, not to you, user {os.getuid()}, and what it says would be done in "
            "your name. Have its owner restore it, or move it elsewhere"
        )
    if found.st_size > LARGEST:
        return f"it has {found.st_size:,} bytes, and at most {LARGEST:,} are read. Move it elsewhere, and look at it"
    return None


def _remedy(error: OSError) -> str:
    if error.errno not in (errno.EROFS, errno.EACCES):
        return ""
    return ". What is put back is written down in it: have it writable, and restore again"


def _nobodys(path: Path) -> bool:
    with contextlib.suppress(OSError, JournalError):
        fd = opened(path, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        finally:
            os.close(fd)
    return False


def locked(fd: int) -> bool:
    """Whether the lock could be had, if need be after those who only look have gone."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        else:
            return True


def still(path: Path, fd: int) -> bool:
    """Whether the file is still the one of that name, not one that was finished before it was locked."""
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def make_directory(directory: Path) -> None:
    """Make it, and those it is in, if need be; for this user only. Raises OSError."""
    for missing in reversed([each for each in (directory, *directory.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
        sync_directory(missing.parent)
    directory.chmod(0o700)


def sync_directory(directory: Path) -> None:
    """Have the names in it on the disk. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def failed(path: Path, error: OSError) -> JournalError:
    """Why nothing can be written there, and what to do."""
    return JournalError(
        f"cannot write the journal {path}: {error.strerror or error}; nothing is changed on the platform without one. "
        "Free space on that disk, or have XDG_STATE_HOME name a directory that can be written"
    )


def _safe(run: str) -> str:
    return re.sub(r"[^\w.-]+", "-", run, flags=re.ASCII).strip(".-") or "run"
