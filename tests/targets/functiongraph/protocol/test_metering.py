from __future__ import annotations

import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.believed import LARGEST_MB, LONGEST_MS
from loadgen.targets.functiongraph.protocol.metering import Metering, decode_tail, documented_summary, metering

MS = 1_000_000
MB = 1_048_576
EXAMPLE = b'{"duration":1.913,"billingDuration":100,"memorySize":128,"memoryUsed":41.51171875}'
READ = Metering(1_913_000, 100 * MS, 128, 43_528_192)
ID = "1cbe80f3-3c65-475e-ad88-76ac518d386a"


def test_the_documented_summary_is_read_in_ms_and_mb() -> None:
    assert documented_summary(EXAMPLE) == READ
    assert metering(EXAMPLE, None, None) == READ


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        # unknown keys
        (EXAMPLE[:-1] + b',"podName":"p","n":[1,{"a":null}]}', READ),
        # numbers as strings, with units
        (b'{"duration":"1.913","billingDuration":"100ms","memorySize":"128","memoryUsed":"41.51171875 MB"}', READ),
        (b'{"duration":"0.5s","memorySize":"128MB"}', Metering(500 * MS, None, 128, None)),
        # a whole number spelled as a float
        (b'{"memorySize":128.0}', Metering(None, None, 128, None)),
        # JSON inside a JSON string
        (json.dumps(EXAMPLE.decode()).encode(), READ),
        # missing keys
        (b'{"duration":2}', Metering(2 * MS)),
        (b"{}", Metering()),
        # one bad field does not lose the others
        (b'{"duration":NaN,"billingDuration":3}', Metering(None, 3 * MS, unbelieved=("duration",))),
        (b'{"duration":Infinity,"billingDuration":3}', Metering(None, 3 * MS, unbelieved=("duration",))),
        (b'{"duration":1e999,"billingDuration":3}', Metering(None, 3 * MS, unbelieved=("duration",))),
        (b'{"duration":-1,"billingDuration":3}', Metering(None, 3 * MS, unbelieved=("duration",))),
        (b'{"duration":true,"billingDuration":3}', Metering(None, 3 * MS)),
        (b'{"duration":null,"billingDuration":3}', Metering(None, 3 * MS)),
        (b'{"duration":[1],"billingDuration":3}', Metering(None, 3 * MS)),
        (b'{"duration":"-1","billingDuration":3}', Metering(None, 3 * MS)),
        (b'{"duration":"nan","billingDuration":3}', Metering(None, 3 * MS)),
        (b'{"duration":"1MB","billingDuration":3}', Metering(None, 3 * MS)),
        (b'{"memorySize":128.5,"billingDuration":3}', Metering(None, 3 * MS)),
        # zero is a value
        (b'{"duration":0,"billingDuration":0,"memorySize":0,"memoryUsed":0}', Metering(0, 0, 0, 0)),
        # what cannot be is no measurement
        (
            b'{"duration":8000000000001,"billingDuration":1e300,"memorySize":1e300}',
            Metering(unbelieved=("duration", "billed_duration", "memory_size")),
        ),
        # garbage
        (b"", Metering()),
        (b"garbage", Metering()),
        (b"\xff\xfe", Metering()),
        (b"[1]", Metering()),
        (b"1.913", Metering()),
        (b'{"duration":1.913', Metering()),
        (b"[" * 100_000, Metering()),
    ],
)
def test_a_summary_is_read_tolerantly_and_never_guessed(summary: bytes, expected: Metering) -> None:
    assert metering(summary, None, None) == expected


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        # a number is ms
        (b"100", 100),
        (b" 66.5 ", 66.5),
        (b"1e2", 100),
        # a number with a unit
        (b"66ms", 66),
        (b"66 MS", 66),
        (b"0.066s", 66),
        # JSON: an object, a list of one
        (b'{"billingDuration":66}', 66),
        (b'{"billingDuration":"66ms","duration":65.8}', 66),
        (b"[66]", 66),
        (b'[{"billingDuration":66}]', 66),
        (b'"66"', 66),
        # what several would mean is unknown
        (b"[66,67]", None),
        (b"[]", None),
        # not a duration
        (b"", None),
        (b"-1", None),
        (b"NaN", None),
        (b"Infinity", None),
        (b"66 kg", None),
        (b"66MB", None),
        (b"1_000", None),
        ("٣".encode(), None),
        (b"{}", None),
        (b'{"duration":66}', None),
        (b"null", None),
        (b"\xff", None),
    ],
)
def test_the_billing_header_is_read_as_number_with_unit_or_json(text: bytes, expected_ms: float | None) -> None:
    expected = None if expected_ms is None else round(expected_ms * MS)
    assert metering(None, text, None).billed_duration_ns == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # 2020: 100 ms rounding, a dot at the end
        (
            "2020/08/20 10:37:12 GMT+08:00 Finish invoke request 'ID', duration: 1082.123ms, billing duration: 1100ms,"
            " memory used: 77.039MB.",
            Metering(1_082_123_000, 1100 * MS, None, round(77.039 * MB)),
        ),
        # 2021: other times, no billing memory
        (
            "2021-05-25 21:40:31.472+08:00 Finish invoke request 'ID', duration: 45.204ms, billing duration: 100ms,"
            " memory used: 64.383MB.",
            Metering(45_204_000, 100 * MS, None, round(64.383 * MB)),
        ),
        # 2022: billing memory, rounding to 1 ms (the API reference's example)
        (
            "2022-09-20T11:43:58Z Finish invoke request 'ID', duration: 65.828ms, billing duration: 66ms,"
            " memory used: 21.473MB, billing memory: 128MB",
            Metering(65_828_000, 66 * MS, 128, round(21.473 * MB)),
        ),
        # 2026: cpu and storage
        (
            "2026-03-17T10:13:22Z Finish invoke request 'ID', duration: 2.049ms, billing duration: 3ms,"
            " memory used: 36.535MB, billing memory: 128MB, cpu used: 0.300U, storage used: 0.039MB",
            Metering(2_049_000, 3 * MS, 128, round(36.535 * MB)),
        ),
        # blanks before the units
        (
            "Finish invoke request 'ID', duration: 2 ms, billing duration: 3 ms, memory used: 36 MB",
            Metering(2 * MS, 3 * MS, None, 36 * MB),
        ),
        # no numbers
        ("Finish invoke request 'ID', duration: 1.2.3ms, billing duration: ms, memory used: 1MB", Metering()),
        (
            "Finish invoke request 'ID', duration: 1.2.3ms, billing duration: 3ms, memory used: 1MB",
            Metering(None, 3 * MS, None, MB),
        ),
        # no Finish line
        ("Start invoke request 'ID', version: latest", Metering()),
        ("Finish invoke request", Metering()),
        ("", Metering()),
    ],
)
def test_the_finish_line_of_every_era_is_read(line: str, expected: Metering) -> None:
    log = f"Start invoke request '{ID}', version: v1\nHello\n\n" + line.replace("ID", ID)
    assert metering(None, None, log) == expected
    assert metering(None, None, log + "\n") == expected


