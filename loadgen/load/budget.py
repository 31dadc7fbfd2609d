"""The limits of a run."""

from __future__ import annotations

from msgspec import Struct

from loadgen.text.units import Money


class Budget(Struct, frozen=True):
    """Hard limits of a run, which ends when it reaches one; None means no limit.

    ``invocations`` and ``cost`` count the pre-flight. ``in_flight`` is never exceeded. ``errors`` (everything not ok)
    and ``throttled`` are shares of the invocations that ended lately.
    """

    invocations: int | None
    duration_ns: int | None
    cost: Money | None = None
    in_flight: int | None = None
    errors: float | None = None
    throttled: float | None = None


class Confirm(Struct, frozen=True):
    """What a run may be expected to take before a user is asked."""

    invocations: int = 10_000
    gb_seconds: int = 10_000
