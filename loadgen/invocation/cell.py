"""The one address of every figure: of which phase, call, start label and outcome it is, and of which metric.

What the load generator itself disturbed has cells of its own, beside those of the calls that it left alone; see
``loadgen.measure.ends``.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Final, NamedTuple

CALL: Final = "call"
"""What the call of a scenario without a mix is called."""


class Cell(NamedTuple):
    """Where a figure belongs, by the names used in files; ``disturbed``: of calls that the load generator disturbed."""

    phase: str
    call: str
    start: str
    outcome: str
    metric: str
    disturbed: bool = False


def chosen(
    cells: Iterable[Cell],
    metric: str | None = None,
    *,
    outcomes: Container[str] | None = None,
    start: str | None = None,
    disturbed: bool | None = None,
    call: str | None = None,
) -> Iterator[Cell]:
    """The cells of a metric, some outcomes, a start label, disturbed or not, a call; None for any; in their order."""
    for cell in cells:
        if (
            metric in (None, cell.metric)
            and (outcomes is None or cell.outcome in outcomes)
            and start in (None, cell.start)
            and disturbed in (None, cell.disturbed)
            and call in (None, cell.call)
        ):
            yield cell