def finish(duration: int) -> str:
    return f"Finish invoke request '{ID}', duration: {duration}ms, billing duration: {duration}ms, memory used: 1MB\n"


def test_the_last_finish_line_counts_as_a_function_may_print_one_too() -> None:
    assert metering(None, None, finish(1) + finish(2)).duration_ns == 2 * MS


def test_billed_duration_comes_from_summary_then_header_then_log() -> None:
    log = finish(3)
    assert metering(b'{"billingDuration":1}', b"2", log).billed_duration_ns == 1 * MS
    assert metering(b'{"duration":1}', b"2", log).billed_duration_ns == 2 * MS
    assert metering(b"garbage", b"garbage", log).billed_duration_ns == 3 * MS
    assert metering(None, None, None).billed_duration_ns is None


def test_a_billed_duration_is_never_made_from_the_duration() -> None:
    assert metering(b'{"duration":1.2}', None, None) == Metering(1_200_000)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (base64.b64encode("Hello, Wörld!\n".encode()), "Hello, Wörld!\n"),
        # cut in the middle of a character
        (base64.b64encode("ö".encode()[1:] + b"x"), "\ufffdx"),
        # padding lost
        (base64.b64encode(b"ab").rstrip(b"="), "ab"),
        # nothing in it
        (b"", None),
        (None, None),
        # not base64
        (b"a", None),
        (b"!!!!", None),
    ],
)
def test_the_log_tail_is_decoded_leniently(header: bytes | None, text: str | None) -> None:
    assert decode_tail(header) == text


