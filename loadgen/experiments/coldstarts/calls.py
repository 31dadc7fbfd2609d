"""The calls of the experiment, by how cold starts were to be brought about, and whether each was cold.

That a call was meant to be cold is no evidence that it was. Labels come from the answer where it tells (a probe, the
log), else from a fit to all overheads (``mixture``); what can be told by neither stays unknown. Calls of a warm lane
but for its first are warm by their place: the answer before came from an instance that is free. They stay warm however
slow they are, and where those of one lane do not look like the others, nothing is told by overheads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from loadgen.experiments.coldstarts.block import Induce
from loadgen.experiments.decision import Seen
from loadgen.invocation.metric import Metric
from loadgen.invocation.outcome import OK
from loadgen.invocation.sample import Sample
from loadgen.invocation.start import AMBIGUOUS, APART, MIXTURE, NONE, PROBE, UNKNOWN, WARM, Cuts
from loadgen.measure.histogram import Histogram
from loadgen.measure.labelling import MOST_AMBIGUOUS, Labelling
from loadgen.measure.merge import PhaseTotal
from loadgen.measure.relabel import relabel
from loadgen.stats.mixture import Abstained, Mixture, fit, labelling
from loadgen.stats.proportion import proportion

WARM_LANE = "warm"
AGAIN = "again"
KEEP_ALIVE = "keep-alive"
_MISTAKEN = 0.002  # how likely lanes that are alike are taken for different
OTHERS = {Induce.MEMORY.value: "at other memory sizes", Induce.VERSION.value: "of other versions"}
"""Means whose calls have pools of their own, and handlers that may run at another speed."""


@dataclass
class Calls:
    """All calls so far, which ``add`` adds to, and what ``fit`` has learned from their overheads.

    ``samples`` are in the order in which they were made; ``left_out`` are those of runs in which the generator failed,
    ``wrong_size`` those that ran with another memory size than theirs.
    """

    samples: list[Sample] = field(default_factory=list)
    left_out: list[Sample] = field(default_factory=list)
    wrong_size: list[Sample] = field(default_factory=list)
    totals: list[PhaseTotal] = field(default_factory=list)
    fitted: Labelling | None = None
    mixture: Mixture | None = None
    _warm: set[int] = field(default_factory=set)  # the ids of those that are warm by their place in a lane

    def add(self, seen: Seen) -> bool:
        """Take in what a run showed; whether it may be used.

        What an invalid run measured is worth nothing, but its calls were traffic all the same.
        """
        self.totals += seen.totals
        usable = seen.verdict.status != "invalid" or seen.stopped
        (self.samples if usable else self.left_out).extend(seen.samples)
        return usable

    @property
    def cuts(self) -> Cuts | None:
        """What labels a call by its overhead; None where that tells nothing."""
        return None if self.mixture is None else self.mixture.cuts

    def last_end_ns(self) -> int:
        """When the last call so far had ended."""
        return max((sample.ended_ns for each in (self.samples, self.left_out) for sample in each[-1:]), default=0)

    def of(self, means: str) -> list[Sample]:
        """The samples of the phases of one means."""
        return [sample for sample in self.samples if means_of(sample) == means]

    def fit(self) -> None:
        """Learn to tell cold from warm by overheads."""
        lanes = self._lane_tails()
        known = {id(sample) for lane in lanes for sample in lane}
        others = [sample for sample in self.samples if id(sample) not in known]
        found = fit(_overheads(others), _overheads(sample for lane in lanes for sample in lane))
        if isinstance(found, Mixture) and (changed := self._changed(found.cuts)) is not None:
            found = Abstained(changed)
        usable = sum(residual_ns(sample) is not None for sample in self.samples)
        self._warm = known
        self.fitted = labelling(self.samples[-1].phase, usable, found) if self.samples else None
        self.mixture = found if isinstance(found, Mixture) else None

    def label(self, sample: Sample) -> tuple[str, str]:
        """The label of a sample and its source.

        A probe counts the calls of its instance. Where that takes several at once, the second one may have waited for
        the start as well as the first; of calls that came at once after silence it is the only way to be the second.
        """
        if sample.start_source not in (NONE, MIXTURE):
            joined = sample.start == WARM and sample.start_source == PROBE and means_of(sample) == Induce.BURST.value
            return AMBIGUOUS if joined else sample.start, sample.start_source
        spent_ns = residual_ns(sample)
        if self.cuts is None or spent_ns is None:
            return UNKNOWN, NONE
        return WARM if id(sample) in self._warm else self.cuts.label(spent_ns), MIXTURE

    def told(self) -> bool:
        """Whether calls can be labelled at all."""
        return self.cuts is not None or any(sample.start_source not in (NONE, MIXTURE) for sample in self.samples)

    def relabel(self) -> None:
        """Have the Summary, and so the rules of the run, read these labels."""
        by_phase: dict[str, list[tuple[Sample, str]]] = {}
        for sample in self.samples:
            start = APART if means_of(sample) in OTHERS else self.label(sample)[0]
            by_phase.setdefault(sample.phase, []).append((sample, start))
        for sample in (*self.left_out, *self.wrong_size):
            by_phase.setdefault(sample.phase, []).append((sample, UNKNOWN))
        for total in self.totals:
            relabel(total, by_phase.get(total.name, ()))

    def slack_ns(self) -> int:
        """What nearly every warm call spends outside the handler at most, on the way there and back."""
        spent = sorted(
            spent_ns
            for sample in self.of(WARM_LANE)
            if self.label(sample)[0] == WARM and (spent_ns := residual_ns(sample)) is not None
        )
        return spent[int(0.95 * len(spent))] if spent else 0

    def traffic(self) -> list[tuple[Sample, str]]:
        """The calls that met the function's own instances, in order of their start, with their labels."""
        traffic = [
            *((sample, self.label(sample)[0]) for sample in self.samples),
            *((each, UNKNOWN) for each in self.left_out),
        ]
        own = [each for each in traffic if each[0].started_ns is not None and means_of(each[0]) not in OTHERS]
        return sorted(own, key=lambda each: each[0].started_ns or 0)

    def _changed(self, cuts: Cuts) -> str | None:
        """What says that warm calls are not always alike: those of some lane; None if nothing."""
        lanes = self._lane_tails()
        for lane in lanes:
            spent = [ns for sample in lane if (ns := residual_ns(sample)) is not None]
            unlike = sum(cuts.label(ns) != WARM for ns in spent)
            if unlike and proportion(unlike, len(spent), 1 - _MISTAKEN / len(lanes))[0] > MOST_AMBIGUOUS:
                return (
                    f"of {len(spent)} calls of {lane[0].phase} that are known to be warm {unlike} would not be called "
                    "so: the overhead of warm calls changes with time"
                )
        return None

    def _lane_tails(self) -> list[list[Sample]]:
        lanes: dict[str, list[Sample]] = {}
        for sample in self.of(WARM_LANE):
            lanes.setdefault(sample.phase, []).append(sample)
        return [[each for each in lane[1:] if each.start in (UNKNOWN, WARM)] for lane in lanes.values()]


def means_of(sample: Sample) -> str:
    """How its phase was to bring about cold starts; that of warm calls and of silences have a name of their own."""
    return KEEP_ALIVE if sample.phase.startswith(KEEP_ALIVE) else sample.phase.partition("-")[0]


def residual_ns(sample: Sample) -> int | None:
    """Overhead without connecting; None where it is not known, or the call did not succeed."""
    return sample.residual_ns if sample.outcome == OK else None


def _overheads(samples: Iterable[Sample]) -> Histogram:
    histogram = Histogram()
    for sample in samples:
        if (spent_ns := residual_ns(sample)) is not None:
            histogram.record(spent_ns // Metric.RESIDUAL.kind.unit.size)
    return histogram
