"""How many examples a property is tried with; how many are many is said by a profile of hypothesis, in conftest."""

from __future__ import annotations

from hypothesis import settings


def fewer(by: int) -> settings:
    """So many times fewer examples than the others, for a property whose example costs more than some 5 ms."""
    return settings(max_examples=settings().max_examples // by)
