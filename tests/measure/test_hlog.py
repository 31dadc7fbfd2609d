"""The interval log is read back by us and by the HdrHistogram library, and survives a crash of its writer."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure import hlog
from loadgen.measure.histogram import DIGITS, HIGHEST, LOWEST, Histogram
from loadgen.measure.hlog import Line, Started
from tests.frames import histogram

STARTED_MS = 1_758_000_000_123
LINES = [
    Line("steady.latency", 0, 1_000_000_000, histogram([1, 5000, 2_769_000])),
    Line("steady.lag", 0, 1_000_000_000, histogram([0, 0, 3])),
    Line("steady.latency", 1_000_000_000, 1_007_000_000, histogram([77])),
]


def text(entries: Sequence[Line | Started]) -> str:
    return "".join(f"{each}\n" for each in (*hlog.header(STARTED_MS), *map(hlog.text, entries)))


def test_the_header_says_version_units_and_start() -> None:
    assert hlog.header(STARTED_MS) == [
        "#[Histogram log format version 1.3]",
        "#[Histograms count microseconds (tags that end in memory_used: KiB); Interval_Max: ms (MiB/1000), rounded up]",
        "#[StartTime: 1758000000.123 (seconds since epoch), 2025-09-16 05:20:00.123+00:00]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]


def test_a_line_has_seconds_with_three_digits_and_the_maximum_in_ms() -> None:
    line = hlog.line("A", 127_000_000, 1_007_000_000, histogram([2_000]))
    assert line.startswith("Tag=A,0.127,1.007,2.001,HISTFAAAA")  # 2,000 whole µs are less than 2.001 ms
    assert hlog.line("A", 0, 0, histogram([0])).startswith("Tag=A,0.000,0.000,0.000,")


def test_what_is_written_is_read_back() -> None:
    assert list(hlog.read(text(LINES).splitlines(keepends=True))) == LINES


def test_how_many_were_started_is_read_back_and_is_no_histogram() -> None:
    entries: list[Line | Started] = [LINES[0], Started("a, b %", 1_000_000_000, 1_007_000_000, 150), LINES[2]]
    lines = text(entries).splitlines(keepends=True)
    assert "#[Started: a%2C%20b%20%25,1.000,1.007,150]\n" in lines
    assert list(hlog.entries(lines)) == entries
    assert list(hlog.read(lines)) == [LINES[0], LINES[2]]


@given(st.text(min_size=1, max_size=20))
def test_any_tag_comes_back(tag: str) -> None:
    try:
        tag.encode()
    except UnicodeEncodeError:
        return
    written = text([Line(tag, 0, 0, Histogram())])
    assert written.count("\n") == len(hlog.header(0)) + 1
    (line,) = hlog.read(written.split("\n")[:-1])
    assert line.tag == tag


def test_a_tag_is_never_empty() -> None:
    with pytest.raises(ValueError, match="an empty tag"):
        hlog.line("", 0, 0, Histogram())


def test_the_librarys_reader_finds_equal_counts_times_and_tags(tmp_path: Path) -> None:
    path = tmp_path / "intervals.hlog"
    path.write_text(text(LINES), encoding="utf-8")
    reader = HistogramLogReader(str(path), HdrHistogram(LOWEST, HIGHEST, DIGITS))
    for line in LINES:
        found = reader.get_next_interval_histogram()
        assert found.get_tag() == line.tag
        assert found.get_total_count() == line.histogram.count
        assert all(found.get_count_at_index(slot) == n for slot, n in line.histogram.counts.items())
        assert found.get_start_time_stamp() == pytest.approx(STARTED_MS + line.start_ns / 1e6, abs=0.01)
    assert reader.get_next_interval_histogram() is None
    reader.close()


@given(st.integers(0, len(text(LINES))))
def test_a_log_cut_anywhere_gives_every_whole_line(cut: int) -> None:
    kept = text(LINES)[:cut]
    whole = max(0, kept.count("\n") - len(hlog.header(0)))
    found = list(hlog.read(kept.splitlines(keepends=True)))
    assert found[:whole] == LINES[:whole]
    assert found == LINES[: len(found)]
    assert len(found) <= whole + 1


@pytest.mark.parametrize("tag", ["a\x1b[2Jb", "a\u202eb", "a\x9bb", "a, b%", "é漢"])
def test_a_tag_is_printed_and_read_as_it_is(tag: str) -> None:
    written = hlog.line(tag, 0, 1_000_000_000, Histogram())
    assert written.isprintable()
    assert [line.tag for line in hlog.read([*text([]).splitlines(keepends=True), f"{written}\n"])] == [tag]


def test_an_empty_log_holds_nothing() -> None:
    assert list(hlog.read([])) == []


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("nonsense\n", "line 5 of the histogram log: expected Tag="),
        ("0.1,1.0,2.0,HISTF\n", "line 5 of the histogram log: expected Tag="),
        ("Tag=a,0.1,1.0,2.0,HISTF\n", "line 5 of the histogram log: not an HdrHistogram blob"),
        ("Tag=a,x,1.0,2.0,HISTF\n", "line 5 of the histogram log: expected Tag="),
        ("cut\nTag=a", "line 5 of the histogram log: expected Tag="),
    ],
)
def test_a_broken_line_is_named(broken: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(hlog.read((text([]) + broken).splitlines(keepends=True)))


def test_a_file_that_is_no_log_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1 of the histogram log: expected #"):
        list(hlog.read(["hello\n", "world\n"]))


@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_lines_are_read_or_raise_valueerror(lines: list[str]) -> None:
    with contextlib.suppress(ValueError):
        list(hlog.read([*hlog.header(0), *lines]))
