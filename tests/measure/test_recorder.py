from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.believed import LARGEST_MB
from loadgen.invocation.bill import LONGEST_NS, Misbilled
from loadgen.invocation.cell import CALL, Cell
from loadgen.invocation.facts import Facts
from loadgen.invocation.metric import MOVED
from loadgen.invocation.outcome import Outcome
from loadgen.invocation.start import Cuts
from loadgen.invocation.tally import Connections
from loadgen.measure.histogram import HIGHEST, Histogram
from loadgen.measure.recorder import EXAMPLES, SLOWEST, UNBOUNDED, Recorder, Taken

MS = 1_000_000
CUTS = Cuts(warm_below_ns=10 * MS, cold_from_ns=20 * MS)
OK = Facts(Outcome.OK, "ok", 200, duration_ns=3 * MS, billed_duration_ns=4 * MS, memory_used_bytes=40 << 20)
BARE = Facts(Outcome.OK, "ok", 200)


def recorder(*, closed: bool = False, sampled: bool = False) -> Recorder:
    return Recorder("p", 2, origin_ns=1000, closed=closed, expects_summary=True, sampled=(lambda: sampled))


def record(
    to: Recorder, facts: Facts = OK, *, intended: int = 0, started: int = 0, ended: int = 10 * MS, late: int = 0
) -> None:
    to.record(facts, 7, intended, started, ended, ended, late, 0, b"body", False)


def histograms(taken: Taken) -> dict[str, Histogram]:
    return {
        f"{cell.phase}/{cell.start}/{cell.outcome}/{cell.metric}{'/disturbed' * cell.disturbed}": Histogram.unpack(
            packed
        )
        for cell, packed in taken.packed()
    }


