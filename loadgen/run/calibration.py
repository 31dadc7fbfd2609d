"""Calibration: the overhead floor of this machine, by sending load to a target that does nothing.

A real agent process invokes a stub, a process of its own on loopback: at a moderate constant rate, as most phases do,
and then back to back with one worker. What is kept is a file in a directory of the user's that outlives runs; the last
calibration replaces the one before.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from loadgen.engine.clock import monotonic_ns
from loadgen.engine.environment import environment
from loadgen.engine.messages import Plan
from loadgen.fleet.crew import Crew
from loadgen.fleet.local import LocalFleet
from loadgen.fleet.port import FleetError
from loadgen.invocation.outcome import OK
from loadgen.load.budget import Budget
from loadgen.load.constant import ConstantRate
from loadgen.load.phase import Phase
from loadgen.load.workers import Workers
from loadgen.measure import floor
from loadgen.measure.floor import Floor, quantiles
from loadgen.measure.summary import Environment
from loadgen.measure.trust.generator import RATE
from loadgen.measure.trust.rule import INVALID, RANGE
from loadgen.measure.verdict import judge
from loadgen.run.play import Played, play
from loadgen.scenario.model import Scenario
from loadgen.targets.port import TargetError
from loadgen.targets.settings import idle
from loadgen.targets.target import Target
from loadgen.text.units import NS_PER_S, Rate

RATE_PER_S = 1000
SECONDS = 10
"""Of open load, enough for a p99.9."""
FILE = "floor.json"

_WARM_UP, _OPEN, _CLOSED = "warm-up", "open", "closed"
_IN_FLIGHT = 100
_CONNECTIONS = 8
_GRACE_NS = 5 * NS_PER_S

Measured = Sequence[Played]
"""The phases of a calibration: warm-up, open, closed."""


class CalibrationError(Exception):
    """There is no floor to be had now; the message says why and what to do."""


async def against_stub(seconds: int = SECONDS) -> Measured:
    """Send load to the stub for about 1.5 · ``seconds``; raises CalibrationError when that cannot be done."""
    try:
        async with idle() as target:
            scenario = _scenario(target, seconds)
            measured: list[Played] = []
            async with Crew(LocalFleet(), [Plan(scenario, "127.0.0.1", 0, monotonic_ns())]) as crew:
                for number, phase in enumerate(scenario.phases):
                    connections = 1 if phase.closed else _CONNECTIONS
                    played = await play(crew, number, phase, seed=scenario.seed, connections=connections)
                    measured += [] if played is None else [played]
            return measured
    except (TargetError, FleetError) as error:
        raise CalibrationError(str(error)) from error


def floor_of(measured: Measured, machine: Environment, at: datetime) -> Floor:
    """The floor that was measured on ``machine`` at an instant.

    Raises CalibrationError where the load generator was in its own way. That it bounds the rate of a worker whose
    target does nothing is no reason.
    """
    plans, totals = [each.plan for each in measured], [each.total for each in measured]
    reasons = [
        reason.message
        for reason in judge(plans, totals).reasons
        if reason.severity in (INVALID, RANGE) and RATE not in reason.figures
    ]
    failed = sum((Counter(total.tally.outcomes) for total in totals), Counter[str]())
    del failed[OK]
    if failed:
        reasons.append(f"The stub did not answer {failed.total()} invocations: {', '.join(sorted(failed))}.")
    if reasons:
        raise CalibrationError(f"nothing is kept of this calibration; try again. {' '.join(reasons)}")
    by_name = {total.name: total for total in totals}
    return Floor(
        schema=floor.SCHEMA,
        measured_at=at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        environment=machine,
        rate_per_s=RATE_PER_S,
        latency=quantiles(by_name[_OPEN].merged("latency", outcomes=(OK,))),
        service_time=quantiles(by_name[_OPEN].merged("service_time", outcomes=(OK,))),
        closed=quantiles(by_name[_CLOSED].merged("service_time", outcomes=(OK,))),
    )


async def calibrate() -> Floor:
    """Measure the floor of this machine; takes about 15 s. Raises CalibrationError."""
    measured = await against_stub()
    return floor_of(measured, environment(agents=1, scenario_sha256="", synthetic=True), datetime.now(UTC))


def store(measured: Floor, directory: Path) -> None:
    """Keep a floor in a directory, in place of the one before; raises OSError."""
    beside = directory / f".{FILE}-{os.getpid()}"
    beside.write_bytes(floor.encode(measured))
    beside.replace(directory / FILE)


def stored(directory: Path) -> Floor | None:
    """The floor kept in a directory; None when there is none, or none that this version can read."""
    try:
        return floor.decode((directory / FILE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None


def _scenario(target: Target, seconds: int) -> Scenario:
    def phase(name: str, shape: ConstantRate | Workers, duration_ns: int) -> Phase:
        return Phase(name, shape, duration_ns, name == _WARM_UP, max_in_flight=_IN_FLIGHT, grace_ns=_GRACE_NS)

    return Scenario(
        name="calibration",
        kind="load",
        seed=1,
        target=target,
        event="{}",
        feeder=None,
        phases=(
            phase(_WARM_UP, Workers(1, 1), seconds * NS_PER_S // 10),
            phase(_OPEN, ConstantRate(Rate(RATE_PER_S, NS_PER_S)), seconds * NS_PER_S),
            phase(_CLOSED, Workers(1, 1), seconds * NS_PER_S // 3),
        ),
        thresholds=(),
        sample_share=0.0,
        budget=Budget(None, None),
        tags={},
        emulator=None,
        sha256="",
    )
