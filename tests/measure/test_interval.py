"""A frame travels unchanged, and what is not a frame of this version is refused."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.sample import Failure, Slow
from loadgen.measure import interval
from tests.frames import frame


def test_a_frame_travels_unchanged_behind_its_length() -> None:
    sent = frame(
        {"ok": [1, 5_000]},
        failures=[Failure("gateway", "status_502", 502, None, "id", "body")],
        slowest=[Slow(2, 1, "ok", None)],
    )
    wire = interval.encode(sent)
    assert int.from_bytes(wire[:4], "big") == len(wire) - 4
    assert interval.decode(wire[4:]) == sent


def test_a_frame_of_another_version_is_refused() -> None:
    other = frame()
    other.v = 1
    with pytest.raises(msgspec.ValidationError, match="frame version 1, expected 4"):
        interval.decode(interval.encode(other)[4:])


@given(st.binary(max_size=80))
def test_any_bytes_are_a_frame_or_refused(body: bytes) -> None:
    with contextlib.suppress(msgspec.ValidationError, msgspec.DecodeError):
        interval.decode(body)
