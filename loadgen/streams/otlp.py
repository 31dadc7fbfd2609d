"""``--otlp URL``: counts and distributions pushed to an OpenTelemetry receiver. Needs the extra ``otel``.

The same families as everywhere, under the same names, so that a receiver that hands them on to Prometheus gives what a
scrape would have. Distributions are made of HDR slots, never call by call: a slot goes to the base-2 exponential bucket
of its middle, of which there are 32 for each power of two, so that one is 2.2 % wide.

A thread pushes every few seconds, and once more at the end; the run never waits for it. What cannot be delivered is
said once and left: the next push has it, too, as everything is counted from the beginning.

Source: OpenTelemetry metrics data model, "ExponentialHistogram".
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from functools import cache
from math import ceil, log2
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from loadgen.measure.histogram import Histogram, middle
from loadgen.report.families import US_PER_S, Family, Point, families, sum_s
from loadgen.streams.fault import StreamError
from loadgen.streams.view import View

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric, MetricsData

EVERY_S = 5.0
SCALE = 5
"""Buckets are 2 to the power of 1 / 2**SCALE wide."""
TIMEOUT_S = 5.0
"""For how long one push may take."""
LAST_S = 5.0
"""For how long the end of the program is put off for the last push."""
FAILED_S = 1.0
"""The same where one was in vain before."""
_PATH = "/v1/metrics"
_STATUS = re.compile(r"code: (\d{3})\b")


@cache
def bucket(slot: int) -> int:
    """The exponential bucket of a slot other than the first, of values in seconds: it ends at base**(bucket + 1)."""
    return ceil(log2(middle(slot) / US_PER_S) * (1 << SCALE)) - 1


def exponential(histogram: Histogram) -> tuple[int, list[int], int]:
    """The first bucket, the counts from it on, and how many are zero."""
    found: dict[int, int] = {}
    for slot, n in histogram.counts.items():
        if slot:
            found[bucket(slot)] = found.get(bucket(slot), 0) + n
    first = min(found, default=0)
    counts = [found.get(each, 0) for each in range(first, max(found) + 1)] if found else []
    return first, counts, histogram.counts.get(0, 0)


class _Heard(logging.Handler):
    """Keeps of what the exporter logs the status of the last answer, and nothing else: texts may hold anything."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.why = f"nobody took them within {TIMEOUT_S:g} s"

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        if found := _STATUS.search(record.getMessage()):
            self.why = f"it answered {found[1]}"


class Otlp:
    """Pushes what a view shows to ``url``.

    What changes: ``_failed``, once something was not delivered, and ``_end``, which wakes the thread for good.
    """

    def __init__(self, view: View, url: str) -> None:
        """Raises StreamError where the extra is missing or the URL is none."""
        endpoint = _endpoint(url)
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        except ImportError as error:
            raise StreamError(
                "--otlp needs the OpenTelemetry SDK, which is not installed: pip install 'loadgen[otel]'"
            ) from error
        self._heard = _Heard()
        said = logging.getLogger("opentelemetry")  # what it would say of a receiver, this says, and no more than once
        said.addHandler(self._heard)  # for good: a push that is given up is told of after the end
        said.propagate = False
        parts = urlsplit(endpoint)
        self._to = f"{parts.scheme}://{parts.hostname}{'' if parts.port is None else f':{parts.port}'}"
        try:
            self._exporter = OTLPMetricExporter(endpoint=endpoint, timeout=TIMEOUT_S)
        except Exception as error:  # it reads its variables here; what it says of one may quote a secret
            raise StreamError(
                "--otlp: a variable of the environment whose name begins with OTEL_ has a value that the SDK does not "
                f"take ({type(error).__name__}); correct it, or unset it"
            ) from error
        self._view = view
        self._began_ns = time.time_ns()
        self._say: Callable[[str], None] | None = None
        self._failed = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="otlp", daemon=True)

    @property
    def said(self) -> str:
        """Where it goes, for the user, without what a URL may hold of secrets."""
        return f"otlp: pushed to {self._to} every {EVERY_S:g} s"

    def start(self, say: Callable[[str], None]) -> None:
        """Begin to push. ``say`` is called from another thread, once at most."""
        self._say = say
        self._thread.start()

    def close(self) -> None:
        """Push what there is by now, and give that up after a while. Calling it again does nothing."""
        if self._thread.is_alive():
            self._end.set()
            self._thread.join(FAILED_S if self._failed else LAST_S)
            if self._thread.is_alive():
                self._warn()
            self._exporter.shutdown()

    def _work(self) -> None:
        while not self._end.wait(EVERY_S):
            self._push()
        self._push()

    def _push(self) -> None:
        from opentelemetry.sdk.metrics.export import MetricExportResult

        snapshot = self._view.snapshot
        try:
            told = _data(list(families(snapshot.standing)), snapshot.standing.name, self._began_ns, time.time_ns())
            delivered = self._exporter.export(told) is MetricExportResult.SUCCESS
        except Exception:  # whatever a library meets: the run is none of its business
            delivered = False
        if not delivered:
            self._warn()

    def _warn(self) -> None:
        """Say what was not delivered, unless that was said before."""
        if not self._failed and self._say is not None:
            self._failed = True
            self._say(
                f"warning: --otlp: {self._to} did not take the figures: {self._heard.why}. While the run goes on, they "
                f"are pushed again every {EVERY_S:g} s, which is not said again"
            )


