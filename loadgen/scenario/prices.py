"""Price books: those that come with loadgen, and files of a scenario's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from loadgen.invocation.bill import PriceBook
from loadgen.measure.rule import CostRule
from loadgen.scenario.document import Document, no_file, price_book_text
from loadgen.text import form
from loadgen.text.fault import Path as KeyPath
from loadgen.text.form import listed, mapping
from loadgen.text.units import Money

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def _shipped() -> Traversable:
    from importlib.resources import files  # takes as long to import as a scenario to read, and few name a price book

    return files("loadgen.scenario") / "prices"


def shipped_price_books() -> list[str]:
    """The names of the price books that come with loadgen."""
    return sorted(file.name.removesuffix(".yaml") for file in _shipped().iterdir() if file.name.endswith(".yaml"))


def load_price_book(name: str, directory: Path = Path()) -> PriceBook:
    """The PriceBook of this name that comes with loadgen, else that of a YAML file, relative to ``directory``.

    Raises ScenarioError with every fault found.
    """
    if name in shipped_price_books():
        text, source = (_shipped() / f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml"
    else:
        source = str(directory / name)
        text = price_book_text(Path(source))
    read = Document(text, source, {}, (), foreign=frozenset(form.keys(PriceBook)))
    data = read.check(PriceBook, lambda _: iter(()))
    if read.faults:
        raise read.error()
    return msgspec.convert({**data, "name": name}, PriceBook)


def scenario_prices(data: dict[str, Any], read: Document, directory: Path) -> PriceBook | None:
    """The price book that the scenario names; sums of money in another currency are faults."""
    name = data.get("prices")
    if not isinstance(name, str):
        return None
    if name not in shipped_price_books() and (fault := no_file(directory / name)):
        shipped = ", ".join(shipped_price_books())
        read.report(("prices",), f"{fault}, or a price book that comes with loadgen: {shipped}")
        return None
    book = load_price_book(name, directory)
    for path, sum_ in _sums(data):
        if sum_.currency != book.currency:
            read.report(path, f"got {sum_}, expected an amount in {book.currency}, the currency of {name}")
    return book


def _sums(data: dict[str, Any]) -> Iterator[tuple[KeyPath, Money]]:
    """The sums of money in a document that fit, and where they stand."""
    if isinstance(cost := mapping(data, "budget").get("cost"), Money):
        yield ("budget", "cost"), cost
    for index, parsed in enumerate(listed(data, "thresholds")):
        if isinstance(parsed, CostRule):
            yield ("thresholds", index), parsed.limit
