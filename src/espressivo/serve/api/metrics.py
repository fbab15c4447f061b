"""Prometheus metrics of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

if TYPE_CHECKING:
    from espressivo.serve.api.refusals import Reason

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

# Otherwise each counter would bring a second series, a gauge named `_created`.
disable_created_metrics()  # type: ignore[no-untyped-call]

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Metrics of one server, in a separate registry.

    Attributes:
        open_streams: Number of open streams.
        running_analyses: Number of recordings being received, queued or analysed.
    """

    def __init__(self) -> None:
        self.open_streams = self.running_analyses = 0
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "espressivo_requests",
            "Responses, by path and status; an opened stream has status 101.",
            ("path", "status"),
            registry=self._registry,
        )
        self._rejections = Counter(
            "espressivo_rejections",
            "Requests refused, and streams ended before their time.",
            ("reason",),
            registry=self._registry,
        )
        self._audio = Counter(
            "espressivo_audio_seconds",
            "Seconds of sound that were analysed.",
            ("kind",),
            registry=self._registry,
        )
        for kind in ("recording", "stream"):
            self._audio.labels(kind)  # exported as 0 from the start, not absent
        Gauge(
            "espressivo_open_streams",
            "Streams that are open.",
            registry=self._registry,
        ).set_function(lambda: self.open_streams)
        Gauge(
            "espressivo_running_analyses",
            "Recordings that are received, wait or are analysed.",
            registry=self._registry,
        ).set_function(lambda: self.running_analyses)
        self._latency = Histogram(
            "espressivo_estimate_latency_seconds",
            "From the arrival of a stream's sound to the estimate of it.",
            buckets=_BUCKETS_S,
            registry=self._registry,
        )

    def responded(self, path: str, status: int) -> None:
        """Count a response; an opened stream has status 101."""
        self._requests.labels(path, str(status)).inc()

    def rejected(self, reason: Reason) -> None:
        """Count a refused request, or a stream that was ended early."""
        self._rejections.labels(reason.value).inc()

    def analyzed(self, kind: str, seconds: float) -> None:
        """Count analysed audio, in seconds; `kind` is `recording` or `stream`."""
        self._audio.labels(kind).inc(seconds)

    def estimated(self, latency_s: float) -> None:
        """Record the latency of an estimate since the arrival of its last sample."""
        self._latency.observe(latency_s)

    def to_text(self) -> bytes:
        """Return all metrics in Prometheus's text format 0.0.4."""
        return generate_latest(self._registry)
