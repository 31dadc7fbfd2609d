"""A run as a whole, on agents in memory: what becomes of it when its budget is spent, or its fleet fails it."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from loadgen.cli.run import exit_code
from loadgen.engine.messages import Phases, Plan, Report, decode_report
from loadgen.experiments.decision import Ask, Decision, Seen
from loadgen.experiments.registry import probe
from loadgen.fleet.port import FleetError, Gone, Said
from loadgen.invocation.bill import gb_seconds, price
from loadgen.invocation.sample import Sample
from loadgen.load.budget import Budget
from loadgen.load.phase import Phase
from loadgen.measure import hlog
from loadgen.measure.cost import Spent
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhasePlan, PhaseTotal
from loadgen.measure.rule import parse
from loadgen.measure.summary import Experiment, Summary
from loadgen.run.runner import Finished, Runner
from loadgen.scenario.load import load as read
from loadgen.scenario.model import FeederOrder, Scenario
from loadgen.scenario.prices import load_price_book
from loadgen.text.units import Money
from tests.fleet.fake import MS, FakeFleet, Way, last, late, lost, silent, straight, twice, undealt
from tests.fleet.test_local import answer
from tests.frames import frame
from tests.run.runs import Notes, run
from tests.scenarios import closed_phase, feeder, function, open_phase, scenario
from tests.servers.scripted import serving


def first(name: str, rate: int = 40, seconds: float = 1) -> Phase:
    return open_phase(rate, seconds, name=name)


def load(*phases: Phase, budget: Budget | None = None, share: float = 0.0) -> Scenario:
    made = scenario(function("http://127.0.0.1:9", preflight=False), *phases, sample_share=share)
    return msgspec.structs.replace(made, budget=budget or made.budget)


def rules(summary: Summary) -> set[str]:
    return {reason.rule for reason in summary.verdict.reasons}


def phase_and(frame_is: Callable[[Frame], bool], name: str = "a") -> Callable[[Frame], bool]:
    """Frames of that phase for which something holds."""
    return lambda frame: frame.phase == name and frame_is(frame)


async def test_a_decision_sees_every_sample_in_order_and_what_it_did_not_ask_for_stays_out(tmp_path: Path) -> None:
    """On real agents."""
    shown: list[Seen] = []

    def decision() -> Decision[Experiment | None]:
        shown.append((yield Ask((first("a"), first("b")), samples=True)))
        shown.append((yield Ask((first("c"),))))
        return None

    async with serving(answer) as server:
        real = scenario(function(f"http://127.0.0.1:{server.port}"))
        finished = await run(real, tmp_path, decision=decision(), agents=2)
        assert len(server.requests) == 121
    assert [len(seen.samples) for seen in shown] == [80, 0]
    assert [total.name for total in shown[0].totals] == ["a", "b"]
    intended = [sample.intended_ns for sample in shown[0].samples]
    assert intended == sorted(intended)
    assert [phase.name for phase in finished.summary.phases] == ["a", "b", "c"]
    assert not (tmp_path / "run" / "samples.ndjson.gz").exists()


async def test_a_phase_ends_when_it_is_enough_and_later_ones_do_not_begin(tmp_path: Path) -> None:
    def enough(samples: Sequence[Sample]) -> bool:
        return len(samples) >= 20

    def decision() -> Decision[Experiment | None]:
        seen = yield Ask((first("a", seconds=30), first("b")), samples=True, enough=enough)
        assert [total.name for total in seen.totals] == ["a"]
        assert 20 <= len(seen.samples) < 400
        return None

    finished = await run(load(), tmp_path, decision=decision(), fleet=FakeFleet())
    assert finished.failed is None
    assert "rate_missed" not in rules(finished.summary)


async def test_the_silence_before_a_run_is_kept(tmp_path: Path) -> None:
    def decision() -> Decision[Experiment | None]:
        yield Ask((first("a"),))
        yield Ask((first("b"),), idle_ns=700_000_000)
        return None

    began = time.monotonic()
    finished = await run(load(), tmp_path, decision=decision(), fleet=FakeFleet())
    assert time.monotonic() - began >= 0.7
    assert finished.failed is None


async def test_who_watches_is_told_of_each_silence_phase_and_end_in_order(tmp_path: Path) -> None:
    told: list[str] = []

    class Watching(Notes):
        def load_started(self, first: Spent, *, bills: bool) -> None:
            told.append(f"load, bills: {bills}")

        def asked(self, ask: Ask) -> None:
            told.append(f"asked: {ask.purpose}")

        def phase_started(self, plan: PhasePlan, total: PhaseTotal, grace_ns: int) -> None:
            told.append(f"{plan.name} of {plan.duration_ns // 10**9} s")
            self.total = total

        def enough(self) -> None:
            told.append("enough")

        def phase_ended(self) -> None:
            told.append(f"{self.total.name} ended, {'whole' if self.total.agents[0].final else 'not whole'}")

    def decision() -> Decision[Experiment | None]:
        yield Ask((first("a"),), purpose="one")
        yield Ask((first("b", seconds=30),), samples=True, enough=lambda seen: True, purpose="two", idle_ns=1000)
        return None

    await run(load(), tmp_path, decision=decision(), fleet=FakeFleet(), notes=Watching())
    assert told == [
        "load, bills: True",
        "asked: one",
        "a of 1 s",
        "a ended, whole",
        "asked: two",
        "b of 30 s",
        "enough",
        "b ended, whole",
    ]


async def test_an_interrupt_ends_the_silence_and_the_decision_says_what_it_knows(tmp_path: Path) -> None:
    stopped: list[bool] = []

    def decision() -> Decision[Experiment | None]:
        yield Ask((first("a"),))
        seen = yield Ask((first("b"),), idle_ns=60_000_000_000)
        stopped.append(seen.stopped)
        return None

    class Interrupting(Notes):
        def frame(self, frame: Frame) -> None:
            if frame.final:
                asyncio.get_running_loop().call_later(1, runners[0].interrupt)

    runners: list[Runner] = []
    notes = Interrupting()
    work = run(load(), tmp_path, decision=decision(), fleet=FakeFleet(), notes=notes, begun=runners.append)
    finished = await asyncio.wait_for(work, 20)
    assert stopped == [True]
    assert notes.stopped
    assert [phase.name for phase in finished.summary.phases] == ["a"]
    assert finished.summary.run.interrupted


async def test_a_spent_budget_stops_the_decision_which_says_what_it_knows(tmp_path: Path) -> None:
    stopped: list[bool] = []

    def decision() -> Decision[Experiment | None]:
        for number in range(10):
            seen = yield Ask((first(f"p{number}"),), samples=True)
            stopped.append(seen.stopped)
            if seen.stopped:
                return None
        raise AssertionError("it was never told")

    fleet = FakeFleet()
    finished = await run(load(budget=Budget(100, None)), tmp_path, decision=decision(), fleet=fleet)
    assert finished.budget_reached
    assert stopped == [False, False, True]
    assert len(fleet.started) == 100
    assert finished.summary.run.stopped == "budget.invocations: all that are allowed were made"


async def test_a_decision_that_asks_on_after_it_was_stopped_is_left(tmp_path: Path) -> None:
    def decision() -> Decision[Experiment | None]:
        while True:
            yield Ask((first("again"),))

    fleet = FakeFleet()
    finished = await run(load(budget=Budget(30, None)), tmp_path, decision=decision(), fleet=fleet)
    assert (finished.budget_reached, len(fleet.started)) == (True, 30)
    assert finished.summary.experiment is None


async def test_a_fault_of_a_decision_is_told_and_costs_nothing_of_what_was_measured(tmp_path: Path) -> None:
    def decision() -> Decision[Experiment | None]:
        yield Ask((first("a"),))
        raise ZeroDivisionError("division by zero")

    finished = await run(load(), tmp_path, decision=decision(), fleet=FakeFleet())
    assert finished.failed is not None
    assert "ZeroDivisionError: division by zero" in finished.failed
    assert finished.summary.totals.planned == 40


async def test_the_time_that_is_allowed_ends_the_load(tmp_path: Path) -> None:
    def decision() -> Decision[Experiment | None]:
        yield Ask((first("a"),))
        yield Ask((first("b"),), idle_ns=60_000_000_000)
        return None

    limited = load(budget=Budget(None, 500_000_000))
    finished = await asyncio.wait_for(run(limited, tmp_path, decision=decision(), fleet=FakeFleet()), 10)
    assert finished.budget_reached
    assert finished.summary.run.stopped == "budget.duration: the time allowed is over"


async def test_a_phase_asks_agents_for_no_more_in_flight_than_is_allowed(tmp_path: Path) -> None:
    fleet = FakeFleet()
    await run(load(first("a"), closed_phase(4, 1), budget=Budget(None, None, in_flight=3)), tmp_path, fleet=fleet)
    (phases,) = [message for _, message in fleet.told if isinstance(message, Phases)]
    assert [phase.max_workers for phase in phases.phases] == [3, 3]


@pytest.mark.parametrize("told", [", probe: {}", ", probe: {cold: body.first}", ""])
async def test_agents_are_told_where_answers_of_a_probe_say_what_they_are(tmp_path: Path, told: str) -> None:
    text = (
        "name: x\nkind: cold-starts\ncold-starts: {induce: [burst], burst: 4" + told + "}\n"
        "target: {endpoint: 'http://127.0.0.1:9', project_id: p, function: f, preflight: false}\n"
    )
    asked = read(text, source="x.yaml", directory=Path(), environment={}).scenario
    fleet = FakeFleet()

    def decision() -> Decision[Experiment | None]:
        yield Ask((first("a"),))
        return None

    await run(asked, tmp_path, decision=decision(), fleet=fleet, agents=2)
    expected = probe(asked)
    assert (expected is None) == (told == "")
    assert [message.probe for _, message in fleet.told if isinstance(message, Plan)] == [expected] * 2


@pytest.mark.parametrize("agents", [1, 2, 3])
@pytest.mark.parametrize(
    "way",
    [
        lambda: straight,
        lambda: undealt,
        lambda: lost(lambda frame: frame.seq % 5 == 2),
        lambda: twice(lambda frame: True),
        lambda: late(lambda frame: frame.seq % 3 == 2 and not frame.final),
        lambda: last(lambda frame: frame.seq == 4),
        lambda: silent(lambda frame: frame.seq == 4),
    ],
    ids=["straight", "undealt", "lost", "twice", "late", "last", "silent"],
)
async def test_no_more_is_started_than_the_budget_allows_whatever_becomes_of_what_agents_say(
    tmp_path: Path, way: Callable[[], Way], agents: int
) -> None:
    """Frames that are lost are lost for the count of what was started, too: they cannot be made up for."""
    limited = load(closed_phase(4, 1, name="a"), budget=Budget(100, None))
    fleet = FakeFleet(way(), calls=200, patience_s=0.3)
    finished = await asyncio.wait_for(run(limited, tmp_path, fleet=fleet, agents=agents), 20)
    assert len(fleet.started) == len(set(fleet.started)) <= 100
    assert finished.budget_reached or finished.failed is not None


@pytest.mark.parametrize(("agents", "ahead_ns"), [(1, 0), (2, 0), (3, 0), (3, 10**15)])
async def test_no_more_is_spent_than_the_budget_allows_over_all_phases(
    tmp_path: Path, agents: int, ahead_ns: int
) -> None:
    book = load_price_book("huawei-cny-2024-09")
    assert book is not None
    each = price(book, gb_seconds({1024: 100 * MS}), 1)
    limit = Money(each * 100 + each / 2, "CNY")
    phases = [open_phase(60, 1, name="a"), closed_phase(4, 1, name="b"), open_phase(60, 1, name="c")]
    priced = msgspec.structs.replace(load(*phases, budget=Budget(None, None, cost=limit)), prices=book)
    fleet = FakeFleet(ahead_ns=ahead_ns, patience_s=1)
    finished = await asyncio.wait_for(run(priced, tmp_path, fleet=fleet, agents=agents), 20)
    assert finished.summary.cost is not None
    assert finished.summary.cost.amount is not None
    assert limit.amount - 2 * each < finished.summary.cost.amount <= limit.amount
    assert finished.budget_reached
    assert [phase.name for phase in finished.summary.phases] == ["a", "b"]
    stopped = finished.summary.run.stopped
    assert stopped is not None
    assert stopped.startswith("budget.cost: what was left of ")
    assert stopped.endswith(" are spent")


@pytest.mark.parametrize("agents", [1, 3])
async def test_every_row_that_is_read_once_is_sent_once_over_all_phases(tmp_path: Path, agents: int) -> None:
    phases = [closed_phase(4, 1, name=name) for name in ("a", "b", "c")]
    (tmp_path / "rows.csv").write_text("a\n" + "1\n" * 70)
    fed = msgspec.structs.replace(load(*phases), feeder=feeder(tmp_path / "rows.csv", FeederOrder.ONCE))
    fleet = FakeFleet(calls=30 // agents)
    finished = await run(fed, tmp_path, fleet=fleet, agents=agents)
    assert sorted(fleet.started) == list(range(70))
    assert finished.failed is None


async def test_what_arrives_twice_is_counted_sampled_and_written_once(tmp_path: Path) -> None:
    shown: list[Seen] = []

    def decision() -> Decision[Experiment | None]:
        shown.append((yield Ask((first("a"), first("b")), samples=True)))
        return None

    fleet, notes = FakeFleet(twice(lambda frame: not frame.final)), Notes()
    finished = await run(load(share=1.0), tmp_path, decision=decision(), fleet=fleet, agents=2, notes=notes)
    assert finished.summary.totals.planned == len(shown[0].samples) == len(fleet.started) == 80
    with gzip.open(tmp_path / "run" / "samples.ndjson.gz", "rt") as file:
        assert len({json.loads(line)["intended_ns"] for line in file}) == 80
    lines = hlog.read((tmp_path / "run" / "intervals.hlog").read_text().splitlines(keepends=True))
    assert sum(line.histogram.count for line in lines if line.tag in ("a.latency_all", "b.latency_all")) == 80
    assert "record_incomplete" in rules(finished.summary)


async def test_a_frame_that_is_lost_leaves_a_record_that_says_so(tmp_path: Path) -> None:
    for number, way in enumerate((lost, late)):
        fleet = FakeFleet(way(phase_and(lambda frame: frame.agent == 1 and frame.seq == 2)))
        finished = await run(load(first("a"), first("b")), tmp_path / str(number), fleet=fleet, agents=2)
        (reason,) = [each for each in finished.summary.verdict.reasons if each.rule == "record_incomplete"]
        assert (reason.phase, reason.withholds) == ("a", "all")
        assert "frames of agent 1 are missing or came twice" in reason.message
        assert finished.failed is None
        assert finished.summary.totals.planned == 70


async def test_the_last_agent_that_dies_fails_the_run_which_shows_what_it_has(tmp_path: Path) -> None:
    fleet = FakeFleet(last(phase_and(lambda frame: frame.agent == 0 and frame.seq == 3)))
    finished = await run(load(first("a", seconds=5), first("b")), tmp_path, fleet=fleet)
    assert finished.failed == "agent 0 died with exit code -9: silently"
    assert [phase.name for phase in finished.summary.phases] == ["a"]
    assert finished.summary.totals.planned >= 20
    assert "record_incomplete" in rules(finished.summary)
    assert fleet.closed


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        (FleetError("the cluster is gone"), "the cluster is gone"),
        (OSError("connection lost"), "what agents say cannot be taken in any more (OSError: connection lost)"),
        (KeyError(3), "what agents say cannot be taken in any more (KeyError: 3)"),
    ],
)
async def test_agents_that_cannot_be_heard_any_more_fail_the_run_which_shows_what_it_has(
    tmp_path: Path, fault: Exception, failed: str
) -> None:
    class Deaf(FakeFleet):
        heard = 0

        async def receive(self) -> Said | Gone:
            received = await super().receive()
            self.heard += isinstance(received, Said) and isinstance(decode_report(received.body), Frame)
            if self.heard == 4:
                raise fault
            return received

    fleet = Deaf()
    finished = await run(load(first("a", seconds=5)), tmp_path, fleet=fleet)
    assert (finished.failed, finished.summary.totals.planned) == (failed, 20)
    assert fleet.closed


async def test_an_agent_that_hangs_fails_the_run_before_long(tmp_path: Path) -> None:
    for number, seq in enumerate((0, 3)):  # while it opens connections, and under load
        way = silent(lambda frame, seq=seq: frame.agent == 1 and frame.seq == seq)  # type: ignore[misc]
        fleet = FakeFleet(way, patience_s=0.3)
        quick = load(first("a"), first("b"))
        timeout = msgspec.structs.replace(quick.target.timeout, connect_ns=0)
        target = function("http://127.0.0.1:1", preflight=False, timeout=timeout)
        quick = msgspec.structs.replace(quick, target=target)
        finished = await asyncio.wait_for(run(quick, tmp_path / str(number), fleet=fleet, agents=2), 10)
        assert finished.failed is not None
        assert finished.failed.startswith("no agent has said anything for 0.3 s")
        assert fleet.closed


async def interrupted(tmp_path: Path, times: int, way: Way = straight) -> tuple[Finished, FakeFleet]:
    """A run that is interrupted so often in its first phase, of 300,000 calls."""

    class Interrupting(Notes):
        def frame(self, frame: Frame) -> None:
            super().frame(frame)
            if self.frames in range(8, 8 + times):
                runners[0].interrupt()

    runners: list[Runner] = []
    fleet = FakeFleet(way)
    long = load(first("a", 10_000, 30), first("b"))
    work = run(long, tmp_path, fleet=fleet, agents=2, notes=Interrupting(), begun=runners.append)
    return await asyncio.wait_for(work, 10), fleet


@pytest.mark.parametrize("times", [1, 2])
async def test_an_interrupt_ends_the_run_and_all_that_was_started_is_counted(tmp_path: Path, times: int) -> None:
    finished, fleet = await interrupted(tmp_path, times)
    assert finished.summary.run.interrupted
    assert finished.failed is None
    assert [phase.name for phase in finished.summary.phases] == ["a"]
    assert finished.summary.totals.planned == len(fleet.started) < 300_000
    assert "record_incomplete" not in rules(finished.summary)


async def test_agents_that_die_after_a_second_interrupt_are_no_fault(tmp_path: Path) -> None:
    finished, _ = await interrupted(tmp_path, 2, last(lambda frame: frame.final))
    assert finished.summary.run.interrupted
    assert finished.failed is None
    assert "record_incomplete" in rules(finished.summary)


async def test_agents_that_cannot_be_started_fail_the_run_with_a_summary_of_nothing(tmp_path: Path) -> None:
    class Refusing(FakeFleet):
        async def start(self, agents: int) -> None:
            raise FleetError("an agent could not be started: Cannot allocate memory")

    finished = await run(load(first("a")), tmp_path, fleet=Refusing())
    assert finished.failed == "an agent could not be started: Cannot allocate memory"
    assert finished.summary.phases == []


def failing_from(seq: int) -> Way:
    """From then on every call fails."""

    def way(report: Report) -> Sequence[Report]:
        if not isinstance(report, Frame) or report.seq < seq or not report.tally.planned:
            return [report]
        bad = frame({"timeout": [1000] * report.tally.planned}, phase=report.phase)
        return [msgspec.structs.replace(report, tally=bad.tally, hist=bad.hist)]

    return way


def ruled(rule: str, *phases: Phase) -> Scenario:
    return msgspec.structs.replace(load(*phases), thresholds=(parse(rule),))


@pytest.mark.parametrize("agents", [1, 2])
@pytest.mark.parametrize("rule", ["errors < 50% over 2s, abort", "latency.p50 < 1s, abort"])
async def test_a_rule_that_breaks_ends_the_load_and_is_broken_in_the_end(
    tmp_path: Path, rule: str, agents: int
) -> None:
    fleet, notes = FakeFleet(failing_from(5)), Notes()
    long = ruled(rule, first("a", 10, 1000), first("b", 10, 10))
    finished = await run(long, tmp_path, fleet=fleet, agents=agents, notes=notes)
    summary = finished.summary
    assert (finished.failed, finished.budget_reached) == (None, False)
    assert [phase.name for phase in summary.phases] == ["a"]
    assert len(fleet.started) < 9000
    assert summary.run.stopped is not None
    assert summary.run.stopped.startswith(f"the threshold {rule} is broken: ")
    assert notes.said[-1] == f"Stopping: {summary.run.stopped}."
    (threshold,) = summary.thresholds
    assert (threshold.rule, threshold.passed) == (rule, False)
    assert exit_code(finished) == 99


async def test_without_abort_the_load_goes_on_and_the_rule_is_broken_in_the_end(tmp_path: Path) -> None:
    long = ruled("errors < 50% over 2s", first("a", 10, 20), first("b", 10, 10))
    finished = await run(long, tmp_path, fleet=FakeFleet(failing_from(5)))
    assert [phase.planned for phase in finished.summary.phases] == [200, 100]
    assert (finished.summary.run.stopped, finished.summary.thresholds[0].passed) == (None, False)
    assert exit_code(finished) == 99


async def test_a_rule_that_breaks_with_the_end_of_the_load_ended_nothing(tmp_path: Path) -> None:
    finished = await run(
        ruled("errors < 1% over 2s, abort", first("a", 5, 2)), tmp_path, fleet=FakeFleet(failing_from(0))
    )
    assert (finished.summary.run.stopped, finished.summary.thresholds[0].passed) == (None, False)


async def test_a_rule_that_breaks_on_another_load_than_was_asked_for_ends_nothing(tmp_path: Path) -> None:
    """The generator was late for every start: the run goes on, and says that nobody may conclude from it."""

    def way(report: Report) -> Sequence[Report]:
        if not isinstance(report, Frame) or not report.tally.planned:
            return [report]
        n = report.tally.planned
        late = frame({"timeout": [10**6] * n}, phase=report.phase, metrics={"timeout/late": [500_000] * n})
        return [msgspec.structs.replace(report, tally=late.tally, hist=late.hist)]

    finished = await run(ruled("errors < 1% over 2s, abort", first("a", 10, 10)), tmp_path, fleet=FakeFleet(way))
    summary = finished.summary
    assert (summary.run.stopped, summary.verdict.status, summary.thresholds[0].passed) == (None, "invalid", None)
    assert summary.totals.planned == 100
