"""The kinds of run, and what is asked of the one that a scenario, or a result, is of.

A new kind is a package beside the others, a line in ``KINDS``, its block in the Scenario and its result in the Summary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from loadgen.experiments.capacity.kind import CAPACITY
from loadgen.experiments.coldstarts.kind import COLD_STARTS
from loadgen.experiments.decision import Decision
from loadgen.experiments.kind import Given, Kind
from loadgen.experiments.load.kind import LOAD
from loadgen.experiments.memory.kind import MEMORY
from loadgen.load.phase import Phase
from loadgen.scenario.model import Scenario
from loadgen.targets.port import Probe
from loadgen.targets.registry import tenant_of

if TYPE_CHECKING:
    from loadgen.measure.starts import Found
    from loadgen.measure.summary import Experiment, Summary
    from loadgen.report.experiment import Answer, Section

KINDS: tuple[Kind[Any, Any], ...] = (LOAD, COLD_STARTS, CAPACITY, MEMORY)


def is_experiment(kind: str) -> bool:
    """Whether runs of this kind make their own load, in phases as many as it takes; else they are the scenario's."""
    return kind != LOAD.name


def decision(scenario: Scenario) -> Decision[Experiment | None]:
    """The decision that the scenario is played by."""
    kind, block = _asked(scenario)
    told = tenant_of(scenario.target).told
    tells = all(tenant_of(call.target).tells_starts(call.target) for call in scenario.each_call)
    given = Given(scenario.target.timeout.total_ns, scenario.seed, scenario.prices, told, tells, _shares(scenario))
    return kind.decision(block, given)


def widest(scenario: Scenario) -> Sequence[Phase]:
    """Phases with at least as many invocations in flight as any that the decision asks for; at least one."""
    kind, block = _asked(scenario)
    return kind.widest(block, scenario.target.timeout.total_ns)


def peak_per_s(scenario: Scenario) -> float:
    """The largest rate that is planned; 0 where none is."""
    kind, block = _asked(scenario)
    return max(kind.peak_per_s(block), *(phase.peak_rate() for phase in widest(scenario)))


def plan(scenario: Scenario) -> Iterator[str]:
    """Lines that say what is asked of an experiment."""
    kind, block = _asked(scenario)
    return kind.plan(block)


def forecast(scenario: Scenario) -> Iterator[str]:
    """Lines that say what an experiment will take, and what cannot succeed."""
    kind, block = _asked(scenario)
    found = kind.forecast(block, _shares(scenario))
    return iter(()) if found is None else found.lines(scenario.budget)


def lasts_ns(scenario: Scenario) -> tuple[int, int] | None:
    """From how long to how long the load and the silences of a run last; None where there is no telling.

    Calls that an experiment makes one after another take their time beside that.
    """
    kind, block = _asked(scenario)
    if not is_experiment(kind.name):
        whole_ns = sum(phase.duration_ns for phase in scenario.phases)
        return whole_ns, whole_ns
    found = kind.forecast(block, _shares(scenario))
    return None if found is None or not found.most_ns else (found.least_ns, found.most_ns)


def changes(scenario: Scenario) -> str:
    """The settings of the function that the run changes and puts back; empty if it changes none."""
    kind, block = _asked(scenario)
    return kind.changes(block)


def sizes_mb(scenario: Scenario) -> tuple[int, ...]:
    """The memory sizes that the run asks for by itself."""
    kind, block = _asked(scenario)
    return kind.sizes_mb(block)


def one_size(scenario: Scenario) -> bool:
    """Whether each call of the run asks for the memory size of the target, if that names one."""
    kind, _ = _asked(scenario)
    return kind.one_size


def probe(scenario: Scenario) -> Probe | None:
    """Where answers tell whether their start was cold, if the function is a probe."""
    kind, block = _asked(scenario)
    return kind.probe(block)


def found(result: Experiment | None) -> Found:
    """What the Verdict is told of a result."""
    from loadgen.measure.starts import NOTHING_FOUND

    told = None if result is None else _of(result).found
    return NOTHING_FOUND if told is None else told(result)


def section(summary: Summary) -> Section | None:
    """What a report says of a result; None where there is none."""
    result = summary.experiment
    return None if result is None else _of(result).section(summary, result)


def answer(summary: Summary) -> Answer | None:
    """What an experiment found out; None of a load, and of a run that found out nothing."""
    result = summary.experiment
    told = None if result is None else _of(result).answer
    return None if told is None else told(summary, result)


def _asked(scenario: Scenario) -> tuple[Kind[Any, Any], Any]:
    kind = next(each for each in KINDS if each.name == scenario.kind)
    return kind, getattr(scenario, kind.block)


def _shares(scenario: Scenario) -> dict[str, float]:
    """Which part of the invocations each call of a mix is; empty without one."""
    return {call.name: share for call, share in zip(scenario.calls, scenario.shares, strict=False)}


def _of(result: Experiment) -> Kind[Any, Any]:
    return next(each for each in KINDS if isinstance(result, each.result))
