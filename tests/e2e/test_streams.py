"""What runs tell while they go on."""

from __future__ import annotations

import re
import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.conftest import EMULATED, Loadgen
from tests.e2e.processes import finish, start, wait_for
from tests.servers.otlp import Receiver
from tests.servers.ports import free_port

SECRET = "s3cr3t-of-the-receiver"
RULES = ("--set", "thresholds=[errors < 50%, latency.p50 < 10s]")


def test_what_is_pushed_at_the_end_is_what_the_summary_says(loadgen: Loadgen) -> None:
    receiver = Receiver()
    done = loadgen(EMULATED, "--otlp", receiver.url, *RULES, env={"OTEL_EXPORTER_OTLP_HEADERS": f"api-key={SECRET}"})
    receiver.shutdown()
    receiver.server_close()
    assert done.passed, done.stderr
    assert receiver.headers[-1]["api-key"] == SECRET
    assert SECRET not in done.stderr + done.stdout
    pushed = {
        (attributes["phase"], attributes["outcome"]): point.as_int
        for point in receiver.metrics()["loadgen.invocations"].sum.data_points
        if (attributes := {each.key: each.value.string_value for each in point.attributes})
    }
    phases = done.summary["phases"]
    assert pushed == {(phase["name"], outcome): n for phase in phases for outcome, n in phase["outcomes"].items()}
    states = {
        attributes["rule"]: attributes["state"]
        for point in receiver.metrics()["loadgen.rule"].gauge.data_points
        if point.as_int and (attributes := {each.key: each.value.string_value for each in point.attributes})
    }
    assert set(states) == {"errors < 50%", "latency.p50 < 10s"}


def test_a_scrape_and_a_page_that_is_never_read_leave_the_run_as_it_is(tmp_path: Path) -> None:
    port = free_port()
    options = ("--metrics", str(port), "--live", "--quiet", "--otlp", f"http://127.0.0.1:{free_port()}")
    process = start(tmp_path, *options, "--set", "phases.1.duration=4s")
    scraped: list[str] = []

    def scrape() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            scraped.append(answer.read().decode())
        return re.search(r'loadgen_planned_total\{call="call",phase="steady"\} [1-9]', scraped[-1]) is not None

    wait_for(scrape)
    assert process.stderr is not None
    said = [process.stderr.readline() for _ in range(2)]
    assert f"metrics: http://127.0.0.1:{port}/metrics\n" in said
    (live,) = [line for line in said if line.startswith("live: ")]
    where = urlsplit(live.removeprefix("live: ").strip())
    with socket.create_connection((str(where.hostname), int(where.port or 0))) as held:
        held.sendall(f"GET {where.path}events HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
        _, stderr, summary = finish(process, tmp_path)
    assert process.returncode in (0, 97), stderr
    assert stderr == ""
    steady = next(phase for phase in summary["phases"] if phase["name"] == "steady")
    assert steady["planned"] == 400
    counts = re.findall(r'loadgen_planned_total\{call="call",phase="steady"\} (\d+)', "\n".join(scraped))
    assert 0 < int(counts[-1]) <= 400


def test_a_receiver_that_is_not_there_is_said_of_a_run_that_was_over_before_the_first_push_too(
    loadgen: Loadgen,
) -> None:
    done = loadgen(EMULATED, "--otlp", f"http://127.0.0.1:{free_port()}")
    assert done.passed, done.stderr
    assert done.stderr.count("warning: --otlp: ") == 1


def test_a_port_that_is_taken_ends_the_run_before_there_is_any(loadgen: Loadgen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = loadgen(EMULATED, "--metrics", port)
    assert done.code == 2
    assert f"--metrics: cannot listen on 127.0.0.1:{port}" in done.stderr
    assert not done.out.exists()
