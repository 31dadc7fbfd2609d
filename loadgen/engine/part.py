"""The part of a schedule that one of several agents makes, to which more may be added under way. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Arrival = tuple[int, int]
"""Its number, and when it falls due, in ns after the phase's beginning."""


class Part:
    """Of a schedule every ``step``-th arrival, from the one at ``place`` on, and what is taken over.

    An iterator that draws the schedule as far as it is asked for, so those between the last arrival that it gave and
    the one before are all that it has passed over and may yet have to give.

    What changes: ``_strides`` with what is taken over, and ``_passed`` with each arrival.
    """

    def __init__(self, schedule: Iterator[Arrival], place: int, step: int) -> None:
        self._schedule = enumerate(schedule)
        self._strides = [(place, step, 0)]
        self._passed: list[tuple[int, Arrival]] = []

    def __iter__(self) -> Iterator[Arrival]:
        return self

    def __next__(self) -> Arrival:
        strides, passed = self._strides, list[tuple[int, Arrival]]()
        for position, arrival in self._schedule:
            for first, step, from_ns in strides:
                if position % step == first and arrival[1] >= from_ns:
                    self._passed = passed
                    return arrival
            passed.append((position, arrival))
        self._passed += passed  # all of the rest, however often it is asked for more
        raise StopIteration

    def take_over(self, parts: Sequence[tuple[int, int]], from_ns: int) -> list[Arrival]:
        """Give those of these parts (first, step) as well that fall due from then on.

        Gives those that come before what it gave last.
        """
        added = [(first % step, step, from_ns) for first, step in parts]
        self._strides += added
        return [
            arrival
            for position, arrival in self._passed
            if arrival[1] >= from_ns and any(position % step == first for first, step, _ in added)
        ]
