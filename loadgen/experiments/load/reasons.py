"""What the Verdict says of a load whose invocations were labelled by their overheads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from loadgen.experiments.load.findings import LoadResult
from loadgen.invocation.outcome import OK
from loadgen.invocation.start import COLD, WARM
from loadgen.measure.labelling import Labelling
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.starts import Found, mixed
from loadgen.measure.summary import Reason


def found(result: LoadResult) -> Found:
    """What the Verdict is told of it."""
    return Found(partial(_mixed, result.labelling), result.labelling.reason)


def _mixed(labelling: Labelling, measured: Sequence[PhaseTotal], asked: Collection[str | None]) -> Iterator[Reason]:
    for total in measured:
        cold, warm = (total.merged("latency", outcomes=(OK,), start=start).count for start in (COLD, WARM))
        yield from mixed(cold, warm, labelling, asked, total.name)
