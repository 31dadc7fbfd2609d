"""The experiment ``memory``, as a scenario describes it."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from loadgen.measure.rule import MetricRule, ShareRule


class MemoryBy(Enum):
    """How a memory size is chosen: for each call by X-Cff-Instance-Memory, or by changing the function's settings."""

    HEADER = "header"
    CONFIG = "config"


class MemoryComparison(Struct, frozen=True):
    """The experiment ``memory``: which of ``sizes_mb`` is the cheapest that meets the rules of ``slo``.

    There are at most ``rounds``, each on new instances, which ``gap_ns`` of silence before it makes sure of; in a round
    every size is called ``blocks`` times, fewer in the first rounds. Sizes whose costs differ by less than ``tie``, a
    share, are as good as each other.
    """

    sizes_mb: tuple[int, ...]
    by: MemoryBy
    blocks: int
    rounds: int
    slo: tuple[MetricRule | ShareRule, ...]
    tie: float
    gap_ns: int
