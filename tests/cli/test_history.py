from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from loadgen.cli.history import history
from loadgen.history.index import INDEX
from loadgen.measure.summary import Summary, encode
from tests.comparison.runs import scenario
from tests.report.builders import degraded, invalid, valid


def named(summary: Summary, name: str, started_at: str) -> Summary:
    return replace(summary, run=replace(summary.run, name=name, started_at=started_at))


def written(directory: Path, summary: Summary) -> None:
    directory.mkdir()
    (directory / "summary.json").write_bytes(encode(summary))


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Three runs, and what is none."""
    written(tmp_path / "a", named(scenario(valid(), tags={"team": "a"}), "checkout", "2026-11-20T10:00:00Z"))
    written(tmp_path / "b", named(degraded(), "search", "2026-11-22T10:00:00Z"))
    written(tmp_path / "c", named(invalid(), "checkout", "2026-11-21T10:00:00Z"))
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("none")
    return tmp_path


def listed(directory: Path, *options: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(history, ["--dir", str(directory), *options])


def runs(directory: Path, *options: str) -> list[str]:
    result = listed(directory, "--format", "json", *options)
    assert result.exit_code == 0, result.stderr
    return [run["directory"] for run in json.loads(result.stdout)["runs"]]


def test_runs_are_listed_newest_first_in_80_columns(reports: Path) -> None:
    result = listed(reports)
    assert result.exit_code == 0
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["started", "name", "kind", "outcome", "p50", "p99", "rate", "verdict"]
    assert [line.split()[2] for line in lines] == ["search", "checkout", "checkout"]
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_json_has_what_is_shown_and_null_for_what_may_not_be(reports: Path) -> None:
    found = json.loads(listed(reports, "--format", "json").stdout)
    assert found["schema"] == "loadgen.history/1"
    first, second, third = found["runs"]
    assert (first["outcome"], first["verdict"]) == ("interrupted", "degraded")
    assert (second["outcome"], second["p50_ns"]) == ("invalid", None)
    assert (third["outcome"], third["kind"], third["tags"]) == ("passed", "load", {"team": "a"})
    assert third["p50_ns"] > 0
    assert third["rate"] == 200


def test_names_tags_and_a_limit_choose(reports: Path) -> None:
    assert runs(reports, "--name", "checkout") == ["c", "a"]
    assert runs(reports, "--tag", "team=a") == ["a"]
    assert runs(reports, "--tag", "team=b") == []
    assert runs(reports, "--limit", "1") == ["b"]
    assert "2 older ones are left out" in listed(reports, "--limit", "1").stderr
    assert listed(reports, "--tag", "team").exit_code == 2


def test_the_index_is_used_and_follows_what_changes(reports: Path) -> None:
    assert runs(reports) == ["b", "c", "a"]
    assert (reports / INDEX).stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(reports / INDEX) as index:
        assert index.execute("SELECT count(*) FROM runs").fetchone() == (3,)
        index.execute("UPDATE runs SET entry = CAST(replace(CAST(entry AS TEXT), 'search', 'cached') AS BLOB)")
    index.close()
    assert "cached" in listed(reports).stdout
    (reports / "c" / "summary.json").unlink()
    (reports / "c").rmdir()
    written(reports / "d", named(valid(), "new", "2026-11-25T10:00:00Z"))
    (reports / "a" / "summary.json").write_bytes(encode(named(valid(), "renamed", "2026-11-20T10:00:00Z")))
    assert runs(reports) == ["d", "b", "a"]
    assert "renamed" in listed(reports).stdout


@pytest.mark.parametrize(
    "damage",
    [
        lambda index: index.unlink(),
        lambda index: index.write_bytes(b""),
        lambda index: index.write_bytes(b"nonsense" * 1000),
        lambda index: index.write_bytes(index.read_bytes()[:5000]),
        lambda index: index.write_bytes(index.read_bytes()[:200] + b"\xff" * 9000),
        lambda index: _executed(index, "PRAGMA user_version = 99"),
        lambda index: _executed(index, "DROP TABLE runs"),
        lambda index: _executed(index, "UPDATE runs SET entry = 5"),
        lambda index: _executed(index, "UPDATE runs SET entry = x'7b7d'"),
    ],
    ids=[
        "missing",
        "empty",
        "nonsense",
        "cut short",
        "overwritten",
        "newer",
        "no table",
        "other types",
        "other entries",
    ],
)
def test_an_index_that_is_not_as_it_should_be_is_made_anew(reports: Path, damage) -> None:  # type: ignore[no-untyped-def]
    before = runs(reports)
    damage(reports / INDEX)
    assert runs(reports) == before
    assert listed(reports).stderr == ""
    with sqlite3.connect(reports / INDEX) as index:
        assert index.execute("SELECT count(*) FROM runs").fetchone() == (3,)
    index.close()


def _executed(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as index:
        index.execute(statement)
    index.close()


@pytest.mark.parametrize("mode", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_locked_index_is_done_without(reports: Path, mode: str) -> None:
    before = runs(reports)
    written(reports / "d", named(valid(), "new", "2026-11-25T10:00:00Z"))
    index = sqlite3.connect(reports / INDEX, isolation_level=None)
    index.execute(f"BEGIN {mode}")
    try:
        assert runs(reports) == ["d", *before]
        assert "locked" in listed(reports).stderr
    finally:
        index.close()


def test_an_index_that_is_a_directory_or_a_link_is_done_without(reports: Path) -> None:
    (reports / INDEX).mkdir()
    assert runs(reports) == ["b", "c", "a"]
    (reports / INDEX).rmdir()
    elsewhere = reports.parent / "elsewhere"
    elsewhere.write_text("precious")
    (reports / INDEX).symlink_to(elsewhere)
    assert runs(reports) == ["b", "c", "a"]
    assert elsewhere.read_text() == "precious"


def test_listings_side_by_side_while_the_index_is_deleted_agree(reports: Path) -> None:
    found: list[list[str]] = []

    def look() -> None:
        from loadgen.cli.history import entry
        from loadgen.history.index import listing

        for _ in range(10):
            found.append([each.directory for each in listing(reports, entry).entries])
            (reports / INDEX).unlink(missing_ok=True)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 30
    assert all(each == ["b", "c", "a"] for each in found)


def test_a_run_that_is_not_over_and_one_that_cannot_be_read_are_listed_with_the_reason(reports: Path) -> None:
    (reports / "checkout-20261130T000000Z").mkdir()
    (reports / "checkout-20261130T000000Z" / "intervals.hlog").write_text("")
    (reports / "e").mkdir()
    (reports / "e" / "summary.json").write_text("{")
    found = {run["directory"]: run for run in json.loads(listed(reports, "--format", "json").stdout)["runs"]}
    assert found["checkout-20261130T000000Z"]["outcome"] == "unfinished"
    assert found["e"]["outcome"] == "unreadable"
    assert "is not a loadgen.summary/1 file" in found["e"]["why"]
    assert "checkout-20261130T000000Z" in runs(reports, "--name", "checkout")
    shown = listed(reports).stdout
    assert "it is not over, or was cut short" in " ".join(shown.split())


def test_names_of_ten_thousand_characters_are_cut(reports: Path) -> None:
    written(reports / "l", named(valid(), "n\x1b" * 5_000, "2026-11-26T10:00:00Z"))
    result = listed(reports)
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "\x1b" not in result.stdout


def test_no_directory_is_a_usage_error_and_an_empty_one_has_no_runs(tmp_path: Path) -> None:
    assert listed(tmp_path / "none").exit_code == 2
    result = listed(tmp_path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no run in" in result.stderr


def test_without_reports_it_is_said_how_to_get_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(history, [])
    assert result.exit_code == 2
    assert "run a scenario first" in result.stderr
