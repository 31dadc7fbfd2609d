"""The tables of docs against both editions of the API reference, transcribed here item by item.

One is of what loadgen sends and reads, in functiongraph.md; one of what the emulator takes and gives, in emulator.md.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from loadgen.targets.functiongraph.protocol.response import HEADERS

ROOT = Path(__file__).parents[4]
HEADING = "## Every row of both reference pages"

FAILING = (400, 401, 403, 404, 500, 503)
URI = "POST /v2/{project_id}/fgs/functions/{function_urn}/invocations"

HUAWEI = {
    "request line": [URI],
    "path parameter": ["project_id", "function_urn"],
    "request header": ["X-Cff-Log-Type"],
    "request body": ["{customized key}"],
    "200 header": ["X-Cff-Function-Log", "X-Cff-Invoke-Summary"],
    "200 body": ["the result itself"],
    "summary field": ["duration", "billingDuration", "memorySize", "memoryUsed"],
    "example": ["request", "X-Cff-Invoke-Summary", "200 answer", "404 answer"],
    "status": ["200", "404"],  # of its examples
    "404 body": ["error_code", "error_msg"],  # of its example
    "status codes": ["other"],
}
OTC = {
    "request line": [URI],
    "path parameter": ["project_id", "function_urn"],
    "request header": ["X-Auth-Token", "Content-Type", "X-Cff-Log-Type", "X-CFF-Request-Version"],
    "request body": ["{customized key}"],
    "200 header": [
        "X-Cff-Invoke-Summary",
        "X-Cff-Request-Id",
        "X-Cff-Function-Log",
        "X-CFF-Billing-Duration",
        "X-Cff-Response-Version",
        "X-Func-Err-Code",
        "X-Is-Func-Err",
    ],
    "200 body": ["the result itself", "request_id", "result", "log", "status"],
    **{f"{status} body": ["error_code", "error_msg"] for status in FAILING},
    "example": ["request", "200 answer"],
    "status": ["200", *map(str, FAILING)],
    "error codes": ["FSS, APIG"],
}


def items(page: dict[str, list[str]]) -> set[str]:
    return {f"{kind}: {name}" for kind, names in page.items() for name in names}


def rows(document: str) -> list[list[str]]:
    """The cells of each row of the table in this document, without the heading."""
    lines = (ROOT / "docs" / document).read_text("utf-8").split(HEADING)[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


def table(document: str) -> list[tuple[str, list[Path], list[str]]]:
    """By row: the item, the modules that handle it, and the tests as file and name."""
    if document == "functiongraph.md":
        package, tests = ROOT / "loadgen/targets/functiongraph/protocol", "tests/targets/functiongraph/protocol/"
    else:
        package, tests = ROOT / "loadgen/targets/functiongraph/emulator", "tests/"
    return [
        (item, [package / name for name in quoted(modules)], [tests + name for name in quoted(proofs)])
        for item, *_, modules, proofs in rows(document)
    ]


def quoted(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


@cache
def names_of_tests(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


EACH_TABLE = pytest.mark.parametrize("document", ["functiongraph.md", "emulator.md"])


@EACH_TABLE
def test_the_table_has_every_item_of_both_pages_and_no_other(document: str) -> None:
    assert {item for item, *_ in table(document)} == items(HUAWEI) | items(OTC)


@EACH_TABLE
def test_no_item_has_two_rows(document: str) -> None:
    named = [item.lower() for item, *_ in table(document)]
    assert len(named) == len(set(named))


@pytest.mark.parametrize(("column", "page"), [(1, HUAWEI), (2, OTC)])
def test_a_row_says_which_page_has_it(column: int, page: dict[str, list[str]]) -> None:
    assert {row[0] for row in rows("functiongraph.md") if row[column] != "-"} == items(page)


@EACH_TABLE
def test_every_row_names_modules_that_exist(document: str) -> None:
    for item, modules, _ in table(document):
        assert modules, item
        for module in modules:
            assert module.is_file(), item


@EACH_TABLE
def test_every_row_names_tests_that_exist(document: str) -> None:
    for item, _, tests in table(document):
        assert tests, item
        for test in tests:
            file, _, function = test.partition("::")
            assert function in names_of_tests(file), test


def test_every_documented_response_header_is_read_whatever_its_casing() -> None:
    documented = HUAWEI["200 header"] + OTC["200 header"]
    assert {name.lower().encode() for name in documented} <= HEADERS
