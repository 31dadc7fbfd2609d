"""What a scenario plans per second, as far as it writes it: the rates of its open phases."""

from __future__ import annotations

from typing import Any

from loadgen.text import units
from loadgen.text.units import NS_PER_S

Curve = list[tuple[float, float]]
"""Seconds since a phase began, and the rate then."""


def planned(scenario: dict[str, Any]) -> dict[str, Curve]:
    """The planned rate of each phase by its name; none of bursts, traces and workers, and of what cannot be read.

    ``scenario`` is as it is written, see ``Summary.scenario``.
    """
    found = {}
    phases = scenario.get("phases")
    for block in phases if isinstance(phases, list) else []:
        try:
            found[str(block["name"])] = _curve(block["rate"], units.duration(str(block["duration"])) / NS_PER_S)
        except (TypeError, ValueError, KeyError, IndexError):
            continue
    return found


def _curve(rate: Any, seconds: float) -> Curve:
    if not isinstance(rate, dict):
        return [(0.0, _per_s(rate)), (seconds, _per_s(rate))]
    if "steps" in rate:
        each = seconds / len(rate["steps"])
        return [
            (each * (number + end), _per_s(step)) for number, step in enumerate(rate["steps"]) for end in (0.0, 1.0)
        ]
    return [(0.0, _per_s(rate["from"])), (seconds, _per_s(rate["to"]))]


def _per_s(rate: Any) -> float:
    return units.rate(str(rate)).per_s
