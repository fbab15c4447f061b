"""How much the server takes, from all and from each."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from espressivo.machine import n_cores

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_MESSAGE_BYTES = 320_000
"""Of one WebSocket message: 10 s of sound."""

MAX_BACKLOG_BYTES = 960_000
"""Of one stream, received and not analysed yet; beyond, its socket is not read."""

AT_ONCE_BYTES = 32_000
"""Of one stream, analysed before it is another's turn: 1 s of sound."""

LEAST_HOP_S = 0.5

_MOST_CLIENTS = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused, and when.

    Attributes:
        max_upload_bytes: Of one request's body.
        max_duration_s: Of one recording, and of one stream, in seconds.
        max_per_minute: Analyses and streams that one client may begin a minute; 0: any.
        max_analyses: Recordings that are analysed at once.
        max_waiting: Recordings that are received, or wait, besides.
        max_streams: Streams that are open at once.
        max_lag_s: A stream that the server is this far behind with is dropped.
        idle_s: A client that sends nothing for this long is dropped.
        send_s: A client that takes nothing for this long is dropped.
        ping_s: How often a stream's client is asked whether it is there, and how long
            it may take to say so.
        grace_s: How long the server, told to stop, lets what runs finish.
    """

    max_upload_bytes: int = 100 * 2**20
    max_duration_s: float = 4 * 3600.0
    max_per_minute: int = 120
    max_analyses: int = field(default_factory=n_cores)
    max_waiting: int = 16
    max_streams: int = 200
    max_lag_s: float = 30.0
    idle_s: float = 60.0
    send_s: float = 10.0
    ping_s: float = 20.0
    grace_s: float = 30.0


class RateLimit:
    """A bucket of tokens for each client, filled anew over a minute.

    Args:
        per_minute: How many one client may take a minute, at once or spread; 0: any.
        clock: Seconds.
    """

    def __init__(
        self, per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take one for the client; return the seconds to wait if there is none, or 0.

        Args:
            client: Its address; of IPv6 the network of 64 bits that is one client's.
        """
        if not self._most:
            return 0.0
        key, now = _network(client), self._clock()
        left, since = self._buckets.pop(key, (float(self._most), now))
        left = min(self._most, left + (now - since) * self._most / 60)
        wait = 0.0 if left >= 1 else (1 - left) * 60 / self._most
        self._buckets[key] = (left if wait else left - 1, now)
        while len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)  # who has not asked for longest
        return wait


def _network(client: str) -> str:
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    return client if address.version == 4 else address.exploded[:19]
