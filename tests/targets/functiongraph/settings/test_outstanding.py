from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loadgen.targets.functiongraph.settings.edit import Edit
from loadgen.targets.functiongraph.settings.journal import Back, Change, Done, Entry, Undone, read
from loadgen.targets.functiongraph.settings.outstanding import Value, outstanding
from tests.targets.functiongraph.settings.entries import BEGUN, CONFIG, OTHER, memory, written


def test_whether_a_request_may_be_under_way_is_told_by_the_last_of_change_back_and_done() -> None:
    made: list[Entry] = [memory(1, 128, 256), Done(1), memory(2, 256, 512)]
    told: list[tuple[list[Entry], tuple[bool, bool]]] = [
        ([], (False, False)),
        ([Done(2)], (True, False)),
        ([Back((2, 1))], (False, True)),
        ([Done(2), Back((2, 1))], (False, True)),
        ([Back((2, 1)), Done(2)], (False, True)),
        ([Back((2, 1)), Done(2), Done(1)], (True, True)),
        ([Back((2, 1)), Done(2), Done(1), Back((2, 1))], (False, True)),
    ]
    for entries, expected in told:
        journal = read(written(BEGUN, *made, *entries))
        (step,) = outstanding(journal.entries)
        assert (step.seen, step.returning) == expected, entries
        assert journal.damage == ()


def test_nothing_is_outstanding_once_all_is_undone() -> None:
    assert outstanding([BEGUN, memory(1, 128, 256), Done(1), Undone(1)]) == []


def test_a_change_counts_whether_or_not_it_was_seen_to_arrive() -> None:
    (step,) = outstanding([memory(1, 128, 256)])
    assert (step.numbers, step.values, step.seen) == ((1,), (Value(("memory_size",), 128, (256,)),), False)
    (step,) = outstanding([memory(1, 128, 256), Done(1)])
    assert step.seen


def test_changes_in_a_row_go_back_at_once_to_what_was_first() -> None:
    (step,) = outstanding([memory(1, 128, 256), Done(1), memory(2, 256, 512), memory(3, 512, 1024)])
    assert step.numbers == (3, 2, 1)
    assert step.values == (Value(("memory_size",), 128, (1024, 512, 256)),)
    assert step.original["memory_size"] == 128
    assert not step.seen


def test_other_changes_in_between_keep_their_place_newest_first() -> None:
    steps = outstanding([memory(1, 128, 256), memory(2, 128, 256, OTHER), memory(3, 256, 512)])
    assert [step.numbers for step in steps] == [(3,), (2,), (1,)]


def test_a_part_and_a_part_of_it_are_put_back_one_after_the_other() -> None:
    whole = Change(1, CONFIG, (Edit(("strategy_config",), {"concurrency": 1}, {"concurrency": 2}),), {})
    part = Change(2, CONFIG, (Edit(("strategy_config", "concurrency"), 2, 3),), {})
    assert [step.numbers for step in outstanding([whole, part])] == [(2,), (1,)]


def test_what_the_platform_changed_on_its_own_is_put_back_too() -> None:
    also = Done(1, (Edit(("timeout",), 30, 3), Edit(("memory_size",), 256, 300)))
    (step,) = outstanding([memory(1, 128, 256), also])
    assert step.values == (Value(("memory_size",), 128, (300, 256)), Value(("timeout",), 30, (3,)))


@given(st.lists(st.sampled_from([128, 256, 512, 1024]), min_size=2, max_size=8), st.data())
def test_from_any_prefix_the_first_value_is_what_is_put_back(sizes: list[int], data: Any) -> None:
    entries: list[Entry] = []
    for number, (before, after) in enumerate(pairwise(sizes), 1):
        entries += [memory(number, before, after), Done(number)]
    kept = entries[: data.draw(st.integers(1, len(entries)))]
    (step,) = outstanding(kept)
    assert step.values[0].before == sizes[0]
    assert set(step.values[0].ours) == set(sizes[1 : len([e for e in kept if isinstance(e, Change)]) + 1])


def test_what_replaced_a_value_of_somebody_else_is_not_taken_for_ours() -> None:
    theirs = Edit(("memory_size",), 300, 400)  # seen with a request that did not ask for it
    (step,) = outstanding([memory(1, 128, 256), Done(1, (theirs,))])
    assert step.values == (Value(("memory_size",), 128, (256,)),)
    other = Change(2, CONFIG, (Edit(("timeout",), 3, 5),), {})
    (step,) = outstanding([memory(1, 128, 256), Done(1), other, Done(2, (theirs,))])
    assert {value.path: value.ours for value in step.values}[("memory_size",)] == (256,)


def test_what_the_platform_made_of_our_value_is_put_back_too() -> None:
    (step,) = outstanding([memory(1, 128, 256), Done(1, (Edit(("memory_size",), 256, 257),))])
    assert step.values == (Value(("memory_size",), 128, (257, 256)),)
