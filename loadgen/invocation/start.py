"""Whether an invocation waited for a new instance, as far as there is evidence.

FunctionGraph documents no field that says so, so the label is an inference and carries its source. ``COLD`` and
``WARM`` are said where the evidence supports one of them, ``AMBIGUOUS`` where it supports neither, ``UNKNOWN`` where
there is none.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

COLD: Final = "cold"
WARM: Final = "warm"
AMBIGUOUS: Final = "ambiguous"
UNKNOWN: Final = "unknown"
APART: Final = "apart"
"""Asked for another memory size or version, to bring about a cold start: in no figure of cold or warm ones."""

PROBE: Final = "probe"
"""The source of a label that the function itself gave, in its answer."""
LOG: Final = "log"
"""The source of a label that the tail of the function's log gave."""
MIXTURE: Final = "mixture"
"""The source of a label that follows from the overhead, by a fit to many of them."""
NONE: Final = "none"
"""The source of ``UNKNOWN``."""


class Cuts(Struct, frozen=True):
    """Two limits on what remains of the service time without duration and connecting.

    Below ``warm_below_ns`` a call is warm, from ``cold_from_ns`` on cold, and in between ambiguous.
    """

    warm_below_ns: int
    cold_from_ns: int

    def label(self, overhead_ns: int) -> str:
        """The label of a call with this overhead."""
        if overhead_ns < self.warm_below_ns:
            return WARM
        return COLD if overhead_ns >= self.cold_from_ns else AMBIGUOUS
