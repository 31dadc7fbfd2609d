"""Parquet with typed columns, a row for each sample, or for each figure. Written by DuckDB, the extra ``analysis``.

DuckDB reads the samples itself, part by part, with a limit on its memory; it is kept from loading anything more.
"""

from __future__ import annotations

import contextlib
import gzip
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from loadgen.export import figures
from loadgen.export.port import Exporter
from loadgen.export.source import COLUMNS, DERIVED, ExportError, Source

if TYPE_CHECKING:
    import duckdb

_MEMORY = "512MB"
_TYPES = {int: "BIGINT", str: "VARCHAR", bool: "BOOLEAN"}
_FIGURES = {"value": "DOUBLE", "low": "BIGINT", "high": "BIGINT", "low_end": "BIGINT", "high_end": "BIGINT"}
_LATENCY = "ended_ns - intended_ns"
_IN_SQL = (_LATENCY, f"coalesce(ended_ns - started_ns, {_LATENCY})", "coalesce(started_ns, ended_ns) - intended_ns")
_DERIVED = dict(zip(DERIVED, _IN_SQL, strict=True))
_TORN = "Unexpected end of GZIP stream"


def _file(source: Source, to: Path) -> None:
    try:
        import duckdb
    except ImportError as error:
        raise ExportError(
            "parquet is written by DuckDB, which is not installed: pip install 'loadgen[analysis]'"
        ) from error
    limits: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": _MEMORY,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": str(to.parent),
    }
    with duckdb.connect(config=limits) as database:
        try:
            if source.of == "samples":
                _samples(database, source, to)
            else:
                _figures(database, source, to)
        except duckdb.Error as error:
            raise ExportError(f"cannot write {source.path} as parquet: {str(error).splitlines()[0]}") from error


def _samples(database: duckdb.DuckDBPyConnection, source: Source, to: Path) -> None:
    import duckdb

    next(source.rows(), None)  # says what it is where it is no such file
    try:
        _copy(database, source.samples, to)
    except duckdb.IOException as error:
        if _TORN not in str(error):
            raise
        with _whole(source, to) as samples:
            _copy(database, samples, to)


@contextlib.contextmanager
def _whole(source: Source, to: Path) -> Iterator[Path]:
    """The samples before what a crash tore, in a file of their own beside ``to``."""
    source.notes.clear()
    path = to.with_name(f".{to.name}.samples.gz")
    try:
        with gzip.open(path, "wb", compresslevel=1) as written:
            written.writelines(source.lines())
        yield path
    finally:
        path.unlink(missing_ok=True)


def _copy(database: duckdb.DuckDBPyConnection, samples: Path, to: Path) -> None:
    with tempfile.TemporaryDirectory() as named:
        plain = Path(named) / "samples.gz"  # DuckDB takes [ and * in a name for a pattern
        plain.symlink_to(samples.absolute())
        _written(database, plain, {name: _TYPES[kind] for name, kind in COLUMNS.items()}, to, _DERIVED)


def _figures(database: duckdb.DuckDBPyConnection, source: Source, to: Path) -> None:
    columns = {name: _FIGURES.get(name, "VARCHAR") for name in figures.FigureRow.__struct_fields__}
    with tempfile.TemporaryDirectory() as named:
        lines = Path(named) / "figures.ndjson"
        lines.write_bytes(msgspec.json.Encoder().encode_lines(figures.rows(source.summary)))
        _written(database, lines, columns, to)


def _written(
    database: duckdb.DuckDBPyConnection,
    lines: Path,
    columns: dict[str, str],
    to: Path,
    more: Mapping[str, str] | None = None,
) -> None:
    """Write lines of JSON with these columns as Parquet, and ``more`` columns made of them."""
    typed = ", ".join(f"{name}: '{kind}'" for name, kind in columns.items())
    chosen = ", ".join(["*", *(f"{said} AS {name}" for name, said in (more or {}).items())])
    read = f"read_json({_text(lines)}, format = 'newline_delimited', columns = {{{typed}}})"
    query = f"SELECT {chosen} FROM {read}"  # noqa: S608 - of names that are our own
    database.execute(f"COPY ({query}) TO {_text(to)} (FORMAT parquet, COMPRESSION zstd)")


def _text(path: Path) -> str:
    """A path in SQL."""
    return "'" + str(path).replace("'", "''") + "'"


PARQUET = Exporter("parquet", "what csv has, in typed columns; needs --out and the extra analysis", file=_file)
