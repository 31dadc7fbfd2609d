"""Latencies whose slow calls come together: how often the intervals of their tails hold the truth.

Calls arrive one by one at random. What makes them slow comes in episodes of many kinds, at random times or on the dot,
for all calls or some, or as a level that wanders, or goes up and down. The truth is the quantile of a thousand runs
together. A run in which no episode fell is one of those without any, and no estimator could know better: what is judged
are the others, and how many it was is said.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from loadgen.measure.dependence import Batches
from loadgen.measure.histogram import Histogram, slot
from loadgen.measure.percentile import percentiles
from tests.simulate.table import Row

Floats = NDArray[np.float64]
Rng = np.random.Generator
S = 1_000_000_000
PS = (50.0, 95.0, 99.0)
JUDGED = 0.05
"""What is shown in less of the runs is shown in too few to say how often it holds."""


def _episodes(every_s: float, length_s: float, factor: float, share: float = 1.0, *, regular: bool = False) -> Slow:
    """Episodes of some length, at random times unless ``regular``, in which a share of the calls takes longer."""

    def slow(rng: Rng, at: Floats, end: float) -> Floats:
        if regular:
            begins = np.arange(rng.uniform(0, every_s), end, every_s)
            lengths = np.full(len(begins), length_s)
        else:
            begins = rng.uniform(0, end, rng.poisson(end / every_s))
            lengths = np.full(len(begins), length_s)
        hit = np.zeros(len(at), dtype=bool)
        for begin, length in zip(begins, lengths, strict=True):
            hit |= (at >= begin) & (at < begin + length)
        return np.where(hit & (rng.random(len(at)) < share), factor, 1.0)

    return slow


def _wandering(memory_s: float, sigma: float) -> Slow:
    """A level whose logarithm wanders and forgets."""

    def slow(rng: Rng, at: Floats, end: float) -> Floats:
        steps = int(end * 10) + 1
        kept, level, levels = float(np.exp(-0.1 / memory_s)), float(rng.standard_normal()), []
        for pushed in rng.standard_normal(steps):
            levels.append(level)
            level = kept * level + float(np.sqrt(1 - kept**2)) * float(pushed)
        return np.asarray(np.exp(sigma * np.array(levels)[(at * 10).astype(int)]))

    return slow


def _season(period_s: float, depth: float) -> Slow:
    def slow(rng: Rng, at: Floats, end: float) -> Floats:
        return 1 + depth * np.sin(2 * np.pi * (at / period_s + rng.random()))

    return slow


Slow = Callable[[Rng, Floats, float], Floats]
"""By how much each call takes longer, by when it comes and how long the run is."""


class Pattern(Struct, frozen=True):
    """What makes calls slow, for how long a run is, and at which rate."""

    name: str
    slow: Slow
    seconds: int = 120
    rate: float = 100.0


NOTHING = Pattern("nothing", lambda rng, at, end: np.ones(len(at)))
PATTERNS = (
    NOTHING,
    Pattern("0.2 s about every 20 s, 15 times as slow", _episodes(20, 0.2, 15)),
    Pattern("0.2 s about every 20 s, 15 times as slow, ten minutes", _episodes(20, 0.2, 15), 600),
    Pattern("0.2 s every 20 s on the dot, 15 times as slow", _episodes(20, 0.2, 15, regular=True)),
    Pattern("2 s about every 60 s, 30 % of the calls", _episodes(60, 2, 8, 0.3)),
    Pattern("2 s about every 60 s, 30 % of the calls, ten minutes", _episodes(60, 2, 8, 0.3), 600),
    Pattern("1 s about every 10 s, 3 times as slow", _episodes(10, 1, 3)),
    Pattern("5 s about every 30 s, half of the calls", _episodes(30, 5, 4, 0.5)),
    Pattern("5 s about every 30 s, half of the calls, ten minutes", _episodes(30, 5, 4, 0.5), 600),
    Pattern("0.1 s about every 2 s, 10 times as slow", _episodes(2, 0.1, 10)),
    Pattern("0.3 s every 10 s on the dot, 6 times as slow", _episodes(10, 0.3, 6, regular=True)),
    Pattern("a level that wanders within 3 s", _wandering(3.0, 0.4)),
    Pattern("a level that wanders within 20 s, ten minutes", _wandering(20.0, 0.4), 600),
    Pattern("up and down every 30 s", _season(30.0, 0.5)),
)


def run(pattern: Pattern, rng: Rng) -> tuple[Floats, Floats, bool]:
    """When the calls of a run end, in s, their latencies in µs, and whether anything made one of them slow."""
    at = np.sort(rng.uniform(0, pattern.seconds, rng.poisson(pattern.rate * pattern.seconds)))
    usual = 20_000 * rng.gamma(9.0, 1 / 9.0, len(at))
    slow = pattern.slow(rng, at, pattern.seconds)
    return at, usual * slow, bool((slow != 1).any())


@lru_cache(maxsize=64)
def truth(pattern: Pattern, runs: int = 1000) -> tuple[float, ...]:
    """The true percentiles, in µs."""
    rng = np.random.default_rng((zlib.crc32(pattern.name.encode()), 0x7A11))
    drawn = np.concatenate([run(pattern, rng)[1] for _ in range(runs if pattern.seconds < 300 else runs // 4)])
    return tuple(float(np.quantile(drawn, p / 100)) for p in PS)


def histogram(values_us: Floats) -> Histogram:
    """What recording each value gives."""
    found: dict[int, int] = {}
    for value, n in zip(*np.unique(values_us.astype(np.int64), return_counts=True), strict=True):
        at = slot(int(value))
        found[at] = found.get(at, 0) + int(n)
    return Histogram(found)


class Seen(Struct, frozen=True):
    """Of the runs of a pattern that show it, by percentile: how often its interval was shown, and then held the truth.

    ``without`` is the share of runs in which nothing was slow.
    """

    without: float
    shown: dict[float, float]
    held: dict[float, float]
    width: dict[float, float]


def seen(pattern: Pattern, runs: int, seed: int, truths: int = 1000) -> Seen:
    """Runs of a pattern, as a Summary would show them; the truth is that of so many others."""
    rng = np.random.default_rng((seed, zlib.crc32(pattern.name.encode())))
    true = dict(zip(PS, truth(pattern, truths), strict=True))
    told = 0
    shown, held, widths = dict.fromkeys(PS, 0), dict.fromkeys(PS, 0), {p: [0.0] for p in PS}
    for _ in range(runs):
        at, latency, slow = run(pattern, rng)
        if not slow and pattern is not NOTHING:
            continue
        told += 1
        cuts = np.searchsorted(at, np.arange(1, pattern.seconds))
        batches = Batches()
        for second, values in enumerate(np.split(latency, cuts)):
            batches.add(second * S, (second + 1) * S, [histogram(values).pack()])
        inflation = batches.inflation(pattern.seconds * S)
        for found in percentiles(histogram(latency), PS, 1, inflation=inflation):
            if found.low is not None and found.high is not None:
                shown[found.p] += 1
                held[found.p] += found.low <= true[found.p] <= found.high
                widths[found.p].append(found.high / found.low)
    return Seen(
        1 - told / runs,
        {p: n / told for p, n in shown.items()},
        {p: n / max(1, shown[p]) for p, n in held.items()},
        {p: float(np.median(each)) for p, each in widths.items()},
    )


def rows(*, quick: bool, seed: int = 20261130) -> Iterator[Row]:
    """The lines of the table."""
    runs = 60 if quick else 200
    withheld = []
    for pattern in PATTERNS:
        found = seen(pattern, runs, seed)
        told = [p for p in (95.0, 99.0) if found.shown[p] >= JUDGED]
        withheld += [1 - found.shown[p] for p in (95.0, 99.0)]
        yield Row(
            "adversaries.tails",
            f"tails; slow calls: {pattern.name}: the 95 % intervals of p95 and p99 hold where shown",
            f"≥ 90 %, if shown in ≥ {JUDGED:.0%}",
            "; ".join(f"p{p:g} {found.held[p]:.1%}, shown in {found.shown[p]:.0%}" for p in (95.0, 99.0)),
            all(found.held[p] >= 0.9 for p in told),
            f"{runs} runs of {pattern.seconds} s at {pattern.rate:g}/s"
            + (f", but for {found.without:.0%} without any" if found.without else ""),
        )
    share = sum(withheld) / len(withheld)
    yield Row(
        "adversaries.tails",
        "tails; withheld, of all p95 and p99",
        "at most a third",
        f"{share:.0%}",
        share <= 1 / 3,
        f"{len(PATTERNS)} patterns",
    )
