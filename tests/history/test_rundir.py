from __future__ import annotations

import errno
import gzip
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.history import rundir
from loadgen.history.journal import bodies
from loadgen.history.rundir import KNOWN, RunDirectory, RunDirectoryError, default_path, read_intervals, read_summary
from loadgen.invocation.sample import Sample
from loadgen.measure.summary import encode
from tests import frames
from tests.report.builders import valid


def sample(index: int) -> Sample:
    at_ns = index * 1000
    instants = {"intended_ns": at_ns, "started_ns": at_ns + 7, "ended_ns": at_ns + 900}
    return frames.sample(index=index, request_id=f"request-{index}", **instants)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let writing past ``size`` fail (EFBIG), as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_keeps_no_modes_takes_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fchmod", refuse)
    monkeypatch.setattr(os, "chmod", refuse)
    directory = RunDirectory.create(tmp_path / "run")
    directory.write_summary(encode(valid()))
    directory.append_samples([sample(0)])
    directory.close()
    assert read_summary(tmp_path / "run") == valid()
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "run", *(tmp_path / "run").iterdir())}
    assert modes == {0}, "they were made so"


def test_another_fault_of_the_modes_is_still_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(RunDirectoryError, match="cannot write a run"):
        RunDirectory.create(tmp_path / "run")


def test_create_makes_parents_and_leaves_no_probe(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "a" / "b")
    directory.close()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["intervals.hlog"]


def test_an_existing_directory_with_other_files_is_accepted_and_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    tmp_path.chmod(0o750)
    RunDirectory.create(tmp_path).close()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert tmp_path.stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "intervals.hlog").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", KNOWN)
def test_a_directory_that_holds_a_run_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("earlier")
    with pytest.raises(RunDirectoryError, match=f"already holds a run.*{name}.*--out"):
        RunDirectory.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_path_below_a_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match=r"cannot write a run to .*Not a directory; give --out"):
        RunDirectory.create(tmp_path / "file" / "run")


def test_interval_lines_are_on_disk_after_every_call_with_one_line_end_each(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path)
    directory.append_interval_lines(["one", "two\n"])
    assert (tmp_path / "intervals.hlog").read_bytes() == b"one\ntwo\n"
    directory.append_interval_lines(["three"])
    assert list(read_intervals(tmp_path)) == ["one\n", "two\n", "three\n"]
    directory.close()
    directory.close()


def test_samples_are_readable_gzip_ndjson_after_every_call(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path)
    directory.append_samples([])
    assert not (tmp_path / "samples.ndjson.gz").exists()
    kept: list[Sample] = []
    for batch in ([sample(0), sample(1)], [sample(2)]):
        directory.append_samples(batch)
        kept += batch
        text = gzip.decompress((tmp_path / "samples.ndjson.gz").read_bytes())
        assert [msgspec.json.decode(line, type=Sample) for line in text.splitlines()] == kept
    directory.close()


def test_a_sample_line_has_every_field_also_the_unknown_ones(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path)
    directory.append_samples([sample(0)])
    directory.close()
    line = msgspec.json.decode(gzip.decompress((tmp_path / "samples.ndjson.gz").read_bytes()))
    assert list(line) == list(Sample.__struct_fields__)


def test_an_append_that_fails_is_taken_back_and_says_what_was_kept(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path)
    directory.append_interval_lines(["a" * 40])
    with largest_file(60), pytest.raises(RunDirectoryError, match=r"intervals\.hlog: .*Kept.*intervals\.hlog"):
        directory.append_interval_lines(["b" * 40])
    assert list(read_intervals(tmp_path)) == ["a" * 40 + "\n"]
    directory.append_interval_lines(["c"])
    assert list(read_intervals(tmp_path)) == ["a" * 40 + "\n", "c\n"]
    directory.close()


def test_a_full_disk_names_the_file_and_asks_for_space(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path)
    with largest_file(20), pytest.raises(RunDirectoryError, match=r"samples\.ndjson\.gz: File too large; free space"):
        directory.append_samples([sample(0)])
    with largest_file(20), pytest.raises(RunDirectoryError, match=r"frames\.journal: File too large; free space"):
        directory.append_record(b"x" * 100)
    directory.close()


def test_a_final_file_that_cannot_be_written_whole_leaves_the_earlier_one(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path)
    directory.write_report("report.md", "first")
    with largest_file(60), pytest.raises(RunDirectoryError, match=r"report\.md"):
        directory.write_report("report.md", "x" * 100)
    assert (tmp_path / "report.md").read_text() == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["intervals.hlog", "report.md"]
    directory.close()


def test_final_files_are_written_as_given(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path)
    directory.write_scenario("name: grün\n")
    directory.write_summary(b"{}")
    assert (tmp_path / "scenario.yaml").read_text(encoding="utf-8") == "name: grün\n"
    assert (tmp_path / "summary.json").read_bytes() == b"{}"
    assert directory.truth_path == tmp_path / "truth.ndjson"
    directory.close()


def test_a_torn_last_interval_line_can_be_told_by_its_missing_end(tmp_path: Path) -> None:
    (tmp_path / "intervals.hlog").write_bytes(b"whole\nto")
    assert list(read_intervals(tmp_path)) == ["whole\n", "to"]


def test_no_intervals_file_gives_no_lines(tmp_path: Path) -> None:
    assert list(read_intervals(tmp_path)) == []