FINE = {"duration": 4, "billingDuration": 5, "memorySize": 128, "memoryUsed": 30}
FINE_METERING = Metering(4 * MS, 5 * MS, 128, 30 * MB)


@pytest.mark.parametrize(
    ("wrong", "name", "field"),
    [
        ({"duration": 4_000_000}, "duration", "duration_ns"),  # ms: more than an hour
        ({"duration": -1}, "duration", "duration_ns"),
        ({"duration": float("nan")}, "duration", "duration_ns"),
        ({"billingDuration": "1e400ms"}, "billed_duration", "billed_duration_ns"),
        ({"billingDuration": 3_600_000.001}, "billed_duration", "billed_duration_ns"),
        ({"memorySize": 1 << 17}, "memory_size", "memory_size_mb"),
        ({"memoryUsed": 1e9}, "memory_used", "memory_used_bytes"),
    ],
)
def test_a_figure_that_cannot_be_is_absent_by_name_and_costs_no_other(
    wrong: dict[str, object], name: str, field: str
) -> None:
    said = metering(json.dumps({**FINE, **wrong}).encode(), None, None)
    assert said == msgspec.structs.replace(FINE_METERING, **{field: None}, unbelieved=(name,))


def test_an_hour_and_the_largest_memory_are_still_believed() -> None:
    said = {"duration": LONGEST_MS, "billingDuration": LONGEST_MS, "memorySize": LARGEST_MB, "memoryUsed": LARGEST_MB}
    found = metering(json.dumps(said).encode(), None, None)
    assert found == Metering(LONGEST_MS * MS, LONGEST_MS * MS, LARGEST_MB, LARGEST_MB * MB)


def test_a_figure_that_cannot_be_gives_way_to_another_source_that_has_it() -> None:
    summary = json.dumps({**FINE, "billingDuration": 1e12}).encode()
    assert metering(summary, b"5", None) == FINE_METERING
    assert metering(b"{}", b"99999999999", None).unbelieved == ("billed_duration",)
    line = "Finish invoke request 'x', duration: 9999999.1ms, billing duration: 5ms, memory used: 30MB"
    assert metering(None, None, line).unbelieved == ("duration",)
    assert metering(summary, None, line).billed_duration_ns == 5 * MS


times = st.floats(0, LONGEST_MS) | st.integers(0, LONGEST_MS)
memories = st.floats(0, LARGEST_MB) | st.integers(0, LARGEST_MB)


@given(times, times, st.integers(0, LARGEST_MB), memories)
def test_the_fast_and_the_tolerant_reading_agree(duration: float, billed: float, size: int, used: float) -> None:
    said = {"duration": duration, "billingDuration": billed, "memorySize": size, "memoryUsed": used}
    documented = json.dumps(said).encode()
    tolerant = json.dumps({**said, "memorySize": str(size)}).encode()
    assert documented_summary(documented) == metering(tolerant, None, None) != Metering()


@given(st.binary(max_size=100), st.binary(max_size=100), st.text(max_size=100))
def test_any_bytes_give_whole_numbers_that_fit_64_bits_or_nothing(summary: bytes, billing: bytes, log: str) -> None:
    said = metering(summary, billing, log)
    for value in (said.duration_ns, said.billed_duration_ns, said.memory_size_mb, said.memory_used_bytes):
        assert value is None or 0 <= value < 2**63
    decode_tail(summary)


@given(
    st.from_regex(
        r"Finish invoke request 'x', duration: [0-9.]{0,40}ms, billing duration: [0-9.]{0,40}ms,"
        r" memory used: [0-9.]{1,9}MB"
    )
)
def test_any_digits_in_a_finish_line_give_whole_numbers_that_fit_64_bits_or_nothing(log: str) -> None:
    said = metering(None, None, log)
    for value in (said.duration_ns, said.billed_duration_ns, said.memory_used_bytes):
        assert value is None or 0 <= value < 2**63
