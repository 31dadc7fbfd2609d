"""The rules of a run as junit.xml, which continuous integration reads: one test case each.

A rule that is broken is a failure, one that could not be decided an error. There is no standard, but two schemas in
use, and the document is valid by both: what Apache Ant writes (JUnit.xsd of Windy Road Technology, Apache-2.0) and what
Jenkins reads of Maven's Surefire (junit-10.xsd of its xUnit plugin, MIT). Ant's asks for attributes and for elements
that are empty here, and allows none at the root.
"""

from __future__ import annotations

from xml.etree import ElementTree

from loadgen.measure.summary import Summary, ThresholdResult
from loadgen.report.answer import head
from loadgen.report.tables import standing
from loadgen.text import foreign

_NS_PER_S = 1_000_000_000
_LONGEST = 2_000
"""Characters of a text that are kept: what shows these files shows them in a line."""


def junit(summary: Summary) -> str:
    """The document; a suite without test cases where the run has no rules."""
    found = head(summary)
    ended = [result.passed for result in summary.thresholds]
    counts = {
        "tests": str(len(ended)),
        "failures": str(ended.count(False)),
        "errors": str(ended.count(None)),
        "time": f"{summary.totals.duration_ns / _NS_PER_S:.3f}",
    }
    suites = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        {
            "name": _name(summary.run.name),
            "package": "loadgen",
            "id": "0",
            "hostname": "localhost",  # as Ant's schema says for one that is not known
            **counts,
            "skipped": "0",
            "timestamp": summary.run.started_at.partition(".")[0].rstrip("Z"),
        },
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (
        ("run", summary.run.id),
        ("loadgen", summary.run.version),
        ("verdict", standing(summary)),
        ("answer", found.answer),
    ):
        ElementTree.SubElement(properties, "property", {"name": name, "value": _line(value)})
    judged = {each.rule: each for each in found.judged}
    for result in summary.thresholds:
        measured = judged[result.rule].measured
        _case(suite, summary, result, f"{measured}: {result.why}")
    for name in ("system-out", "system-err"):
        ElementTree.SubElement(suite, name).text = ""
    ElementTree.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(suites, encoding="unicode")}\n'


def _case(suite: ElementTree.Element, summary: Summary, result: ThresholdResult, said: str) -> None:
    """One rule as a test case."""
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {
            "classname": f"loadgen.{_name(summary.run.name)}",
            "name": _name(result.rule),
            "time": f"{summary.totals.duration_ns / _NS_PER_S:.3f}",
        },
    )
    if result.passed is True:
        return
    kind, type_ = ("failure", "broken") if result.passed is False else ("error", "undecided")
    told = ElementTree.SubElement(case, kind, {"type": type_, "message": _line(said)})
    told.text = _line(f"{result.rule}: {said}")


def _name(text: str) -> str:
    return _line(text, foreign.LONGEST_QUOTE) if text.strip() else "run"


def _line(text: str, longest: int = _LONGEST) -> str:
    shown = foreign.line(text)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
