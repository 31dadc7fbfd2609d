"""What a kind of run is: everything that is done otherwise for one kind than for another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from loadgen.experiments.decision import Decision
from loadgen.invocation.bill import PriceBook
from loadgen.load.budget import Budget
from loadgen.load.phase import Phase
from loadgen.targets.port import Probe
from loadgen.text import units

if TYPE_CHECKING:
    from loadgen.measure.starts import Found
    from loadgen.measure.summary import Summary
    from loadgen.report.experiment import Answer, Section

Block = TypeVar("Block")
Result = TypeVar("Result", bound=Struct)


class Given(Struct, frozen=True):
    """What a decision is given besides its block of the scenario.

    ``timeout_ns`` is how long a call is waited for. ``told`` says that the target tells durations. ``shares`` are those
    of the calls of a mix, by name. ``tells_starts`` says that each answer tells whether its call was cold.
    """

    timeout_ns: int
    seed: int
    prices: PriceBook | None
    told: bool
    tells_starts: bool = False
    shares: dict[str, float] = {}


class Forecast(Struct, frozen=True):
    """From how many to how many invocations, and how long it takes: silences included, the calls' own time not.

    ``doubts`` say what cannot succeed, ``notes`` what may not.
    """

    least: int
    most: int
    least_ns: int
    most_ns: int
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self, budget: Budget) -> Iterator[str]:
        """As lines of plain text; what the budget does not allow is a warning."""
        yield (
            f"forecast: {self.least} to {self.most} invocations, {units.seconds(self.least_ns)} to "
            f"{units.seconds(self.most_ns)} of silence and load, beside the time that calls take one after another"
        )
        for note in self.notes:
            yield f"note: {note}"
        for doubt in self.doubts:
            yield f"warning: {doubt}"
        if budget.invocations is not None and budget.invocations < self.least:
            yield (
                f"warning: budget.invocations is {budget.invocations}, and {self.least} are the fewest that answer: "
                "the run ends before"
            )
        if budget.duration_ns is not None and budget.duration_ns < self.least_ns:
            yield (
                f"warning: budget.duration is {units.seconds(budget.duration_ns)}, and it takes at least "
                f"{units.seconds(self.least_ns)}: the run ends before"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[Block, Result]):
    """A kind of run. What takes long to import is imported by the functions that need it.

    ``name`` is its ``kind`` in scenarios and results, ``block`` the field of a Scenario that says what is asked,
    ``result`` the form of what it finds out. ``widest`` are phases with at least as many invocations in flight as
    any that the ``decision`` asks for, at least one, for calls that are waited for so long; ``peak_per_s`` is the
    largest rate that it may come to beyond those of these phases. ``plan`` are lines that say what is asked of an
    experiment, and ``forecast`` what it will take, given the shares of a mix. ``section`` is its part of a report,
    ``answer`` the sentence that it begins with, and ``found`` what the Verdict is told, if anything. ``changes``
    names the settings of the function that it changes and puts back, if any; ``sizes_mb`` are the memory sizes that
    it asks for by itself; ``one_size`` says that each call asks for the target's own. ``probe`` says where the
    function tells whether a start was cold.
    """

    name: str
    block: str
    result: type[Result]
    decision: Callable[[Block, Given], Decision[Result | None]]
    widest: Callable[[Block, int], Sequence[Phase]]
    section: Callable[[Summary, Result], Section]
    answer: Callable[[Summary, Result], Answer] | None = None
    plan: Callable[[Block], Iterator[str]] = lambda _: iter(())
    forecast: Callable[[Block, Mapping[str, float]], Forecast | None] = lambda _, __: None
    found: Callable[[Result], Found] | None = None
    peak_per_s: Callable[[Block], float] = lambda _: 0.0
    changes: Callable[[Block], str] = lambda _: ""
    sizes_mb: Callable[[Block], tuple[int, ...]] = lambda _: ()
    one_size: bool = True
    probe: Callable[[Block], Probe | None] = lambda _: None
