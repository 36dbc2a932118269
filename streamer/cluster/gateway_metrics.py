"""GET /metrics of a gateway: its counters, and the cluster's places in its current view."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamer.cluster.admission import Directory
from streamer.cluster.board import free
from streamer.cluster.gateway import Gateway
from streamer.web.door import Door

PREFIX = "avatar_gateway_"


class _Counts(Collector):
    """Prometheus collector for one gateway."""

    def __init__(self, gateway: Gateway, directory: Directory, door: Door) -> None:
        self._gateway, self._directory, self._door = gateway, directory, door

    def collect(self) -> Iterable[Metric]:
        """Yield each metric."""
        view = self._directory.view
        for name, explanation, value in (
            ("workers_ready", "Workers that take sessions", sum(worker.open for worker in view.workers)),
            ("workers_draining", "Workers that are being drained", sum(worker.draining for worker in view.workers)),
            ("places", "Sessions that there may be now", sum(worker.places for worker in view.workers)),
            ("places_free", "Places that are free", free(view.workers)),
            ("sessions_open", "Sessions now", sum(worker.sessions for worker in view.workers)),
            ("sessions_waiting", "Callers in line", view.waiting),
            ("connections_open", "HTTP connections now", self._door.connections),
        ):
            gauge = GaugeMetricFamily(PREFIX + name, explanation)
            gauge.add_metric([], value)
            yield gauge
        for name, explanation, value in (
            ("sessions", "Sessions begun here", self._gateway.opened),
            ("sessions_refused", "Offers for which there was no place", self._gateway.refused),
            ("requests_passed", "Requests passed on to workers", self._gateway.passed),
            ("connections_refused", "Connections that had to make room", self._door.refused),
        ):
            counter = CounterMetricFamily(PREFIX + name, explanation)
            counter.add_metric([], value)
            yield counter


def metrics_of(gateway: Gateway, directory: Directory, door: Door) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler of GET /metrics."""
    registry = CollectorRegistry()
    registry.register(_Counts(gateway, directory, door))

    async def metrics(request: web.Request) -> web.Response:
        text = generate_latest(registry).decode()
        return web.Response(text=text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    return metrics
