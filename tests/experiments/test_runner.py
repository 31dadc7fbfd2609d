"""The runner plays a decision on real agents."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from loadgen.experiments.decision import Ask, Decision, Seen
from loadgen.history.rundir import RunDirectory
from loadgen.invocation.sample import Sample
from loadgen.load.budget import Budget
from loadgen.load.phase import Phase
from loadgen.measure.experiment import Experiment
from loadgen.measure.interval import Frame
from loadgen.measure.summary import Preflight
from loadgen.run.agents import Agents
from loadgen.run.runner import Finished, Runner
from loadgen.scenario.load import Loaded
from tests.fleet.test_local import answer
from tests.scenarios import function, open_phase, scenario
from tests.servers.scripted import serving


class Quiet:
    """An Observer that looks away."""

    def preflight(self, result: Preflight) -> None: ...

    def phase_started(self, name: str, duration_ns: int, planned: int | None) -> None: ...

    def frame(self, frame: Frame) -> None: ...

    def note(self, text: str) -> None: ...


async def played(
    decision: Decision[Experiment | None], tmp_path: Path, *, budget: Budget | None = None, agents: int = 1
) -> tuple[Finished, int]:
    """What a run finished with, and how many requests the server had."""
    async with serving(answer) as server:
        plain = scenario(function(f"http://127.0.0.1:{server.port}"))
        loaded = Loaded(msgspec.structs.replace(plain, budget=budget or plain.budget), {}, "")
        directory = RunDirectory.create(tmp_path / "run")
        try:
            finished = await Runner(loaded, decision, directory, Quiet(), agents=Agents(agents, "asked")).run()
        finally:
            directory.close()
        return finished, len(server.requests)


def first(name: str, rate: int = 40, seconds: float = 1) -> Phase:
    return open_phase(rate, seconds, name=name)


async def test_a_decision_sees_every_sample_in_order_and_what_it_did_not_ask_for_stays_out(tmp_path: Path) -> None:
    shown: list[Seen] = []

    def decision() -> Decision[Experiment | None]:
        shown.append((yield Ask((first("a"), first("b")), samples=True)))
        shown.append((yield Ask((first("c"),))))
        return None

    finished, _ = await played(decision(), tmp_path, agents=2)
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

    begun = time.monotonic()
    finished, _ = await played(decision(), tmp_path)
    assert time.monotonic() - begun < 20
    assert finished.failed is None
    assert [reason.rule for reason in finished.summary.verdict.reasons if reason.rule == "rate_missed"] == []


async def test_the_silence_before_a_run_is_kept(tmp_path: Path) -> None:
    def decision() -> Decision[Experiment | None]:
        one = yield Ask((first("a", rate=10, seconds=0.5),), samples=True)
        two = yield Ask((first("b", rate=10, seconds=0.5),), samples=True, idle_ns=1_500_000_000)
        assert two.samples[0].intended_ns - one.samples[-1].ended_ns >= 1_500_000_000
        return None

    finished, _ = await played(decision(), tmp_path)
    assert finished.failed is None


async def test_a_spent_budget_stops_the_decision_which_says_what_it_knows(tmp_path: Path) -> None:
    stopped: list[bool] = []

    def decision() -> Decision[Experiment | None]:
        for number in range(10):
            seen = yield Ask((first(f"p{number}"),), samples=True)
            stopped.append(seen.stopped)
            if seen.stopped:
                return None
        raise AssertionError("it was never told")

    finished, requests = await played(decision(), tmp_path, budget=Budget(100, None))
    assert finished.budget_reached
    assert stopped == [False, False, True]
    assert requests == 100


async def test_a_decision_that_asks_on_after_it_was_stopped_is_left(tmp_path: Path) -> None:
    def decision() -> Decision[Experiment | None]:
        while True:
            yield Ask((first("again"),))

    finished, requests = await played(decision(), tmp_path, budget=Budget(30, None))
    assert (finished.budget_reached, requests) == (True, 30)
    assert finished.summary.experiment is None


async def test_a_fault_of_a_decision_is_told_and_costs_nothing_of_what_was_measured(tmp_path: Path) -> None:
    def decision() -> Decision[Experiment | None]:
        yield Ask((first("a"),))
        raise ZeroDivisionError("division by zero")

    finished, requests = await played(decision(), tmp_path)
    assert finished.failed is not None
    assert "ZeroDivisionError: division by zero" in finished.failed
    assert requests == 41
    assert finished.summary.totals.planned == 40
