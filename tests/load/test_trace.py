from __future__ import annotations

from array import array
from itertools import pairwise
from pathlib import Path
from random import Random

import msgspec
import pytest
from scipy.stats import kstest

from loadgen.load.phase import Phase
from loadgen.load.trace import Trace, TraceFormat, Wanted, chance_of, read_trace
from loadgen.text.fault import ScenarioError

S = 1_000_000_000
MINUTES = [str(minute) for minute in range(1, 1441)]
ALL = Wanted("trace.csv", TraceFormat.AZURE_2019, 120 * S, 1)


def line_2019(function: str, trigger: str, counts: dict[int, int]) -> str:
    cells = [str(counts.get(minute, 0)) for minute in range(1, 1441)]
    return ",".join(("owner", "app", function, trigger, *cells))


def day(path: Path, *lines: str) -> Path:
    path.write_text("\n".join((",".join(("HashOwner", "HashApp", "HashFunction", "Trigger", *MINUTES)), *lines)) + "\n")
    return path


def wanted(**changes: object) -> Wanted:
    return msgspec.structs.replace(ALL, **changes)


def exact(trace: Trace) -> list[float]:
    return [start / S for start in array("q", trace.starts)]


def phase(trace: Trace, seconds: int) -> Phase:
    return Phase("replay", trace, seconds * S)


def starts(trace: Trace, seconds: int, seed: int = 1) -> list[float]:
    return [offset / S for offset in phase(trace, seconds).offsets(seed)]


def test_counts_of_a_minute_are_made_in_that_minute_and_all_of_them(tmp_path: Path) -> None:
    path = day(tmp_path / "d.csv", line_2019("f", "http", {1: 30, 2: 5, 3: 99}), line_2019("g", "queue", {2: 7}))
    trace = read_trace(path, ALL)
    found = starts(trace, 120)
    assert (sum(at < 60 for at in found), sum(60 <= at < 120 for at in found)) == (30, 12)
    assert len(found) == phase(trace, 120).expected() == 42
    assert found == sorted(found)
    assert phase(trace, 120).peak_rate() == 30 / 60


def test_one_function_may_be_taken_alone_by_its_name_or_with_its_app(tmp_path: Path) -> None:
    path = day(tmp_path / "d.csv", line_2019("f", "http", {1: 30}), line_2019("g", "queue", {1: 7}))
    for name in ("g", "app/g"):
        assert read_trace(path, wanted(function=name)).counts == (7, 0)


def test_within_a_minute_arrivals_are_those_of_a_poisson_process_given_their_number(tmp_path: Path) -> None:
    trace = read_trace(day(tmp_path / "d.csv", line_2019("f", "http", {1: 5000})), wanted(span_ns=60 * S))
    assert kstest([at / 60 for at in starts(trace, 60)], "uniform").pvalue > 0.001


def test_a_timer_is_even_and_not_at_the_beginning_of_the_minute(tmp_path: Path) -> None:
    path = day(tmp_path / "d.csv", line_2019("f", "timer", {1: 4, 2: 4}), line_2019("g", "timer", {1: 1}))
    trace = read_trace(path, ALL)
    assert trace.counts == (0, 0)
    ticks = starts(read_trace(path, wanted(function="f")), 120)
    assert [round(b - a, 6) for a, b in pairwise(ticks)] == [15.0] * 7
    (other,) = exact(read_trace(path, wanted(function="g")))
    assert 0 < ticks[0] < 15
    assert other % 15 != pytest.approx(ticks[0])


def test_a_stretch_begins_where_it_is_told_and_passes_as_fast_as_it_is_told(tmp_path: Path) -> None:
    path = day(tmp_path / "d.csv", line_2019("f", "http", {11: 60, 12: 30}), line_2019("t", "timer", {11: 2}))
    trace = read_trace(path, wanted(from_ns=600 * S, span_ns=120 * S, speed=60.0))
    found = starts(trace, 2)
    assert (sum(at < 1 for at in found), sum(1 <= at < 2 for at in found)) == (62, 30)


