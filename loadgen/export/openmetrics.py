"""The text of OpenMetrics 1.0 of a run that has ended. Source: the OpenMetrics specification, "Text format"."""

from __future__ import annotations

from collections.abc import Iterator

from loadgen.export.port import Exporter
from loadgen.export.source import Source
from loadgen.measure.histogram import Histogram
from loadgen.report.families import BOUNDS_S, Family, Point, cumulative, families, of_summary, sum_s
from loadgen.text import foreign


def text(of: Family) -> Iterator[str]:
    """The lines of a family, with their ends."""
    yield f"# HELP {of.name} {of.says}\n# TYPE {of.name} {of.kind}\n"
    if of.unit:
        yield f"# UNIT {of.name} {of.unit}\n"
    for point in of.points:
        yield from _series(of, point)


def _series(of: Family, point: Point) -> Iterator[str]:
    if isinstance(point.value, Histogram):
        counts = cumulative(point.value)
        for bound, n in zip((*map(repr, BOUNDS_S), "+Inf"), counts, strict=True):
            yield f"{of.name}_bucket{_labels({**point.labels, 'le': bound})} {n}\n"
        yield f"{of.name}_count{_labels(point.labels)} {counts[-1]}\n"
        yield f"{of.name}_sum{_labels(point.labels)} {sum_s(point.value)!r}\n"
    else:
        yield f"{of.name}{'_total' if of.kind == 'counter' else ''}{_labels(point.labels)} {point.value}\n"


def _labels(labels: dict[str, str]) -> str:
    said = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{said}}}" if said else ""


def _escaped(value: str) -> str:
    return foreign.line(value).replace("\\", r"\\").replace('"', r"\"")


def _text(source: Source) -> Iterator[str]:
    for family in families(of_summary(source.summary)):
        yield from text(family)
    yield "# EOF\n"


OPENMETRICS = Exporter("openmetrics", "counts and distributions for Prometheus and its like", text=_text)
