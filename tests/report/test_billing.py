from __future__ import annotations

import pytest
from msgspec.structs import replace

from loadgen.measure.summary import Reason, Summary, Verdict
from loadgen.report.billing import cost
from loadgen.report.html import html
from loadgen.report.markdown import markdown
from loadgen.report.terminal import terminal
from loadgen.report.timeline import timeline
from tests.report.builders import bill, valid
from tests.report.builders import cost as charged


def test_at_another_memory_size_than_asked_for_only_what_the_run_was_charged_is_shown() -> None:
    reason = Reason("memory_ignored", "withheld", "128 MB", 1.0, 0, "steady", "cost")
    usual, hidden = cost(valid()), cost(replace(valid(), verdict=Verdict("degraded", [reason])))
    assert [cell.text for cell in hidden.rows[-1]] == [cell.text for cell in usual.rows[-1]]
    for row in hidden.rows[:-1]:
        assert [cell.text for cell in row[-2:]] == ["—", "—"]
    assert "per million" in " ".join(usual.notes)
    assert "per million" not in " ".join(hidden.notes)
    assert "This was billed, and is not what it costs at the memory size that was asked for" in hidden.notes[0]


def at_cost(unmetered: int) -> Summary:
    """A run and its phases, of whose calls so many did not tell their bill."""
    usual = valid()
    billed = bill(2000, unmetered=unmetered)
    phases = [replace(phase, billing=billed) for phase in usual.phases]
    return replace(usual, phases=phases, cost=charged(billed))


@pytest.mark.parametrize("unmetered", [0, 1, 2000])
def test_every_sum_of_money_and_of_gb_seconds_is_a_lower_bound_where_a_bill_is_unknown(unmetered: int) -> None:
    table = cost(at_cost(unmetered))
    sums = [cell.text for row in table.rows for cell in row[-2:]] + [table.notes[0].partition("per million")[0]]
    assert [text.startswith(">\N{NO-BREAK SPACE}") for text in sums] == [unmetered > 0] * len(sums)
    assert len(sums) > 4


def test_all_three_reports_show_the_bound() -> None:
    found, exact = at_cost(7), at_cost(0)
    for written in (
        lambda made: terminal(made, width=100),
        markdown,
        lambda made: html(made, timeline([])),
    ):
        assert "2.27 CNY per million" in written(exact)
        text = written(found).replace("&gt;", ">").replace("\\>", ">")
        assert ">\N{NO-BREAK SPACE}2.27 CNY per million" in text
        assert ">\N{NO-BREAK SPACE}16.9" in text  # 1,993 calls of 8.5 mGB-s
