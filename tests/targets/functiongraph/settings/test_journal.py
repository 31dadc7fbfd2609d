from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from loadgen.targets.functiongraph.settings.edit import Edit
from loadgen.targets.functiongraph.settings.journal import Begun, Change, Done, Entry, Journal, Undone, line, read
from loadgen.targets.functiongraph.settings.outstanding import outstanding
from tests.targets.functiongraph.settings.entries import BEGUN, CONFIG, OTHER, memory, written

ENTRIES: list[Entry] = [
    BEGUN,
    memory(1, 128, 256),
    Done(1),
    Change(2, OTHER, (Edit(("user_data", "LOADGEN_RUN"), UNSET, "1"),), {}),
    Done(2, (Edit(("description",), UNSET, "x"),)),
    memory(3, 256, 512),
    Undone(3),
]


def test_what_is_written_is_read_again() -> None:
    journal = read(written(*ENTRIES))
    assert (list(journal.entries), journal.damage) == (ENTRIES, ())
    assert journal.begun == BEGUN


def test_absent_and_null_stay_apart() -> None:
    for value in (UNSET, None):
        change = Change(1, CONFIG, (Edit(("xrole",), value, "a"),), {})
        assert read(line(change)).entries == (change,)


def test_the_line_of_a_change_says_all_that_is_needed_to_undo_it() -> None:
    assert line(memory(1, 128, 256)) == (
        b'{"entry":"change","number":1,"resource":{"kind":"config","endpoint":"http://127.0.0.1:9","project_id":"demo",'
        b'"function":"urn:fss:local:demo:function:default:hello"},"edits":[{"path":["memory_size"],'
        b'"before":128,"after":256}],"original":{"memory_size":128,"timeout":30},"v":1}\n'
    )


def test_a_journal_cut_anywhere_keeps_every_whole_line() -> None:
    whole = [line(entry) for entry in ENTRIES]
    text = b"".join(whole)
    for end in range(1, len(text) + 1):
        journal = read(text[:end])
        lines = [n for n in range(len(whole)) if sum(map(len, whole[: n + 1])) - 1 <= end]
        assert list(journal.entries) == [ENTRIES[n] for n in lines]
        torn = end > sum(len(whole[n]) for n in lines)
        assert [damage.line for damage in journal.damage] == ([len(lines) + 1] if torn else [])


def test_a_cut_line_is_not_said_to_be_harmless_and_its_function_is_named() -> None:
    text = line(memory(1, 128, 256))
    (damage,) = read(text[:-20]).damage
    assert damage.message == (
        "the last line is cut off: if it was so when its run ended, "
        "what it announces was never sent; if the file lost its end since, it may have been, and more after it. "
        f"Check {CONFIG.function} in the console"
    )
    (damage,) = read(text[: text.index(b"hello") + 2]).damage
    assert damage.message.endswith("Check urn:fss:local:demo:function:default:he… in the console")
    (damage,) = read(text[:20]).damage
    assert damage.message.endswith("Check what the run may have changed in the console")


def test_an_empty_journal_is_damaged() -> None:
    (damage,) = read(b"").damage
    assert (damage.line, damage.message) == (0, "it is empty, and no journal begins so: what it said is lost")


def test_where_two_changes_have_one_number_nothing_is_acted_upon() -> None:
    journal = read(written(BEGUN, memory(1, 128, 256), Done(1), BEGUN, memory(1, 512, 1024, OTHER), Undone(1)))
    (damage,) = journal.damage
    assert (damage.line, damage.message) == (0, journal.unclear)
    assert damage.message == (
        "lines 2 and 5 are both change 1, as if two journals were in one file: which of them was undone cannot be "
        "told, so all of it is left as it is. Give each journal a file of its own, from its line of a run on, and "
        "restore both"
    )


