from __future__ import annotations

from pathlib import Path

import pytest

from loadgen.engine import cgroup
from loadgen.engine.cgroup import directories, throttling

V2_MOUNT = "31 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = """\
30 23 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 master:1 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
"""
DOCKER_V1 = "32 31 0:29 /docker/1f /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
HYBRID = """\
32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


@pytest.mark.parametrize(
    ("groups", "mounts", "found"),
    [
        ("0::/user.slice/session\n", V2_MOUNT, ["/sys/fs/cgroup/user.slice/session", "/sys/fs/cgroup"]),
        ("0::/\n", V2_MOUNT, ["/sys/fs/cgroup", "/sys/fs/cgroup"]),  # a container with a namespace of its own
        (
            "9:memory:/a\n4:cpu,cpuacct:/b/c\n0::/x\n",
            V1_MOUNTS,
            ["/sys/fs/cgroup/cpu,cpuacct/b/c", "/sys/fs/cgroup/cpu,cpuacct"],
        ),
        ("4:cpu:/docker/1f\n", DOCKER_V1, ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu"]),
        ("4:cpu:/docker/1f/in\n", DOCKER_V1, ["/sys/fs/cgroup/cpu/in", "/sys/fs/cgroup/cpu"]),
        (
            "1:cpu:/a\n0::/b\n",
            HYBRID,
            ["/sys/fs/cgroup/cpu/a", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified/b", "/sys/fs/cgroup/unified"],
        ),
        ("0::/\n", V1_MOUNTS, []),
        ("", "", []),
    ],
    ids=["v2", "v2 container", "v1", "v1 container", "v1 group in a container", "hybrid", "not mounted", "none"],
)
def test_a_group_is_looked_for_where_its_hierarchy_is_mounted(groups: str, mounts: str, found: list[str]) -> None:
    assert list(directories("cpu", groups, mounts)) == [Path(path) for path in found]


def test_throttling_is_read_from_both_versions() -> None:
    assert throttling(b"usage_usec 7\nnr_periods 9\nnr_throttled 4\nthrottled_usec 1500\n") == (4, 1_500_000)
    assert throttling(b"nr_periods 9\nnr_throttled 4\nthrottled_time 1500000\n") == (4, 1_500_000)


@pytest.mark.parametrize("text", [b"", b"usage_usec 7\n", b"\n\nx\n"])
def test_a_group_without_a_limit_was_never_throttled(text: bytes) -> None:
    assert throttling(text) == (0, 0)


def test_the_limits_of_this_process_can_be_read() -> None:
    limit, memory = cgroup.cpu_limit(), cgroup.memory_limit_bytes()
    assert limit is None or limit > 0
    assert memory is None or memory > 0
    path = cgroup.cpu_stat()
    assert path is None or throttling(path.read_bytes())[0] >= 0
