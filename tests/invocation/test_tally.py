"""Tallies add up to what one tally of everything says, whatever was counted where."""

from __future__ import annotations

from functools import reduce
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.bill import Misbilled
from loadgen.invocation.tally import Connections, Tally

n = st.integers(0, 1000)


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    """Something in every field, so that one which is not added is noticed."""
    counts: dict[str, Any] = {name: draw(n) for name in Tally.__struct_fields__ if type(getattr(Tally(), name)) is int}
    names = st.dictionaries(st.sampled_from("abc"), n)
    units = st.dictionaries(st.sampled_from([128, 256, 512]), n)
    return Tally(
        **counts,
        outcomes=draw(names),
        disturbed=draw(names),
        reasons=draw(names),
        unbelieved=draw(names),
        billed_ns=draw(units),
        billing_units=draw(units),
        worst_bill=draw(st.none() | st.builds(Misbilled, n, n, st.none())),
        connections=Connections(*(draw(n) for _ in Connections.__struct_fields__)),
    )


def together(parts: list[Tally]) -> Tally:
    def added(known: Tally, part: Tally) -> Tally:
        known.add(part)
        return known

    return reduce(added, parts, Tally())


def flat(tally: Tally) -> dict[str, int]:
    """Every count by where it is; not the worst bill, which is none."""
    found: dict[str, int] = {}
    for name, value in msgspec.to_builtins(tally, str_keys=True).items():
        for key, count in value.items() if isinstance(value, dict) and name != "worst_bill" else [("", value)]:
            if name != "worst_bill":
                found[f"{name}.{key}"] = count
    return found


@given(st.lists(tallies(), max_size=6))
def test_the_sum_of_tallies_is_the_tally_of_all(parts: list[Tally]) -> None:
    counts: dict[str, int] = {}
    for part in parts:
        for key, count in flat(part).items():
            counts[key] = counts.get(key, 0) + count
    whole = together(parts)
    assert {key: count for key, count in flat(whole).items() if count} == {k: v for k, v in counts.items() if v}
    off = [abs(part.worst_bill.billed_duration_ns - part.worst_bill.duration_ns) for part in parts if part.worst_bill]
    worst = whole.worst_bill
    assert (None if worst is None else abs(worst.billed_duration_ns - worst.duration_ns)) == max(off, default=None)


@given(st.lists(tallies(), max_size=6), st.integers(0, 6))
def test_it_does_not_matter_what_is_added_up_first_and_parts_stay_as_they_were(parts: list[Tally], at: int) -> None:
    before = msgspec.msgpack.encode(parts)
    assert together([together(parts[:at]), together(parts[at:])]) == together(parts)
    assert msgspec.msgpack.encode(parts) == before
