from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from loadgen.invocation.bill import PriceBook
from loadgen.scenario.prices import load_price_book, shipped_price_books
from loadgen.text.fault import ScenarioError

ROOT = Path(__file__).parents[2]
GOOD = {"currency": "EUR", "dated": "2026-01-31", "per_million_requests": "0.2", "per_gb_second": "0.0000166667"}


def written(tmp_path: Path, **changes: str | None) -> Path:
    keys = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    path = tmp_path / "book.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in keys.items()))
    return path


def test_the_book_that_comes_with_loadgen_holds_the_list_prices_of_its_name() -> None:
    assert shipped_price_books() == ["huawei-cny-2024-09"]
    assert load_price_book("huawei-cny-2024-09") == PriceBook(
        "huawei-cny-2024-09", "CNY", "2024-09", Decimal("1.33"), Decimal("0.00011108"), 1_000_000
    )


def test_the_books_are_installed_with_the_package() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert data["loadgen.scenario"] == ["prices/*.yaml"]


def test_a_file_is_relative_to_its_directory_and_read_to_the_last_digit(tmp_path: Path) -> None:
    written(tmp_path, granularity="100ms")
    assert load_price_book("book.yaml", tmp_path) == PriceBook(
        "book.yaml", "EUR", "2026-01-31", Decimal("0.2"), Decimal("0.0000166667"), 100_000_000
    )


def test_a_book_that_tells_no_granularity_bills_by_the_millisecond(tmp_path: Path) -> None:
    assert load_price_book(str(written(tmp_path))).granularity_ns == 1_000_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"currency": None}, "1:1: currency is missing"),
        ({"currency": "euro"}, "1:11: currency: expected the three letters of a currency"),
        ({"dated": "soon"}, "2:8: dated: expected a month or day such as 2024-09"),
        (
            {"per_million_requests": "-0.2"},
            "3:23: per_million_requests: expected a price that is",
        ),
        ({"per_gb_second": "1e-5"}, "4:16: per_gb_second: expected a price"),
        ({"per_gb_second": "[1]"}, "4:1: per_gb_second: expected a price"),
        ({"granularity": "1"}, "5:14: granularity: expected a number with a unit"),
        ({"granularity": "0s"}, "5:14: granularity: expected a time above zero"),
        ({"per_gb_seconds": "1"}, "5:1: unknown key, did you mean per_gb_second?"),
        ({"currency": "[EUR"}, "this is not YAML"),
    ],
)
def test_a_book_that_cannot_be_used_is_a_located_error(
    tmp_path: Path, changes: dict[str, str | None], message: str
) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(ScenarioError) as caught:
        load_price_book(str(path))
    assert str(caught.value).startswith(f"{path}:")
    assert message in str(caught.value)


def test_a_book_without_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.yaml: cannot read this file: No such file or directory"):
        load_price_book("none.yaml", tmp_path)
