"""Tables and the document that holds them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.document import commands, ms, replaced, table
from benchmarks.peers import HERE, Peer
from benchmarks.tool import Closed, Report

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def test_the_columns_of_a_table_line_up() -> None:
    rows = [("wrk", "9", "nothing"), ("loadgen", "10,000", "")]
    assert table(("", "rate", "says"), rows, left=(0, 2)).splitlines() == [
        "|         |   rate | says    |",
        "| ------- | -----: | ------- |",
        "| wrk     |      9 | nothing |",
        "| loadgen | 10,000 |         |",
    ]


def test_a_section_is_replaced_and_all_else_stays() -> None:
    text = "one\n<!-- a -->\nold\n<!-- /a -->\ntwo\n<!-- b -->\nkept\n<!-- /b -->\n"
    assert replaced(text, "a", "new") == "one\n<!-- a -->\n\nnew\n\n<!-- /a -->\ntwo\n<!-- b -->\nkept\n<!-- /b -->\n"
    assert replaced(replaced(text, "a", "new"), "a", "new") == replaced(text, "a", "new")


def test_a_section_that_the_document_does_not_have_is_an_error() -> None:
    with pytest.raises(ValueError, match="<!-- b -->"):
        replaced("<!-- a --><!-- /a -->", "b", "new")


@pytest.mark.parametrize("name", ["throughput", "pacing", "scale", "accuracy", "truth", "alarms"])
def test_the_document_has_a_place_for_every_section(name: str) -> None:
    assert replaced(DOCUMENT.read_text(), name, "new") != DOCUMENT.read_text()


@pytest.mark.parametrize(("words", "scheme"), [("HTTP", "HTTP"), ("TLS", "HTTPS")])
def test_what_is_claimed_beside_wrk_is_what_the_tables_say(words: str, scheme: str) -> None:
    text = " ".join((DOCUMENT.parents[1] / "README.md").read_text().split())
    claimed = re.search(rf"(\d\.\d\d) to (\d\.\d\d)(?: times)? over {words}\b", text)
    assert claimed is not None
    table = DOCUMENT.read_text().partition("### CPU beside wrk\n")[2].partition("\n#")[0]
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    ratios = [row[7] for row in rows if len(row) > 7 and row[1] == scheme]
    assert (claimed[1], claimed[2]) == (min(ratios), max(ratios))


@pytest.mark.parametrize(
    ("value", "text"), [(None, "—"), (0.0, "0.00"), (0.254, "0.25"), (20.14, "20.1"), (1407.2, "1,407")]
)
def test_milliseconds_have_the_digits_that_matter(value: float | None, text: str) -> None:
    assert ms(value) == text


def test_a_command_is_shown_without_the_paths_of_this_machine_and_once() -> None:
    words = ["-s", str(HERE / "wrk.lua"), "-H", "A: b"]
    peer = Peer("wrk", "/usr/bin/wrk", "4.1", lambda load, url: [*words, url], lambda out, err: Report(0, 0, 0.0))
    load = Closed(1, 1)
    assert commands([(peer, load), (peer, load)]) == "```\nwrk -s wrk.lua -H 'A: b' http://127.0.0.1:8080/PATH\n```"
