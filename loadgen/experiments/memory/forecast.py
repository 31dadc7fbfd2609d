"""What a comparison of memory sizes will take."""

from __future__ import annotations

from loadgen.experiments.kind import Forecast
from loadgen.experiments.memory.block import MemoryBy, MemoryComparison
from loadgen.experiments.memory.decision import LANES, calls_of_round
from loadgen.experiments.memory.evidence import fewest
from loadgen.experiments.memory.reasons import LEAST_INSTANCES
from loadgen.experiments.memory.standing import ALPHA, SCREENING_ROUNDS, limit_of


def forecast(block: MemoryComparison) -> Forecast:
    """From a comparison that is clear after the first rounds to one in which all sizes stay open to the last."""
    sizes, header = len(block.sizes_mb), block.by is MemoryBy.HEADER
    screening = min(SCREENING_ROUNDS, block.rounds)
    more = -(-max(0, LEAST_INSTANCES - screening) // LANES) if block.slo else 0
    shortest = min(block.rounds, screening + more)
    checked = sizes if header else 0
    first = [calls_of_round(block, number, sizes) for number in range(1, screening + 1)]
    later = range(screening + 1, block.rounds + 1)
    most = checked + sum(first) + sum(calls_of_round(block, number, sizes) for number in later)
    least = checked + sum(first) + sum(calls_of_round(block, number, 1) for number in later[: shortest - screening])
    silence_ns = block.gap_ns if header else 0
    doubts = [
        f"{rule.text} takes at least {needed} warm calls of a size without one that breaks it, and the rounds have at "
        f"most {reach}: allow more blocks or rounds"
        for rule in block.slo
        if (needed := fewest(limit_of(rule), ALPHA)) > (reach := sum(first) // sizes + 3 * block.blocks * len(later))
    ]
    if block.rounds < SCREENING_ROUNDS:
        doubts.append(f"{block.rounds} rounds are too few to tell sizes from instances: allow {SCREENING_ROUNDS}")
    return Forecast(least, most, (shortest - 1) * silence_ns, (block.rounds - 1) * silence_ns, tuple(doubts))
