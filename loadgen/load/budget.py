"""The limits of a run."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from loadgen.text.form import Count, Duration, Money, Share, within

_ANY = within(0, 10**15)


class Budget(Struct, frozen=True):
    """Hard limits of a run; it stops when it reaches one.

    None means no limit. ``invocations`` and ``cost`` count the pre-flight. ``errors`` (everything not ok) and
    ``throttled`` are shares of the invocations that ended lately.
    """

    invocations: Annotated[
        int | None, within(1, 10**15), Meta(description="Most invocations, the pre-flight included.")
    ] = None
    duration_ns: Annotated[Duration | None, Meta(description="Longest run.")] = field(name="duration", default=None)
    cost: Annotated[Money | None, Meta(description="Most money, the pre-flight included; needs prices.")] = None
    in_flight: Annotated[
        Count | None, Meta(description="Most invocations in flight, never exceeded; a run that needs more ends.")
    ] = None
    errors: Annotated[
        Share | None, Meta(description="Largest share of invocations that are not ok, of those that ended lately.")
    ] = None
    throttled: Annotated[
        Share | None, Meta(description="Largest share of throttled invocations, of those that ended lately.")
    ] = None


class Confirm(Struct, frozen=True):
    """Limits above which `loadgen run` asks first, unless given `--yes`; loopback and the emulator never ask."""

    invocations: Annotated[int, _ANY, Meta(description="Invocations that may be made.")] = 10_000
    gb_seconds: Annotated[
        int, _ANY, Meta(description="GB-seconds expected from the pre-flight's own billed duration.")
    ] = 10_000
