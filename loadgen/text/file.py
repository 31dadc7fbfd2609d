"""Files that a scenario or a command line names: opened only where they are files, and never quoted.

A scenario may be somebody else's, and what is wrong with a file that it names ends up in terminals and logs. So only
regular files are read, none that the system makes up while it is read (``/proc``, ``/sys``), and no message shows
anything of their contents but numbers of lines and the names that were looked for.

Source: proc(5): most of its files have the size 0, whatever there is to read.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from loadgen.text.fault import Fault, Place, ScenarioError

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
_MADE_UP = ("/proc/", "/sys/")


def opened(path: str | Path) -> BinaryIO:
    """A regular file, open for reading. Raises OSError, whose ``strerror`` says why, for whatever is none."""
    try:
        _hold(path, Path(path).stat())  # beforehand, as opening a device may do something
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:  # a null character, or one that no file name can have
        raise OSError(errno.EINVAL, f"it is no path ({error})", str(path)) from error
    try:
        _hold(path, os.fstat(fd), made_up=_made_up(fd))
        return os.fdopen(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def read(path: str | Path, most: int | None = None) -> bytes:
    """All of a regular file. Raises OSError, see ``opened``, also for one of more than ``most`` bytes."""
    with opened(path) as file:
        data = file.read() if most is None else file.read(most + 1)
    if most is not None and len(data) > most:
        raise OSError(errno.EFBIG, f"it holds more than {most >> 20} MiB, expected at most that", str(path))
    return data


def there(path: str | Path) -> bool:
    """Whether there is anything of this name that can be looked at, whatever the name."""
    return os.path.exists(path)  # noqa: PTH110  Path's raises OSError for a name that is too long


def reason(error: OSError) -> str:
    """Why something could not be done with a file."""
    return error.strerror or str(error)


def _hold(path: str | Path, found: os.stat_result, *, made_up: bool = False) -> None:
    if made_up:
        raise _unfit(path, "made up by the system")
    if not stat.S_ISREG(found.st_mode):
        raise _unfit(path, _KINDS.get(stat.S_IFMT(found.st_mode), "something else"))


def _unfit(path: str | Path, seen: str) -> OSError:
    return OSError(errno.EINVAL, f"it is {seen}, no regular file", str(path))


def _made_up(fd: int) -> bool:
    """Whether a file is one of the system's, of which nobody knows the size before it is read."""
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and not found.st_size and os.pread(fd, 1, 0):
        return True
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink()).startswith(_MADE_UP)
    except OSError:  # not Linux, or no /proc: nothing of it can be read then
        return False


def unreadable(path: Path, error: OSError) -> ScenarioError:
    """What is wrong with a file that cannot be read."""
    return ScenarioError([Fault(Place(str(path)), (), f"cannot read this file: {reason(error)}")])
