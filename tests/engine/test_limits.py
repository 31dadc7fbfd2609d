from __future__ import annotations

import msgspec
import pytest

from loadgen.engine.limits import Machine, findings, machine

GOOD = Machine(
    cores=4,
    files=(65_536, 1_048_576),
    ports=(32_768, 60_999),
    clock_source="tsc",
    clock_ns=60,
    uvloop="0.23.0",
    timer="timerfd",
    wake_up_us=60,
)


def found(**changes: object) -> dict[str, tuple[str, str, str | None]]:
    seen = msgspec.structs.replace(GOOD, **changes)
    return {finding.what: (finding.seen, finding.allows, finding.remedy) for finding in findings(seen)}


def test_a_good_machine_needs_nothing_and_says_what_it_allows() -> None:
    good = found()
    assert [what for what, (_, _, remedy) in good.items() if remedy] == []
    assert good["cores"][1] == "3 agents by default, and one core for the rest"
    assert good["open files"][1] == "65,472 connections for each agent"
    assert good["local ports"][1] == "28,232 connections to one address at a time, 470/s with connections: fresh"


@pytest.mark.parametrize(
    ("what", "changes", "remedy"),
    [
        ("cores", {"cores": 1}, "two cores"),
        ("open files", {"files": (1024, 4096)}, "ulimit -n 4096"),
        ("open files", {"files": (1024, 1024)}, "raise the hard limit"),
        ("open files", {"files": (1024, -1)}, "ulimit -n 65536"),
        ("clock", {"clock_source": "hpet", "clock_ns": 1500}, "tsc or kvm-clock"),
        ("event loop", {"uvloop": None}, "install uvloop"),
        ("timer", {"wake_up_us": 1500}, "leave the machine's cores to the run"),
    ],
)
def test_each_limit_that_hurts_has_a_remedy(what: str, changes: dict[str, object], remedy: str) -> None:
    of_this = found(**changes)
    assert remedy in str(of_this[what][2])
    assert [other for other, (_, _, advice) in of_this.items() if advice] == [what]


def test_ports_that_are_not_known_are_left_out() -> None:
    assert "local ports" not in found(ports=None)


def test_two_cores_are_one_agent() -> None:
    assert found(cores=2)["cores"][1].startswith("one agent by default")


def test_this_machine_can_be_looked_at() -> None:
    seen = machine()
    assert seen.cores >= 1
    assert 0 < seen.clock_ns < 100_000
    assert 0 <= seen.wake_up_us < 1_000_000
