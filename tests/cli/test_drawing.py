from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadgen.cli import drawing
from loadgen.cli.drawing import Row
from loadgen.report import units

QUANTITIES = st.one_of(
    st.integers(0, 10**14).map(units.duration),
    st.integers(0, 10**9).map(units.count),
    st.integers(0, 10**9).map(units.size),
    st.floats(0, 1).map(units.share),
    st.floats(0, 10**6).map(lambda rate: units.rate(round(rate))),
    st.text("abcdefgh.:;,<%", min_size=1, max_size=12),
)
TEXTS = st.lists(QUANTITIES, min_size=1, max_size=30).map(" ".join)
LABELS = st.sampled_from(["run", "now", "by now", "last 10\u00a0s", "outcomes"])
VALUES = st.lists(st.none() | st.floats(0, 10**9), max_size=30).map(tuple)
ROWS = st.builds(Row, LABELS, TEXTS, st.just(""), st.none() | st.floats(-1, 2), VALUES)


def texts(rows: list[Row], width: int, *, plain: bool = False) -> list[str]:
    return ["".join(text for text, _ in line) for line in drawing.lines(rows, width, plain=plain)]


@given(st.lists(ROWS, min_size=1, max_size=5), st.integers(1, 200), st.booleans())
def test_no_line_is_wider_than_the_terminal(rows: list[Row], width: int, plain: bool) -> None:
    assert max(drawing.cells(line) for line in texts(rows, width, plain=plain)) <= width


@given(LABELS, TEXTS, st.integers(40, 200))
def test_no_number_is_broken_and_nothing_is_lost(label: str, text: str, width: int) -> None:
    lines = texts([Row(label, text)], width)
    assert lines[0][: drawing.LABEL].rstrip(" ") == label
    assert [word for line in lines for word in line[drawing.LABEL :].split(" ")] == text.split(" ")


@given(LABELS, TEXTS, st.integers(1, 200))
def test_no_part_of_a_number_is_shown_at_any_width(label: str, text: str, width: int) -> None:
    shown = {word for line in texts([Row(label, text)], width) for word in line.split(" ")}
    assert {word for word in shown if any(map(str.isdigit, word))} <= set(f"{label} {text}".split(" "))


@given(TEXTS, st.integers(20, 200))
def test_a_message_is_wrapped_at_blanks_alone_and_loses_nothing(text: str, width: int) -> None:
    lines = drawing.folded(text, width).split("\n")
    assert max(map(len, lines)) <= width
    assert [word for line in lines for word in line.strip(" ").split(" ")] == text.split(" ")


def test_a_word_that_is_wider_than_the_terminal_is_cut_in_the_display_and_whole_in_a_message() -> None:
    path = "/a/rather/long/path/to/a/report.html"
    assert texts([Row("now", path)], 20) == ["now", "  /a/rather/long/pa…"]
    assert drawing.folded(f"see {path} for more", 20) == f"see\n  {path}\n  for more"


def test_a_wide_character_takes_two_columns() -> None:
    assert drawing.cells("日本") == 4
    assert texts([Row("now", "日本 日本 日本")], 44) == ["now        日本 日本 日本"]
    assert max(map(drawing.cells, texts([Row("now", "日本 " * 20)], 44))) <= 44


def test_a_bar_shows_a_share_and_never_more_than_it() -> None:
    assert texts([Row("run", "42 %", bar=0.42)], 80) == ["run        ████████░░░░░░░░░░░░ 42 %"]
    assert texts([Row("run", "99 %", bar=0.999)], 80)[0].count("░") == 1
    assert texts([Row("run", "42 %", bar=0.42)], 80, plain=True) == ["run        ########............ 42 %"]


def test_a_trend_is_drawn_from_nothing_to_its_largest_value_and_gaps_stay_empty() -> None:
    drawn = Row("p99", "of each second", trend=(0.0, None, 3.5, 7.0))
    assert texts([drawn], 80) == ["p99        ▁\u00a0▅█ of each second"]
    assert texts([drawn], 80, plain=True) == ["p99        _\u00a0=# of each second"]


def test_on_a_narrow_terminal_labels_have_no_column_of_their_own() -> None:
    assert texts([Row("outcomes", "ok\u00a03400, throttled\u00a051, timeout\u00a012")], 24) == [
        "outcomes ok\u00a03400,",
        "  throttled\u00a051,",
        "  timeout\u00a012",
    ]
