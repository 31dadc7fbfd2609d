"""What a search for the capacity will take."""

from __future__ import annotations

from collections.abc import Mapping

from loadgen.experiments.capacity import sequential
from loadgen.experiments.capacity.batches import WINDOW
from loadgen.experiments.capacity.block import Capacity
from loadgen.experiments.capacity.decision import MOST_CONFIRMATIONS, MOST_PROBES
from loadgen.experiments.capacity.plan import criterion
from loadgen.experiments.kind import Forecast
from loadgen.text.units import NS_PER_S

_FEW_PROBES = 4


def forecast(block: Capacity, shares: Mapping[str, float] = {}) -> Forecast:
    """From a few short probes around the smallest rate to as many as there may be at the largest one.

    ``shares`` are those of a mix.
    """
    limits = [criterion(rule, shares).limit for rule in block.slo]
    silence_ns = round(1.2 * block.keep_alive_ns)
    settled_ns = WINDOW * NS_PER_S
    least_ns = _FEW_PROBES * settled_ns + silence_ns + block.confirm_ns
    held_ns = (
        2 * block.keep_alive_ns + settled_ns + round(sequential.MOST / min(limits) / block.to_rate.per_s * NS_PER_S)
    )
    most_ns = MOST_PROBES * held_ns + MOST_CONFIRMATIONS * (silence_ns + 2 * block.confirm_ns)
    least = round(block.from_rate.per_s * (least_ns - silence_ns) / NS_PER_S)
    most = round(block.to_rate.per_s * most_ns / NS_PER_S)
    return Forecast(least, most, least_ns, most_ns)
