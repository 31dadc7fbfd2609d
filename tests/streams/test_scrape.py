from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from loadgen.export.openmetrics import text
from loadgen.measure.summary import ThresholdResult
from loadgen.report.families import families
from loadgen.streams.fault import StreamError
from loadgen.streams.scrape import Scrape
from tests.cli.displays import frame
from tests.report.builders import valid
from tests.servers.ports import free_port
from tests.streams.views import Told

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


@pytest.fixture
def told() -> Told:
    made = Told("errors < 1%")
    made.begin()
    made.tell(frame(0, ok=200, failed=3))
    return made


@pytest.fixture
def port(told: Told) -> Iterator[int]:
    port = free_port()
    scrape = Scrape(told.view, port)
    scrape.start()
    yield port
    scrape.close()


def asked(port: int, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={**OPENMETRICS, **headers})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def parsed(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every series and its value."""
    return {
        (each.name, frozenset(each.labels.items())): each.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for each in family.samples
    }


def test_a_scrape_has_what_an_export_of_the_same_counts_has(told: Told, port: int) -> None:
    status, scraped = asked(port)
    assert status == 200
    exported = "".join(part for each in families(told.view.snapshot.standing) for part in text(each)) + "# EOF\n"
    assert parsed(scraped) == parsed(exported)
    key = ("loadgen_invocations_total", frozenset({("phase", "steady"), ("call", "call"), ("outcome", "throttled")}))
    assert parsed(scraped)[key] == 3


def test_a_scrape_is_of_now(told: Told, port: int) -> None:
    told.tell(frame(1, ok=200))
    assert 'loadgen_planned_total{call="call",phase="steady"} 403' in asked(port)[1]


def test_only_who_asks_for_it_by_a_name_of_this_machine_reads_it_and_nobody_writes(port: int) -> None:
    assert asked(port, Host=f"localhost:{port}")[0] == 200
    assert asked(port, Host="rebound.example")[0] == 403
    assert asked(port, Host=f"rebound.example:{port}")[0] == 403
    assert asked(port, method="POST")[0] == 405
    assert asked(port, "/")[0] == 404


def test_a_label_from_outside_stays_one(told: Told, port: int) -> None:
    hostile = 'a"} 1\nx{y="\\'
    told.view.finish(replace(valid(), thresholds=[ThresholdResult(hostile, None, True, "")]))
    met = [dict(labels) for (name, labels), n in parsed(asked(port)[1]).items() if name == "loadgen_rule" and n]
    assert met == [{"rule": hostile, "state": "met"}]
    exported = "".join(part for each in families(told.view.snapshot.standing) for part in text(each)) + "# EOF\n"
    assert "\n} 1" not in exported
    assert len(parsed(exported)) == len(parsed(asked(port)[1]))


def test_a_port_that_is_taken_is_said_with_the_remedy_before_anything_begins(told: Told) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(StreamError, match=rf"--metrics: cannot listen on 127.0.0.1:{number}: .*another port"):
            Scrape(told.view, number)


def test_without_its_extra_it_is_said_what_to_install(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(StreamError, match=r"pip install 'loadgen\[prometheus\]'"):
        Scrape(told.view, free_port())
