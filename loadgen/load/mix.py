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
from math import gcd
from random import Random
from typing import NamedTuple

from loadgen.load.law import drawn

MOST = 10_000
"""The largest sum of weights, in lowest terms: a block is drawn as a whole."""
_AT_ONCE = 64
"""Arrivals that are drawn at once, at least: to begin a random stream takes as long as to draw some fifty numbers."""
_REMEMBERED = 4
"""How often that is remembered: arrivals that another agent hands over may be of before."""


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


class Mix:
    """The calls of a mix by the numbers of arrivals; immutable but for what it remembers."""

    def __init__(self, weights: Sequence[int], seed: int) -> None:
        """Raises ValueError, see ``terms``, and for weights whose sum is above ``MOST``."""
        self.weights = terms(weights)
        self.block = sum(self.weights)
        if self.block > MOST:
            raise ValueError(f"expected weights whose sum is at most {MOST} in lowest terms")
        self._blocks = -(-_AT_ONCE // self.block)
        self._size = self._blocks * self.block
        self._stream = int.from_bytes(hashlib.sha256(f"{seed}\x1fcalls".encode()).digest()[:8], "big")
        self._turns = lru_cache(maxsize=_REMEMBERED)(self._drawn)

    def __call__(self, index: int) -> Turn:
        """The turn of the arrival of this number, from 0."""
        lot, position = divmod(index, self._size)
        call, number = self._turns(lot)[position]
        return Turn(call, lot * self._blocks * self.weights[call] + number)

    def _drawn(self, lot: int) -> list[tuple[int, int]]:
        """The calls of some blocks in order, each with the number of its occurrence in them."""
        chance = Random(drawn(self._stream, lot)).random
        order: list[tuple[int, int]] = []
        for block in range(self._blocks):
            points = [
                ((number + chance()) / weight, call, block * weight + number)
                for call, weight in enumerate(self.weights)
                for number in range(weight)
            ]
            order += [(call, number) for _, call, number in sorted(points)]
        return order
