"""What to put back, given what the platform holds now.

What a change made is put back where the platform still holds the value that we gave it. A value that is neither ours
nor the old one was set by somebody else meanwhile: that is a conflict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import UNSET, Struct

from loadgen.targets.functiongraph.settings.edit import Document, Edit, at, differences, name, private, same, shown
from loadgen.targets.functiongraph.settings.mark import MARK, variables
from loadgen.targets.functiongraph.settings.outstanding import Step, Value


class Decision(Struct, frozen=True):
    """What to put back, and what somebody else has changed since; both with the present value as ``before``."""

    back: tuple[Edit, ...]
    conflicts: tuple[Edit, ...]


def under_way(step: Step, now: Document) -> bool:
    """Whether a request of a step may still arrive, given what the platform holds now.

    One that changes has arrived where every part has its newest value; one that puts back may be any of several.
    """
    return not step.seen and (
        step.returning or not all(same(at(now, value.path), value.ours[0]) for value in step.values)
    )


def decide(values: Sequence[Value], now: Document) -> Decision:
    """What to do about these values given what the platform holds now.

    A mark that is not ours is neither to be put back nor a conflict: our own is gone, which is all that was wanted.
    """
    back: list[Edit] = []
    conflicts: list[Edit] = []
    for value in (part for whole in values for part in _inner(whole, now)):
        held = at(now, value.path)
        if same(held, value.before):
            continue
        ours = any(same(held, each) for each in value.ours)
        if ours or value.path != MARK:
            (back if ours else conflicts).append(Edit(value.path, held, value.before))
    return Decision(tuple(back), tuple(conflicts))


def unasked(asked: Sequence[Edit], wanted: Document, now: Document) -> tuple[Edit, ...]:
    """What the platform changed beyond what it was asked to; nothing that may be secret."""
    parts = {edit.path for edit in asked}
    return tuple(edit for edit in differences(wanted, now) if edit.path not in parts and not private(edit.path))


def conflict(step: Step, conflicts: Sequence[Edit]) -> str:
    """What is to be said of them."""
    parts = "; ".join(
        f"{name(edit.path)} is {shown(edit.path, edit.before)}, was {shown(edit.path, edit.after)} "
        f"before loadgen changed it"
        for edit in conflicts
    )
    return f"{step.resource.text}: somebody else has changed it since: {parts}"


def _inner(value: Value, now: Document) -> Iterator[Value]:
    """The value as it is compared with what there is now.

    Where we wrote the first variables of a function, the text of all of them was ours as a whole. Once somebody has
    added others, or taken ours away, only our own variables in it are.
    """
    held = at(now, value.path)
    if value.path != MARK[:1] or not same(value.before, UNSET) or any(same(held, each) for each in value.ours):
        yield value
        return
    for key in dict.fromkeys(key for ours in value.ours for key in variables(ours)):
        yield Value((*value.path, key), UNSET, tuple(variables(ours).get(key, UNSET) for ours in value.ours))
