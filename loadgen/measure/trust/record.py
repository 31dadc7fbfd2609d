"""Rules about the record: whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadgen.invocation.outcome import Outcome
from loadgen.measure.merge import CUT_SHORT as CUT
from loadgen.measure.merge import PhaseTotal, missing_frames
from loadgen.measure.summary import Reason
from loadgen.measure.trust.rule import ALL, INVALID, TrustRule, Whose
from loadgen.text.units import NS_PER_S

INCOMPLETE = TrustRule("record_incomplete", Whose.RECORD, INVALID, ALL)
CLIPPED = TrustRule("clipped", Whose.RECORD, INVALID, ALL)
CUT_SHORT = TrustRule("cut_short", Whose.RECORD)
NOTHING_MEASURED = TrustRule("nothing_measured", Whose.LOAD)


def incomplete(phases: Sequence[PhaseTotal], *, part: bool, cut: bool = False) -> Iterator[Reason]:
    """Frames that are missing, or counts that do not agree, warm-up included.

    Of a ``part`` of a run nobody knows which frames came before it; a record that is ``cut`` ends in its last phase.
    """
    last = phases[-1] if cut and phases else None
    for total in phases:
        if faults := list(total.faults(ended=total is not last)):
            yield _incomplete(faults, total.name)
    if not part and (missing := list(missing_frames(phases, ended=not cut))):
        yield _incomplete(missing, None)


def cut_short(last: PhaseTotal) -> Reason:
    """The record ends in the middle of this phase."""
    n = last.tally.reasons.get(f"{Outcome.UNFINISHED.value}/{CUT}", 0)
    return CUT_SHORT.found(
        f"The record ends {last.lasted_ns / NS_PER_S:.1f} s into this phase: {n} calls were in flight then and count "
        "as unfinished, and nothing is known of what would have followed.",
        n,
        None,
        last.name,
    )


def damaged(faults: Sequence[str]) -> Reason:
    """Part of what was written down cannot be read."""
    return INCOMPLETE.found(f"The record is incomplete: {'; '.join(faults)}.", len(faults), 0, None)


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
