"""The experiment ``capacity``, as a scenario describes it."""

from __future__ import annotations

from msgspec import Struct

from loadgen.measure.rule import MetricRule, ShareRule
from loadgen.text.units import Rate


class Capacity(Struct, frozen=True):
    """The experiment ``capacity``: the largest rate between two at which every rule of ``slo`` holds.

    It is confirmed for ``confirm_ns`` and its estimate known within ``precision``, a share. Idle instances live for
    ``keep_alive_ns``; ``limit`` is how many invocations may run at once, None when that is not known.
    ``max_in_flight`` is the number of workers.
    """

    slo: tuple[MetricRule | ShareRule, ...]
    from_rate: Rate
    to_rate: Rate
    confirm_ns: int
    precision: float
    keep_alive_ns: int
    limit: int | None
    max_in_flight: int
