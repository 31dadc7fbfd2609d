"""What machine this is: read once, so that a result can be told from one of another machine."""

from __future__ import annotations

import platform
import resource
import ssl
from pathlib import Path

import loadgen
from loadgen.build import build
from loadgen.engine import cgroup
from loadgen.engine.kernel import stamps
from loadgen.engine.loop import uvloop_version
from loadgen.engine.timer import ALARM
from loadgen.measure.summary import KERNEL, READ, Environment


def environment(*, agents: int, scenario_sha256: str, synthetic: bool, agents_why: str = "") -> Environment:
    """The machine and the build, before the target is resolved."""
    return Environment(
        version=loadgen.__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        build=build(),
        uvloop=uvloop_version(),
        timer=ALARM.kind,
        arrival_clock=KERNEL if stamps() else READ,
        tls_library=ssl.OPENSSL_VERSION,
        kernel=f"{platform.system()} {platform.release()}",
        cpu_model=_cpu_model(),
        usable_cores=cgroup.usable_cores(),
        cgroup_cpu_limit=cgroup.cpu_limit(),
        cgroup_memory_limit_bytes=cgroup.memory_limit_bytes(),
        nofile=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        local_ports=None if (ports := local_ports()) is None else ports[1] - ports[0] + 1,
        agents=agents,
        agents_why=agents_why,
        scenario_sha256=scenario_sha256,
        synthetic=synthetic,
    )


def rss_bytes() -> int:
    """Memory of this process that is in RAM now; its largest so far where the system does not say."""
    fields = read("/proc/self/statm").split()
    if len(fields) > 1:
        return int(fields[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _cpu_model() -> str:
    for line in read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def local_ports() -> tuple[int, int] | None:
    """The first and the last port that outgoing connections are given; None where the system does not say."""
    ports = read("/proc/sys/net/ipv4/ip_local_port_range").split()
    return (int(ports[0]), int(ports[1])) if len(ports) == 2 else None


def read(path: str) -> str:
    """The text of a file of the system, empty where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
