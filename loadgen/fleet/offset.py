"""How far another clock is ahead, as an interval in which it surely is. Pure.

Theory of operation. A probe is sent at t0 and answered by t1, of our clock; in between the other one was read as T. So
it is ahead by something in [T - t1, T - t0], whichever way of the two took longer: nothing is assumed to be symmetric,
and a probe that travelled fast says more than one that was slow. All that probes said holds at once, but for what
clocks drift apart meanwhile; so what is known is the intersection, widened by that. Oscillators of machines are good to
some 50 ppm each, and less than that where somebody disciplines them.

A clock that was set, or stood still with its machine, agrees with nothing known of it: then the last probe
counts alone.

Sources: Marzullo, "Maintaining the Time in a Distributed System" (1984); RFC 5905, section 11.2.1.
"""

from __future__ import annotations

from msgspec import Struct

DRIFT = 100e-6
"""By how much two clocks may run apart, as a share of the time."""


class Offset(Struct, frozen=True):
    """A clock is ahead of ours by at least ``low_ns`` and at most ``high_ns``, as was known at ``at_ns`` of ours."""

    low_ns: int
    high_ns: int
    at_ns: int

    @property
    def ahead_ns(self) -> int:
        """The middle, which is wrong by no more than ``error_ns``."""
        return (self.low_ns + self.high_ns) // 2

    @property
    def error_ns(self) -> int:
        """Half of the interval, rounded up."""
        return (self.high_ns - self.low_ns + 1) // 2


def refined(known: Offset | None, sent_ns: int, theirs_ns: int, answered_ns: int) -> Offset:
    """What is known of a clock after it was ``theirs_ns`` somewhen from ``sent_ns`` to ``answered_ns`` of ours."""
    probed = Offset(theirs_ns - answered_ns, theirs_ns - sent_ns, answered_ns)
    if known is None:
        return probed
    drift_ns = round(DRIFT * (answered_ns - known.at_ns)) + 1
    low_ns, high_ns = max(known.low_ns - drift_ns, probed.low_ns), min(known.high_ns + drift_ns, probed.high_ns)
    return Offset(low_ns, high_ns, answered_ns) if low_ns <= high_ns else probed
