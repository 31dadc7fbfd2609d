"""What machine this is: read once, so that a result can be told from one of another machine."""

from __future__ import annotations

import os
import platform
import resource
import ssl
from pathlib import Path

import loadgen
from loadgen.engine.loop import uvloop_version
from loadgen.engine.timer import ALARM
from loadgen.measure.summary import Environment


def environment(*, agents: int, scenario_sha256: str, synthetic: bool) -> Environment:
    """The machine and the build, before the target is resolved."""
    return Environment(
        version=loadgen.__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        build="pure",
        uvloop=uvloop_version(),
        timer=ALARM.kind,
        tls_library=ssl.OPENSSL_VERSION,
        kernel=f"{platform.system()} {platform.release()}",
        cpu_model=_cpu_model(),
        usable_cores=usable_cores(),
        cgroup_cpu_limit=_cpu_limit(),
        cgroup_memory_limit_bytes=_number(read("/sys/fs/cgroup/memory.max")),
        nofile=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        agents=agents,
        scenario_sha256=scenario_sha256,
        synthetic=synthetic,
    )


def rss_bytes() -> int:
    """Memory of this process that is in RAM now; its largest so far where the system does not say."""
    fields = read("/proc/self/statm").split()
    if len(fields) > 1:
        return int(fields[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    for line in read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cpu_limit() -> float | None:
    """Cores that the control group allows; None for no limit. Source: Linux, Documentation/admin-guide/cgroup-v2."""
    quota, _, period = read("/sys/fs/cgroup/cpu.max").partition(" ")
    limit = _number(quota)
    return None if limit is None else limit / (_number(period) or 100_000)


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None


def read(path: str) -> str:
    """The text of a file of the system, empty where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
