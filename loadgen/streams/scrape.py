"""``--metrics PORT``: what a Prometheus scrapes, from ``/metrics`` on loopback. Needs the extra ``prometheus``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from loadgen.measure.histogram import Histogram
from loadgen.report.families import BOUNDS_S, Family, cumulative, families, sum_s
from loadgen.streams.fault import StreamError
from loadgen.streams.loopback import HOST, Loopback, bound
from loadgen.streams.view import View

if TYPE_CHECKING:
    from aiohttp import web
    from prometheus_client.core import Metric

PATH = "/metrics"


class Scrape:
    """Serves the counts of a view, as they are when they are asked for."""

    def __init__(self, view: View, port: int) -> None:
        """Raises StreamError where the extra is missing or the port is taken."""
        try:
            from prometheus_client import CollectorRegistry
        except ImportError as error:
            raise StreamError(
                "--metrics needs prometheus-client, which is not installed: pip install 'loadgen[prometheus]'"
            ) from error
        self._view = view
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._server = Loopback(bound(port, "--metrics"), self._answer)

    @property
    def said(self) -> str:
        """Where it is, for the user."""
        return f"metrics: http://{HOST}:{self._server.port}{PATH}"

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def close(self) -> None:
        """End."""
        self._server.close()

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client: every family."""
        return map(_metric, families(self._view.snapshot.standing))

    async def _answer(self, request: web.Request) -> web.Response:
        from aiohttp import web
        from prometheus_client.exposition import choose_encoder

        if request.path != PATH:
            return web.Response(status=404, text=f"there is only {PATH}\n")
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})


def _metric(family: Family) -> Metric:
    from prometheus_client import core

    kinds = {
        "counter": core.CounterMetricFamily,
        "gauge": core.GaugeMetricFamily,
        "histogram": core.HistogramMetricFamily,
    }
    names = list(family.points[0].labels)
    found: Any = kinds[family.kind](family.name, family.says, labels=names, unit=family.unit)
    for point in family.points:
        labels = [point.labels[name] for name in names]
        if isinstance(point.value, Histogram):
            bounds = (*map(repr, BOUNDS_S), "+Inf")
            buckets = list(zip(bounds, cumulative(point.value), strict=True))
            found.add_metric(labels, buckets, sum_s(point.value))
        else:
            found.add_metric(labels, point.value)
    made: Metric = found
    return made
