"""Cold and warm starts beside each other, for the sections that tell of them."""

from __future__ import annotations

from loadgen.measure.figure import Figure
from loadgen.measure.labelling import Labelling
from loadgen.measure.percentile import needed
from loadgen.report import units
from loadgen.report.figures import BURSTS, DASH, TOO_FEW
from loadgen.report.tables import Cell

PERCENTILES = (50.0, 95.0, 99.0)
NOTHING = Cell(DASH, tone="muted")


def labelling(found: Labelling) -> str:
    """How the two were told apart by overhead, or why not, as a sentence."""
    if found.cuts is None:
        outliers = ""
        if found.outliers is not None and found.outlier_limit_ns is not None:
            limit = units.duration(found.outlier_limit_ns)
            outliers = (
                f" {units.count(found.outliers)} had an overhead above {limit}, more than a warm one plausibly has."
            )
        return (
            f"Cold and warm starts could not be told apart by overhead, of {units.count(found.fitted)} invocations: "
            f"{found.reason}.{outliers}"
        )
    modes = " and ".join(units.duration(ns) for ns in found.cold_modes_ns)
    return (
        f"By the overheads of {units.count(found.fitted)} invocations a start is warm below "
        f"{units.duration(found.cuts.warm_below_ns)} and cold from {units.duration(found.cuts.cold_from_ns)} on, "
        f"ambiguous between; the cold ones are around {modes} (separation D = {found.separation:.1f})."
    )


def shown(figure: Figure | None, p: float, count: int) -> Cell:
    """A percentile of ``count`` invocations, or why it is not shown."""
    if figure is None:
        fewest = needed(p) or 0
        why = f"{TOO_FEW}{units.count(fewest)}" if count < fewest else BURSTS
        return Cell(DASH, why if count else "", "muted")
    return Cell(units.duration(round(figure.value)), between(figure))


def between(figure: Figure) -> str:
    """The interval of a time; empty where it has none."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{units.duration(round(figure.low))} – {units.duration(round(figure.high))}"
