"""Reports of a mix have a table by call, and say of which call an example is."""

from __future__ import annotations

from msgspec.structs import replace

from loadgen.measure.summary import Summary
from loadgen.report.figures import DASH, totals
from loadgen.report.html import html
from loadgen.report.markdown import markdown
from loadgen.report.tables import by_call, failures, slowest
from loadgen.report.terminal import terminal
from loadgen.report.timeline import timeline
from tests.measure.test_calls import Mixed, summed
from tests.report.builders import valid

MIXED: Mixed = {"browse": {"ok": [1000] * 3000}, "pay": {"ok": [90_000] * 30, "timeout": [100_000] * 10}}


def made() -> Summary:
    steady = replace(summed(MIXED), name="steady")
    return replace(valid(), phases=[steady], totals=replace(steady, name="totals"))


def test_each_call_has_a_row_with_its_share_its_outcomes_and_its_times() -> None:
    browse, pay = by_call(totals(made())).rows
    assert [cell.text for cell in browse][:3] == ["browse", "3\N{NARROW NO-BREAK SPACE}000", "0"]
    assert (browse[1].detail, pay[1].detail) == ("98.7\N{NO-BREAK SPACE}%", "1.3\N{NO-BREAK SPACE}%")
    assert (pay[2].text, pay[2].detail, pay[2].tone) == ("10", "timeout 10", "bad")
    assert browse[5].text.startswith("1.00")  # p99
    assert (pay[5].text, pay[5].detail) == (DASH, "n < 1\N{NARROW NO-BREAK SPACE}000")


def test_examples_say_of_which_call_they_are() -> None:
    assert {row[0].detail for row in failures(made()).rows} == {"pay"}
    assert {row[0].detail for row in slowest(made()).rows} == {"browse", "pay"}


def test_every_report_has_the_calls_and_none_without_a_mix() -> None:
    for summary, there in ((made(), True), (valid(), False)):
        for text in (terminal(summary), markdown(summary), html(summary, timeline(()))):
            assert ("Calls" in text) is there
            assert ("browse" in text) is there
