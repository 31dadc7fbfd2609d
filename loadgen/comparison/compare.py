"""Runs beside a base: read, found comparable, and compared figure by figure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec

from loadgen.comparison import stretches
from loadgen.comparison.alike import differences, noted, repeats
from loadgen.comparison.comparison import SCHEMA, Comparison, Pair, Place, Side, decided
from loadgen.comparison.pairs import Run, measured, pairs
from loadgen.comparison.ratio import Estimate
from loadgen.history.rundir import SUMMARY, read_intervals, read_summary, read_summary_file
from loadgen.measure.summary import Summary
from loadgen.text import foreign

LEAST_REPEATS = 3
"""From how many runs of the same on it is known how much such runs differ."""


def read(path: Path) -> Run:
    """A run from its directory, or from a summary.json alone.

    Raises RunDirectoryError when it is neither, and ValueError when its interval log is none.
    """
    if not os.path.isdir(path):  # noqa: PTH112  Path's raises OSError for a name that is too long
        summary, directory = read_summary_file(path), path.parent if path.name == SUMMARY else None
    else:
        summary, directory = read_summary(path), path
    return run_of(str(path), summary, () if directory is None else read_intervals(directory))


def run_of(path: str, summary: Summary, lines: Iterable[str]) -> Run:
    """A run from its Summary and the lines of its interval log. Raises ValueError when these are none."""
    lengths = {phase.name: phase.duration_ns for phase in measured(summary)}
    return Run(path, summary, stretches.read(lines, lengths))


def compare(base: Run, news: Sequence[Run], noise: float) -> list[Comparison]:
    """Each of the new runs beside the base, in their order; ``noise`` is a share.

    Of new runs that repeat each other, at least three, how much they differ says how much runs do.
    """
    found = {n: list(pairs(base, new)) for n, new in enumerate(news) if not differences(base.summary, new.summary)}
    compared = []
    for n, new in enumerate(news):
        if n not in found:
            compared.append(_not_comparable(base, new))
            continue
        alike = _alike(n, news, found)
        own = _with_repeats(found[n], alike) if len(alike) >= LEAST_REPEATS else found[n]
        rows, notes = decided(own, noise)
        said = noted(base.summary, new.summary)
        if len(alike) >= LEAST_REPEATS:
            said.append(f"{len(alike)} runs of the new scenario say how much runs of the same differ")
        compared.append(Comparison(SCHEMA, _side(base), _side(new), True, [*said, *notes], rows))
    return compared


def _not_comparable(base: Run, new: Run) -> Comparison:
    return Comparison(SCHEMA, _side(base), _side(new), False, differences(base.summary, new.summary), [])


def _alike(n: int, news: Sequence[Run], found: Mapping[int, list[Pair]]) -> list[list[Pair]]:
    """What was found of the runs that repeat one of them, itself included, each run once."""
    own = news[n].summary
    by_id = {news[k].summary.run.id: pairs for k, pairs in found.items() if k == n or repeats(own, news[k].summary)}
    return list(by_id.values())


def _with_repeats(own: Sequence[Pair], alike: Iterable[Sequence[Pair]]) -> list[Pair]:
    """What runs were seen to differ by in the place of what stretches say and is assumed.

    What moves a run moves its rows: each has at least their median, as of many rows one has few differences by chance.
    """
    values: dict[Place, list[float]] = {}
    for each in alike:
        for pair in each:
            if pair.figures is not None and isinstance(pair.figures[1], Estimate):
                values.setdefault(pair.place, []).append(pair.figures[1].value)
    widths = {
        pair.place: stretches.between_runs(known)
        for pair in own
        if pair.assumed and len(known := values.get(pair.place, [])) >= LEAST_REPEATS
    }
    typical = median(widths.values()) if widths else 0.0
    return [
        msgspec.structs.replace(pair, run=max(typical, widths[pair.place]), assumed=False)
        if pair.place in widths
        else pair
        for pair in own
    ]


def _side(run: Run) -> Side:
    about = run.summary.run
    return Side(foreign.line(run.path), about.id, about.name, about.started_at, about.version)
