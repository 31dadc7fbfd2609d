"""What an exporter reads of a run: its Summary, and the samples that it kept, one after another."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_type_hints

import msgspec

from loadgen.history.rundir import SAMPLES, RunDirectoryError, read_summary, read_summary_file
from loadgen.invocation.sample import Sample
from loadgen.measure.summary import Summary
from loadgen.text import file, foreign

Of = Literal["samples", "figures"]
DERIVED = ("latency_ns", "service_time_ns", "lag_ns")
"""What is exported of a sample beyond what its line says."""
_LONGEST_LINE = 2**20


class ExportError(Exception):
    """A run cannot be exported so. The message is one line: what was seen and what to do."""


_HINTS = get_type_hints(Sample)
Row: Any = msgspec.defstruct(
    "Row", [(name, _HINTS[name] | None, None) for name in Sample.__struct_fields__], frozen=True, gc=False
)
"""A line of samples.ndjson as any version wrote it: what an older one did not know is None."""
COLUMNS: dict[str, type] = {
    name: next(
        (kind for kind in (bool, int, str) if kind in (_HINTS[name], *getattr(_HINTS[name], "__args__", ()))), str
    )
    for name in Sample.__struct_fields__
}
"""The fields of a sample, and what each of them is; all may be None."""


class Source:
    """The run directory, or the summary.json, at ``path``. What changes: ``notes``, what a user has to know besides."""

    def __init__(self, path: Path, of: Of | None = None) -> None:
        self.path = path
        self.notes: list[str] = []
        self._of = of

    @cached_property
    def summary(self) -> Summary:
        """Its Summary. Raises RunDirectoryError."""
        if file.there(self.path) and not os.path.isdir(self.path):  # noqa: PTH112  Path's raises OSError for some names
            return read_summary_file(self.path)
        return read_summary(self.path)

    @cached_property
    def of(self) -> Of:
        """What is exported where there is a choice: what was asked for, else samples where the run kept any.

        Raises ExportError where samples were asked for that are not there.
        """
        kept = file.there(self.samples)
        if self._of == "samples" and not kept:
            raise ExportError(
                f"{self.path} holds no {SAMPLES}: the scenario did not ask for samples (samples: all, or a share such "
                "as 1%); --of figures exports what the run measured"
            )
        return self._of or ("samples" if kept else "figures")

    @property
    def samples(self) -> Path:
        """Where they are, if there are any."""
        return self.path / SAMPLES

    def lines(self) -> Iterator[bytes]:
        """The lines of the samples, with their ends, one in memory at a time.

        What a crash tore off the end is left out, and noted. Raises RunDirectoryError where it is no such file.
        """
        number = 0
        try:
            with file.opened(self.samples) as compressed, gzip.GzipFile(fileobj=compressed) as samples:
                while line := samples.readline(_LONGEST_LINE + 1):
                    number += 1
                    if len(line) > _LONGEST_LINE:
                        raise RunDirectoryError(
                            f"{self.samples}: line {number} has more than {_LONGEST_LINE >> 20} MiB"
                        )
                    yield line
        except EOFError:
            self.notes.append(
                f"{self.samples} ends in the middle, as the run was cut short: exported are the {number} samples before"
            )
        except (OSError, zlib.error) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise RunDirectoryError(f"cannot read {self.samples}: {why}") from error

    def rows(self) -> Iterator[Any]:
        """The samples as ``Row``. Raises RunDirectoryError, see ``lines``, also for a line that is no sample."""
        decoder = msgspec.json.Decoder(Row)
        for number, line in enumerate(self.lines(), start=1):
            try:
                yield decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                why = foreign.unquoted(str(error))
                raise RunDirectoryError(f"{self.samples}: line {number} is no sample: {why}") from error


def derived(row: Any) -> tuple[int | None, int | None, int | None]:
    """``DERIVED`` of a row, by the definitions of ``Sample``; None where instants are missing."""
    if row.intended_ns is None or row.ended_ns is None:
        return None, None, None
    began_ns = row.ended_ns if row.started_ns is None else row.started_ns
    latency_ns = row.ended_ns - row.intended_ns
    return latency_ns, latency_ns if row.started_ns is None else row.ended_ns - began_ns, began_ns - row.intended_ns
