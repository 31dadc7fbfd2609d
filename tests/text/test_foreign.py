"""Text from outside in every medium."""

from __future__ import annotations

import html
import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from loadgen.text import foreign

HOSTILE = {
    "ESC": ("\x1b[2J", r"\x1b[2J"),
    "OSC": ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    "C1": ("\x9b31m\x9d", r"\x9b31m\x9d"),
    "DEL": ("\x7f\x08", r"\x7f\x08"),
    "bidi": ("a\u202eb\u2066c", r"a\u202eb\u2066c"),
    "unseen": ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
    "tag": ("\U000e0041", r"\U000e0041"),
    "lines": ("a\nb\rc\u2028d\x85", r"a\nb\rc\u2028d\x85"),
    "half a pair": ("\ud83d", r"\ud83d"),
    "plain": ("µs 12\u202f345\xa0ms é 漢", "µs 12\u202f345\xa0ms é 漢"),
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_a_line_shows_what_would_command_a_terminal(text: str, shown: str) -> None:
    assert foreign.line(text) == shown
    assert foreign.line(shown) == shown


def test_lines_of_ones_own_and_tabs_stay() -> None:
    assert foreign.lines("a\n\tb\x1bc\rd") == "a\n\tb\\x1bc\\rd"


def test_a_quotation_is_one_short_line() -> None:
    assert foreign.quote(" a\n\n b\x1b ") == "a b\\x1b"
    assert foreign.quote("a" * 300) == "a" * 199 + "…"


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=["Cs"])))
def test_json_keeps_the_text_and_shows_it(text: str) -> None:
    encoded = foreign.json(json.dumps({text: [text]}, ensure_ascii=False, indent=1).encode())
    assert json.loads(encoded) == {text: [text]}
    assert all(c == "\n" or foreign.printable(c) for c in encoded.decode())


@given(st.text())
def test_html_holds_no_tag_and_shows_the_same_line(text: str) -> None:
    shown = foreign.html(text)
    assert html.unescape(shown) == html.unescape(foreign.line(text)).replace("\0", "") or "&" in text
    assert not set("<>\"'\n\x1b") & set(shown)


ACTIVE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/pixel)",
    "[x]: javascript:alert(1)",
    "https://evil.example www.evil.example a@evil.example",
    "`code` **bold** _it_ ~~gone~~ | cell | cell |",
    "# heading\n\n> quote\n\n- item",
    "&lt;script&gt; &#60;b&#62;",
    "\\<b>\\`x`",
]


@pytest.mark.parametrize("text", ACTIVE)
def test_markdown_says_what_was_said_and_nothing_more(text: str) -> None:
    parser = MarkdownIt("gfm-like", {"linkify": False}).enable("table")
    page = parser.render(f"- x {foreign.markdown(text)}\n\n| a | b |\n|---|---|\n| {foreign.markdown(text)} | end |\n")
    seen = _Page()
    seen.feed(page)
    assert set(seen.tags) <= {"ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
    assert [each.strip() for each in seen.texts if each.strip()] == [
        f"x {foreign.line(text)}",
        "a",
        "b",
        foreign.line(text),
        "end",
    ]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("Invalid value 'HOME=/root' - at `$.experiment.kind`", "Invalid value … - at `$.experiment.kind`"),
        ("got 'it''s', expected 'b'", "got …"),
        ('duplicate "a" here', "duplicate … here"),
        ("nothing quoted", "nothing quoted"),
    ],
)
def test_a_message_about_a_file_loses_what_it_quotes(message: str, left: str) -> None:
    assert foreign.unquoted(message) == left
