from __future__ import annotations

import resource
import subprocess
import sys

import msgspec
import pytest

from loadgen.engine.environment import environment
from loadgen.engine.limits import Machine, files_needed, findings, machine, no_files
from tests.scenarios import closed_phase, open_phase

GOOD = Machine(
    environment=msgspec.structs.replace(
        environment(agents=0, scenario_sha256="", synthetic=False),
        build="compiled",
        uvloop="0.23.0",
        timer="timerfd",
        tls_library="OpenSSL 3.5.4",
        usable_cores=4,
        cgroup_cpu_limit=None,
        cgroup_memory_limit_bytes=None,
    ),
    files=(65_536, 1_048_576),
    ports=(32_768, 60_999),
    clock_source="tsc",
    clock_ns=60,
    wake_up_us=60,
)


def found(**changes: object) -> dict[str, tuple[str, str, str | None]]:
    """What is found on a good machine with these changes, be they of its environment or its own."""
    own = {name: value for name, value in changes.items() if name in Machine.__struct_fields__}
    of_environment = {name: value for name, value in changes.items() if name not in own}
    env = msgspec.structs.replace(GOOD.environment, **of_environment)
    seen = msgspec.structs.replace(GOOD, environment=env, **own)
    return {finding.what: (finding.seen, finding.allows, finding.remedy) for finding in findings(seen)}


def test_a_good_machine_needs_nothing_and_says_what_it_allows() -> None:
    good = found()
    assert [what for what, (_, _, remedy) in good.items() if remedy] == []
    assert list(good) == [
        "build", "event loop", "TLS", "cores", "container", "open files", "local ports", "clock", "timer"
    ]  # fmt: skip
    assert good["cores"][1] == "one for the agent, or more where a load needs more of them"
    assert good["open files"][1] == "1,048,552 connections for each agent; a run raises its limit itself"
    assert good["local ports"][1] == "28,232 connections to one address at a time, 470/s with connections: fresh"
    assert good["container"][:2] == ("no CPU limit, no memory limit", "all of the cores")


@pytest.mark.parametrize(
    ("what", "changes", "remedy"),
    [
        ("build", {"build": "pure"}, "where there is a C compiler"),
        ("cores", {"usable_cores": 1}, "two cores"),
        ("open files", {"files": (1024, 1024)}, "raise the hard limit (as root: ulimit -n 65536"),
        ("container", {"cgroup_cpu_limit": 2.0}, "CPU limit to 4"),
        ("clock", {"clock_source": "hpet", "clock_ns": 1500}, "tsc or kvm-clock"),
        ("event loop", {"uvloop": None}, "install uvloop"),
        ("timer", {"wake_up_us": 1500}, "leave the machine's cores to the run"),
    ],
)
def test_each_limit_that_hurts_has_a_remedy(what: str, changes: dict[str, object], remedy: str) -> None:
    of_this = found(**changes)
    assert remedy in str(of_this[what][2])
    assert [other for other, (_, _, advice) in of_this.items() if advice] == [what]


def test_a_low_soft_limit_is_no_limit_because_a_run_raises_it() -> None:
    for hard in (65_536, resource.RLIM_INFINITY):
        seen, allows, remedy = found(files=(256, hard))["open files"]
        assert seen.startswith("256 (hard limit ")
        assert allows.endswith("a run raises its limit itself")
        assert remedy is None


def test_ports_that_are_not_known_are_left_out() -> None:
    assert "local ports" not in found(ports=None)


def test_a_memory_limit_is_shown() -> None:
    assert found(cgroup_memory_limit_bytes=2 << 30)["container"][0] == "no CPU limit, 2,048 MiB of memory"


def test_this_machine_can_be_looked_at() -> None:
    seen = machine()
    assert seen.environment.usable_cores >= 1
    assert 0 < seen.clock_ns < 100_000
    assert 0 <= seen.wake_up_us < 1_000_000


def test_an_agent_needs_a_file_for_each_invocation_of_its_share_and_some_more() -> None:
    phase = open_phase(10, 1, limit=1000)
    assert files_needed(phase, 1) == 1024  # what many systems allow is enough for what a scenario has by default
    assert files_needed(phase, 3) == 1024  # each may get the others' workers
    assert files_needed(closed_phase(1000, 1), 3) == 334 + 24


def test_a_limit_that_is_too_low_is_told_with_the_numbers_and_what_to_change() -> None:
    assert no_files(open_phase(10, 1, limit=5000), 2, 1024) == (
        "phase steady may have 5,000 invocations in flight (max_in_flight), for which each of 2 agents needs 5,024 "
        "open files, but this machine allows 1,024 (hard limit). Raise it (as root: ulimit -n 5024; in a container: "
        "--ulimit nofile=5024; in a service: LimitNOFILE=5024), or set max_in_flight to at most 1,000"
    )
    assert "set workers to at most 976" in no_files(closed_phase(2000, 1), 1, 1000)


def limited(soft: int, hard: int, phase: str) -> str:
    """What allow_files does for one agent in a process with these limits: its soft limit then, or the error."""
    code = f"""
import resource
from loadgen.engine.limits import LimitError, allow_files
from tests.scenarios import closed_phase, open_phase
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
try:
    allow_files([closed_phase(1, 1), {phase}], 1)
except LimitError as error:
    print(error)
else:
    print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("soft", "hard", "workers", "said"),
    [
        (512, 2048, 488, "(512, 2048)"),  # just enough
        (512, 2048, 489, "(2048, 2048)"),
        (512, 2048, 2024, "(2048, 2048)"),
        (512, 2048, 2025, "phase closed may have 2,025 invocations in flight"),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_the_hard_one_when_the_scenario_needs_it(
    soft: int, hard: int, workers: int, said: str
) -> None:
    assert limited(soft, hard, f"closed_phase({workers}, 1)").startswith(said)
