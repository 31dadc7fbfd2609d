"""How long a worker of a closed phase waits between an answer and its next call, as somebody does who reads it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any

import msgspec
from msgspec import Struct

from loadgen.load.law import drawn
from loadgen.text.form import Duration, doc, without_unit
from loadgen.text.units import duration_text


class ThinkLaw(Enum):
    """How pauses spread around their mean."""

    CONSTANT = "constant"
    EXPONENTIAL = "exponential"


class Think(Struct, frozen=True, rename=without_unit):
    """Pauses between the calls of a worker."""

    mean_ns: Annotated[Duration, doc("How long a pause is on average.")]
    law: Annotated[ThinkLaw, doc("How pauses spread: all alike, or as long as one knows nothing but their mean.")] = (
        ThinkLaw.CONSTANT
    )

    def pauses(self, seed: int, phase: str) -> Callable[[int], int]:
        """The pause, in ns, that follows the call of the arrival of this number; the same whatever the agents.

        Exponential pauses are -mean · ln(u) with u uniform in (0, 1]: the inverse of their distribution function.
        """
        if self.law is ThinkLaw.CONSTANT:
            return lambda index: self.mean_ns
        stream = int.from_bytes(hashlib.sha256(f"{seed}\x1fthink\x1f{phase}".encode()).digest()[:8], "big")
        return lambda index: round(-self.mean_ns * math.log((drawn(stream, index) + 1) / 2**64))

    def words(self) -> str:
        """The pauses in words."""
        return f"{'on average ' if self.law is ThinkLaw.EXPONENTIAL else ''}{duration_text(self.mean_ns)} apart"


def think(written: Any) -> Think:
    """The Think of what is written without faults: a time, or a mapping."""
    return Think(written) if isinstance(written, int) else msgspec.convert(written, Think)