def test_every_time_of_an_invocation_lands_in_its_histogram() -> None:
    under_test = recorder()
    under_test.record(OK, 0, 0, 2 * MS, 12 * MS, 12 * MS + 70_000, MS // 2, 300_000, b"", False)
    found = {key: histogram.max_us for key, histogram in histograms(under_test.take()).items()}
    assert found == {
        "p/unknown/ok/latency": 12_007,
        "p/unknown/ok/service_time": 10_007,
        "p/unknown/ok/lag": 2000,
        "p/unknown/ok/waited": 1500,
        "p/unknown/ok/late": 500,
        "p/unknown/ok/unread": 70,
        "p/unknown/ok/connect": 300,
        "p/unknown/ok/duration": 3001,
        "p/unknown/ok/billed_duration": 4001,
        "p/unknown/ok/overhead": 7003,
        "p/unknown/ok/memory_used": 40_991,
    }


times = st.integers(0, 2 * HIGHEST * 1000)
calls = st.lists(
    st.tuples(
        st.sampled_from([OK, BARE, Facts(Outcome.THROTTLED, "r", 429), Facts(Outcome.TIMEOUT, "total", 0)]),
        times,
        times,
        st.integers(0, 100 * MS),
    ),
    max_size=30,
)


@given(calls, st.integers(1, 5), st.booleans())
def test_recording_in_intervals_adds_up_to_recording_at_once(
    made: list[tuple[Facts, int, int, int]], parts: int, closed: bool
) -> None:
    """The law of merging: the sum of what each interval took is what one interval would have taken."""
    once, split = recorder(closed=closed), recorder(closed=closed)
    merged: dict[str, Histogram] = {}
    counts: dict[str, int] = {}
    for n, (facts, lag, service, late) in enumerate(made):
        for to in (once, split):
            record(to, facts, intended=0, started=lag, ended=lag + service, late=min(late, lag))
        if n % parts == 0 or n == len(made) - 1:
            taken = split.take()
            for key, histogram in histograms(taken).items():
                merged.setdefault(key, Histogram()).add(histogram)
            for outcome, count in taken.outcomes().items():
                counts[outcome] = counts.get(outcome, 0) + count
    taken = once.take()
    assert merged == histograms(taken)
    assert counts == taken.outcomes()


@given(calls, st.booleans())
def test_each_started_invocation_counts_once_in_each_time(
    made: list[tuple[Facts, int, int, int]], closed: bool
) -> None:
    under_test = recorder(closed=closed)
    for facts, lag, service, late in made:
        record(under_test, facts, started=lag, ended=lag + service, late=min(late, lag))
    found = histograms(under_test.take())
    for metric in ("latency", "service_time", "lag", "waited", "late", "unread", "connect"):
        of_metric = [h.count for key, h in found.items() if key.removesuffix("/disturbed").endswith(f"/{metric}")]
        assert sum(of_metric) == len(made)


def test_in_a_closed_phase_latency_is_service_time_lag_is_zero_and_lateness_stands_for_itself() -> None:
    under_test = recorder(closed=True)
    record(under_test, late=9 * MS)
    found = histograms(under_test.take())
    assert found["p/unknown/ok/latency"] == found["p/unknown/ok/service_time"]
    assert found["p/unknown/ok/lag"].counts == found["p/unknown/ok/waited"].counts == {0: 1}
    assert found["p/unknown/ok/late"].max_us == 9007


@pytest.mark.parametrize(
    ("late_us", "service_ms", "closed", "disturbed"),
    [
        (50, 0.1, False, False),  # so much is nothing, whatever the call takes
        (50.001, 0.1, False, True),
        (526, 10, False, False),  # a twentieth of the latency
        (527, 10, False, True),
        (527, 10, True, False),  # workers have no schedule to be late for
    ],
)
def test_a_start_that_was_late_by_a_good_part_of_its_call_is_disturbed(
    late_us: float, service_ms: float, closed: bool, disturbed: bool
) -> None:
    under_test = recorder(closed=closed, sampled=True)
    late, intended = round(late_us * 1000), 7_000 * MS
    started = intended + (0 if closed else late)
    record(under_test, BARE, intended=intended, started=started, ended=started + round(service_ms * MS), late=late)
    taken = under_test.take()
    assert taken.tally(Connections()).disturbed == ({"ok": 1} if disturbed else {})
    assert taken.outcomes() == {"ok": 1}
    assert taken.samples[0].disturbed is disturbed


def accustomed(ordinary_ms: int = 30) -> Recorder:
    """A Recorder that knows what calls ordinarily take."""
    under_test = splitting()
    for _ in range(400):
        under_test.record(OK, 0, 0, 0, ordinary_ms * MS, ordinary_ms * MS, 0, 0, b"", 0)
    under_test.take()
    return under_test


def least(of: Recorder, metric: str = "latency") -> int | None:
    """In µs; None where nothing is known. Of one call."""
    found = {cell.metric: Histogram.unpack(packed) for cell, packed in of.take().packed_least()}
    return found[metric].min_us if metric in found else None


@pytest.mark.parametrize(
    ("moved_ms", "late_ms", "took_ms", "least_us"),
    [
        (2, 0, 33, 31_000),
        (2, 3, 33, 30_000),  # it was later than those before it
        (14, 0, 33, 19_000),
        (16, 0, 33, None),  # more than half of what a call ordinarily takes
        (2, 0, 58, 56_000),
        (2, 0, 62, None),  # more than twice that, as one that met a cold start
        (0, 3, 33, None),  # late by itself, for no heap of which the pool would know
        (30, 0, 12, None),
    ],
)
def test_of_an_ordinary_call_of_a_heap_what_it_would_have_taken_at_least_is_recorded(
    moved_ms: int, late_ms: int, took_ms: int, least_us: int | None
) -> None:
    under_test = accustomed()
    late = late_ms * MS
    under_test.record(OK, 0, 0, late, took_ms * MS, took_ms * MS, late, 0, b"", moved_ms * MS)
    found = least(under_test)
    assert found is None if least_us is None else found == pytest.approx(least_us, rel=1e-3)


def test_what_is_known_of_one_metric_is_known_of_all_and_never_more_than_was_seen() -> None:
    under_test = accustomed()
    under_test.record(OK, 0, 0, 0, 33 * MS, 33 * MS, 0, 0, b"", 2 * MS)
    taken = under_test.take()
    moved = {cell: Histogram.unpack(packed) for cell, packed in taken.packed() if cell.metric in MOVED}
    known = {cell: Histogram.unpack(packed) for cell, packed in taken.packed_least()}
    assert known.keys() == moved.keys()
    assert {cell.metric for cell in known} == set(MOVED)
    for cell, histogram in known.items():
        assert (histogram.count, moved[cell].count) == (1, 1)
        assert (histogram.ceiling_us or 0) <= (moved[cell].ceiling_us or 0)
    durations = [known[Cell("p", CALL, "cold", "ok", name, True)].min_us for name in ("duration", "billed_duration")]
    assert durations == [pytest.approx(1_000, rel=1e-3), pytest.approx(2_000, rel=1e-3)]  # a function may wait as well


def test_nothing_is_known_of_a_call_that_had_to_connect_nor_before_it_is_known_what_calls_take() -> None:
    under_test = accustomed()
    under_test.record(OK, 0, 0, 0, 33 * MS, 33 * MS, 0, MS, b"", 2 * MS)
    assert least(under_test) is None
    new = splitting()
    new.record(OK, 0, 0, 0, 33 * MS, 33 * MS, 0, 0, b"", 2 * MS)
    assert least(new) is None


def test_cold_starts_do_not_become_what_calls_ordinarily_take() -> None:
    under_test = accustomed()
    for _ in range(40):
        under_test.record(OK, 0, 0, 0, 800 * MS, 800 * MS, 0, 0, b"", 0)
    under_test.take()
    under_test.record(OK, 0, 0, 0, 800 * MS, 800 * MS, 0, 0, b"", 10 * MS)
    assert least(under_test) is None


def test_nothing_is_known_of_what_a_call_that_failed_or_of_a_closed_phase_would_have_taken_at_least() -> None:
    for under_test, facts in ((recorder(), Facts(Outcome.THROTTLED, "r", 429)), (recorder(closed=True), BARE)):
        under_test.record(facts, 0, 0, 0, 30 * MS, 30 * MS, 0, 0, b"", MS)
        taken = under_test.take()
        assert taken.tally(Connections()).disturbed
        assert not list(taken.packed_least())


def test_a_call_that_failed_at_once_is_held_against_what_an_ok_one_takes() -> None:
    under_test = recorder()
    refused = Facts(Outcome.THROTTLED, "r", 429)
    record(under_test, BARE, ended=10 * MS)
    for late_us in (500, 501):
        record(under_test, refused, started=late_us * 1000, ended=(late_us + 300) * 1000, late=late_us * 1000)
    assert under_test.take().tally(Connections()).disturbed == {"throttled": 1}


def test_what_the_pool_calls_disturbed_is_in_cells_of_its_own_ok_or_not() -> None:
    under_test = splitting()
    under_test.record(OK, 0, 0, 0, 33 * MS, 33 * MS, 0, 0, b"", UNBOUNDED)
    under_test.record(Facts(Outcome.THROTTLED, "r", 429), 0, 0, 0, MS, MS, 0, 0, b"", UNBOUNDED)
    under_test.dropped(0, 0, MS, "phase_end", disturbed=True)
    under_test.unfinished(0, 0, 0, MS, 0, disturbed=True)
    taken = under_test.take()
    assert {key for key in histograms(taken) if "/latency" in key} == {
        "p/cold/ok/latency/disturbed",
        "p/unknown/throttled/latency/disturbed",
        "p/unknown/dropped/latency/disturbed",
        "p/unknown/unfinished/latency/disturbed",
    }
    assert taken.tally(Connections()).disturbed == taken.outcomes() == {
        "ok": 1, "throttled": 1, "dropped": 1, "unfinished": 1,
    }  # fmt: skip


def test_a_call_that_found_no_connection_on_this_machine_is_disturbed_and_one_that_was_refused_is_not() -> None:
    under_test = recorder()
    record(under_test, Facts(Outcome.CONNECTION, "local_limit", 0), ended=1)
    record(under_test, Facts(Outcome.CONNECTION, "refused", 0), ended=1)
    assert under_test.take().tally(Connections()).disturbed == {"connection": 1}


def test_a_platform_that_reports_more_than_the_client_saw_gives_a_counted_zero() -> None:
    under_test = recorder()
    for ended in (2 * MS, 3 * MS - 1_001):  # the platform says 3 ms
        record(under_test, ended=ended)
    record(under_test, ended=3 * MS - 1_000)  # within the resolution of 1 µs
    taken = under_test.take()
    assert taken.negative_overhead == 2
    assert histograms(taken)["p/unknown/ok/overhead"].counts == {0: 3}


def test_a_time_above_an_hour_is_recorded_as_an_hour_and_counted() -> None:
    under_test = recorder(closed=True)
    record(under_test, BARE, ended=(HIGHEST + 1) * 1000)
    taken = under_test.take()
    assert taken.tally(Connections()).clipped == 1
    assert histograms(taken)["p/unknown/ok/service_time"].count == 1


def test_figures_that_are_not_believed_are_in_no_histogram_and_counted_by_name() -> None:
    under_test = recorder()
    record(under_test, Facts(Outcome.OK, "ok", 200, unbelieved=("duration", "billed_duration"), memory_size_mb=128))
    record(under_test, Facts(Outcome.FUNCTION_ERROR, "r", 200, duration_ns=MS, unbelieved=("memory_used",)))
    taken = under_test.take()
    assert taken.unbelieved == {"duration": 1, "billed_duration": 1, "memory_used": 1}
    assert (taken.tally(Connections()).clipped, taken.summary_missing, taken.metered, taken.billed_ns) == (0, 0, 0, {})
    assert {key for key in histograms(taken) if key.rsplit("/")[-1] in ("billed_duration", "memory_used")} == set()


def test_answers_of_a_function_without_a_duration_are_counted() -> None:
    under_test = recorder()
    for facts in (BARE, BARE, Facts(Outcome.THROTTLED, "r", 429)):
        record(under_test, facts)
    assert under_test.take().summary_missing == 2


def test_dropped_and_unfinished_are_recorded_with_the_time_they_waited() -> None:
    under_test = recorder()
    under_test.dropped(0, 70 * MS, 75 * MS, "max_lag")
    under_test.unfinished(1, 70 * MS, 72 * MS, 79 * MS, 0)
    taken = under_test.take()
    found = histograms(taken)
    assert taken.outcomes() == {"dropped": 1, "unfinished": 1}
    assert taken.reasons() == {"dropped/max_lag": 1, "unfinished/grace": 1}
    assert found["p/unknown/dropped/latency"].max_us == found["p/unknown/dropped/waited"].max_us == 5003
    assert found["p/unknown/unfinished/lag"].max_us == 2000
    assert "p/unknown/dropped/service_time" not in found
    assert found["p/unknown/unfinished/latency"].max_us == 9007
    assert found["p/unknown/unfinished/service_time"].max_us == 7003


def test_a_start_that_was_dropped_because_we_were_late_did_not_wait_for_a_worker() -> None:
    under_test = recorder()
    under_test.dropped(0, 70 * MS, 75 * MS, "phase_end_late", ours=True)
    taken = under_test.take()
    found = histograms(taken)
    assert found["p/unknown/dropped/lag/disturbed"].max_us == 5003
    assert found["p/unknown/dropped/waited/disturbed"].counts == {0: 1}
    assert "p/unknown/dropped/late/disturbed" not in found  # of what was never started
    assert taken.tally(Connections()).disturbed == {"dropped": 1}


def test_the_first_failures_of_each_outcome_are_kept_as_examples() -> None:
    under_test = recorder()
    for n in range(10):
        under_test.record(
            Facts(Outcome.FUNCTION_ERROR, "code_4002", 200, error_code="4002", request_id=f"r{n}"),
            n, 0, 0, MS, MS, 0, 0, b"\xff" + b"x" * 600, False,
        )  # fmt: skip
        record(under_test, Facts(Outcome.THROTTLED, "FSS.0429", 429))
    failures = under_test.take().failures
    assert [f.request_id for f in failures if f.outcome == "function_error"] == ["r0", "r1", "r2"]
    assert len(failures) == 2 * EXAMPLES
    assert failures[0].body == "\ufffd" + "x" * 511
    record(under_test, Facts(Outcome.THROTTLED, "FSS.0429", 429))
    assert under_test.take().failures == []


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=80), st.integers(1, 20))
def test_the_slowest_answered_invocations_are_among_those_sent(latencies: list[int], every: int) -> None:
    under_test = recorder()
    sent = []
    for n, latency in enumerate(latencies):
        record(under_test, ended=latency)
        if n % every == 0:
            sent += under_test.take().slowest
    sent += under_test.take().slowest
    expected = sorted(latencies, reverse=True)[:SLOWEST]
    assert sorted((slow.latency_ns for slow in sent), reverse=True)[: len(expected)] == expected


