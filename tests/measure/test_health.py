"""Each rule about the generator and its machine fires on a record built to break it, and none on a clean one."""

from __future__ import annotations

import msgspec
import pytest

from loadgen.measure.interval import Frame, Host
from loadgen.measure.merge import generator
from loadgen.measure.summary import Reason, Verdict
from loadgen.measure.verdict import judge
from loadgen.text.units import NS_PER_S
from tests.frames import clean, only, plan, total

QUIET = Host(cores=2, observed_ns=NS_PER_S, least_idle_ns=600_000_000)


def judged(*frames: Frame, floor_ns: int | None = None, closed: bool = False, planned: int = 1000) -> Verdict:
    drawn = None if closed else planned
    return judge([plan(drawn=drawn, closed=closed)], [total(*frames)], overhead_floor_ns=floor_ns)


def health(**changes: object) -> Frame:
    """A clean second of an agent in this state, on a quiet machine unless told otherwise."""
    own = clean()
    own.health = msgspec.structs.replace(own.health, **{"host": QUIET, **changes})
    return own


def host(**changes: int) -> Frame:
    return health(host=msgspec.structs.replace(QUIET, **changes))


def rules(verdict: Verdict) -> list[tuple[str, str]]:
    return [(reason.rule, reason.severity) for reason in verdict.reasons]


def test_an_agent_and_a_machine_in_good_health_leave_the_run_valid() -> None:
    good = health(timer_error_ns=60_000, open_files=30, recent_connections=10)
    assert judged(good, floor_ns=300_000) == Verdict("valid", [])


def test_a_loop_that_stood_still_makes_the_run_invalid() -> None:
    assert judged(health(loop_lag_ns=99_000_000)).status == "valid"
    verdict = judged(health(loop_lag_ns=1_002_000_000))
    assert verdict.status == "invalid"
    reason = only(verdict)
    assert (reason.rule, reason.withholds, reason.limit) == ("generator_stalled", "all", 100_000_000)
    assert "stood still for 1.002 s" in reason.message


@pytest.mark.parametrize(
    ("cpu", "status", "severity"), [(0.69, "valid", None), (0.75, "degraded", "warning"), (0.9, "invalid", "invalid")]
)
def test_an_agent_that_is_busy_itself_is_a_warning_and_then_makes_the_run_invalid(
    cpu: float, status: str, severity: str | None
) -> None:
    verdict = judged(health(cpu_ns=int(cpu * NS_PER_S)))
    assert verdict.status == status
    assert [reason.severity for reason in verdict.reasons] == ([severity] if severity else [])


def test_a_core_without_idle_time_is_a_warning() -> None:
    assert judged(host(least_idle_ns=50_000_000)).status == "valid"
    verdict = judged(host(least_idle_ns=40_000_000))
    assert verdict.status == "degraded"
    assert only(verdict) == Reason(
        rule="cores_busy",
        severity="warning",
        message="The busiest core of this machine was idle for 4.0% of the time, expected at least 5%, and no agent "
        "was that busy: what else runs here, the target if it does, competes with the load. Leave the machine's cores "
        "to the run.",
        value=0.04,
        limit=0.05,
        phase="steady",
    )


def test_the_cores_are_judged_over_the_whole_phase() -> None:
    """One busy second in ten is not a busy machine."""
    seconds = [health(host=msgspec.structs.replace(QUIET)) for _ in range(10)]
    seconds[3].health = msgspec.structs.replace(seconds[3].health, host=Host(2, NS_PER_S, 0))
    for seq, second in enumerate(seconds):
        second.seq, second.final = seq, seq == 9
    assert judged(*seconds, planned=10_000).status == "valid"


def test_time_that_a_hypervisor_took_is_a_warning() -> None:
    assert judged(host(stolen_ns=20_000_000)).status == "valid"  # 1 % of two cores
    reason = only(judged(host(stolen_ns=30_000_000)))
    assert (reason.rule, reason.severity, reason.value, reason.limit) == ("cpu_stolen", "warning", 0.015, 0.01)
    assert "gave 1.5% of the cores' time to other machines" in reason.message


@pytest.mark.parametrize("changes", [{"least_idle_ns": 0}, {"stolen_ns": 500_000_000}])
def test_less_than_a_second_of_a_machine_is_not_judged(changes: dict[str, int]) -> None:
    assert judged(host(**{**changes, "observed_ns": 900_000_000})).status == "valid"
    assert judged(host(**changes)).status == "degraded"


def test_a_machine_that_nobody_looked_at_is_not_judged() -> None:
    assert judged(health(host=None)).status == "valid"


def test_a_cpu_limit_that_stopped_the_generator_is_a_warning_however_briefly() -> None:
    verdict = judged(host(throttled=3, throttled_ns=120_000_000, observed_ns=200_000_000))
    reason = only(verdict)
    assert (reason.rule, reason.severity, reason.value, reason.limit) == ("cpu_throttled", "warning", 120_000_000, 0)
    assert reason.message == (
        "The CPU limit of its control group stopped the load generator 3 times, for 120 ms in all, expected never: "
        "raise the container's CPU limit, or lower the load."
    )


