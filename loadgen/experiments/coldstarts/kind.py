"""Kind ``cold-starts``: its decision for a block of a scenario."""

from __future__ import annotations

from loadgen.experiments.coldstarts.block import ColdStarts
from loadgen.experiments.coldstarts.decision import cold_starts
from loadgen.experiments.coldstarts.decision import widest as widest_phase
from loadgen.experiments.decision import Decision
from loadgen.invocation.bill import PriceBook, rates
from loadgen.load.phase import Phase
from loadgen.measure.experiment import ColdStartsResult


def decision(block: ColdStarts, timeout_ns: int, seed: int, prices: PriceBook | None) -> Decision[ColdStartsResult]:
    """The decision of a scenario of this kind; ``timeout_ns`` is how long a call is waited for."""
    return cold_starts(block, timeout_ns, seed, rates(prices))


def widest(block: ColdStarts, timeout_ns: int) -> Phase:
    """A phase with as many invocations in flight as any that it asks for."""
    return widest_phase(block, timeout_ns)
