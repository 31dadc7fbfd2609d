"""One run per function, among those of one user on one machine: a locked file for each function, beside the journals.

The lock ends with the process that has it, however that ends. A file that can be locked was left behind by a process
that was killed; it says which. Whoever is done takes the file away while it still has the lock, so one that was waited
for may be gone: then it is made anew.

Source: flock(2).
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from loadgen.targets.functiongraph.settings.journal import Begun, Resource
from loadgen.targets.functiongraph.settings.journalfile import failed, locked, make_directory, opened, still

SUFFIX = ".lock"
_LONGEST = 4096


class HeldError(Exception):
    """Another run holds the function; the message says which, and what to do."""


class Holder(Struct, frozen=True):
    """Who has a lock. ``since`` is an instant in RFC 3339."""

    run: str
    pid: int
    since: str

    @property
    def text(self) -> str:
        """For people to read."""
        return f"run {self.run} (process {self.pid} on this machine, since {self.since})"


class FunctionLock:
    """The lock of one function. Made with ``take``; as a context manager it is let go of in the end.

    ``left`` is who left it behind, None where it was orderly.
    """

    def __init__(self, path: Path, fd: int, left: Holder | None) -> None:
        self.path = path
        self.left = left
        self._fd = fd

    @classmethod
    def take(cls, directory: Path, resource: Resource, begun: Begun) -> FunctionLock:
        """The lock of the resource's function. Raises HeldError, and JournalError where no file can be written."""
        path = directory / _file_name(resource)
        try:
            make_directory(directory)
            while (lock := cls._take(path, resource, begun)) is None:
                pass
        except OSError as error:
            raise failed(path, error) from error
        return lock

    @classmethod
    def _take(cls, path: Path, resource: Resource, begun: Begun) -> FunctionLock | None:
        """The lock; None when its file was taken away by whoever had it until now."""
        with ExitStack() as stack:
            fd = opened(path, os.O_RDWR | os.O_CREAT)
            stack.callback(os.close, fd)
            if not locked(fd):
                raise HeldError(_held(resource, _holder(fd)))
            if not still(path, fd):
                return None
            left = _holder(fd)
            _write(fd, begun)
            stack.pop_all()
            return cls(path, fd, left)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with suppress(OSError):  # what stays is found to be nobody's
            self.path.unlink(missing_ok=True)
        os.close(self._fd)


def _file_name(resource: Resource) -> str:
    owner = resource.owner
    name = re.sub(r"[^\w.-]+", "-", owner[-1])
    return f"{name}-{sha256(repr(owner).encode()).hexdigest()[:16]}{SUFFIX}"


def _write(fd: int, begun: Begun) -> None:
    with suppress(OSError):  # a full disk keeps nobody from the lock, only from saying so
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(Holder(begun.run, begun.pid, begun.started_at)) + b"\n", 0)


def _holder(fd: int) -> Holder | None:
    """Who the file says; None where it says nothing that can be read, as before it is written."""
    try:
        found = msgspec.json.decode(os.pread(fd, _LONGEST, 0), type=Holder)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found if found.run.isprintable() and found.since.isprintable() else None


def _held(resource: Resource, holder: Holder | None) -> str:
    who = "another run" if holder is None else holder.text
    return (
        f"{resource.function} at {resource.endpoint} is held by {who}, which changes its settings. Two runs that do "
        "would take each other's values for the original. Wait for it to end; this run has changed nothing"
    )