def test_no_more_of_the_slowest_are_kept_when_every_answer_is_slower_than_the_one_before() -> None:
    under_test = recorder()
    for n in range(1000):
        record(under_test, ended=n * MS)
    assert sorted(slow.latency_ns for slow in under_test.take().slowest) == [n * MS for n in range(990, 1000)]


def test_only_what_is_among_the_slowest_so_far_is_told_and_of_it_what_was_answered() -> None:
    under_test = recorder()
    for ms in range(1, SLOWEST + 2):
        record(under_test, ended=ms * MS)
    under_test.take()
    for us, outcome, status in ((1_999, Outcome.OK, 200), (2_001, Outcome.OK, 200), (9_000_000, Outcome.TIMEOUT, 0)):
        record(under_test, Facts(outcome, "r", status), ended=us * 1000)
    assert [slow.latency_ns for slow in under_test.take().slowest] == [2_001_000]


def test_of_equally_slow_invocations_those_are_kept_that_came_first() -> None:
    under_test = recorder()
    for n in range(SLOWEST + 1):
        record(under_test, Facts(Outcome.OK, "ok", 200, request_id=f"r{n}"), ended=20 * MS if n == SLOWEST else 10 * MS)
    kept = {slow.request_id for slow in under_test.take().slowest}
    assert kept == {f"r{n}" for n in range(SLOWEST + 1)} - {f"r{SLOWEST - 1}"}