def test_agents_on_one_machine_do_not_count_its_troubles_twice() -> None:
    each = host(throttled=1, throttled_ns=50_000_000)
    other = msgspec.structs.replace(each, agent=1)
    assert only(judged(each, other, planned=2000)).value == 50_000_000


def test_a_garbage_collection_while_measuring_is_a_warning_with_its_longest_pause() -> None:
    reason = only(judged(health(gc_collections=2, gc_pause_ns=7_000_000)))
    assert (reason.rule, reason.severity, reason.value) == ("gc_paused", "warning", 7_000_000)
    assert "ran 2 times while measuring, for up to 7 ms, expected never" in reason.message


# overhead_floor: p99 of the clean record is 29.8 ms


def test_a_p99_within_ten_times_of_the_floor_is_a_warning_with_both_values() -> None:
    assert judged(health(), floor_ns=2_900_000).status == "valid"
    reason = only(judged(health(), floor_ns=3_000_000))
    assert (reason.rule, reason.severity, reason.limit) == ("overhead_floor", "warning", 30_000_000)
    assert reason.value == pytest.approx(29_800_000, rel=0.001)
    assert "p99 of latency is 29.79 ms" in reason.message
    assert "10 times the 3 ms that loadgen takes here" in reason.message


def test_a_p99_that_is_not_reported_is_not_held_against_the_floor() -> None:
    few = clean(latencies={"ok": [20_000] * 999}, metrics={})
    assert rules(judged(few, floor_ns=30_000_000, planned=999)) == [("too_few_samples", "withheld")]


def test_without_a_calibration_there_is_no_floor() -> None:
    assert judged(health(), floor_ns=None).status == "valid"


def test_a_closed_phase_that_is_bound_by_the_generators_cpu_has_that_one_reason() -> None:
    busy = health(cpu_ns=990_000_000, host=Host(2, NS_PER_S, 0), loop_lag_ns=9_000_000, gc_collections=0)
    assert rules(judged(busy, floor_ns=30_000_000, closed=True)) == [("generator_cpu", "invalid")]


# generator_limits


def refused(n: int, ok: int = 10_000) -> Frame:
    return clean(
        latencies={"ok": [20_000] * ok, "connection": [10] * n},
        metrics={"ok/late": [5] * ok},
        reasons={"connection/local_limit": n} if n else {},
    )


def test_a_connection_that_this_machine_refused_is_the_generators_fault() -> None:
    assert judged(refused(0), planned=10_000).status == "valid"
    verdict = judged(refused(10), planned=10_010)
    assert verdict.status == "degraded"
    reason = only(verdict)
    assert (reason.rule, reason.severity, reason.value, reason.withholds) == ("generator_limits", "warning", 10, None)
    assert "10 of 10010 invocations found no open file, local port or memory left" in reason.message


def test_more_than_one_in_a_thousand_of_them_make_the_run_invalid_and_are_no_failures_of_the_target() -> None:
    verdict = judged(refused(11), planned=10_011)
    assert (rules(verdict), only(verdict).withholds) == ([("generator_limits", "invalid")], "all")


def test_other_failed_connections_are_the_targets() -> None:
    both = refused(11)
    both.tally.reasons = {"connection/local_limit": 5, "connection/refused": 6}
    assert rules(judged(both, planned=10_011)) == [("generator_limits", "warning")]
    both.tally.reasons = {"connection/refused": 11}
    assert rules(judged(both, planned=10_011)) == [("failures", "warning")]


def test_the_summary_shows_of_each_figure_the_agent_that_fared_worst() -> None:
    idle = health(timer_error_ns=50_000, open_files=30, recent_connections=5)
    busy = msgspec.structs.replace(
        health(timer_error_ns=90_000, host=Host(2, NS_PER_S, 100_000_000, 20_000_000, 1, 5_000_000)), agent=1
    )
    result = generator([total(idle, busy)], 300_000)
    assert (result.timer_error_ns, result.least_idle, result.stolen, result.throttled_ns) == (
        90_000,
        0.1,
        0.01,
        5_000_000,
    )
    assert result.overhead_floor_ns == 300_000
    first, second = result.agents
    assert (first.open_files, first.recent_connections, first.least_idle) == (30, 5, 0.6)
    assert (second.open_files, second.stolen, second.throttled) == (None, 0.01, 1)


def test_the_alarms_own_error_is_the_least_of_what_was_seen_and_a_stall_the_most() -> None:
    early = health(timer_error_ns=70_000, loop_lag_ns=1_000_000)
    late = health(timer_error_ns=40_000, loop_lag_ns=9_000_000)
    early.final, late.seq = False, 1
    (agent,) = generator([total(early, late)]).agents
    assert (agent.timer_error_ns, agent.loop_lag_ns) == (40_000, 9_000_000)


def test_a_phase_of_milliseconds_says_nothing_about_how_busy_an_agent_is() -> None:
    brief = health(cpu_ns=4_000_000)
    brief.to_ns = brief.from_ns + 3_000_000
    assert "generator_cpu" not in {reason.rule for reason in judged(brief).reasons}
