"""What was in the generator's way is said beside what it did, and nowhere else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from loadgen.measure.interval import Frame, Host
from loadgen.measure.merge import generator
from loadgen.measure.summary import Verdict
from loadgen.measure.trust.causes import causes, told
from loadgen.measure.verdict import judge
from loadgen.text.units import NS_PER_S
from tests.frames import clean, only, plan, total

QUIET = Host(cores=2, observed_ns=NS_PER_S, least_idle_ns=600_000_000)
FELT = {"ok": [90_000] * 30}
"""Calls that a stop moved far enough to show."""


def second(*, disturbed: dict[str, list[int]] | None = None, phase: str = "steady", **changes: Any) -> Frame:
    """A second of an agent in this state, on a quiet machine unless told otherwise."""
    own = clean(disturbed=disturbed, phase=phase)
    own.health = msgspec.structs.replace(own.health, **{"host": QUIET, **changes})
    return own


def host(**changes: int) -> dict[str, Any]:
    return {"host": msgspec.structs.replace(QUIET, **changes)}


def named(*frames: Frame) -> list[str]:
    return [cause.name for cause in causes(total(*frames))]


TROUBLES: dict[str, dict[str, Any]] = {
    "generator_stalled": {"loop_lag_ns": 1_002_000_000},
    "generator_cpu": {"cpu_ns": 750_000_000},
    "cores_busy": host(least_idle_ns=40_000_000),
    "cpu_stolen": host(stolen_ns=30_000_000),
    "cpu_throttled": host(throttled=3, throttled_ns=120_000_000, observed_ns=200_000_000),
    "gc_paused": {"gc_collections": 2, "gc_pause_ns": 7_000_000},
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_trouble_that_no_call_felt_is_not_said(name: str) -> None:
    assert named(second(**TROUBLES[name])) == [name]
    assert judge([plan(drawn=1000)], [total(second(**TROUBLES[name]))]) == Verdict("valid", [])


@pytest.mark.parametrize("name", TROUBLES)
def test_a_trouble_is_said_with_the_figures_that_it_may_have_moved(name: str) -> None:
    verdict = judge([plan(drawn=1030)], [total(second(disturbed=FELT, **TROUBLES[name]))])
    reason = only(verdict)
    assert (verdict.status, reason.rule, reason.causes) == ("degraded", "late_starts", [name])
    assert "latency.p99" in reason.figures
    assert "In its way: " in reason.message


SAID = {
    "generator_stalled": "it stood still for up to 1.002 s",
    "generator_cpu": "an agent used 75% of a core itself",
    "cores_busy": "the busiest core of this machine was idle for 4.0% of the time, with what else runs here, the "
    "target if it does",
    "cpu_stolen": "the hypervisor gave 1.5% of the cores' time to other machines",
    "cpu_throttled": "the CPU limit of its control group stopped it 3 times, for 120 ms in all",
    "gc_paused": "Python's garbage collector ran 2 times while measuring, for up to 7 ms",
}


REMEDIES = {
    "generator_stalled": "Leave the machine's cores to the run.",
    "generator_cpu": "Lower the load, or use more --agents on more cores.",
    "cores_busy": "Leave the machine's cores to the run.",
    "cpu_stolen": "Use a machine with cores of its own.",
    "cpu_throttled": "Raise the container's CPU limit, or lower the load.",
    "gc_paused": "Loadgen turns the collector off, so please report that.",
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_cause_says_how_much_of_it_there_was_and_what_would_end_it(name: str) -> None:
    assert told(causes(total(second(**TROUBLES[name])))) == f"In its way: {SAID[name]}. {REMEDIES[name]}"


@pytest.mark.parametrize(
    ("name", "most", "beyond"),
    [
        ("generator_stalled", {"loop_lag_ns": 1_000_000}, {"loop_lag_ns": 1_000_001}),
        ("generator_cpu", {"cpu_ns": 700_000_000}, {"cpu_ns": 700_000_001}),
        ("cores_busy", host(least_idle_ns=50_000_000), host(least_idle_ns=49_999_999)),
        ("cpu_stolen", host(stolen_ns=20_000_000), host(stolen_ns=20_000_001)),  # of two cores
    ],
)
def test_a_trouble_is_a_cause_beyond_its_limit_and_not_at_it(
    name: str, most: dict[str, Any], beyond: dict[str, Any]
) -> None:
    assert (named(second(**most)), named(second(**beyond))) == ([], [name])


def test_an_agent_that_began_up_to_a_millisecond_late_began_in_time() -> None:
    for late_ns, found in ((1_000_000, []), (1_000_001, ["began_late"])):
        assert named(msgspec.structs.replace(second(), began_late_ns=late_ns)) == found


@pytest.mark.parametrize(("covered_ns", "found"), [(199_999_999, []), (200_000_000, ["generator_cpu"])])
def test_a_fifth_of_a_second_tells_how_busy_an_agent_is(covered_ns: int, found: list[str]) -> None:
    brief = second(cpu_ns=190_000_000)
    brief.to_ns = brief.from_ns + covered_ns
    assert named(brief) == found


@pytest.mark.parametrize("name", TROUBLES)
def test_a_trouble_of_one_agent_of_several_is_a_cause(name: str) -> None:
    for troubled in (0, 1):
        agents = [second(**(TROUBLES[name] if n == troubled else {})) for n in range(2)]
        found = causes(total(agents[0], msgspec.structs.replace(agents[1], agent=1)))
        assert [(cause.name, cause.text) for cause in found] == [(name, SAID[name])]


def test_of_several_agents_the_worst_is_said() -> None:
    each = [
        msgspec.structs.replace(
            second(gc_collections=1, gc_pause_ns=ms * 1_000_000),
            agent=ms,
            began_late_ns=ms * 2_000_000,
            paused_ns=ms * 1_000_000,
        )
        for ms in (2, 7, 3)
    ]
    began, paused, collected = causes(total(*each))
    assert began.text == "an agent began 14 ms late"
    assert paused.text.startswith("the load stood still for 7 ms, ")
    assert collected.text == "Python's garbage collector ran 3 times while measuring, for up to 7 ms"


@pytest.mark.parametrize("name", TROUBLES)
def test_ranges_of_all_phases_together_have_the_causes_of_these(name: str) -> None:
    """As of an experiment, which shows no others."""
    plans = [plan("a", drawn=1030), plan("b", drawn=1030)]
    phases = [total(second(disturbed=FELT, phase=phase, **TROUBLES[name])) for phase in "ab"]
    reason = only(judge(plans, phases, by_phase=False))
    assert (reason.phase, reason.causes) == (None, [name])


def test_a_pause_and_a_late_beginning_are_causes() -> None:
    late = second()
    late.began_late_ns, late.paused_ns = 1_900_000_000, 4_000_000_000
    assert named(late) == ["began_late", "paused"]
    text = told(causes(total(late)))
    assert "an agent began 1.9 s late, the load stood still for 4 s, because loadgen was stopped (Ctrl-Z)" in text
    assert text.endswith("Leave the machine's cores to the run; do not suspend it.")


def test_what_nothing_explains_is_said_to_be_unknown() -> None:
    assert told([]).startswith("What was in its way is not known; ")


def test_a_remedy_is_said_once() -> None:
    both = second(loop_lag_ns=20_000_000, **host(least_idle_ns=0))
    assert told(causes(total(both))).count("eave the machine's cores to the run") == 1


def test_the_cores_are_looked_at_over_the_whole_phase() -> None:
    """One busy second in ten is not a busy machine."""
    seconds = [second() for _ in range(10)]
    seconds[3].health = msgspec.structs.replace(seconds[3].health, host=Host(2, NS_PER_S, 0))
    for seq, each in enumerate(seconds):
        each.seq, each.final = seq, seq == 9
    assert named(*seconds) == []


@pytest.mark.parametrize("changes", [{"least_idle_ns": 0}, {"stolen_ns": 500_000_000}])
def test_less_than_a_second_of_a_machine_is_not_looked_at(changes: dict[str, int]) -> None:
    assert named(second(**host(**{**changes, "observed_ns": 900_000_000}))) == []
    assert named(second(**host(**changes))) != []


def test_a_machine_that_nobody_looked_at_tells_nothing() -> None:
    assert named(second(host=None)) == []


def test_agents_on_one_machine_do_not_count_its_troubles_twice() -> None:
    each = second(**host(throttled=1, throttled_ns=50_000_000))
    (cause,) = causes(total(each, msgspec.structs.replace(each, agent=1)))
    assert "stopped it 1 times, for 50 ms in all" in cause.text


def test_a_busy_agent_explains_a_busy_core() -> None:
    busy = second(cpu_ns=990_000_000, host=Host(2, NS_PER_S, 0))
    assert named(busy) == ["generator_cpu"]


def test_a_phase_of_milliseconds_says_nothing_about_how_busy_an_agent_is() -> None:
    brief = second(cpu_ns=4_000_000)
    brief.to_ns = brief.from_ns + 3_000_000
    assert named(brief) == []


def test_the_summary_shows_of_each_figure_the_agent_that_fared_worst() -> None:
    idle = second(timer_error_ns=50_000, open_files=30, recent_connections=5)
    machine = Host(2, NS_PER_S, 100_000_000, 20_000_000, 1, 5_000_000)
    busy = msgspec.structs.replace(
        second(timer_error_ns=90_000, host=machine, clock_step_ns=700), agent=1, began_late_ns=8
    )
    result = generator([total(idle, busy)], 300_000)
    assert (result.timer_error_ns, result.least_idle, result.stolen, result.throttled_ns) == (
        90_000,
        0.1,
        0.01,
        5_000_000,
    )
    assert result.overhead_floor_ns == 300_000
    first, other = result.agents
    assert (first.open_files, first.recent_connections, first.least_idle) == (30, 5, 0.6)
    assert (other.open_files, other.stolen, other.throttled) == (None, 0.01, 1)
    assert (other.began_late_ns, other.clock_step_ns) == (8, 700)


def test_the_alarms_own_error_is_the_least_of_what_was_seen_and_a_stall_the_most() -> None:
    early = second(timer_error_ns=70_000, loop_lag_ns=1_000_000)
    late = second(timer_error_ns=40_000, loop_lag_ns=9_000_000)
    early.final, late.seq = False, 1
    (agent,) = generator([total(early, late)]).agents
    assert (agent.timer_error_ns, agent.loop_lag_ns) == (40_000, 9_000_000)