def test_a_reason_counts_once_for_disturbed_calls_and_others_together() -> None:
    under_test = recorder()
    for disturbed in (False, True, True):
        under_test.record(Facts(Outcome.THROTTLED, "r", 429), 0, 0, 0, MS, MS, 0, 0, b"", disturbed)
    assert under_test.take().reasons() == {"throttled/r": 3}


def test_an_ok_answer_that_is_not_simply_ok_counts_by_its_reason() -> None:
    under_test = recorder()
    for reason in ("ok", "redirect", "redirect", "status_304"):
        record(under_test, Facts(Outcome.OK, reason, 200))
    assert under_test.take().reasons() == {"ok/redirect": 2, "ok/status_304": 1}


@pytest.mark.parametrize(("ns", "us"), [(999, 0), (1_000, 1)])
def test_a_time_counts_from_its_first_microsecond(ns: int, us: int) -> None:
    open_phase, closed_phase = recorder(), recorder(closed=True)
    open_phase.record(BARE, 0, 0, ns, MS, MS + ns, ns, ns, b"", False)
    open_phase.dropped(1, 0, ns, "max_lag")
    closed_phase.record(BARE, 0, 0, 0, MS, MS, ns, 0, b"", False)
    found = histograms(open_phase.take())
    for metric in ("ok/lag", "ok/late", "ok/unread", "ok/connect", "dropped/lag", "dropped/waited", "dropped/latency"):
        assert found[f"p/unknown/{metric}"].counts == {us: 1}, metric
    assert histograms(closed_phase.take())["p/unknown/ok/late"].counts == {us: 1}


