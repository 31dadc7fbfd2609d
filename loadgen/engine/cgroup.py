"""What this process may use: its cores, and the limits of its control group, and how often that held it back.

Both versions of control groups are read, and mixtures of the two. Where a group is found in the file system is told by
``/proc/self/cgroup`` (its path in each hierarchy) and ``/proc/self/mountinfo`` (where each hierarchy is mounted, and
from which group on). In a container the path may be one of the host's, which cannot be seen from inside; then the top
of the mount is the container's own group.

Sources: Linux, Documentation/admin-guide/cgroup-v2 and cgroup-v1; proc_pid_mountinfo(5), cgroups(7).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_UNLIMITED_BYTES = 1 << 60
"""Version 1 writes its largest number of pages, not a word, for no limit."""


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_limit() -> float | None:
    """Cores that the control group allows; None for no limit."""
    quota, _, period = _read("cpu", "cpu.max").partition(" ")
    if not quota:
        quota, period = _read("cpu", "cpu.cfs_quota_us"), _read("cpu", "cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdigit() else None


def memory_limit_bytes() -> int | None:
    """Memory that the control group allows; None for no limit."""
    limit = _read("memory", "memory.max") or _read("memory", "memory.limit_in_bytes")
    return int(limit) if limit.isdigit() and int(limit) < _UNLIMITED_BYTES else None


def cpu_stat() -> Path | None:
    """The file that counts how often and how long the group was throttled; None where nothing does."""
    return next((path for path in _found("cpu", "cpu.stat") if b"nr_throttled" in path.read_bytes()), None)


def throttling(cpu_stat: bytes) -> tuple[int, int]:
    """How often a group was throttled since it began, and for how many ns, from its cpu.stat of either version."""
    fields = dict(line.split(maxsplit=1) for line in cpu_stat.splitlines() if b" " in line)
    ns = int(fields[b"throttled_usec"]) * 1000 if b"throttled_usec" in fields else int(fields.get(b"throttled_time", 0))
    return int(fields.get(b"nr_throttled", 0)), ns


def directories(controller: str, groups: str, mounts: str) -> Iterator[Path]:
    """Where the files of a controller may be, best first: the group's own directory, then the top of its mount.

    ``groups`` is the text of /proc/self/cgroup, ``mounts`` that of /proc/self/mountinfo.
    """
    paths = {}
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        paths[controller if controller in controllers.split(",") else controllers] = path
    for name, kind in ((controller, "cgroup"), ("", "cgroup2")):
        for line in mounts.splitlines():
            mounted, _, filesystem = line.partition(" - ")
            _, _, _, root, at, *_ = mounted.split()
            found, _, options = filesystem.split(maxsplit=2)
            if found != kind or name not in paths or (name and name not in options.split(",")):
                continue
            inside = paths[name].removeprefix(root if root != "/" else "")
            yield Path(at) / inside.lstrip("/")
            yield Path(at)


def _found(controller: str, name: str) -> Iterator[Path]:
    try:
        groups, mounts = (Path("/proc/self", file).read_text() for file in ("cgroup", "mountinfo"))
    except OSError:  # not Linux
        return
    for directory in directories(controller, groups, mounts):
        if (directory / name).is_file():
            yield directory / name


def _read(controller: str, name: str) -> str:
    """The text of the first such file, empty where there is none."""
    return next((path.read_text().strip() for path in _found(controller, name)), "")
