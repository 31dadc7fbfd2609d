"""Of a run that was cut short everything is known that was written down, once, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.history.journal import beginning, framed
from loadgen.invocation.cell import Cell
from loadgen.invocation.sample import Failure, Slow
from loadgen.measure.histogram import Histogram
from loadgen.measure.interval import Frame, Health
from loadgen.measure.merge import Loss, PhaseTotal, phase_summary
from loadgen.measure.summary import ThresholdResult, decode
from loadgen.measure.summary import encode as as_json
from loadgen.report.html import html
from loadgen.report.junit import junit
from loadgen.report.markdown import markdown
from loadgen.report.screen import screen
from loadgen.report.terminal import terminal
from loadgen.report.timeline import timeline
from loadgen.run.journal import Began, Ended, Entry, JournalError, Over, Parted, Told, encode, rebuilt, shortened
from tests.frames import NS_PER_S, cell, clean, counted, frame, histogram, plan, sample, total
from tests.journals import KEY, RUN, journal, opening, seconds


def counts(told: Told) -> list[int]:
    return [phase.total.tally.planned for phase in told.phases]


def test_a_run_that_was_cut_short_has_the_figures_of_its_frames() -> None:
    frames = seconds(5, agents=2, final=False)
    found = rebuilt(journal(opening(), Began(plan(drawn=999)), *frames)).summary
    assert found.run.partial
    assert found.run.ended_at == "2026-11-22T03:15:05.000Z"
    whole = total(*frames)
    (phase,) = found.phases
    expected = phase_summary(plan(seconds=5), whole)
    assert msgspec.structs.replace(phase, billing=None) == expected
    assert [reason.rule for reason in found.verdict.reasons if reason.severity == "invalid"] == []
    assert decode(as_json(found)) == found


def test_what_was_in_flight_counts_as_unfinished_and_every_call_has_one_outcome() -> None:
    interval = frame({"ok": [1000] * 10}, final=False)
    interval.tally.planned += 3
    interval.tally.started += 3
    (phase,) = rebuilt(journal(opening(), Began(plan()), interval)).summary.phases
    assert (phase.planned, phase.started, phase.completed, phase.unfinished) == (13, 13, 10, 3)
    assert phase.outcomes == {"ok": 10, "unfinished": 3}
    assert phase.reasons == {"unfinished/cut_short": 3}
    assert phase.metrics["latency_all"].failed == 3
    assert phase.billing is not None
    assert phase.billing.unmetered == 3


def test_of_a_mix_what_was_in_flight_is_that_of_each_call() -> None:
    hist = {Cell("steady", "a", "unknown", "ok", "latency"): Histogram({5: 2}).pack()}
    a, b = counted({"ok": 2}), counted({})
    b.planned = b.started = 1
    whole = counted({"ok": 2})
    whole.planned = whole.started = 3
    interval = Frame(4, 0, 0, "steady", 0, NS_PER_S, whole, hist, Health(), calls={"a": a, "b": b})
    found = rebuilt(journal(opening(mix=True), Began(plan()), interval)).summary
    assert found.phases[0].by_call["b"].outcomes == {"unfinished": 1}
    assert found.phases[0].by_call["a"].outcomes == {"ok": 2}
    assert found.phases[0].outcomes == {"ok": 2, "unfinished": 1}
    assert "record_incomplete" not in [reason.rule for reason in found.verdict.reasons]


def test_a_phase_that_had_ended_is_as_it_was_and_its_rules_are_decided() -> None:
    whole = clean()
    entries = (
        opening("warm:errors < 1%", "steady:errors < 1%", "errors < 1%", "later:errors < 1%"),
        Began(plan("warm")),
        clean(phase="warm"),
        Ended(plan("warm", seconds=3)),
        Began(plan()),
        msgspec.structs.replace(whole, final=False, seq=1),
    )
    found = rebuilt(journal(*entries)).summary
    assert [phase.duration_ns // NS_PER_S for phase in found.phases] == [3, 1]
    assert [each.passed for each in found.thresholds] == [True, None, None, None]
    assert found.thresholds[2].why.startswith("the run was cut short; over what it left the rule holds")


def test_a_run_of_which_only_the_summary_was_missing_is_whole() -> None:
    ended = msgspec.structs.replace(RUN, ended_at="2026-11-22T03:16:00.000Z")
    watched = ThresholdResult("errors < 1% over 5s", 0.5, False, "the worst", "value")
    entries = (opening("errors < 1% over 5s"), Began(plan()), clean(), Ended(plan()))
    found = rebuilt(journal(*entries, Over(ended, None, (watched,), stopped=False))).summary
    assert found.run == ended
    assert [each.passed for each in found.thresholds] == [False]


@given(st.integers(0, 5), st.integers(1, 3), st.booleans(), st.integers(0, 12))
def test_a_journal_that_is_written_anew_says_the_same(n: int, agents: int, ended: bool, at: int) -> None:
    entries: list[Entry] = [opening(), Began(plan("one")), *_renamed(seconds(2, agents=agents), "one")]
    entries += [Ended(plan("one", seconds=2)), Began(plan()), *_numbered(seconds(n, seed=2, agents=agents), 2)]
    entries += [Ended(plan(seconds=n))] if ended else []
    cut = min(at, len(entries))
    shorter = beginning(KEY) + b"".join(framed(KEY, each) for each in shortened(journal(*entries[:cut])))
    anew = shorter + journal(*entries[cut:])[len(beginning(KEY)) :]
    for one, other in zip(Told(journal(*entries)).phases, Told(anew).phases, strict=True):
        assert (one.plan, one.ended) == (other.plan, other.ended)
        assert phase_of(one.total) == phase_of(other.total)
        assert list(one.total.faults()) == list(other.total.faults())
        assert one.total.lasted_ns == other.total.lasted_ns
        lately = [each.inflation(10 * NS_PER_S).at(99.0) for each in (one.total, other.total)]
        assert lately[0] == lately[1]


def phase_of(of: PhaseTotal) -> object:
    kept = of.kept()
    return msgspec.structs.asdict(kept)


def test_a_journal_that_is_written_anew_does_not_grow_with_the_run() -> None:
    entries: list[Entry] = [opening(), Began(plan()), *(clean(seq=n, final=False) for n in range(2000))]
    parts = shortened(journal(*entries))
    assert len(parts) == 2
    assert sum(len(each) for each in parts) < 2 * sum(len(each) for each in shortened(journal(*entries[:300])))


def _renamed(frames: Iterable[Frame], phase: str) -> list[Frame]:
    return [
        msgspec.structs.replace(
            each, phase=phase, hist={cell._replace(phase=phase): packed for cell, packed in each.hist.items()}
        )
        for each in frames
    ]


def _numbered(frames: Iterable[Frame], first: int) -> list[Frame]:
    return [msgspec.structs.replace(each, seq=each.seq + first) for each in frames]


def test_a_journal_cut_at_every_byte_counts_each_frame_once_or_not_at_all() -> None:
    frames = seconds(3, final=False)
    whole = journal(opening(), Began(plan()), *frames)
    known = [0, *(sum(each.tally.planned for each in frames[: n + 1]) for n in range(len(frames)))]
    seen = []
    for size in range(len(beginning(KEY)), len(whole) + 1):
        told = Told(whole[:size])
        assert told.damage == []
        seen += counts(told) or [0]
    assert seen == sorted(seen)
    assert sorted(set(seen)) == known


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6))
def test_flipped_bytes_are_said_and_no_frame_counts_twice(flips: Sequence[tuple[float, int]]) -> None:
    whole = bytearray(FLIPPED)
    for where, by in flips:
        whole[int(where * len(whole))] ^= by
    try:
        told = Told(bytes(whole))
    except ValueError:
        return  # the beginning is hit
    assert sum(counts(told)) <= sum(counts(Told(FLIPPED)))
    assert bool(told.lost) == (bytes(whole) != FLIPPED)


FLIPPED = journal(opening(), Began(plan()), *seconds(4, final=False))


def test_a_damaged_frame_in_the_middle_leaves_the_record_in_doubt_and_those_after_it_count() -> None:
    frames = seconds(3)
    whole = bytearray(journal(opening(), Began(plan()), *frames))
    whole[len(journal(opening(), Began(plan()), frames[0])) + 30] ^= 1
    found = rebuilt(bytes(whole))
    assert found.summary.totals.planned == frames[0].tally.planned + frames[2].tally.planned
    assert found.summary.verdict.status == "invalid"
    assert "bytes of frames.journal are damaged, from byte" in found.lost[0]
    assert found.lost[0] in found.summary.verdict.reasons[0].message


def test_a_torn_end_is_said_and_is_no_fault_of_the_record() -> None:
    found = rebuilt(journal(opening(), Began(plan()), *seconds(3, final=False))[:-5])
    assert found.summary.verdict.status != "invalid"
    assert "are no whole record and were left out: its writer died, or its disk was full" in found.lost[0]


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (b"", "its beginning is not that of a journal"),
        (beginning(KEY), "it has no record of what ran"),
        (journal(opening())[:-1], "the record of what ran is damaged"),
        (journal(Began(plan())), "it has no record of what ran"),
    ],
)
def test_a_journal_that_does_not_tell_what_ran_is_said_to_be_that(held: bytes, why: str) -> None:
    with pytest.raises(JournalError, match=why):
        rebuilt(held)


def test_a_run_that_was_cut_short_before_its_load_has_an_empty_summary() -> None:
    found = rebuilt(journal(opening("errors < 1%"))).summary
    assert (found.phases, found.totals.planned, found.outcome) == ([], 0, "undecided")
    assert found.run.partial


@pytest.mark.parametrize("kind", ["capacity", "memory", "cold-starts"])
def test_of_an_experiment_the_phases_are_told_and_that_there_is_no_answer(kind: str) -> None:
    found = rebuilt(journal(opening(kind=kind), Began(plan()), *seconds(3, final=False))).summary
    assert found.experiment is None
    assert found.totals.planned > 0
    assert "the run ended before there was an answer" in found.answer.lower()


@pytest.mark.parametrize("rules", [(), ("errors < 1%",)])
def test_every_rendering_says_in_its_first_lines_that_it_is_partial(rules: tuple[str, ...]) -> None:
    found = rebuilt(journal(opening(*rules), Began(plan()), *seconds(3, final=False))).summary
    for text in (terminal(found), screen(found), markdown(found)):
        assert "Partial result" in " ".join(text.splitlines()[:5])
    page = html(found, timeline(()))
    assert "Partial result" in page[page.index("<body") :][:1500]
    if rules:
        assert "Partial result" in junit(found)[:1000]


def test_no_secret_and_no_sample_is_written_down_and_names_still_agree() -> None:
    def hide(text: str) -> str:
        return text.replace("hunter2", "***")

    asked = opening("ph-hunter2:errors < 1%")
    interval = frame(
        {"ok": [5], "auth": [6]}, disturbed={"ok": [9]}, phase="ph-hunter2", final=False, reasons={"auth/hunter2": 1},
        failures=[Failure("auth", "hunter2", 401, "hunter2", "hunter2", "hunter2")],
        slowest=[Slow(5, 5, "ok", "hunter2")],
    )  # fmt: skip
    interval.samples = [sample(request_id="hunter2")]
    interval.least = {cell("disturbed/ok/latency", "ph-hunter2"): histogram([8]).pack()}
    terms = msgspec.structs.replace(asked.terms, document={"a": ["hunter2"]}, asked_mb={"hunter2": 128})
    entries: list[Entry] = [msgspec.structs.replace(asked, terms=terms), Began(plan("ph-hunter2")), interval]
    written = [encode(each, hide) for each in entries]
    assert b"hunter2" not in b"".join(written)
    found = rebuilt(beginning(KEY) + b"".join(framed(KEY, each) for each in written)).summary
    assert found.phases[0].name == "ph-***"
    assert found.phases[0].planned == 3
    assert found.phases[0].metrics["latency"].ends["max"].low == 8_000
    assert found.thresholds[0].rule == "ph-***:errors < 1%"
    assert b'"sample' not in b"".join(written)


def test_a_phase_that_ended_with_the_death_of_an_agent_is_cut_short_there() -> None:
    interval = frame({"ok": [1000] * 10}, final=False)
    interval.tally.planned += 1
    interval.tally.started += 1
    (phase,) = rebuilt(journal(opening(), Began(plan()), interval, Ended(plan(seconds=2)))).summary.phases
    assert (phase.started, phase.completed, phase.unfinished, phase.duration_ns) == (11, 10, 1, 2 * NS_PER_S)


@pytest.mark.parametrize("anew", [False, True])
def test_an_agent_that_was_lost_is_told_of_and_its_calls_are_unfinished_once(anew: bool) -> None:
    one, other = frame({"ok": [1000] * 10}, final=False), frame({"ok": [1000] * 5}, agent=1)
    one.tally.planned += 2
    one.tally.started += 2
    before = journal(opening(), Began(plan()), one)
    if anew:
        before = beginning(KEY) + b"".join(framed(KEY, each) for each in shortened(before))
    parted = Parted(0, Loss("died", NS_PER_S, taken_over=False))
    found = rebuilt(before + journal(parted, other, Ended(plan(), {0: 0, 1: 7_000}))[len(beginning(KEY)) :]).summary
    (phase,) = found.phases
    assert (phase.started, phase.completed, phase.unfinished) == (17, 15, 2)
    assert phase.reasons == {"unfinished/agent_lost": 2}
    assert "record_incomplete" not in [reason.rule for reason in found.verdict.reasons]
    assert [agent.lost for agent in found.generator.agents] == ["died", None]
    assert found.generator.agents[1].clock_error_ns == 7_000


def test_a_frame_without_a_phase_is_doubted() -> None:
    told = Told(journal(opening(), clean()))
    assert told.damage == ["a record of frames.journal is of a phase whose beginning is missing"]