def test_samples_are_relative_to_the_beginning_of_the_run() -> None:
    under_test = recorder(sampled=True)
    under_test.record(OK, 7, 2000, 3000, 5000, 6000, 0, 0, b"body", False)
    under_test.dropped(8, 2000, 4000, "phase_end")
    first, second = under_test.take().samples
    assert (first.arrived_ns, first.read_ns, second.arrived_ns, second.read_ns) == (4000, 5000, 3000, 3000)
    assert (first.intended_ns, first.started_ns, first.ended_ns, first.index, first.agent) == (1000, 2000, 4000, 7, 2)
    assert (second.started_ns, second.outcome) == (None, "dropped")


def billed(duration_ns: int | None, billed_ns: int, size: int | None = 512, outcome: Outcome = Outcome.OK) -> Facts:
    return Facts(
        outcome, "ok", 200, duration_ns=duration_ns, billed_duration_ns=billed_ns, memory_size_mb=size, request_id="r"
    )


def test_what_is_billed_is_summed_exactly_by_size_whatever_the_outcome() -> None:
    under_test = recorder()
    for facts in (
        billed(2 * MS, 2 * MS),
        billed(2_500_001, 3 * MS, outcome=Outcome.FUNCTION_ERROR),
        billed(None, 7 * MS, 128),
        billed(1, MS, None),
        billed(1, MS, 0),
        billed(1, MS, 1 << 40),
        billed(2, 8 * 10**18),
        BARE,
    ):
        record(under_test, facts)
    taken = under_test.take()
    assert taken.billed_ns == {512: 5 * MS, 128: 7 * MS}
    assert taken.metered == 3
    assert under_test.take().billed_ns == {}


