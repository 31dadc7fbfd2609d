"""The limits of a run."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from loadgen.text.form import Count, Duration, Money, Share, doc, within, without_unit
from loadgen.text.units import seconds

_ANY = within(0, 10**15)


class Budget(Struct, frozen=True, rename=without_unit):
    """Hard limits of a run; it stops when it reaches one.

    None means no limit. ``invocations`` and ``cost`` count the pre-flight. ``errors`` (everything not ok) and
    ``throttled`` are shares of the invocations that ended lately.
    """

    invocations: Annotated[int | None, within(1, 10**15), doc("Most invocations, the pre-flight included.")] = None
    duration_ns: Annotated[Duration | None, doc("Longest run.")] = None
    cost: Annotated[Money | None, doc("Most money, the pre-flight included; needs prices.")] = None
    in_flight: Annotated[
        Count | None, doc("Most invocations in flight, never exceeded; a run that needs more ends.")
    ] = None
    errors: Annotated[
        Share | None, doc("Largest share of invocations that are not ok, of those that ended lately.")
    ] = None
    throttled: Annotated[Share | None, doc("Largest share of throttled invocations, of those that ended lately.")] = (
        None
    )

    @property
    def words(self) -> str:
        """What it limits, for people to read."""
        limits = [] if self.invocations is None else [f"{self.invocations} invocations"]
        limits += [] if self.cost is None else [str(self.cost)]
        limits += [] if self.duration_ns is None else [seconds(self.duration_ns)]
        limits += [] if self.in_flight is None else [f"{self.in_flight} in flight"]
        limits += [] if self.errors is None else [f"more than {100 * self.errors:.6g}% errors"]
        limits += [] if self.throttled is None else [f"more than {100 * self.throttled:.6g}% throttled"]
        return " or ".join(limits) or "none"


class Confirm(Struct, frozen=True):
    """Limits above which `loadgen run` asks first, unless given `--yes`; loopback and the emulator never ask."""

    invocations: Annotated[int, _ANY, doc("Invocations that may be made.")] = 10_000
    gb_seconds: Annotated[int, _ANY, doc("GB-seconds expected from the pre-flight's own billed duration.")] = 10_000
