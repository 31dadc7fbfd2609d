"""``loadgen export``: what other programs read of a run."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from click.testing import CliRunner, Result
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from loadgen.cli.export import export
from loadgen.export.registry import EXPORTERS
from loadgen.export.source import Source
from loadgen.history.rundir import SAMPLES
from loadgen.invocation.sample import Sample
from loadgen.measure.summary import Summary, encode
from loadgen.report.junit import junit
from tests.frames import sample
from tests.report.builders import empty, invalid, ranged, valid

TEXTS = [name for name, each in EXPORTERS.items() if each.text is not None]


def kept(run: Path, samples: Iterable[Sample]) -> None:
    """Samples, written as a run does: in members of their own."""
    with (run / SAMPLES).open("ab") as file:
        for each in samples:
            file.write(gzip.compress(msgspec.json.encode(each) + b"\n", 1, mtime=0))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The directory of a finished run, whose name is hostile."""
    return written(tmp_path / "a [run]*'s directory", valid())


def written(directory: Path, summary: Summary) -> Path:
    directory.mkdir()
    (directory / "summary.json").write_bytes(encode(summary))
    return directory


def exported(run: Path, form: str, *options: str) -> Result:
    result = CliRunner().invoke(export, [str(run), "--to", form, *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def packed(*lines: bytes) -> bytes:
    return gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def figure(of: list[dict[str, Any]], **address: str) -> dict[str, Any]:
    (found,) = (row for row in of if all(row[name] == value for name, value in address.items()))
    return found


LATENCY_P99 = {"phase": "totals", "start": "any", "metric": "latency", "statistic": "p99"}


def test_a_run_without_samples_is_exported_as_its_figures_with_their_intervals(run: Path) -> None:
    result = exported(run, "csv")
    assert result.stderr == "exported: figures\n"
    p99 = next(each for each in valid().totals.metrics["latency"].percentiles if each.p == 99)
    found = figure(rows(result.stdout), **LATENCY_P99, outcome="ok")
    assert [found[name] for name in ("value", "low", "high", "unit", "note")] == [
        *map(str, (p99.value, p99.low, p99.high)), "ns", ""
    ]  # fmt: skip


def test_a_figure_that_may_not_be_shown_has_no_value_and_a_note_that_says_why(tmp_path: Path) -> None:
    found = figure(rows(exported(written(tmp_path / "run", invalid()), "csv").stdout), **LATENCY_P99, outcome="ok")
    assert (found["value"], found["low"], found["high"]) == ("", "", "")
    assert found["note"].startswith("Withheld by")


def test_a_figure_that_the_generator_left_open_has_its_ends_and_no_value(tmp_path: Path) -> None:
    found = rows(exported(written(tmp_path / "run", ranged()), "csv").stdout)
    open_ones = [row for row in found if row["note"].startswith("a range")]
    assert open_ones
    assert all(row["value"] == "" and row["low_end"] for row in open_ones)


def test_samples_are_exported_where_the_run_kept_any_each_with_its_latency(run: Path) -> None:
    made = [sample(index=n, intended_ns=n, started_ns=None if n == 1 else n + 5, ended_ns=n + 100) for n in range(3)]
    kept(run, made)
    result = exported(run, "csv")
    assert result.stderr == "exported: samples\n"
    found = rows(result.stdout)
    assert [int(row["index"]) for row in found] == [0, 1, 2]
    for row, each in zip(found, made, strict=True):
        assert [int(row[name]) for name in ("latency_ns", "service_time_ns", "lag_ns")] == [
            each.latency_ns, each.service_time_ns, each.lag_ns
        ]  # fmt: skip
    assert found[1]["started_ns"] == ""


def test_a_text_from_outside_is_neither_a_formula_nor_more_than_one_line_of_csv(run: Path) -> None:
    kept(run, [sample(request_id='=HYPERLINK("https://evil.example")', error_code="a\nb\x1b[31m")])
    (row,) = rows(exported(run, "csv").stdout)
    assert row["request_id"] == '\'=HYPERLINK("https://evil.example")'
    assert row["error_code"] == r"a\nb\x1b[31m"


def test_parquet_has_typed_columns_that_are_the_samples(run: Path, tmp_path: Path) -> None:
    kept(run, [sample(index=n, intended_ns=n, ended_ns=n + 100, disturbed=n == 1) for n in range(3)])
    out = tmp_path / "it's.parquet"
    assert exported(run, "parquet", "--out", str(out)).exit_code == 0
    table = duckdb.read_parquet(str(out))
    kinds = dict(zip(table.columns, map(str, table.types), strict=True))
    assert (kinds["index"], kinds["outcome"], kinds["disturbed"]) == ("BIGINT", "VARCHAR", "BOOLEAN")
    found = table.project("index, disturbed, latency_ns, status, duration_ns").fetchall()
    assert found == [(0, False, 100, 200, None), (1, True, 100, 200, None), (2, False, 100, 200, None)]


def test_parquet_of_figures_has_what_csv_has(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures.parquet"
    assert exported(run, "parquet", "--out", str(out)).exit_code == 0
    table = duckdb.read_parquet(str(out)).fetchall()
    texts = [["" if value is None else value for value in row] for row in table]
    plain = [list(row.values()) for row in rows(exported(run, "csv").stdout)]
    assert [[float(cell) if isinstance(cell, float) else str(cell) for cell in row] for row in texts] == [
        [float(said) if isinstance(cell, float) else said for cell, said in zip(row, each, strict=True)]
        for row, each in zip(texts, plain, strict=True)
    ]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_samples_that_a_crash_tore_are_exported_as_far_as_they_are_whole(run: Path, tmp_path: Path, form: str) -> None:
    (run / "summary.json").unlink()
    kept(run, [sample(index=n) for n in range(100)])
    torn = (run / SAMPLES).read_bytes()
    (run / SAMPLES).write_bytes(torn[:-20])
    out = tmp_path / "out"
    result = exported(run, form, "--out", str(out))
    assert result.exit_code == 0
    assert result.stderr.count("99 samples") == 1
    count = len(rows(out.read_text())) if form == "csv" else len(duckdb.read_parquet(str(out)).fetchall())
    assert count == 99
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([run.name, "out"])


def test_a_days_samples_are_never_in_memory_together(tmp_path: Path) -> None:
    many = b"".join(msgspec.json.encode(sample(index=n, request_id="r" * 900)) + b"\n" for n in range(6_000))
    (tmp_path / SAMPLES).write_bytes(gzip.compress(many, 1))
    text = EXPORTERS["csv"].text
    assert text is not None
    tracemalloc.start()
    try:
        length = sum(map(len, text(Source(tmp_path))))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length > 6_000_000
    assert peak < length / 2


def test_openmetrics_is_read_by_the_reference_parser_and_has_the_counts_of_the_summary(run: Path) -> None:
    text = exported(run, "openmetrics").stdout
    assert text.endswith("# EOF\n")
    families = {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    ended = {
        (each.labels["phase"], each.labels["outcome"]): each.value for each in families["loadgen_invocations"].samples
    }
    assert ended == {(phase.name, outcome): n for phase in valid().phases for outcome, n in phase.outcomes.items()}
    latency = families["loadgen_latency_seconds"]
    assert latency.unit == "seconds"
    counts = [each.value for each in latency.samples if each.name.endswith("_count") and each.labels["outcome"] == "ok"]
    assert counts == [phase.outcomes["ok"] for phase in valid().phases]


def test_junit_is_that_of_the_run(run: Path) -> None:
    assert exported(run, "junit").stdout == junit(valid())


def test_a_run_in_which_no_call_was_ok_has_an_export_in_every_format(tmp_path: Path) -> None:
    run = written(tmp_path / "run", empty())
    for form in EXPORTERS:
        assert exported(run, form, "--out", str(tmp_path / form)).exit_code == 0, form


@pytest.mark.parametrize("form", TEXTS)
def test_what_goes_to_a_file_is_what_goes_to_stdout(run: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    exported(run, form, "--out", str(out))
    assert out.read_text() == exported(run, form).stdout


def test_the_committed_example_which_an_older_version_wrote_is_exported() -> None:
    example = Path(__file__).parents[2] / "reports" / "example-quickstart"
    for form in TEXTS:
        assert exported(example, form).exit_code == 0, form


def test_an_older_summary_without_start_labels_has_its_latency_in_openmetrics(tmp_path: Path) -> None:
    plain = json.loads(encode(valid()))
    for phase in (*plain["phases"], plain["totals"]):
        phase["by_start"] = {}
        for name in ("disturbed", "unstamped", "workers", "in_flight_mean", "by_call"):
            phase.pop(name, None)
    (tmp_path / "summary.json").write_text(json.dumps(plain))
    result = exported(tmp_path / "summary.json", "openmetrics")
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    assert f'start="unknown",outcome="ok"}} {valid().phases[-1].outcomes["ok"]}' in text


@pytest.mark.parametrize(
    ("form", "name", "content", "message"),
    [
        *(pytest.param(form, "summary.json", b"{", "summary.json is not", id=f"{form}-cut") for form in TEXTS),
        pytest.param("hgrm", "summary.json", "blob", "something that no loadgen writes", id="hgrm-blob"),
        pytest.param("openmetrics", "summary.json", "blob", "something that no loadgen writes", id="openmetrics-blob"),
        pytest.param("csv", SAMPLES, b"no gzip", "cannot read", id="csv-no-gzip"),
        pytest.param("csv", SAMPLES, packed(b'{"index": "one"}'), "line 1 is no sample", id="csv-type"),
        pytest.param("csv", SAMPLES, packed(b'{"index": 1}', b"\xff"), "line 2 is no sample", id="csv-utf-8"),
        pytest.param("csv", SAMPLES, packed(b"[" * 2**20), "line 1 has more than 1 MiB", id="csv-long"),
        pytest.param("parquet", SAMPLES, b"no gzip", "cannot read", id="parquet-no-gzip"),
        pytest.param("parquet", SAMPLES, packed(b"[]"), "line 1 is no sample", id="parquet-list"),
        pytest.param(
            "parquet", SAMPLES, packed(b'{"index": 1}', b'{"index": "one"}'), "cannot write", id="parquet-type"
        ),
    ],
)
def test_what_no_run_leaves_is_said_and_leaves_no_file(
    run: Path, tmp_path: Path, form: str, name: str, content: bytes | str, message: str
) -> None:
    if content == "blob":
        (blob,) = {valid().totals.metrics["latency"].histogram}
        content = encode(valid()).replace(blob.encode(), b"HISTogram")
    assert isinstance(content, bytes)
    (run / name).write_bytes(content)
    out = tmp_path / "out"
    result = exported(run, form, "--out", str(out))
    assert result.exit_code == 2
    assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [run.name]


def test_what_is_asked_for_and_cannot_be_had_is_refused_with_the_remedy(run: Path, tmp_path: Path) -> None:
    for form, options, remedy in (
        ("parquet", [], "needs --out"),
        ("csv", ["--of", "samples"], "samples: all"),
        ("hgrm", ["--of", "samples"], "for csv and parquet"),
        ("csv", ["--out", str(tmp_path)], "give another name"),
    ):
        result = exported(run, form, *options)
        assert (result.exit_code, remedy in result.stderr) == (2, True), result.stderr
    assert exported(tmp_path / "none", "csv").exit_code == 2


def test_parquet_without_its_extra_says_what_to_install(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    result = exported(run, "parquet", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "pip install 'loadgen[analysis]'" in result.stderr
