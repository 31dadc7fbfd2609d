"""What an experiment on cold starts will take."""

from __future__ import annotations

from loadgen.experiments.coldstarts.block import ColdStarts, Induce
from loadgen.experiments.coldstarts.decision import MORE_ROUNDS, calls_of_turn
from loadgen.experiments.coldstarts.keepalive import LEAST_PROBES, MOST
from loadgen.experiments.kind import Forecast
from loadgen.measure.labelling import LEAST_CALIBRATION

_SILENT = (Induce.GAP, Induce.BURST, Induce.MEMORY, Induce.VERSION)


def forecast(block: ColdStarts) -> Forecast:
    """From turns that all bring about cold starts to such as hardly do, and from a fixed keep-alive time on."""
    each = calls_of_turn(block)
    turns = -(-block.cold // sum(each.values()))
    made = turns * (sum(each.values()) + each.get(Induce.BURST, 0))
    silent = turns * sum(mean in _SILENT for mean in block.induce) * block.gap_ns
    low_ns, high_ns = block.keep_alive_ns or (0, 0)
    least, most = (LEAST_PROBES, MOST) if block.keep_alive_ns else (0, 0)
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    if block.gap_ns < low_ns and {Induce.GAP, Induce.BURST} & set(block.induce):
        doubts = (
            f"gap is {block.gap_ns / 1e9:g}s, and instances surely live for {low_ns / 1e9:g}s (keep_alive.from): "
            "such a silence ends none of them",
        )
    if block.probe is None:
        notes = (
            "where answers do not tell (a probe, target.log) cold is told from warm by overhead, which may not be "
            "possible",
        )
    warm = max(block.warm, LEAST_CALIBRATION)
    return Forecast(
        warm + made + least,
        2 * warm + MORE_ROUNDS * made + most,
        silent + least * low_ns,
        MORE_ROUNDS * silent + most * high_ns,
        doubts,
        notes,
    )
