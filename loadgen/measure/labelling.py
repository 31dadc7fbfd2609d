"""How well cold invocations are told from warm ones by their overheads."""

from __future__ import annotations

from msgspec import Struct

from loadgen.invocation.start import Cuts

LEAST_CALIBRATION = 200
"""Calls that are known to be warm, which it takes to tell cold ones from warm ones by the platform's overhead."""
LEAST_COLD = 30
"""Cold calls that it takes."""
MOST_AMBIGUOUS = 0.01
"""How many calls may have an overhead that is neither that of warm nor that of cold ones."""
MOST_OUTLIERS = 0.02
"""Up to this share, calls of a population of their own may be outliers of the network as well as cold starts."""


class Labelling(Struct, frozen=True):
    """How cold invocations were told from warm ones by their overheads, or why not.

    ``fitted`` invocations (of phase ``after`` and earlier) were fitted. ``reason`` is why they do not tell the two
    apart; then ``outliers``, where given, counts those above ``outlier_limit_ns``, which no warm invocation plausibly
    reaches. Otherwise ``cuts`` label an invocation, ``separation`` is Ashman's D of the two kinds, ``cold_modes_ns``
    are the medians of the modes that the cold ones have, ``warm_ns`` is that of the warm ones. ``sensitivity`` of the
    labelled cold invocations are called cold, by the model itself, and ``specificity`` of the warm ones warm: of those
    that are known to be warm, by the model where none is.
    """

    after: str
    fitted: int
    reason: str | None
    cuts: Cuts | None = None
    separation: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    cold_modes_ns: list[int] = []
    outliers: int | None = None
    outlier_limit_ns: int | None = None
    warm_ns: int | None = None
