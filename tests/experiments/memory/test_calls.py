from __future__ import annotations

import pytest
from msgspec.structs import replace

from loadgen.experiments.memory.calls import Calls
from loadgen.invocation.sample import Sample
from tests import frames

MS = 1_000_000


def sample(index: int, started_ms: int, ended_ms: int, *, outcome: str = "ok", start: str = "unknown") -> Sample:
    told_ns = (ended_ms - started_ms - 10) * MS
    return frames.sample(
        started_ns=started_ms * MS,
        ended_ns=ended_ms * MS,
        phase="round-1",
        index=index,
        outcome=outcome,
        reason=outcome,
        duration_ns=told_ns,
        billed_duration_ns=told_ns,
        memory_size_mb=128,
        connect_ns=0,
        start=start,
        start_source="none" if start == "unknown" else "probe",
    )


def starts(*samples: Sample, order: tuple[int, ...] = (128,), patience_ms: int = 1000) -> list[str]:
    calls = Calls(patience_ms * MS)
    calls.add(samples, order, 1, fresh=True)
    return [call.start for call in calls.of[128]]


def test_the_first_call_of_a_size_is_cold_and_the_next_on_the_same_instance_warm() -> None:
    assert starts(sample(0, 0, 100), sample(1, 100, 150)) == ["cold", "warm"]
    assert starts(sample(0, 0, 100), sample(1, 100, 150), sample(2, 150, 200), order=(128, 256)) == ["cold", "warm"]


def test_a_call_beside_another_one_is_cold() -> None:
    assert starts(sample(0, 0, 100), sample(1, 50, 150), sample(2, 160, 200), sample(3, 165, 200)) == [
        "cold",
        "cold",
        "warm",
        "warm",
    ]


def test_a_call_that_starts_while_an_answer_is_on_its_way_may_be_either() -> None:
    assert starts(sample(0, 0, 100), sample(1, 95, 150)) == ["cold", "unsure"]


def test_where_it_is_open_how_many_instances_there_are_a_call_that_may_need_one_more_may_be_either() -> None:
    labels = starts(
        sample(0, 0, 100), sample(1, 95, 150), sample(2, 160, 300), sample(3, 170, 200), sample(4, 175, 200)
    )
    assert labels == ["cold", "unsure", "warm", "unsure", "unsure"]


def test_a_call_after_a_long_silence_may_be_either() -> None:
    assert starts(sample(0, 0, 100), sample(1, 1100, 1200), sample(2, 2300, 2400)) == ["cold", "warm", "unsure"]


def test_what_the_function_says_itself_counts() -> None:
    assert starts(sample(0, 0, 100), sample(1, 100, 150, start="cold")) == ["cold", "cold"]


@pytest.mark.parametrize("outcome", ["throttled", "connection"])
def test_a_call_that_reached_no_instance_leaves_none_behind(outcome: str) -> None:
    assert starts(sample(0, 0, 100, outcome=outcome), sample(1, 100, 150)) == ["refused", "cold"]


def test_an_instance_that_died_serves_no_other_call() -> None:
    assert starts(sample(0, 0, 100, outcome="function_timeout"), sample(1, 100, 150)) == ["cold", "cold"]


@pytest.mark.parametrize("outcome", ["gateway", "timeout", "protocol"])
def test_after_an_answer_that_was_lost_nobody_knows_whether_its_instance_is_there(outcome: str) -> None:
    assert starts(sample(0, 0, 100, outcome=outcome), sample(1, 100, 150), sample(2, 150, 200)) == [
        "cold",
        "unsure",
        "warm",
    ]


def test_rules_are_about_every_call_that_failed_but_for_cold_ones() -> None:
    """A row of gateway errors on one instance: none of them is lost for want of a label."""
    calls = Calls(1000 * MS)
    row = [sample(n, 100 * n, 100 * n + 100, outcome="ok" if n < 2 else "gateway") for n in range(6)]
    calls.add([*row, sample(6, 600, 700)], (128,), 1, fresh=True)
    assert [call.start for call in calls.of[128]] == ["cold", "warm", "warm", *["unsure"] * 4]
    assert [call.outcome for call in calls.judged(128, times=True)] == ["ok", *["gateway"] * 4]
    assert [call.outcome for call in calls.judged(128, times=False)] == ["ok", *["gateway"] * 4, "ok"]


def test_silence_between_rounds_ends_all_instances() -> None:
    calls = Calls(1000 * MS)
    calls.add([sample(0, 0, 100)], (128,), 1, fresh=True)
    calls.add([sample(1, 100, 200)], (128,), 1, fresh=False)
    calls.add([sample(2, 300, 400)], (128,), 2, fresh=True)
    assert [call.start for call in calls.of[128]] == ["cold", "warm", "cold"]
    assert calls.instances(128) == 2


def test_before_the_first_silence_there_may_be_instances_of_others() -> None:
    calls = Calls(1000 * MS)
    calls.add([sample(0, 0, 100), sample(1, 100, 200)], (128,), 1, fresh=False)
    assert [call.start for call in calls.of[128]] == ["unsure", "warm"]


def test_a_call_that_was_not_made_does_not_count() -> None:
    dropped = replace(sample(1, 100, 100, outcome="dropped"), started_ns=None)
    assert starts(sample(0, 0, 100), dropped) == ["cold"]


def test_calls_that_ran_at_another_size_are_counted() -> None:
    calls = Calls(1000 * MS)
    calls.add([sample(0, 0, 100), sample(1, 0, 100)], (128, 256), 1, fresh=True)
    assert calls.strayed() == {(256, 128): 1}
