"""What an exporter is: how a run is written for another program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from loadgen.export.source import Source

Text = Callable[[Source], Iterator[str]]
"""The parts of a text, made while they are written, so that a day's samples fit."""
File = Callable[[Source, Path], None]
"""Writes a file, which is not text. Raises ExportError where what it needs is not installed."""


class Exporter(Struct, frozen=True):
    """One format, by the name that ``--to`` knows it by; ``says`` is for the help. It writes text, or else a file.

    Both raise ExportError, and RunDirectoryError or ValueError for what no loadgen wrote.
    """

    name: str
    says: str
    text: Text | None = None
    file: File | None = None
