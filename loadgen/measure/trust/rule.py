"""What a rule of trust is: whose matter it is, how bad, what it withholds. Declared once, where the rule is."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from loadgen.measure.summary import Reason

WARNING, WITHHELD, RANGE, INVALID = "warning", "withheld", "range", "invalid"
"""Severities: said beside the figures; some of them are not shown; some are ranges; none of them may be used."""
ALL = "all"


class Whose(Enum):
    """What a rule is about."""

    RECORD = "record"
    GENERATOR = "generator"
    LOAD = "load"
    """What was asked for."""
    TARGET = "target"
    PLATFORM = "platform"
    """What the platform says of its own work."""
    SAMPLE = "sample"
    """How much there is to go by."""


class TrustRule(Struct, frozen=True):
    """A rule by its slug; ``severity`` and ``withholds`` are what it finds, where it does not say otherwise."""

    slug: str
    whose: Whose
    severity: str = WARNING
    withholds: str | None = None

    def found(
        self,
        message: str,
        value: float | None,
        limit: float | None,
        phase: str | None,
        *,
        withholds: str | None = None,
        figures: list[str] | None = None,
        causes: list[str] | None = None,
    ) -> Reason:
        """What it found."""
        return Reason(
            rule=self.slug,
            severity=self.severity,
            message=message,
            value=value,
            limit=limit,
            phase=phase,
            withholds=withholds or self.withholds,
            whose=self.whose.value,
            figures=figures or [],
            causes=causes or [],
        )


def words(us: float) -> str:
    """A time in words, four significant digits."""
    if us < 1_000:
        return f"{us:.4g} µs"
    return f"{us / 1_000:.4g} ms" if us < 1_000_000 else f"{us / 1_000_000:.4g} s"
