"""Whether two runs can be compared, and what else differs between them.

Runs are comparable whose figures are of the same load: the same kind, phases with the same law, the same calls in the
same proportions, and connections used alike. What is called, and by what and on which machine, may differ, as that is
what comparisons are made for; it is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct, json

from loadgen.measure.summary import PhaseSummary, Summary
from loadgen.text import foreign, units

KINDS = ("load", "cold-starts")
"""Whose figures are of a load that both runs were given; other kinds choose theirs by what they see."""

_LAWS = ("rate", "burst", "workers", "trace", "arrivals", "think", "warmup")
_DEFAULTS: dict[str, Any] = {"arrivals": "constant", "warmup": False}
_ELSEWHERE = frozenset({"phases", "kind", "budget", "confirm", "samples"})  # judged, or without effect on figures
_MACHINE = (
    "build", "python", "uvloop", "timer", "tls_library", "kernel", "cpu_model", "usable_cores", "cgroup_cpu_limit",
    "cgroup_memory_limit_bytes", "agents", "synthetic", "address", "arrival_clock",
)  # fmt: skip
_MOST = 40
_LONGEST = 80


class Load(Struct, frozen=True):
    """The load of a run: its kind, its scenario as the Summary shows it, and its phases, None while to come."""

    kind: str
    scenario: Mapping[str, Any]
    phases: Mapping[str, PhaseSummary | None]


def load_of(summary: Summary) -> Load:
    """The load that a run had."""
    return Load(summary.run.kind, summary.scenario, {phase.name: phase for phase in summary.phases})


def differences(base: Summary, new: Summary) -> list[str]:
    """Why the two cannot be compared, in sentences; none where they can."""
    return apart(load_of(base), load_of(new))


def apart(base: Load, new: Load) -> list[str]:
    """Why runs of these loads cannot be compared, in sentences; none where they can."""
    if base.kind != new.kind:
        return [f"the kind differs: {_said(base.kind)} and {_said(new.kind)}"]
    if base.kind not in KINDS:
        return [
            f"runs of kind {_said(base.kind)} choose their load by what they see, so that their figures are of "
            "different loads; compare their answers (`experiment` in summary.json)"
        ]
    return [*_kind_block(base, new), *_phases(base, new), *_calls(base, new), *_connections(base, new)]


def noted(base: Summary, new: Summary) -> list[str]:
    """What differs between two runs of the same load, and where one of them ended early."""
    found = [f"{name} differs: {a} and {b}" for name, a, b in _noted(base, new)]
    more = len(found) - _MOST
    if more > 0:
        found[_MOST:] = [f"{more} more keys of the scenarios differ"]
    for which, each in (("base", base), ("new", new)):
        if each.run.partial:
            found.append(f"{which} is partial: the run was cut short")
        if each.run.interrupted:
            found.append(f"{which} was interrupted")
        if each.run.stopped is not None:
            found.append(f"{which} reached its budget: {_said(each.run.stopped)}")
    return found


def repeats(one: Summary, other: Summary) -> bool:
    """Whether two runs are of the same thing on the same machine, so that they differ by nothing but noise."""
    same = one.environment.scenario_sha256 == other.environment.scenario_sha256
    return same and not differences(one, other) and not list(_noted(one, other))


def _kind_block(base: Load, new: Load) -> Iterator[str]:
    kind = base.kind
    if kind != "load" and _meaning(base.scenario.get(kind)) != _meaning(new.scenario.get(kind)):
        yield f"the {kind} block of the scenarios differs"


def _phases(base: Load, new: Load) -> Iterator[str]:
    if base.kind != "load":
        return
    mine, others = base.phases, new.phases
    for name in dict.fromkeys([*mine, *others]):
        if name not in mine or name not in others:
            yield f"phase {_said(name)} is in {'new' if name not in mine else 'base'} alone"
            continue
        written = _written(base, name), _written(new, name)
        if None not in written:
            yield from _laws(name, *written)  # type: ignore[arg-type]
        elif (a := mine[name]) is not None and (b := others[name]) is not None:
            yield from _planned(name, a, b)


def _laws(name: str, mine: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    """What a scenario asks for."""
    for key in _LAWS:
        a, b = mine.get(key, _DEFAULTS.get(key)), other.get(key, _DEFAULTS.get(key))
        if _meaning(a) != _meaning(b):
            yield f"{key} of phase {_said(name)} differs: {_said(a)} and {_said(b)}"


def _planned(name: str, mine: PhaseSummary, other: PhaseSummary) -> Iterator[str]:
    """The same from what became of it, where a scenario does not tell."""
    for what, a, b in (
        ("model", mine.model, other.model),
        ("warm-up", mine.warmup, other.warmup),
        ("number of workers", mine.workers, other.workers),
    ):
        if a != b:
            yield f"the {what} of phase {_said(name)} differs: {_said(a)} and {_said(b)}"
    chance = 4 * math.sqrt(mine.planned_rate**2 / max(1, mine.planned) + other.planned_rate**2 / max(1, other.planned))
    apart = abs(mine.planned_rate - other.planned_rate)
    if mine.model == "open" and apart > max(chance, 0.01 * mine.planned_rate):
        rates = f"{mine.planned_rate:.6g}/s and {other.planned_rate:.6g}/s"
        yield f"the planned rate of phase {_said(name)} differs: {rates}"


def _calls(base: Load, new: Load) -> Iterator[str]:
    mine, others = _weights(base), _weights(new)
    if mine != others:
        yield f"the calls of the mix differ: {_said(mine or 'none')} and {_said(others or 'none')}"


def _connections(base: Load, new: Load) -> Iterator[str]:
    a, b = (_target(each).get("connections", "reuse") for each in (base, new))
    if a != b:
        yield f"target.connections differs: {_said(a)} and {_said(b)}"


def _noted(base: Summary, new: Summary) -> Iterator[tuple[str, str, str]]:
    if base.run.version != new.run.version:
        yield "version of loadgen", _said(base.run.version), _said(new.run.version)
    for key in _MACHINE:
        a, b = getattr(base.environment, key), getattr(new.environment, key)
        if a != b:
            yield key, _said(a), _said(b)
    mine, others = dict(_leaves(_rest(base))), dict(_leaves(_rest(new)))
    for path in dict.fromkeys([*mine, *others]):
        if _meaning(mine.get(path)) != _meaning(others.get(path)):
            yield _said(path), _said(mine.get(path)), _said(others.get(path))
    by_name = _by_name(new)
    for name, phase in _by_name(base).items():
        other = by_name.get(name)
        if other is not None and other.duration_ns != phase.duration_ns:
            yield f"duration of phase {_said(name)}", _seconds(phase.duration_ns), _seconds(other.duration_ns)


def _rest(summary: Summary) -> dict[str, Any]:
    """What a scenario says that is noted."""
    return {key: value for key, value in summary.scenario.items() if key not in _ELSEWHERE}


def _by_name(summary: Summary) -> dict[str, PhaseSummary]:
    return {phase.name: phase for phase in summary.phases}


def _written(load: Load, name: str) -> dict[str, Any] | None:
    """A phase as the scenario writes it."""
    phases = load.scenario.get("phases")
    every = phases if isinstance(phases, list) else []
    return next((each for each in every if isinstance(each, dict) and each.get("name") == name), None)


def _weights(load: Load) -> dict[str, Any]:
    calls = load.scenario.get("calls")
    every = [each for each in calls if isinstance(each, dict)] if isinstance(calls, list) else []
    return {str(each.get("name")): each.get("weight", 1) for each in every}


def _target(load: Load) -> dict[str, Any]:
    target = load.scenario.get("target")
    return target if isinstance(target, dict) else {}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every single value of a document by its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and all(isinstance(each, dict) and "name" in each for each in value):
        for each in value:
            yield from _leaves({k: v for k, v in each.items() if k != "name"}, f"{path}.{each['name']}")
    else:
        yield path, value


def _meaning(value: Any) -> Any:
    """What is written, so that ``60/min`` is ``1/s`` and ``60s`` is ``1m``."""
    if isinstance(value, dict):
        return {key: _meaning(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_meaning(inner) for inner in value]
    if isinstance(value, str):
        for read in _READERS:
            try:
                return read(value)
            except ValueError:
                continue
    return value


def _rate(text: str) -> tuple[str, float]:
    return "rate", units.rate(text).per_s


def _time(text: str) -> tuple[str, int]:
    return "time", units.duration(text)


_READERS: tuple[Callable[[str], Any], ...] = (_rate, _time)


def _said(value: Any) -> str:
    """A value of a scenario in a sentence, as JSON where it is no text."""
    text = value if isinstance(value, str) else "not given" if value is None else json.encode(value).decode()
    return foreign.quote(text, _LONGEST)


def _seconds(ns: int) -> str:
    return units.seconds(ns)