def test_a_change_of_what_is_changed_no_more_is_a_damaged_line() -> None:
    text = line(memory(1, 128, 256)).replace(b'"kind":"config"', b'"kind":"max_instances"')
    journal = read(written(BEGUN) + text + written(Done(1)))
    assert journal.entries == (BEGUN, Done(1))
    assert [damage.line for damage in journal.damage] == [2, 0]
    assert journal.damage[0].message == (
        "this is no entry of a journal (Invalid value … - at `$.resource.kind`): what it says is lost. "
        f"Check {CONFIG.function} in the console"
    )


def test_a_change_as_an_earlier_loadgen_wrote_it_is_read() -> None:
    text = line(memory(1, 128, 256)).replace(b'"},"edits"', b'","name":null},"edits"')
    assert read(text) == Journal((memory(1, 128, 256),), ())


def test_any_number_of_missing_changes_is_one_line() -> None:
    journal = read(written(memory(1, 128, 256), Undone(10**12)))
    assert [damage.message for damage in journal.damage] == [
        "changes 2 to 999999999999 are not in it: what they changed cannot be put back from here"
    ]
    (damage,) = read(written(Done(1))).damage
    assert damage.message == "change 1 is not in it: what it changed cannot be put back from here"
    journal = read(written(BEGUN) + b'{"entry":"undone","number":' + b"9" * 5000 + b',"v":1}\n')
    assert journal.damage


@pytest.mark.parametrize(
    "change",
    [
        memory(1, 128, 256, replace(CONFIG, function="::::")),
        memory(1, 128, 256, replace(CONFIG, endpoint="http://[")),
        memory(1, 128, 256, replace(CONFIG, endpoint="http://127.0.0.1\x1b[2J")),
        memory(0, 128, 256),
        Change(1, CONFIG, (Edit((), {}, {"memory_size": 1}),), {}),
        memory(1, json.loads("[" * 200 + "]" * 200), 256),
    ],
)
def test_a_change_that_can_be_neither_shown_nor_put_back_is_damage(change: Change) -> None:
    journal = read(written(BEGUN, change))
    assert journal.entries == (BEGUN,)
    assert journal.damage[0].line == 2
    assert journal.damage[0].message.isprintable()


def test_a_spoilt_line_costs_no_other_and_is_named() -> None:
    lines = written(*ENTRIES).splitlines(keepends=True)
    lines[1] = b"\x00garbage\n"
    journal = read(b"".join(lines))
    assert list(journal.entries) == [ENTRIES[0], *ENTRIES[2:]]
    assert [damage.line for damage in journal.damage] == [2, 0]
    assert journal.damage[0].message.startswith("this is no entry of a journal (JSON is malformed")
    assert journal.damage[1].message == "change 1 is not in it: what it changed cannot be put back from here"
    assert [step.numbers for step in outstanding(journal.entries)] == [(2,)]


def test_a_lost_change_that_was_undone_is_no_loss() -> None:
    journal = read(written(BEGUN, memory(2, 1, 2), Undone(1)))
    assert journal.damage == ()


def test_an_entry_of_a_later_version_is_not_guessed_at() -> None:
    journal = read(line(replace(memory(1, 128, 256), v=2)))
    assert journal.entries == ()
    assert journal.damage[0].message == (
        "got an entry of version 2, expected 1; use the loadgen that wrote it: what it says is lost. "
        f"Check {CONFIG.function} in the console"
    )


def test_a_journal_of_a_newer_version_is_told_from_a_damaged_one() -> None:
    newer, older = (replace(memory(1, 128, 256), v=version) for version in (3, 0))
    assert read(written(BEGUN, newer, replace(newer, v=2))).unclear == (
        "a newer loadgen wrote it (got an entry of version 3): what that says is not known here, so all of it is left "
        "as it is. Restore it with that loadgen"
    )
    assert (read(written(BEGUN, older)).unclear, len(read(written(BEGUN, older)).damage)) == (None, 1)


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail(text: bytes) -> None:
    read(text)
    read(written(*ENTRIES) + text)


def test_whose_journal_it_is_may_be_unknown() -> None:
    assert read(b"").begun is None
    assert read(line(Begun("r", 1, "t", scenario="/s.yaml", emulated=True))).begun is not None
