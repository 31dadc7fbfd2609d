"""What is no whole record is known for that, and takes no other record with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.history.journal import KEY, MAGIC, Lost, beginning, bodies, framed

OWN = b"\x00\xffkey!\x01\x02"


def journal(records: list[bytes]) -> bytes:
    return beginning(OWN) + b"".join(framed(OWN, each) for each in records)


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_records_come_back_as_they_were_written(records: list[bytes]) -> None:
    assert list(bodies(journal(records))) == records


@given(st.lists(st.binary(max_size=20), max_size=4))
def test_of_a_journal_that_is_cut_anywhere_the_whole_records_before_are_read(records: list[bytes]) -> None:
    whole = journal(records)
    ends = [len(journal(records[:n])) for n in range(len(records) + 1)]
    for size in range(len(MAGIC) + KEY, len(whole) + 1):
        read = list(bodies(whole[:size]))
        n = sum(end <= size for end in ends) - 1
        torn = size - ends[n]
        assert read == records[:n] + ([Lost(ends[n], torn, torn=True)] if torn else [])


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=5), st.data())
def test_flipped_bytes_lose_their_record_alone(records: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(journal(records))
    at = data.draw(st.integers(len(MAGIC) + KEY, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    hit = sum(len(journal(records[:n])) <= at for n in range(len(records) + 1)) - 1
    begin, end = (len(journal(records[:n])) for n in (hit, hit + 1))
    read = list(bodies(bytes(whole)))
    lost = Lost(begin, end - begin, torn=hit == len(records) - 1)
    assert read == [*records[:hit], lost, *records[hit + 1 :]]


def test_a_record_inside_a_damaged_one_is_none_unless_it_has_the_key_of_this_journal() -> None:
    planted = framed(b"otherkey", b"planted")
    whole = bytearray(journal([b"first" + planted, b"second"]))
    whole[len(MAGIC) + 2 * KEY + 8] ^= 1
    assert [each for each in bodies(bytes(whole)) if isinstance(each, bytes)] == [b"second"]


@pytest.mark.parametrize("text", [b"", MAGIC, MAGIC + b"short", b"loadgen journal 2\n" + OWN, b"\x00" * 100])
def test_what_does_not_begin_like_a_journal_is_none(text: bytes) -> None:
    with pytest.raises(ValueError, match="not that of a journal of this version"):
        list(bodies(text))
