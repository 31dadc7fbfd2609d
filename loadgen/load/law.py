"""What a law of load is: how the starts of a phase follow one another. Each law has a module of its own.

A law is pure and seeded: it knows no clock. What depends on the length of the phase gets it as ``duration_ns``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from enum import Enum
from math import ceil
from random import Random
from typing import ClassVar, Self

from msgspec import Struct

from loadgen.text.units import NS_PER_S

Chance = Callable[..., Random]
"""The random stream of a phase, or of a part of it that is named."""


class Arrivals(Enum):
    """How the starts of an open phase are spread around its rate."""

    CONSTANT = "constant"
    POISSON = "poisson"


class Law(Struct, frozen=True):
    """How the starts of a phase follow one another: open by a schedule (``offsets``), closed by workers (``spans``)."""

    closed: ClassVar[bool] = False
    """Whether the target's speed sets the load rather than a schedule."""
    until_idle: ClassVar[bool] = False
    """Whether the phase is over as soon as all that was started has ended."""

    def offsets(self, duration_ns: int, arrivals: Arrivals, chance: Chance) -> Iterator[int]:
        """Start offsets in ns: non-decreasing, at least 0 and below ``duration_ns``; ValueError for a closed law."""
        raise ValueError("a closed phase has no schedule")

    def spans(self, duration_ns: int) -> list[tuple[int, int]]:
        """When each worker is active, (from, to) in ns, one per worker, in order; ValueError for an open law."""
        raise ValueError("an open phase has no spans")

    def expected(self, duration_ns: int, arrivals: Arrivals) -> int | None:
        """How many starts there are, on average where they are Poisson; None when closed."""
        return None

    def peak_rate(self) -> float:
        """The largest number of starts per second that is planned; 0 where there is no rate."""
        return 0.0

    def at_once(self) -> int | None:
        """How many start together, however long a call takes; None where a rate says how many are in flight."""
        return None

    def mean_workers(self) -> float | None:
        """How many workers a closed phase asks for on average; None when open."""
        return None

    def in_flight(self, service_ns: float) -> int:
        """The most invocations in flight if each takes so long (Little's law)."""
        return self.at_once() or ceil(self.peak_rate() * service_ns / NS_PER_S)

    def length_ns(self) -> int | None:
        """How long the phase lasts where the law says it; None where it has to be told."""
        return None

    def lockstep(self) -> float | None:
        """How probable it is that sources which call together do so by chance; None where there is no telling."""
        return None

    def capped(self, most: int) -> Self:
        """The law with at most so many workers of its own."""
        return self

    def words(self) -> str:
        """The load in words."""
        raise NotImplementedError

    def demand(self, needed: int, service_ns: float) -> str:
        """Why ``needed`` calls are in flight, if each takes so long."""
        per_s = self.peak_rate()
        return f"{per_s:.6g} calls/s of {service_ns / NS_PER_S:.3g} s each are {needed} in flight"


_MASK = (1 << 64) - 1


def drawn(stream: int, index: int) -> int:
    """64 random bits: the draw of this number from a stream; any number, in any order, the same in every version.

    Source: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    """
    return _mixed(_mixed(stream & _MASK) + index)


def _mixed(value: int) -> int:
    z = (value + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def random_stream(seed: int, *purpose: str) -> Random:
    """A random stream of its own for each purpose, stable across processes and versions (never Python's ``hash``)."""
    text = "\x1f".join((str(seed), *purpose))
    return Random(hashlib.sha256(text.encode()).digest())
