"""The rules of a run as junit.xml, which continuous integration reads: one test case each.

A rule that is broken is a failure, one that could not be decided an error. Source: the format that Jenkins' JUnit
plugin reads and Maven's Surefire writes.
"""

from __future__ import annotations

from xml.etree import ElementTree

from loadgen.measure.summary import Summary, ThresholdResult
from loadgen.report.answer import head
from loadgen.report.tables import standing
from loadgen.text import foreign

_NS_PER_S = 1_000_000_000


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
    suites = ElementTree.Element("testsuites", {"name": "loadgen", **counts})
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        {
            "name": foreign.line(summary.run.name),
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
        ElementTree.SubElement(properties, "property", {"name": name, "value": foreign.line(value)})
    judged = {each.rule: each for each in found.judged}
    for result in summary.thresholds:
        measured = judged[result.rule].measured
        _case(suite, summary, result, f"{measured}: {result.why}")
    ElementTree.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(suites, encoding="unicode")}\n'


def _case(suite: ElementTree.Element, summary: Summary, result: ThresholdResult, said: str) -> None:
    """One rule as a test case."""
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {
            "classname": f"loadgen.{foreign.line(summary.run.name)}",
            "name": foreign.line(result.rule),
            "time": f"{summary.totals.duration_ns / _NS_PER_S:.3f}",
        },
    )
    if result.passed is True:
        return
    kind, type_ = ("failure", "broken") if result.passed is False else ("error", "undecided")
    told = ElementTree.SubElement(case, kind, {"type": type_, "message": foreign.line(said)})
    told.text = foreign.line(f"{result.rule}: {said}")