def test_part_of_a_minute_has_part_of_its_calls(tmp_path: Path) -> None:
    trace = read_trace(day(tmp_path / "d.csv", line_2019("f", "http", {1: 6000})), wanted(span_ns=15 * S))
    assert sum(trace.counts) == pytest.approx(1500, rel=0.1)
    assert max(starts(trace, 15)) < 15


def test_a_larger_share_keeps_the_calls_of_a_smaller_one(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("app,func,end_timestamp,duration\n" + "".join(f"a,f,{n / 10 + 1},1\n" for n in range(1000)))
    kept = [
        set(exact(read_trace(path, wanted(format=TraceFormat.AZURE_2021, keep=share)))) for share in (0.1, 0.5, 1.0)
    ]
    assert kept[0] < kept[1] < kept[2]
    assert len(kept[0]) == pytest.approx(100, abs=40)


def test_single_calls_start_when_they_ended_less_what_they_took_in_whatever_order_they_are_listed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("app,func,end_timestamp,duration\na,f,10.5,0.5\nb,f,11,9\na,g,12,1.5\na,f,500,1\n")
    calls = wanted(format=TraceFormat.AZURE_2021)
    assert exact(read_trace(path, calls)) == [2.0, 10.0, 10.5]
    assert exact(read_trace(path, msgspec.structs.replace(calls, function="a/f"))) == [10.0]
    assert exact(read_trace(path, msgspec.structs.replace(calls, function="f"))) == [2.0, 10.0]
    assert exact(read_trace(path, msgspec.structs.replace(calls, from_ns=5 * S, span_ns=10 * S, speed=2.0))) == [
        2.5,
        2.75,
    ]


@pytest.mark.parametrize(
    ("layout", "step"), [(TraceFormat.HUAWEI_MINUTE, 60), (TraceFormat.HUAWEI_SECOND, 1)], ids=lambda value: str(value)
)
def test_a_column_for_each_function_holds_its_calls_and_nothing_where_there_are_no_data(
    tmp_path: Path, layout: TraceFormat, step: int
) -> None:
    path = tmp_path / "day_000.csv"
    path.write_text(f"day,time,0,1,2\n3,86400,1,,2.0\n3,{86400 + step},,4,\n3,{86400 + 2 * step},9,9,9\n")
    counts = wanted(format=layout, span_ns=2 * step * S)
    assert read_trace(path, counts).counts == (3, 4)
    assert read_trace(path, msgspec.structs.replace(counts, function="2")).counts == (2, 0)


def test_requests_of_a_day_begin_with_the_first_of_them(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv"
    path.write_text(
        "time_worker,time_frontend,funcName,totalCost_frontend\n1,1001.5,f,0.5\n1,1000.25,g,0.25\n1,1003,f,1\n"
    )
    requests = wanted(format=TraceFormat.HUAWEI_REQUESTS)
    assert exact(read_trace(path, requests)) == [0.0, 1.0, 2.0]
    assert exact(read_trace(path, msgspec.structs.replace(requests, function="f"))) == [1.0, 2.0]


def test_the_same_seed_gives_the_same_arrivals_and_another_one_others(tmp_path: Path) -> None:
    path = day(tmp_path / "d.csv", line_2019("f", "http", {1: 50}), line_2019("t", "timer", {1: 3}))
    once, again, other = (read_trace(path, wanted(seed=seed)) for seed in (1, 1, 2))
    assert once == again
    assert starts(once, 120) == starts(again, 120)
    assert starts(once, 120, seed=2) != starts(once, 120)
    assert exact(other) != exact(once)


@pytest.mark.parametrize(
    ("text", "layout", "fault"),
    [
        ("", "azure-2021", "bad.csv:1:1: got an empty file, expected a header line"),
        ("a,b\n", "azure-2021", "bad.csv:1:1: no column app, which azure-2021 has"),
        (
            "app,func,end_timestamp,duration\na,f,1,1\na,f,soon,1\n",
            "azure-2021",
            "bad.csv:3:1: column 3 holds something else, expected a number of seconds",
        ),
        ("app,func,end_timestamp,duration\na,f,1\n", "azure-2021", "bad.csv:2:1: got 3 columns, expected 4"),
        (
            "day,time,0\n0,0,2.5\n",
            "huawei-minute",
            "bad.csv:2:1: column 3 holds something else, expected a number of calls",
        ),
        ("day,time,0\n0,0,-1\n", "huawei-minute", "column 3 holds something else"),
        ("day,time,0\n0,0,0\n", "huawei-minute", "there is no call in this stretch of it"),
        ("day,time,0\n0,0,nan\n", "huawei-second", "column 3 holds something else"),
        ('day,time,0\n0,"0,1\n', "huawei-second", "this is not CSV"),
        ("day,time,0\n0,0,99999999\n0,1,1\n", "huawei-second", "column 3 holds something else"),
        ("day,time,0,1\n0,0,9000000,9000000\n", "huawei-second", "more than 10000000 calls"),
    ],
)
def test_what_does_not_fit_is_said_with_file_and_line(tmp_path: Path, text: str, layout: str, fault: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ScenarioError) as error:
        read_trace(path, wanted(format=TraceFormat(layout)))
    assert fault in str(error.value)


def test_a_function_that_is_not_in_the_trace_is_said(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="there is no function h in it"):
        read_trace(day(tmp_path / "d.csv", line_2019("f", "http", {1: 1})), wanted(function="h"))


def test_bytes_that_are_not_text_and_a_directory_are_said(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(b"app,func,end_timestamp,duration\n\xff\n")
    with pytest.raises(ScenarioError, match="not UTF-8"):
        read_trace(tmp_path / "bad.csv", wanted(format=TraceFormat.AZURE_2021))
    with pytest.raises(ScenarioError, match="cannot read this file"):
        read_trace(tmp_path, ALL)


# functions that call at the same second of each minute


def stamped(path: Path, seconds: dict[str, list[float]]) -> Path:
    """A trace of calls that take no time, by function."""
    lines = [f"a,{function},{at},0" for function, instants in seconds.items() for at in instants]
    path.write_text("\n".join(("app,func,end_timestamp,duration", *lines)) + "\n")
    return path


def locked(path: Path, **changes: object) -> float | None:
    return read_trace(path, wanted(format=TraceFormat.AZURE_2021, span_ns=3600 * S, **changes)).locked


def test_functions_that_call_at_the_same_second_are_seen_to(tmp_path: Path) -> None:
    random = Random(1)
    minutes = {f"f{n}": [60 * minute + random.random() for minute in range(30)] for n in range(20)}
    assert (locked(stamped(tmp_path / "t.csv", minutes)) or 0) < 1e-6


def test_functions_each_with_a_phase_of_its_own_are_not_locked(tmp_path: Path) -> None:
    random = Random(1)
    own = {
        f"f{n}": [60 * minute + phase for minute in range(30)] for n in range(20) for phase in [60 * random.random()]
    }
    assert (locked(stamped(tmp_path / "t.csv", own)) or 0) > 0.001


def test_one_function_alone_or_counts_of_minutes_are_no_matter(tmp_path: Path) -> None:
    once = {"f": [60.0 * minute for minute in range(30)], "g": [1.0]}
    assert (locked(stamped(tmp_path / "t.csv", once), function="f") or 0) > 0.001
    counts = day(tmp_path / "d.csv", *(line_2019(f"f{n}", "http", {1: 5}) for n in range(20)))
    assert read_trace(counts, ALL).locked is None


def test_the_chance_that_phases_agree_is_that_of_rayleighs_test() -> None:
    """Uniform phases fall below each level as often as it says; alike ones never get there by chance."""
    random = Random(2)
    chances = [chance_of([random.random() for _ in range(12)]) for _ in range(2000)]
    for level in (0.5, 0.1, 0.01):
        assert sum(chance < level for chance in chances) / 2000 == pytest.approx(level, abs=0.004 + level / 10)
    assert chance_of([0.3] * 12) < 1e-7
    assert chance_of([]) == 1.0
