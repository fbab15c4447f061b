"""What the server counts, in the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from espressivo.serve.api.refusals import Reason

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counts since the start; of the event loop's thread alone.

    Attributes:
        requests: By path and status; an opened stream has status 101.
        rejections: By reason.
        audio_s: Seconds that were analysed, of recordings and of streams.
        open_streams: Now.
        running_analyses: Recordings that are received, wait or are analysed now.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.rejections: Counter[Reason] = Counter()
        self.audio_s: dict[str, float] = {"recording": 0.0, "stream": 0.0}
        self.open_streams = 0
        self.running_analyses = 0
        self._latencies = [0] * (len(_BOUNDS_S) + 1)
        self._latency_sum_s = 0.0

    def estimated(self, latency_s: float) -> None:
        """Count an estimate, by the time since its last sample had come in."""
        self._latencies[bisect_left(_BOUNDS_S, latency_s)] += 1
        self._latency_sum_s += latency_s

    def to_text(self) -> str:
        """Return all of it."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        requests = (
            ({"path": path, "status": str(status)}, n)
            for (path, status), n in sorted(self.requests.items())
        )
        yield from _metric("requests_total", "counter", "Answers.", requests)
        refused = (({"reason": r}, n) for r, n in sorted(self.rejections.items()))
        text = "What was refused, or ended before its time."
        yield from _metric("rejections_total", "counter", text, refused)
        heard = (({"kind": kind}, s) for kind, s in self.audio_s.items())
        text = "Seconds of sound that were analysed."
        yield from _metric("audio_seconds_total", "counter", text, heard)
        now: list[tuple[dict[str, str], float]] = [({}, self.open_streams)]
        yield from _metric("open_streams", "gauge", "Streams that are open.", now)
        now = [({}, self.running_analyses)]
        text = "Recordings that are received, wait or are analysed."
        yield from _metric("running_analyses", "gauge", text, now)
        yield from self._histogram()

    def _histogram(self) -> Iterator[str]:
        name = "espressivo_estimate_latency_seconds"
        yield f"# HELP {name} From a stream's sound to the estimate of it."
        yield f"# TYPE {name} histogram"
        n = 0
        for bound, here in zip((*_BOUNDS_S, "+Inf"), self._latencies, strict=True):
            n += here
            yield f'{name}_bucket{{le="{bound}"}} {n}'
        yield f"{name}_sum {self._latency_sum_s:.6f}"
        yield f"{name}_count {n}"


def _metric(
    name: str, kind: str, text: str, values: Iterable[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    name = f"espressivo_{name}"
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values:
        # Labels are ours, and hold nothing that would have to be escaped.
        shown = ",".join(f'{key}="{label}"' for key, label in labels.items())
        yield f"{name}{{{shown}}} {value:.12g}" if shown else f"{name} {value:.12g}"
