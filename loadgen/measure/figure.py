"""A number that an experiment found out."""

from __future__ import annotations

from msgspec import Struct


class Figure(Struct, frozen=True):
    """A number with its 95 % interval, null where the sample does not support one."""

    value: float
    low: float | None
    high: float | None
