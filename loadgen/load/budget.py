"""The limits of a run."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from loadgen.text.form import Count, Duration, Money, Share, doc, within, without_unit

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


class Confirm(Struct, frozen=True):
    """Limits above which `loadgen run` asks first, unless given `--yes`; loopback and the emulator never ask."""

    invocations: Annotated[int, _ANY, doc("Invocations that may be made.")] = 10_000
    gb_seconds: Annotated[int, _ANY, doc("GB-seconds expected from the pre-flight's own billed duration.")] = 10_000
