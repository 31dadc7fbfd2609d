from __future__ import annotations

from msgspec.structs import replace

from loadgen.experiments.decision import Ask
from tests.cli.displays import S, frame
from tests.report.builders import valid
from tests.streams.views import Told


def test_the_seconds_of_all_agents_add_up() -> None:
    told = Told()
    told.begin()
    told.tell(frame(0, ok=200), frame(0, agent=1, ok=100, failed=10), frame(1, ok=150))
    first, second = told.view.snapshot.seconds
    assert (first.at, first.started, first.failed) == (1, 310, 10)
    assert (second.at, second.started, second.failed) == (2, 150, 0)


def test_a_percentile_of_a_second_is_told_only_where_its_sample_supports_it() -> None:
    told = Told()
    told.begin()
    told.tell(frame(0, ok=250))
    (second,) = told.view.snapshot.seconds
    p50, p95, p99 = second.percentiles
    assert p50 is not None
    assert p95 is not None
    assert p99 is None
    assert second.longest is not None


def test_a_snapshot_stays_as_it_was_made() -> None:
    told = Told()
    told.begin()
    told.tell(frame(0))
    before = told.view.snapshot
    counted = before.standing.parts[0].planned, before.seconds[0].started
    told.tell(frame(0, agent=1), frame(1))
    assert (before.standing.parts[0].planned, before.seconds[0].started) == counted == (200, 200)
    assert told.view.snapshot.standing.parts[0].planned == 600


def test_only_seconds_that_changed_have_the_number_of_the_new_snapshot() -> None:
    told = Told()
    told.begin()
    told.tell(frame(0), frame(1))
    before = told.view.snapshot.number
    told.tell(frame(1, agent=1), frame(2))
    assert [each.at for each in told.view.snapshot.seconds if each.number > before] == [2, 3]


def test_nothing_that_was_told_is_taken_back_when_an_experiment_labels_its_calls_anew() -> None:
    told = Told()
    told.begin()
    told.tell(frame(0))
    told.view.phase_ended()
    (part,) = told.view.snapshot.standing.parts
    told.total.histograms.clear()
    told.view.asked(Ask(()))
    assert told.view.snapshot.standing.parts == (part,)
    assert part.histograms


def test_what_agents_report_before_the_load_begins_is_no_second() -> None:
    told = Told()
    told.begin()
    told.tell(frame(0, ok=0))
    assert told.view.snapshot.seconds == ()


def test_in_flight_is_what_was_started_and_has_not_ended_and_nothing_between_phases() -> None:
    told = Told()
    told.begin()
    told.tell(frame(0, flying=7))
    assert told.view.snapshot.standing.in_flight == 7
    told.view.phase_ended()
    assert told.view.snapshot.standing.in_flight == 0


def test_rules_stand_as_they_would_if_the_run_ended_now_and_in_the_end_as_it_did() -> None:
    told = Told("errors < 1%")
    assert dict(told.view.snapshot.standing.rules) == {"errors < 1%": None}
    told.begin()
    told.tell(frame(0, ok=200, failed=100))
    assert dict(told.view.snapshot.standing.rules) == {"errors < 1%": False}
    told.view.phase_ended()
    told.view.finish(valid())
    assert told.view.snapshot.standing.rules == tuple((each.rule, each.passed) for each in valid().thresholds)
    assert told.view.snapshot.over


def test_a_secret_is_in_no_name_that_is_told() -> None:
    told = Told(hide=lambda text: text.replace("hunter2", "***"), name="of hunter2")
    told.begin("steady hunter2")
    told.tell(frame(0, name="steady hunter2"))
    assert "hunter2" not in repr(told.view.snapshot)


def test_a_silence_says_what_comes_after_it() -> None:
    told = Told()
    told.view.asked(replace(Ask(()), idle_ns=90 * S, purpose="gap 3"))
    doing = told.view.snapshot.doing
    assert (doing.what, doing.phase, doing.lasts_ns) == ("silence", "gap 3", 90 * S)