def _endpoint(url: str) -> str:
    """The URL that is posted to. Raises StreamError."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        raise StreamError("--otlp: this is no URL of a receiver; write it like http://127.0.0.1:4318")
    if parts.username is not None:
        raise StreamError(
            "--otlp: a URL with a name and a password in it is not taken; give them as a header in "
            "OTEL_EXPORTER_OTLP_HEADERS"
        )
    return urlunsplit(parts) if parts.path.strip("/") else urlunsplit(parts._replace(path=_PATH))


def _data(found: list[Family], name: str, began_ns: int, now_ns: int) -> MetricsData:
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    resource = Resource({"service.name": "loadgen", "loadgen.scenario": name})
    metrics = [_metric(family, began_ns, now_ns) for family in found]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(InstrumentationScope("loadgen"), metrics, "")], "")])


def _metric(family: Family, began_ns: int, now_ns: int) -> Metric:
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        ExponentialHistogram,
        Gauge,
        Metric,
        NumberDataPoint,
        Sum,
    )

    name, unit = family.name.removesuffix("_seconds").replace("_", ".", 1), "s" if family.unit == "seconds" else ""
    data: ExponentialHistogram | Sum | Gauge
    if family.kind == "histogram":
        points = [_point(point, began_ns, now_ns) for point in family.points]
        data = ExponentialHistogram(points, AggregationTemporality.CUMULATIVE)
    else:
        numbers = [
            NumberDataPoint(point.labels, began_ns, now_ns, point.value)
            for point in family.points
            if not isinstance(point.value, Histogram)
        ]
        if family.kind == "counter":
            data = Sum(numbers, AggregationTemporality.CUMULATIVE, is_monotonic=True)
        else:
            data = Gauge(numbers)
    return Metric(name, family.says, unit, data)


def _point(point: Point, began_ns: int, now_ns: int) -> Any:
    from opentelemetry.sdk.metrics._internal.point import Buckets  # the only name that is not public
    from opentelemetry.sdk.metrics.export import ExponentialHistogramDataPoint

    histogram = point.value
    assert isinstance(histogram, Histogram)
    first, counts, zero = exponential(histogram)
    return ExponentialHistogramDataPoint(
        attributes=point.labels,
        start_time_unix_nano=began_ns,
        time_unix_nano=now_ns,
        count=histogram.count,
        sum=sum_s(histogram),
        scale=SCALE,
        zero_count=zero,
        positive=Buckets(first, counts),
        negative=Buckets(0, []),
        flags=0,
        min=(histogram.min_us or 0) / US_PER_S,
        max=(histogram.ceiling_us or 0) / US_PER_S,
    )
