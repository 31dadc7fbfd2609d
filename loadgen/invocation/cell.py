"""The one address of every figure: of which phase, call, start label and outcome it is, and of which metric."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Final, NamedTuple

CALL: Final = "call"
"""What the call of a scenario is called; each has one."""


class Cell(NamedTuple):
    """Where a figure belongs, by the names used in files."""

    phase: str
    call: str
    start: str
    outcome: str
    metric: str


def chosen(
    cells: Iterable[Cell],
    metric: str | None = None,
    *,
    outcomes: Container[str] | None = None,
    start: str | None = None,
) -> Iterator[Cell]:
    """The cells of a metric, of some outcomes, of a start label, None for any; in their order."""
    for cell in cells:
        if (
            metric in (None, cell.metric)
            and (outcomes is None or cell.outcome in outcomes)
            and start in (None, cell.start)
        ):
            yield cell
