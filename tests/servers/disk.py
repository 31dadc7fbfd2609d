"""Directories on disks that are full or read-only, for a process that is started with them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PAGE = 4096
"""A full disk takes what still fits into the last page of a file."""
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
FULL = (
    'cp -a "$0" "$0.kept" && mount -t tmpfs -o size=128k none "$0" && cp -a "$0.kept/." "$0" && '
    '{ cat /dev/zero >"$0/filler" 2>/dev/null; exec "$@"; }'
)
SMALL = (
    'mount -t tmpfs -o size=64k none "$0" && { "$@"; code=$?; mkdir "$0.kept"; cp -a "$0/." "$0.kept"; exit $code; }'
)
"""It fills up as the command writes; what is on it in the end is in ``<directory>.kept``."""


def possible() -> bool:
    """Whether this machine lets its user mount in a namespace of their own."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


def within(disk: str, directory: Path, *command: str) -> tuple[str, ...]:
    """The command, run where the directory is on such a disk; READ_ONLY or FULL."""
    return ("unshare", "-rm", "sh", "-c", disk, str(directory), *command)
