"""The rules as test cases, which is what a run with rules leaves anyway."""

from __future__ import annotations

from collections.abc import Iterator

from loadgen.export.port import Exporter
from loadgen.export.source import Source
from loadgen.report import junit as report


def _text(source: Source) -> Iterator[str]:
    yield report.junit(source.summary)


JUNIT = Exporter("junit", "junit.xml, a test case for each rule", text=_text)
