"""The table in docs/functiongraph.md against both editions of the API reference, transcribed here item by item."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from loadgen.functiongraph.response import HEADERS

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

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


def table() -> list[list[str]]:
    """The cells of each row, without the heading."""
    lines = (ROOT / "docs" / "functiongraph.md").read_text("utf-8").split("## Every row of both reference pages")[1]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines() if line.startswith("|")
    ]
    return rows[2:]


def quoted(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


def names_of_tests(name: str) -> set[str]:
    tree = ast.parse((HERE / name).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_table_has_every_item_of_both_pages_and_no_other() -> None:
    assert {row[0] for row in table()} == items(HUAWEI) | items(OTC)


def test_no_item_has_two_rows() -> None:
    named = [row[0].lower() for row in table()]
    assert len(named) == len(set(named))


@pytest.mark.parametrize(("column", "page"), [(1, HUAWEI), (2, OTC)])
def test_a_row_says_which_page_has_it(column: int, page: dict[str, list[str]]) -> None:
    assert {row[0] for row in table() if row[column] != "-"} == items(page)


def test_every_row_names_modules_that_exist() -> None:
    for row in table():
        modules = quoted(row[3])
        assert modules, row
        for module in modules:
            assert (ROOT / "loadgen" / "functiongraph" / module).is_file(), row


def test_every_row_names_tests_that_exist() -> None:
    for row in table():
        tests = quoted(row[4])
        assert tests, row
        for test in tests:
            name, _, function = test.partition("::")
            assert function in names_of_tests(name), test


def test_every_documented_response_header_is_read_whatever_its_casing() -> None:
    documented = HUAWEI["200 header"] + OTC["200 header"]
    assert {name.lower().encode() for name in documented} <= HEADERS
