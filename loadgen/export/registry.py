"""The formats that there are. A new one is a module beside the others and its line here."""

from __future__ import annotations

from loadgen.export.csv import CSV
from loadgen.export.hgrm import HGRM
from loadgen.export.junit import JUNIT
from loadgen.export.openmetrics import OPENMETRICS
from loadgen.export.parquet import PARQUET
from loadgen.export.port import Exporter

EXPORTERS: dict[str, Exporter] = {each.name: each for each in (CSV, PARQUET, HGRM, OPENMETRICS, JUNIT)}
