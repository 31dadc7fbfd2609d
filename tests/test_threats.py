"""docs/threats.md names a test for each threat, which is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def rows() -> list[tuple[str, str, str]]:
    found = []
    for line in (ROOT / "docs" / "threats.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and not re.match(r"\*\*|-+$|threat$", cells[0]):
            found.append((cells[0], cells[1], cells[2]))
    return found


@cache
def defined(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("threat", "answer", "tests"), rows(), ids=[row[0][:40] for row in rows()])
def test_every_threat_has_an_answer_and_a_test_that_is_there(threat: str, answer: str, tests: str) -> None:
    assert threat
    assert answer
    for named in tests.split(", "):
        path, _, name = named.partition("::")
        assert (ROOT / path).is_file(), named
        assert not name or name in defined(path), named


def test_the_table_is_read_whole() -> None:
    assert len(rows()) > 35
