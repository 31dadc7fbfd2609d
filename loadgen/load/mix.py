"""Which call of a mix an arrival is, by its number alone: so agents that share a schedule agree without talking.

Theory of operation. Arrivals come in blocks of as many as the weights' sum, in lowest terms, and each block has every
call as often as it weighs: over whole blocks the shares are exact. Within a block the k-th of a call's w occurrences
lies at a random point of the k-th of w equal parts, and the points in order are the calls (stratified sampling). So at
any moment each call has been made as often as its share says, give or take one for each call there is, and yet nobody
can know the next one from those before. Which occurrence of its call an arrival is follows, too; it says which row of
the call's feeder is its.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from math import gcd
from random import Random
from typing import NamedTuple, Protocol

from loadgen.load.law import drawn

MOST = 10_000
"""The largest sum of weights, in lowest terms: a block is drawn as a whole."""
_AT_ONCE = 64
"""Arrivals that are drawn at once, at least: to begin a random stream takes as long as to draw some fifty numbers."""
REMEMBERED = 4
"""Lots that are worth remembering: arrivals that another agent hands over may be of before."""


class Turn(NamedTuple):
    """Which call an arrival is, by its number in the mix, and the how manieth of that call, from 0."""

    call: int
    number: int


def terms(weights: Sequence[int]) -> tuple[int, ...]:
    """Weights in lowest terms; raises ValueError where there are none, or one is not above zero."""
    if not weights or min(weights) < 1:
        raise ValueError("expected weights above zero")
    by = gcd(*weights)
    return tuple(weight // by for weight in weights)


class Drawing(Protocol):
    """Which call each arrival of a mix is, by its number, from 0."""

    def lot(self, number: int) -> list[tuple[int, int]]:
        """The turns of some arrivals, ``size`` of them, from ``number`` times as many on; see Turn."""

    @property
    def size(self) -> int:
        """Arrivals of a lot."""


class Independent:
    """Calls drawn one by one, whatever was drawn before, so that each comes as independent users do where all do.

    Strata make the arrivals of a call more regular than those of all: of one in ten nearly even. What can be served
    without queueing then looks larger than it is, so who looks for that draws independently. Shares are then those of
    the weights on average, and the number of an arrival stands for the how manieth of its call it is.
    """

    size = 1024

    def __init__(self, weights: Sequence[int], seed: int) -> None:
        self._calls = range(len(weights))
        self._weights = list(accumulate(terms(weights)))
        self._stream = _stream(seed)

    def lot(self, number: int) -> list[tuple[int, int]]:
        """See Drawing."""
        chance = Random(drawn(self._stream, number))
        calls = chance.choices(self._calls, cum_weights=self._weights, k=self.size)
        return list(zip(calls, range(number * self.size, (number + 1) * self.size), strict=True))


class Mix:
    """The calls of a mix by the numbers of arrivals, in strata; immutable but for what it remembers."""

    def __init__(self, weights: Sequence[int], seed: int) -> None:
        """Raises ValueError, see ``terms``, and for weights whose sum is above ``MOST``."""
        self.weights = terms(weights)
        self.block = sum(self.weights)
        if self.block > MOST:
            raise ValueError(f"expected weights whose sum is at most {MOST} in lowest terms")
        self._blocks = -(-_AT_ONCE // self.block)
        self.size = self._blocks * self.block
        self._stream = _stream(seed)
        occurrences = [
            (block + part / weight, 1 / weight, (call, block * weight + part))
            for block in range(self._blocks)
            for call, weight in enumerate(self.weights)
            for part in range(weight)
        ]
        self._spans = [(begins, width) for begins, width, _ in occurrences]
        self._occur = [occurrence for _, _, occurrence in occurrences]
        self._turns = lru_cache(maxsize=REMEMBERED)(self.lot)

    def __call__(self, index: int) -> Turn:
        """The turn of the arrival of this number, from 0."""
        lot, position = divmod(index, self.size)
        return Turn(*self._turns(lot)[position])

    def lot(self, number: int) -> list[tuple[int, int]]:
        """See Drawing: the calls of some blocks in order."""
        chance = Random(drawn(self._stream, number)).random
        points = [begins + width * chance() for begins, width in self._spans]
        firsts = [number * self._blocks * weight for weight in self.weights]
        order = sorted(range(self.size), key=points.__getitem__)
        return [(call, firsts[call] + nth) for call, nth in map(self._occur.__getitem__, order)]


def _stream(seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\x1fcalls".encode()).digest()[:8], "big")
