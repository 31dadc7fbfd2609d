"""What a load finds out.

It is published as the ``experiment`` object of summary.json, so it carries its ``version``, and its fields say their
unit in their names.
"""

from __future__ import annotations

from msgspec import Struct

from loadgen.measure.labelling import Labelling


class LoadResult(Struct, frozen=True, tag="load", tag_field="kind"):
    """What a load with a warm-up phase learned from it; ``next`` says what would tell more starts."""

    labelling: Labelling
    version: int = 1
    next: str = ""
