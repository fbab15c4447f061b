"""Limits of the server: sizes, durations, concurrency, and the rate per client."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from espressivo.machine import n_cores

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_MESSAGE_BYTES = 320_000
"""Largest WebSocket message, in bytes: 10 s of audio."""

MAX_BACKLOG_BYTES = 960_000
"""Backlog of one stream, in bytes, from which its socket is not read: 30 s of audio."""

AT_ONCE_BYTES = 32_000
"""Bytes of one stream that are analysed before another's turn: 1 s of audio."""

LEAST_HOP_S = 0.5
DEFAULT_HOP_S = 2.0
"""Shortest interval of a stream's provisional estimates, in seconds."""

RECORDINGS_SHARE = 0.5
STREAMS_SHARE = CONNECTIONS_SHARE = 0.75
"""Shares of the places that one client can take; the others are kept for new ones."""

_SPARE = 64  # connections for other requests, such as health and metrics
_MOST_CLIENTS = 10_000  # bounds the memory of the rate limit


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one server; whatever exceeds them is refused or dropped.

    Attributes:
        max_upload_bytes: Largest request body, in bytes.
        max_duration_s: Longest recording or stream, in seconds.
        max_per_minute: Requests and streams per client and minute; 0: unlimited.
        max_analyses: Number of recordings that are analysed in parallel.
        max_waiting: Number of further recordings that are being received or queued.
        max_streams: Number of concurrently open streams.
        max_lag_s: Delay of the analysis after which a stream is dropped, in seconds.
        idle_s: Time without data after which a client is dropped, in seconds.
        head_s: Time without a complete head of a request, in seconds.
        send_s: Time without reading after which a client is dropped, in seconds.
        ping_s: Interval and time-out of WebSocket pings, in seconds.
        grace_s: Time for running work to finish at shutdown, in seconds.
    """

    max_upload_bytes: int = 100 * 2**20
    max_duration_s: float = 4 * 3600.0
    max_per_minute: int = 120
    max_analyses: int = field(default_factory=n_cores)
    max_waiting: int = 16
    max_streams: int = 200
    max_lag_s: float = 30.0
    idle_s: float = 60.0
    head_s: float = 10.0
    send_s: float = 10.0
    ping_s: float = 20.0
    grace_s: float = 30.0

    @property
    def max_recordings(self) -> int:
        """Number of recordings that are received, wait or are analysed."""
        return self.max_analyses + self.max_waiting

    @property
    def max_connections(self) -> int:
        """Number of concurrent connections."""
        return self.max_recordings + self.max_streams + _SPARE


def share_of(n: int, share: float) -> int:
    """Return how many of `n` places a share is; it rounds up."""
    return math.ceil(n * share)


class RateLimit:
    """Rate limit by a token bucket for each client.

    Args:
        per_minute: Size of a bucket, which refills within a minute; 0: unlimited.
        clock: Clock in seconds.
    """

    def __init__(
        self, per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take a token of a client; return 0, or the seconds until there is one.

        Args:
            client: IP address. IPv6 clients are grouped by /64 network, since one
                client usually has a whole network.
        """
        if not self._most:
            return 0.0
        key, now = network_of(client), self._clock()
        left, since = self._buckets.pop(key, (float(self._most), now))
        left = min(self._most, left + (now - since) * self._most / 60)
        wait = 0.0 if left >= 1 else (1 - left) * 60 / self._most
        self._buckets[key] = (left if wait else left - 1, now)
        while len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)  # the client idle for the longest time
        return wait


def network_of(client: str) -> str:
    """Return an IPv4 address, or the network of /64 of an IPv6 address."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    return client if address.version == 4 else address.exploded[:19]