@pytest.mark.parametrize(
    ("billed_ns", "size", "metered"),
    [
        (1, 512, 1),
        (0, 512, 0),
        (LONGEST_NS, 512, 1),
        (LONGEST_NS + 1, 512, 0),
        (1, LARGEST_MB, 1),
        (1, LARGEST_MB + 1, 0),
    ],
)
def test_a_bill_counts_up_to_the_longest_time_and_the_largest_size_that_there_are(
    billed_ns: int, size: int, metered: int
) -> None:
    under_test = recorder()
    record(under_test, billed(None, billed_ns, size))
    assert under_test.take().metered == metered


def test_bills_are_held_against_durations_and_the_one_furthest_off_is_kept() -> None:
    under_test = recorder()
    for duration_us, billed_ms in ((1913, 2), (2000, 2), (2000, 3), (0, 1), (1913, 100), (1913, 1000)):
        record(under_test, billed(duration_us * 1000, billed_ms * MS))
    for duration_us, billed_ms in ((1913, 4), (9000, 50), (9000, 8)):
        record(under_test, billed(duration_us * 1000, billed_ms * MS))
    record(under_test, billed(None, 5 * MS))
    taken = under_test.take()
    assert taken.tally(Connections()).billing_units == {MS: 3 + 1, 100 * MS: 1, 1000 * MS: 1}
    assert (taken.misbilled, taken.underbilled) == (3, 1)
    assert taken.worst_bill == Misbilled(9 * MS, 50 * MS, "r")
    assert under_test.take().worst_bill is None


def splitting(*, cuts: Cuts | None = CUTS, sampled: bool = False) -> Recorder:
    return Recorder(
        "p",
        2,
        origin_ns=0,
        closed=False,
        expects_summary=True,
        sampled=lambda: sampled,
        evidence=True,
        cuts=cuts,
    )


def starts(taken: Taken) -> dict[str, int]:
    """How many invocations have a latency, by start and outcome."""
    found = histograms(taken)
    return {key[2:-8]: histogram.count for key, histogram in found.items() if key.endswith("/latency")}


