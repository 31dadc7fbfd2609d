"""OTLP, at a receiver made of the protocol's own classes."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.measure.histogram import SLOTS, middle
from loadgen.streams import otlp
from loadgen.streams.fault import StreamError
from loadgen.streams.otlp import SCALE, Otlp, bucket, exponential
from tests.cli.displays import frame
from tests.examples import fewer
from tests.report.builders import histogram
from tests.servers.otlp import Receiver
from tests.servers.ports import free_port
from tests.streams.views import Told

SECRET = "s3cr3t-of-the-receiver"


@pytest.fixture
def told() -> Told:
    made = Told("errors < 1%")
    made.begin()
    made.tell(frame(0, ok=200, failed=3))
    return made


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "EVERY_S", 0.2)
    monkeypatch.setattr(otlp, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(otlp, "LAST_S", 1.0)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer%20{SECRET}")
    monkeypatch.setattr(logging.getLogger("opentelemetry"), "propagate", True)


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    made = Receiver(**getattr(request, "param", {}))
    yield made
    made.shutdown()
    made.server_close()


@fewer(2)
@given(st.integers(1, SLOTS - 1))
def test_a_slot_is_in_the_exponential_bucket_that_its_middle_is_in(slot: int) -> None:
    base, value = 2 ** (1 / 2**SCALE), middle(slot) / 1_000_000
    assert base ** bucket(slot) * (1 - 1e-12) < value <= base ** (bucket(slot) + 1) * (1 + 1e-12)


def test_all_that_was_counted_is_in_a_bucket_and_what_took_nothing_apart() -> None:
    first, counts, zero = exponential(histogram([0, 0, 1000, 1001, 2_000_000]))
    assert (sum(counts), zero) == (3, 2)
    assert first == bucket(1000)
    assert exponential(histogram([])) == (0, [], 0)


def test_counts_and_distributions_reach_a_receiver_now_and_then_and_in_the_end(
    told: Told, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "TIMEOUT_S", 20.0)
    monkeypatch.setattr(otlp, "LAST_S", 20.0)
    stream = Otlp(told.view, receiver.url)
    said: list[str] = []
    stream.start(said.append)
    deadline = time.monotonic() + 20
    while len(receiver.requests) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    told.tell(frame(1, ok=200))
    told.view.phase_ended()
    told.view.finish(None)
    stream.close()
    metrics = receiver.metrics()
    counts = {
        next(each.value.string_value for each in point.attributes if each.key == "outcome"): point.as_int
        for point in metrics["loadgen.invocations"].sum.data_points
    }
    assert counts == {"ok": 400, "throttled": 3}
    assert metrics["loadgen.invocations"].sum.is_monotonic
    latency = metrics["loadgen.latency"]
    assert (latency.unit, metrics["loadgen.in_flight"].unit) == ("s", "")
    ok = next(point for point in latency.exponential_histogram.data_points if point.count == 400)
    assert sum(ok.positive.bucket_counts) + ok.zero_count == 400
    assert ok.sum / ok.count == pytest.approx(0.022, rel=0.1)
    assert receiver.headers[-1]["path"] == "/v1/metrics"
    assert receiver.headers[-1]["authorization"] == f"Bearer {SECRET}"
    assert said == []


@pytest.mark.parametrize("receiver", [{"status": 401}, {"status": 503}, {"delay_s": 3.0}], indirect=True)
def test_a_receiver_that_refuses_or_is_slow_is_warned_about_once_and_holds_nothing_up(
    told: Told, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    warning = _once(told, receiver.url, caplog)
    assert ("it answered 401" in warning) == (receiver.status == 401)


def test_a_receiver_that_is_not_there_is_warned_about_once(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    _once(told, f"http://127.0.0.1:{free_port()}/own/path", caplog)


def _once(told: Told, url: str, caplog: pytest.LogCaptureFixture) -> str:
    stream = Otlp(told.view, url)
    said: list[str] = []
    stream.start(said.append)
    deadline = time.monotonic() + 20
    while not said:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.5)
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 10
    (warning,) = said
    assert warning.startswith("warning: --otlp: http://127.0.0.1:")
    assert caplog.text == ""
    assert SECRET not in warning
    return warning


@pytest.mark.parametrize("url", ["", "127.0.0.1:4318", "ftp://a", "http://", "http://a:99999", "http://[::1"])
def test_what_is_no_url_of_a_receiver_is_refused(told: Told, url: str) -> None:
    with pytest.raises(StreamError, match="write it like http"):
        Otlp(told.view, url)


def test_a_password_in_the_url_is_refused_and_not_repeated(told: Told) -> None:
    with pytest.raises(StreamError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        Otlp(told.view, f"http://me:{SECRET}@127.0.0.1:4318")
    assert SECRET not in str(refused.value)


def test_a_variable_that_the_sdk_does_not_take_is_refused_and_not_quoted(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_METRICS_CREDENTIAL_PROVIDER", SECRET)
    with pytest.raises(StreamError, match="OTEL_") as refused:
        Otlp(told.view, "http://127.0.0.1:4318")
    assert SECRET not in str(refused.value)


def test_headers_that_are_malformed_are_not_printed(
    told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"{SECRET} %%%")
    Otlp(told.view, "http://127.0.0.1:4318")
    assert caplog.text == ""


def test_without_its_extra_it_is_said_what_to_install(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    with pytest.raises(StreamError, match=r"pip install 'loadgen\[otel\]'"):
        Otlp(told.view, "http://127.0.0.1:4318")
