from __future__ import annotations

import pytest

from loadgen.targets.functiongraph.settings.decide import decide
from loadgen.targets.functiongraph.settings.outstanding import Value


@pytest.mark.parametrize(
    ("now", "back", "conflicts"),
    [
        (128, 0, 0),  # never arrived, or was undone before
        (256, 1, 0),  # as we set it
        (512, 1, 0),  # as we set it first
        (1024, 0, 1),  # as somebody else did
    ],
)
def test_only_our_own_value_is_put_back(now: int, back: int, conflicts: int) -> None:
    decision = decide([Value(("memory_size",), 128, (256, 512))], {"memory_size": now})
    assert (len(decision.back), len(decision.conflicts)) == (back, conflicts)