def test_ok_invocations_are_split_by_two_cuts_on_their_overhead() -> None:
    under_test = splitting()
    for overhead_ms in (1, 9.999, 10, 19, 20, 500):
        record(under_test, ended=round((3 + overhead_ms) * MS))
    record(under_test, BARE, ended=500 * MS)
    record(under_test, Facts(Outcome.FUNCTION_ERROR, "r", 200, duration_ns=MS), ended=500 * MS)
    taken = under_test.take()
    assert starts(taken) == {
        "unknown/ok": 1,
        "warm/ok": 2,
        "ambiguous/ok": 2,
        "cold/ok": 2,
        "unknown/function_error": 1,
    }
    assert taken.outcomes() == {"ok": 7, "function_error": 1}


def test_the_time_to_connect_does_not_make_an_invocation_cold() -> None:
    under_test = splitting()
    under_test.record(OK, 0, 0, 0, 3 * MS + 30 * MS, 3 * MS + 30 * MS, 0, 25 * MS, b"", False)
    assert starts(under_test.take()) == {"warm/ok": 1}


def test_what_the_answer_says_outweighs_the_cuts() -> None:
    under_test = splitting(sampled=True)
    said = Facts(Outcome.OK, "ok", 200, duration_ns=MS, start="cold", start_source="probe", instance="i-1")
    record(under_test, said, ended=2 * MS)
    record(under_test, OK, ended=4 * MS)
    taken = under_test.take()
    assert starts(taken) == {"cold/ok": 1, "warm/ok": 1}
    assert [(sample.start, sample.start_source, sample.instance) for sample in taken.samples] == [
        ("cold", "probe", "i-1"),
        ("warm", "mixture", None),
    ]


@pytest.mark.parametrize(
    ("evidence", "cuts", "found"),
    [
        (False, None, {"unknown/ok": 2}),  # nobody asked
        (True, None, {"cold/ok": 1, "unknown/ok": 1}),
        (False, CUTS, {"cold/ok": 1, "warm/ok": 1}),
    ],
)
def test_calls_are_split_where_answers_may_tell_or_where_there_are_cuts(
    evidence: bool, cuts: Cuts | None, found: dict[str, int]
) -> None:
    under_test = Recorder("p", 2, origin_ns=0, closed=False, expects_summary=True, evidence=evidence, cuts=cuts)
    record(under_test, Facts(Outcome.OK, "ok", 200, duration_ns=MS, start="cold", start_source="probe"), ended=2 * MS)
    record(under_test, OK, ended=4 * MS)
    assert starts(under_test.take()) == found


def test_without_cuts_what_the_answer_does_not_say_is_unknown() -> None:
    under_test = splitting(cuts=None, sampled=True)
    record(under_test, OK, ended=400 * MS)
    taken = under_test.take()
    assert starts(taken) == {"unknown/ok": 1}
    assert (taken.samples[0].start, taken.samples[0].start_source) == ("unknown", "none")


def test_what_cuts_are_made_from_is_recorded_on_demand_and_leaves_connecting_out() -> None:
    under_test = Recorder("p", 2, origin_ns=0, closed=False, expects_summary=True, residual=True)
    under_test.record(OK, 0, 0, 0, 10 * MS, 10 * MS, 0, 5 * MS, b"", False)
    found = histograms(under_test.take())
    assert found["p/unknown/ok/residual"].max_us == 2000
    assert found["p/unknown/ok/overhead"].max_us == 7003


@given(calls, st.booleans())
def test_splitting_by_start_neither_loses_nor_changes_anything(
    made: list[tuple[Facts, int, int, int]], closed: bool
) -> None:
    plain = recorder(closed=closed)
    split = Recorder("p", 2, origin_ns=1000, closed=closed, expects_summary=True, cuts=CUTS)
    for facts, lag, service, late in made:
        for to in (plain, split):
            record(to, facts, started=lag, ended=lag + service, late=min(late, lag))
    together: dict[str, Histogram] = {}
    taken = split.take()
    for key, histogram in histograms(taken).items():
        _, _, outcome, metric, *disturbed = key.split("/")
        together.setdefault("/".join(["p/unknown", outcome, metric, *disturbed]), Histogram()).add(histogram)
    alone = plain.take()
    assert together == histograms(alone)
    assert taken.tally(Connections()) == alone.tally(Connections())
