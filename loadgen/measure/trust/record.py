"""Rules about the record: whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadgen.measure.merge import PhaseTotal, missing_frames
from loadgen.measure.summary import Reason
from loadgen.measure.trust.rule import ALL, INVALID, TrustRule, Whose

INCOMPLETE = TrustRule("record_incomplete", Whose.RECORD, INVALID, ALL)
CLIPPED = TrustRule("clipped", Whose.RECORD, INVALID, ALL)
NOTHING_MEASURED = TrustRule("nothing_measured", Whose.LOAD)


def incomplete(phases: Sequence[PhaseTotal], *, part: bool) -> Iterator[Reason]:
    """Frames that are missing, or counts that do not agree, warm-up included.

    Of a ``part`` of a run nobody knows which frames came before it.
    """
    for total in phases:
        if faults := list(total.faults()):
            yield _incomplete(faults, total.name)
    if not part and (missing := list(missing_frames(phases))):
        yield _incomplete(missing, None)


def _incomplete(faults: Sequence[str], phase: str | None) -> Reason:
    return INCOMPLETE.found(
        f"The record is incomplete: {'; '.join(faults)}. An agent probably died: see its messages, run again.",
        len(faults),
        0,
        phase,
    )


def nothing_measured(measured: Sequence[PhaseTotal]) -> Iterator[Reason]:
    """No start of a measured phase fell due."""
    if not sum(total.tally.planned for total in measured):
        yield NOTHING_MEASURED.found(
            "Nothing was measured: the run ended before the first start of a measured phase.", 0, None, None
        )


def clipped(total: PhaseTotal) -> Iterator[Reason]:
    """Values that no histogram holds."""
    count = total.tally.clipped
    if count:
        yield CLIPPED.found(
            f"{count} values were above the largest a histogram holds, 1 h, and count as that: shorten the timeouts.",
            count,
            0,
            total.name,
        )