def test_intervals_that_are_not_text_are_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "intervals.hlog").write_bytes(b"\xff\xfe\n")
    with pytest.raises(RunDirectoryError, match="is not a histogram log"):
        list(read_intervals(tmp_path))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "is not a directory"),
        ({}, r"not the directory of a finished run: cannot read summary\.json: No such file"),
        ({"intervals.hlog": b""}, "cut short"),
        ({"summary.json": b"{}"}, r"not a loadgen\.summary/1 file"),
        ({"summary.json": b"\xff"}, r"not a loadgen\.summary/1 file"),
        ({"summary.json": b'{"schema": "loadgen.summary/2"}'}, "another version"),
    ],
)
def test_what_is_not_a_finished_run_is_an_error_of_one_line(
    tmp_path: Path, files: dict[str, bytes] | None, message: str
) -> None:
    path = tmp_path / "run"
    if files is not None:
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
    with pytest.raises(RunDirectoryError, match=message) as caught:
        read_summary(path)
    assert "\n" not in str(caught.value)


def test_the_default_path_is_named_after_the_scenario_and_the_time_in_utc() -> None:
    at = datetime(2026, 11, 22, 4, 15, 0, tzinfo=timezone(timedelta(hours=1)))
    assert default_path("warm-latency", at) == Path("reports/warm-latency-20261122T031500Z")


@given(st.text(max_size=40))
def test_no_scenario_name_leads_out_of_reports(name: str) -> None:
    path = default_path(name, datetime(2026, 1, 1, tzinfo=UTC))
    assert path.parent == Path("reports")
    assert not path.name.startswith((".", "-"))
    assert os.fspath(path).isascii()


def test_every_file_of_a_run_is_known() -> None:
    assert {rundir.SCENARIO, rundir.ENVIRONMENT, rundir.SUMMARY, rundir.INTERVALS, rundir.SAMPLES} <= set(KNOWN)


def test_a_directory_whose_name_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="its name is not UTF-8; give --out another name"):
        RunDirectory.create(tmp_path / os.fsdecode(b"\xff"))


def test_a_summary_nested_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"scenario": ' + "[" * 100_000)
    with pytest.raises(RunDirectoryError, match=r"is not a loadgen\.summary/1 file"):
        read_summary(tmp_path)


def test_a_run_that_did_not_begin_leaves_no_directory_and_nothing_of_others_is_removed(tmp_path: Path) -> None:
    gone = RunDirectory.create(tmp_path / "a" / "run")
    gone.write_scenario("name: x")
    gone.discard()
    assert not (tmp_path / "a" / "run").exists()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    kept = RunDirectory.create(tmp_path / "b")
    kept.write_scenario("name: x")
    kept.discard()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["notes.txt"]


def test_a_second_run_within_a_second_gets_a_directory_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    paths = []
    for _ in range(3):
        paths.append(default_path("x", at))
        RunDirectory.create(paths[-1]).close()
    assert [path.name for path in paths] == ["x-20260102T030405Z", "x-20260102T030405Z-2", "x-20260102T030405Z-3"]


def test_json_is_printable_and_secrets_are_masked_in_every_text_of_a_sample(tmp_path: Path) -> None:
    hostile = "\x9b31m\u202e\x7f SECRET"
    directory = RunDirectory.create(tmp_path / "run", lambda text: text.replace("SECRET", "***"))
    directory.write_environment(msgspec.structs.replace(valid().environment, cpu_model=hostile))
    texts = {"phase": hostile, "error_code": hostile, "request_id": hostile, "instance": hostile}
    directory.append_samples([msgspec.structs.replace(sample(1), **texts)])
    directory.close()
    machine = (tmp_path / "run" / "environment.json").read_text()
    written = gzip.decompress((tmp_path / "run" / "samples.ndjson.gz").read_bytes()).decode()
    assert all(c == "\n" or c.isprintable() for c in machine + written)
    assert msgspec.json.decode(machine)["cpu_model"] == hostile
    assert set(texts.items()) <= {(k, v.replace("***", "SECRET")) for k, v in json.loads(written).items() if k in texts}
    assert "SECRET" not in written


@pytest.mark.parametrize("name", ["summary.json", "intervals.hlog"])
def test_only_regular_files_of_a_run_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "summary.json").write_bytes(encode(valid()))
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(RunDirectoryError, match="it is a pipe, no regular file"):
        _ = read_summary(tmp_path), list(read_intervals(tmp_path))


@pytest.mark.parametrize("name", ["samples.ndjson.gz", "frames.journal", ".summary.json.tmp", ".report.md.tmp"])
def test_a_link_that_somebody_put_into_the_directory_is_not_written_through(tmp_path: Path, name: str) -> None:
    """In a directory of others they may put links to what only the user of the run may write."""
    mine = tmp_path / "mine"
    mine.write_text("precious")
    run = tmp_path / "run"
    run.mkdir()
    directory = RunDirectory.create(run)
    (run / name).symlink_to(mine)
    try:
        directory.append_samples([frames.sample()])
        directory.append_record(b"record")
        directory.write_summary(b"{}")
        directory.write_report("report.md", "text")
    except RunDirectoryError as error:
        assert f"cannot write {run / name}: File exists" in str(error)  # noqa: PT017  only some are in the way
    directory.close()
    assert mine.read_text() == "precious"


def test_a_journal_is_its_owners_and_goes_when_there_is_a_summary(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run")
    first = directory.append_record(b"one")
    assert directory.append_record(b"two") > first
    kept = tmp_path / "run" / "frames.journal"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert list(bodies(kept.read_bytes())) == [b"one", b"two"]
    directory.rewrite_journal(lambda held: [b"sum of %d" % len(list(bodies(held)))])
    directory.append_record(b"three")
    assert list(bodies(kept.read_bytes())) == [b"sum of 2", b"three"]
    assert kept.stat().st_mode & 0o777 == 0o600
    directory.write_summary(b"{}")
    directory.close()
    assert not kept.exists()
