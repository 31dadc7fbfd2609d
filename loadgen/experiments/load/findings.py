"""What a load finds out.

It is published as the ``experiment`` object of summary.json, so it carries its ``version``, and its fields say their
unit in their names.
"""

from __future__ import annotations

from msgspec import Struct

from loadgen.measure.labelling import Labelling


class LoadResult(Struct, frozen=True, tag="load", tag_field="kind"):
    """How the invocations of a load were told to be cold or warm; ``next`` says what would tell more of them.

    ``labelling`` is what was learned of their overheads in a warm-up phase, None where each answer told by itself.
    """

    labelling: Labelling | None
    version: int = 1
    next: str = ""
