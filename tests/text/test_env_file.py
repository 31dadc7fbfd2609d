from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.text.env_file import parse
from loadgen.text.fault import ScenarioError


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("  export A = b c ", "b c"),
        ("A=", ""),
        ("A=''", ""),
        ("A=b#c", "b#c"),
        ("A=b #c", "b"),
        ("A= # nothing", ""),
        ("A='b #c' # d", "b #c"),
        ("A='$B \\n'", "$B \\n"),
        ('A="b\\n\\"c\\"\\\\"', 'b\n"c"\\'),
        ('A="\\d"', "\\d"),
        ('A="two\nlines"', "two\nlines"),
        ("A=b=c", "b=c"),
        ("A=it's", "it's"),
        ("A=${B}", "${B}"),
        ("A=b\r", "b"),
    ],
)
def test_a_line_sets_a_variable_and_expands_nothing(line: str, value: str) -> None:
    assert parse(f"# first\n\n{line}\nZ=z", "x.env") == {"A": value, "Z": "z"}


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="'")))
def test_whatever_is_in_single_quotes_is_what_it_is(value: str) -> None:
    assert parse(f"A='{value}'\n", "x.env") == {"A": value}


@pytest.mark.parametrize(
    "line", ["s3cret", "=s3cret", "1A=s3cret", "A B=s3cret", 'A="s3cret', "A='s3cret'x", "A: s3cret"]
)
def test_what_sets_nothing_is_a_fault_that_shows_nothing_of_it(line: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        parse(f"OK=1\n{line}\n", "x.env")
    assert str(raised.value) == "x.env:2:1: expected NAME=value, with both of its quotes where it has any"


def test_every_fault_is_found_with_its_line_after_values_of_several_lines_too() -> None:
    with pytest.raises(ScenarioError) as raised:
        parse('A="1\n2\n3"\nA=4\n!\n', "x.env")
    assert [(fault.line, fault.message) for fault in raised.value.faults] == [
        (4, "A is set twice; keep one of them"),
        (5, "expected NAME=value, with both of its quotes where it has any"),
    ]
