"""Runs without a command, and who watches them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from loadgen.experiments.decision import Ask, Decision
from loadgen.experiments.load.decision import load
from loadgen.fleet.local import LocalFleet
from loadgen.fleet.port import Fleet
from loadgen.history.rundir import RunDirectory
from loadgen.measure.cost import Spent
from loadgen.measure.interval import Frame
from loadgen.measure.merge import PhasePlan, PhaseTotal
from loadgen.measure.summary import Experiment, Preflight
from loadgen.run.agents import Agents
from loadgen.run.runner import Finished, Runner
from loadgen.scenario.load import Loaded
from loadgen.scenario.model import Scenario
from loadgen.targets.secret import sent
from loadgen.text.secret import Secrets


class Notes:
    """An Observer that keeps what was said, and which phases began."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.phases: list[str] = []
        self.asks: list[Ask] = []
        self.frames = self.ended = 0
        self.stopped = False

    def preflight(self, result: Preflight) -> None: ...

    def load_started(self, first: Spent, *, bills: bool) -> None: ...

    def asked(self, ask: Ask) -> None:
        self.asks.append(ask)

    def phase_started(self, plan: PhasePlan, total: PhaseTotal, grace_ns: int) -> None:
        self.phases.append(plan.name)

    def frame(self, frame: Frame) -> None:
        self.frames += 1

    def enough(self) -> None: ...

    def phase_ended(self) -> None:
        self.ended += 1

    def stopping(self) -> None:
        self.stopped = True

    def note(self, text: str) -> None:
        self.said.append(text)


async def run(
    scenario: Scenario,
    tmp_path: Path,
    *,
    decision: Decision[Experiment | None] | None = None,
    notes: Notes | None = None,
    fleet: Fleet | None = None,
    agents: int = 1,
    begun: Callable[[Runner], object] = lambda runner: None,
    **more: Any,
) -> Finished:
    """Run a scenario, by its own phases if there is no decision; ``begun`` is called with the run before it begins."""
    secrets = Secrets(sent(scenario.target))
    with closing(RunDirectory.create(tmp_path / "run", secrets.hide)) as directory:
        runner = Runner(
            Loaded(scenario, {}, ""),
            load(scenario.phases, told=True) if decision is None else decision,
            directory,
            notes or Notes(),
            fleet=fleet or LocalFleet(),
            agents=Agents(agents, "asked"),
            secrets=secrets,
            **more,
        )
        begun(runner)
        return await runner.run()
