"""What was not ok before the load stands at the top of every report, in the same words."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from loadgen.measure.summary import Preflight, Summary
from loadgen.report.html import html
from loadgen.report.markdown import markdown
from loadgen.report.tables import preflight
from loadgen.report.terminal import terminal
from loadgen.report.timeline import timeline
from tests.report.builders import valid


def after(first: Preflight | None) -> Summary:
    return replace(valid(), preflight=first)


@pytest.mark.parametrize(
    ("first", "line"),
    [
        (None, ""),
        (Preflight("ok", "ok", 200, 1, None), ""),
        (Preflight("ok", "redirect", 302, 1, None), ""),
        (
            Preflight("throttled", "FSS.0429", 429, 1, "r", "there is too much load. Lower the rate."),
            "The pre-flight was not ok (throttled, status 429, FSS.0429): there is too much load. Lower the rate.",
        ),
        (
            Preflight("timeout", "total", None, 1, None, "nothing came."),
            "The pre-flight was not ok (timeout, total): nothing came.",
        ),
        # a summary.json from before there was a remedy in it, and one that was tampered with
        (
            Preflight("gateway", "status_502", 502, 1, None),
            "The pre-flight was not ok (gateway, status 502, status_502).",
        ),
        (Preflight("\x1b[2J", "<b>", None, 1, None), "The pre-flight was not ok (\x1b[2J, <b>)."),
    ],
)
def test_the_line_says_outcome_status_reason_and_remedy(first: Preflight | None, line: str) -> None:
    assert preflight(after(first)) == line


def test_all_three_reports_have_it_right_after_the_answer() -> None:
    found = after(Preflight("throttled", "<i>", 429, 1, None, "Lower the rate."))
    for text in (terminal(found), markdown(found), html(found, timeline([])).partition("<h1>")[2]):
        plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("\\", "")
        assert 0 < plain.index("The pre-flight was not ok (throttled, status 429, <i>): Lower the rate.") < 900
    assert "<i>" not in html(found, timeline([]))
