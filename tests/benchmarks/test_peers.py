"""Each tool's output as it was really printed (wrk2's from its README), and what is read from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers import Peer, peers, read_ab, read_hey, read_k6, read_locust, read_wrk
from benchmarks.tool import Closed, Load, Open, Report, ToolError

OUTPUTS = Path(__file__).with_name("outputs")


def output(name: str) -> str:
    return (OUTPUTS / name).read_text()


def test_wrk_is_read_in_every_unit_it_prints() -> None:
    report = read_wrk(output("wrk.txt"), "")
    assert (report.requests, report.failed, report.rate, report.remark) == (219_598, 0, 109_663.84, "")
    assert report.percentiles_ms == pytest.approx({50: 0.125, 75: 0.13, 90: 0.178, 99: 0.805})


def test_errors_that_wrk_counts_are_failures_and_are_quoted() -> None:
    report = read_wrk(output("wrk_failing.txt"), "")
    assert (report.requests, report.failed) == (33_385, 681 + 2725)
    assert report.percentiles_ms[99] == 3.36
    assert report.remark == ("Socket errors: connect 0, read 681, write 0, timeout 0; Non-2xx or 3xx responses: 2725")


def test_of_wrk2_the_percentiles_are_read_and_not_the_spectrum_below_them() -> None:
    report = read_wrk(output("wrk2.txt"), "")
    assert (report.requests, report.rate) == (60_018, 2000.28)
    assert report.percentiles_ms == {
        50: 6.67, 75: 7.78, 90: 9.14, 99: 11.18, 99.9: 12.30, 99.99: 12.45, 99.999: 12.50, 100: 12.50,
    }  # fmt: skip


def test_hey_is_read() -> None:
    report = read_hey(output("hey.txt"), "")
    assert (report.requests, report.failed, report.rate, report.remark) == (69_490, 0, 34_720.8295, "")
    assert report.percentiles_ms == pytest.approx({10: 0.1, 25: 0.1, 50: 0.3, 75: 0.5, 90: 0.8, 95: 1.1, 99: 4.6})


def test_hey_counts_refusals_and_lost_connections_as_requests_that_failed() -> None:
    report = read_hey(output("hey_failing.txt"), "")
    assert (report.requests, report.failed) == (18_393 + 1635 + 409, 1635 + 409)
    assert report.remark == '[409]\tPost "http://127.0.0.1:18099/x": EOF'


def test_ab_is_read_in_the_whole_milliseconds_it_prints() -> None:
    report = read_ab(output("ab.txt"), "")
    assert (report.requests, report.failed, report.rate, report.remark) == (201_259, 0, 100_629.4, "")
    assert report.percentiles_ms == {50: 0, 66: 0, 75: 0, 80: 0, 90: 0, 95: 0, 98: 0, 99: 0, 100: 10}


def test_ab_counts_refusals_apart_from_failures() -> None:
    report = read_ab(output("ab_failing.txt"), "")
    assert (report.requests, report.failed) == (31_921, 638 + 2554)
    assert report.remark == "Failed requests:        638; Non-2xx responses:      2554"


def test_what_k6_dropped_and_warned_of_is_quoted() -> None:
    report = read_k6(output("k6.json"), output("k6.txt"))
    assert (report.requests, report.failed) == (591, 0)
    assert report.rate == pytest.approx(196.919293)
    assert report.percentiles_ms == pytest.approx({50: 0.401393, 90: 0.733851, 99: 4.4264004, 99.9: 5.63708368})
    assert report.remark == ("10 dropped iterations; Insufficient VUs, reached 1 active VUs and cannot initialize more")


def test_a_warning_that_k6_repeats_is_quoted_once() -> None:
    report = read_k6(output("k6_failing.json"), output("k6_failing.txt"))
    assert (report.requests, report.failed, report.remark) == (11_105, 1111, "Request Failed")


def test_locust_is_read_from_its_total() -> None:
    report = read_locust("", output("locust.txt"))
    assert (report.requests, report.failed, report.rate, report.remark) == (18_783, 0, 6755.35, "")
    assert {p: report.percentiles_ms[p] for p in (50, 90, 99, 99.9)} == {50: 1, 90: 2, 99: 3, 99.9: 22}


def test_failures_of_locust_are_counted() -> None:
    report = read_locust("", output("locust_failing.txt"))
    assert (report.requests, report.failed, report.rate) == (9691, 969, 5655.97)
    assert report.percentiles_ms[99.9] == 9


def test_a_locust_that_got_no_answer_has_no_percentiles() -> None:
    text = "".join(line for line in output("locust.txt").splitlines(keepends=True) if "22    470" not in line)
    report = read_locust("", text)
    assert (report.requests, report.percentiles_ms) == (18_783, {})


@pytest.mark.parametrize("read", [read_wrk, read_hey, read_ab, read_locust])
def test_an_output_that_is_not_understood_is_an_error_that_quotes_it(read: object) -> None:
    assert callable(read)
    with pytest.raises(ToolError, match="out of order"):
        read("out of order", "")


@pytest.mark.parametrize("load", [Closed(10, 5), Open(200, 5, 10)])
def test_a_tool_that_is_not_there_has_no_command(load: Load) -> None:
    nobody = Peer("nobody", None, None, lambda load, url: [url], lambda out, err: Report(0, 0, 0.0))
    assert nobody.command(load, "http://127.0.0.1:1/") is None


def test_only_what_a_tool_can_do_is_asked_of_it() -> None:
    assert [peer.name for peer in peers() if not peer.makes(Open(200, 5, 10))] == ["wrk", "ab"]
    assert [peer.name for peer in peers() if not peer.makes(Closed(10, 5))] == ["wrk2"]
