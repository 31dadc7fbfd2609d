"""Runs a command as a benchmark needs it: on a given core, with the CPU and memory of its whole tree, or frozen."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.tool import Freeze, ToolError, Usage

_LOOP = """import time
while True:
    end = time.monotonic() + {}
    while time.monotonic() < end:
        pass
    time.sleep({})
"""
_LOOK_S = 0.5  # memory is looked at this often, and of these processes alone: to look at all takes some ms


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended by itself. ``out`` and ``err`` are its standard output and error."""

    code: int
    out: str
    err: str
    usage: Usage


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """What is started meanwhile runs on this core alone; None changes nothing."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """What is started meanwhile sees these environment variables."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def busy(loops: int, core: int | None, *, duty: float = 1) -> Iterator[None]:
    """So many processes meanwhile do nothing but keep a core busy, for a part ``duty`` of each 20 ms."""
    with ExitStack() as stack:
        with pinned(core):
            for _ in range(loops):
                loop = stack.enter_context(
                    subprocess.Popen([sys.executable, "-S", "-c", _LOOP.format(duty * 0.02, (1 - duty) * 0.02)])
                )
                stack.callback(loop.kill)
        yield


def cpu_ns(pid: int) -> int:
    """CPU time so far of a process and all its descendants that live; 0 where there is none."""
    ticks = 0
    for each in tree(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def children_cpu_ns() -> int:
    """CPU time of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((used.ru_utime + used.ru_stime) * 1e9)


def run(command: Sequence[str], *, limit_s: float, core: int | None = None, freeze: Freeze | None = None) -> Done:
    """Run a command to its end.

    Raises ToolError when it takes longer than ``limit_s``; nothing of it is left then.
    """
    before = children_cpu_ns()
    rss = 0
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with pinned(core):
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        start = time.monotonic()
        first_s = None if freeze is not None and freeze.only else 0.0
        try:
            while process.poll() is None:
                now = time.monotonic() - start
                if now > limit_s:
                    raise ToolError(f"did not end within {limit_s:g} s")
                look_s = _LOOK_S
                if freeze is not None:
                    if first_s is None and _named(process.pid, freeze):
                        first_s = now
                    if first_s is None:
                        pass
                    elif now >= first_s + freeze.after_s:
                        _freeze(process.pid, freeze)
                        freeze = replace(freeze, after_s=freeze.after_s + freeze.every_s) if freeze.every_s else None
                    else:
                        look_s = min(look_s, first_s + freeze.after_s - now)
                rss = max(rss, sum(map(_rss_bytes, tree(process.pid))))
                with suppress(subprocess.TimeoutExpired):
                    process.wait(look_s)
        finally:
            if process.poll() is None:
                _signal(tree(process.pid), signal.SIGKILL)
                process.wait()
        out.seek(0)
        err.seek(0)
        texts = [stream.read().decode("utf-8", "replace") for stream in (out, err)]
    return Done(process.returncode, texts[0], texts[1], Usage(children_cpu_ns() - before, rss))


def tree(pid: int) -> list[int]:
    """The process and all its descendants, in whatever session they are."""
    found = [pid]
    for each in found:
        for path in Path(f"/proc/{each}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, path.read_text().split())
    return found


def _freeze(pid: int, freeze: Freeze) -> None:
    pids = _named(pid, freeze)
    _signal(pids, signal.SIGSTOP)
    time.sleep(freeze.for_s)
    _signal(pids, signal.SIGCONT)


def _named(pid: int, freeze: Freeze) -> list[int]:
    return [each for each in tree(pid) if freeze.only in _command_line(each)]


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    return ""


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _rss_bytes(pid: int) -> int:
    """The largest memory of a process so far. Not that of wait4, which begins with the memory of whoever forked it."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
