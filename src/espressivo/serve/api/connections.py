"""Connections: how many a client may have, and how long one may do without a request.

uvicorn waits without limit for the head of a request, and counts connections of all
clients together. So a single client could keep everyone else out. It also keeps a
connection open whose WebSocket handshake cannot be read, answers pings that nobody
reads without limit, and logs a traceback where a client breaks off a body or sends a
text that is not UTF-8.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from websockets.frames import CloseCode
from websockets.protocol import State

from espressivo.serve.api.limits import CONNECTIONS_SHARE, network_of, share_of
from espressivo.serve.api.refusals import Reason, Refused

if TYPE_CHECKING:
    import asyncio

    from websockets.frames import Frame

    from espressivo.serve.api.limits import Limits

_MOST_FRAMES = 1000  # of one message; empty ones would cost memory without end


def _response_to(refused: Refused) -> bytes:
    """Return the response to a refusal that never reaches the application."""
    response = refused.response()
    phrase = HTTPStatus(response.status_code).phrase
    head = f"HTTP/1.1 {response.status_code} {phrase}\r\n".encode()
    headers = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers)
    return head + headers + b"\r\n" + bytes(response.body)


_NO_HTTP = _response_to(
    Refused(Reason.BAD_REQUEST, "this is no valid HTTP/1.1; send a valid request")
)
_NO_HANDSHAKE = _response_to(
    Refused(
        Reason.BAD_REQUEST,
        "the head of this WebSocket cannot be read: it has a body, another method than "
        "GET, a control character, a line over 8 kB, or over 128 lines; send another",
    )
)
_TOO_MANY = _response_to(
    Refused(
        Reason.BUSY,
        "this client has as many connections as one may; try again later",
        5,
    )
)

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
        protocol: Any = self.transport.get_protocol()
        if not protocol.handshake_initiated:
            # websockets takes no body and shorter heads than h11. It now waits without
            # limit for a head that it can read.
            self.transport.write(_NO_HANDSHAKE)
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, unless a response is already under way or sent."""
        del msg
        if self.cycle is not None and not self.cycle.response_complete:
            # Otherwise the application would respond to the request, too.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_NO_HTTP)
        self.transport.close()

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
                self.transport.write(_TOO_MANY)
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


class WebSocketConnection(WebSocketsSansIOProtocol):
    """Connection of one stream: what its client does not read, it does not prolong."""

    def handle_ping(self) -> None:
        """Answer a ping, and read no further while answers are not taken."""
        super().handle_ping()
        if not (self.writable.is_set() or self.transport.is_closing()):
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on: the client has taken what was sent."""
        super().resume_writing()
        if not (self.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    async def send(self, message: Any) -> None:
        """Send a message; a refused handshake is complete, too."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # or uvicorn logs that it is not

    async def receive(self) -> Any:
        """Return the next message, once the client has taken what was sent."""
        await self.writable.wait()
        return await super().receive()

    def handle_cont(self, event: Frame) -> None:
        """Add a frame to a message."""
        if len(self.frames) >= _MOST_FRAMES:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"over {_MOST_FRAMES} frames")
        else:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Hand a message on; a text must be UTF-8."""
        if self.curr_msg_data_type == "text":
            try:
                self.frames = [b"".join(self.frames)]
                self.frames[0].decode()
            except UnicodeDecodeError:
                self._fail(CloseCode.INVALID_DATA, "a text is not UTF-8")
                return
        super().send_receive_event_to_app()

    def _fail(self, code: int, reason: str) -> None:
        if self.conn.state is State.OPEN:  # else it is being closed already
            self.conn.send_close(code, reason)
            self.handle_parser_exception()


def _client_of(connection: Any) -> str:
    return _network_of(connection.client[0] if connection.client else "")
