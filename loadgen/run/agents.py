"""How many agents make a load: as many as it needs, which is nearly always one, or as many as the user says.

One agent has the whole schedule, every worker and every connection in one hand; several share them, and pass on what
one has left and another needs, which takes time. So a second one is only worth it where one core is not enough: an open
phase takes as many as its planned peak needs. The workers of a closed phase run on one agent, as their number, not the
agents', is what sets the load.
"""

from __future__ import annotations

from math import ceil

from msgspec import Struct

from loadgen.build import build
from loadgen.experiments.registry import peak_per_s, widest
from loadgen.load.phase import Phase
from loadgen.report import units
from loadgen.scenario.model import Scenario
from loadgen.targets.endpoint import encrypted
from loadgen.targets.registry import tenant_of
from loadgen.targets.target import Target

DRIVES_PER_S = {("compiled", False): 10_000, ("compiled", True): 6_000, ("pure", False): 3_000, ("pure", True): 2_000}
"""Starts per second that one agent is trusted with, by build and whether there is TLS.

Half of what it made in an open phase on the slowest machine measured, over HTTP and compiled; the others in the ratios
of the throughputs. Above that its own work shows in the times, though it may well make more.
"""


class Agents(Struct, frozen=True):
    """The ``number`` of agents of a run, and ``why``. ``asked`` says that the user named it."""

    number: int
    why: str
    asked: bool = True

    def of(self, phase: Phase, target: Target) -> int:
        """How many of them take part in a phase."""
        wanted = self.number if self.asked else _needed(phase, target)
        return max(1, min(self.number, wanted, phase.max_workers))


def agents_of(scenario: Scenario, asked: int | None, cores: int) -> Agents:
    """The agents of a run on a machine with so many usable cores; ``asked`` is what the user wants, None if nothing."""
    phases = widest(scenario)
    workers = max(phase.max_workers for phase in phases)
    if scenario.budget.in_flight is not None:
        workers = min(workers, scenario.budget.in_flight)
    if asked is not None:
        enough = asked <= workers
        return Agents(
            min(asked, workers), "--agents" if enough else f"--agents {asked}, but there are {workers} workers"
        )
    peak = peak_per_s(scenario)
    drives = _drives_per_s(scenario.target)
    needed = max(1, ceil(peak / drives))
    if not peak:
        why = "workers and bursts run on one"
    else:
        why = f"one drives {units.count(drives)}/s, and the planned peak is {units.rate(peak)}"
    number = max(1, min(needed, cores - 1, workers))  # a core is left to the rest
    if number < needed:
        why += f", but there are {cores} cores" if number < workers else f", but there are {workers} workers"
    return Agents(number, why, asked=False)


def _needed(phase: Phase, target: Target) -> int:
    return ceil(phase.peak_rate() / _drives_per_s(target))


def _drives_per_s(target: Target) -> int:
    url, *_ = tenant_of(target).urls(target)
    return DRIVES_PER_S[build(), encrypted(url)]
