"""Connections: how many a client may have, and how long one may do without a request.

uvicorn waits without limit for the head of a request, and counts connections of all
clients together. So a single client could keep everyone else out.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from espressivo.serve.api.limits import CONNECTIONS_SHARE, network_of, share_of

if TYPE_CHECKING:
    import asyncio

    import h11

    from espressivo.serve.api.limits import Limits

_BODY = json.dumps(
    {
        "reason": "busy",
        "message": "this client has as many connections as one may; try again later",
    }
).encode()
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nRetry-After: 5\r\nConnection: close\r\n\r\n%b"
) % (len(_BODY), _BODY)

_order = count()
_network_of = lru_cache(4096)(network_of)


class Connection(H11Protocol):
    """One HTTP connection: idle until the head of a request is complete.

    Idle connections are closed after `head_s`, and before that if there are too many:
    the oldest of the client that has the most. A client can have three quarters of the
    connections.

    Args:
        limits: Limits of the server.
        is_proxied: Whether all connections are a proxy's, which serves many clients.
        options: Keyword arguments of uvicorn.
    """

    def __init__(self, limits: Limits, is_proxied: bool, **options: Any) -> None:
        super().__init__(**options)
        self._head_s = limits.head_s
        # uvicorn refuses the request of the connection that reaches its limit.
        self._most = limits.max_connections - 1
        self._share = share_of(limits.max_connections, CONNECTIONS_SHARE)
        self._is_proxied = is_proxied
        self._has_moved = False  # to the protocol of a WebSocket
        self._idle_since = 0  # the later, the larger
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        if self._has_moved:
            return False
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection, if need be in the place of an idle one."""
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > min(self._share, self._most):
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Handle what came; it can complete the head of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to the protocol of a WebSocket."""
        self._has_moved = True
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Start the timer of an idle connection, which no byte prolongs."""
        if not self.is_idle:
            self._stop_timer()
        elif self._timer is None:
            self._idle_since = next(_order)
            self._timer = self.loop.call_later(self._head_s, self._let_go)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_go(self) -> None:
        # Not `abort`: the end of a response may still be on its way.
        self.transport.close()
        self.connections.discard(self)

    def _make_room(self) -> None:
        """Close one connection if all clients, or this one, have too many."""
        taken = [c for c in self.connections if not c.transport.is_closing()]
        mine = _client_of(self)
        n_mine = sum(_client_of(c) == mine for c in taken)
        idle = [c for c in taken if isinstance(c, Connection) and c.is_idle]
        idle.remove(self)
        if n_mine > self._share and not self._is_proxied:
            idle = [c for c in idle if _client_of(c) == mine]
            if not idle:
                self.transport.write(_REFUSAL)
                self._let_go()
                return
        elif len(taken) <= self._most or not idle:
            return
        counts = Counter(map(_client_of, idle))
        most = max(counts, key=lambda client: counts[client])
        oldest = min(
            (c for c in idle if _client_of(c) == most),
            key=lambda c: c._idle_since,  # noqa: SLF001  # of this class
        )
        oldest._let_go()  # noqa: SLF001


def _client_of(connection: Any) -> str:
    return _network_of(connection.client[0] if connection.client else "")
