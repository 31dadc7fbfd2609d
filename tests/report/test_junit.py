"""junit.xml has a test case for each rule, and says of each how it ended."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from loadgen.measure.summary import Summary, ThresholdResult
from loadgen.report.junit import junit
from tests.report.builders import HOSTILE, degraded, empty, invalid, valid


@pytest.mark.parametrize("build", [valid, degraded, invalid, empty], ids=lambda build: build.__name__)
def test_counts_are_those_of_the_cases(build: Callable[[], Summary]) -> None:
    built = build()
    (suite,) = ElementTree.fromstring(junit(built))
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [result.rule for result in built.thresholds]
    assert suite.get("tests") == str(len(cases))
    assert suite.get("failures") == str(sum(case.find("failure") is not None for case in cases))
    assert suite.get("errors") == str(sum(case.find("error") is not None for case in cases))


def test_a_broken_rule_is_a_failure_and_an_open_one_an_error() -> None:
    (suite,) = ElementTree.fromstring(junit(degraded()))
    ended = {case.get("name"): [child.tag for child in case] for case in suite.findall("testcase")}
    assert ended["steady:errors < 0.1%"] == ["failure"]
    assert ended["latency.p99 < 250ms"] == ["error"]
    assert ended["steady:latency.p50 < 50ms"] == []


def test_text_from_outside_stays_text() -> None:
    broken = ThresholdResult("latency.p99 < 250ms", None, False, HOSTILE, "value")
    text = junit(replace(empty(), thresholds=[broken]))
    (suite,) = ElementTree.fromstring(text)
    assert "<script>" not in text
    assert "\x1b" not in text
    assert suite.get("name", "").startswith("<script>")
