"""junit.xml has a test case for each rule, and says of each how it ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml
from msgspec.structs import replace

from loadgen.measure.summary import Summary, ThresholdResult
from loadgen.report.junit import junit
from tests.report.builders import HOSTILE, degraded, empty, invalid, valid

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))


def named(name: str, rule: str = "errors < 1%", why: str = "", passed: bool | None = None) -> Summary:
    built = empty()
    run = replace(built.run, name=name, id=name, version=name)
    return replace(built, run=run, thresholds=[ThresholdResult(rule, None, passed, why, None)])


@pytest.mark.parametrize("build", [valid, degraded, invalid, empty], ids=lambda build: build.__name__)
def test_every_document_is_one_of_the_schema(build: Callable[[], Summary]) -> None:
    SCHEMA.validate(junit(build()))
    SCHEMA.validate(junit(replace(build(), thresholds=[])))


def test_what_a_rule_came_to_is_read_by_another_program(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(junit(degraded()), encoding="utf-8")
    (suite,) = JUnitXml.fromfile(str(path))
    ended = {case.name: [type(each) for each in case.result] for case in suite}
    assert ended["steady:errors < 0.1%"] == [Failure]
    assert ended["latency.p99 < 250ms"] == [Error]
    assert ended["steady:latency.p50 < 50ms"] == []
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (
        len(ended),
        list(ended.values()).count([Failure]),
        list(ended.values()).count([Error]),
        0,
    )
    assert suite.hostname == "localhost"
    properties = suite.properties()  # type: ignore[no-untyped-call]
    assert {each.name for each in properties} == {"run", "loadgen", "verdict", "answer"}


@given(st.text(max_size=50), st.text(max_size=50), st.sampled_from([True, False, None]))
def test_any_text_makes_a_document_that_is_read(name: str, said: str, passed: bool | None) -> None:
    text = junit(named(name, said, said, passed)).encode()
    SCHEMA.validate(text.decode())
    (suite,) = JUnitXml.fromstring(text)
    assert suite.tests == 1


@pytest.mark.parametrize("char", ["\x00", "\x0b", "\x1f", "\x7f", "\ud800", "\ufffe", "\uffff", "\u2028"])
def test_what_xml_forbids_stands_there_as_its_escape(char: str) -> None:
    text = junit(named(f"a{char}b", f"c{char}d", f"e{char}f"))
    SCHEMA.validate(text)
    assert char not in text
    assert f"a{char.encode('unicode_escape').decode()}b" in text


def test_a_name_of_ten_thousand_characters_is_cut() -> None:
    text = junit(named("n" * 10_000, "r" * 10_000, "w" * 10_000, False))
    SCHEMA.validate(text)
    assert len(text) < 20_000


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
