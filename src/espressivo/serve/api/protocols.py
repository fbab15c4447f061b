"""uvicorn's protocols, with the time limits that they lack.

Without them a client that sends half a request, or reads none of the answer, holds its
connection for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)

if TYPE_CHECKING:
    import asyncio

    from websockets.http11 import Request

DROP = "espressivo.drop"
"""In a WebSocket's scope, under `extensions`: ends it without waiting for the client.

Called with close code, reason, and the seconds in which the client may still take
what there is.
"""

_LINGER_S = 2.0
_MOST_UNSENT_BYTES = 16_384  # some 80 estimates


class TimedHttp(H11Protocol):
    """HTTP/1.1; a request's head has to be there in time, and answers are taken.

    Attributes:
        head_s: From the connection, or the first byte, to the end of the head.
        send_s: How long a full buffer may stay full.
    """

    head_s = 60.0
    send_s = 10.0

    _head: asyncio.TimerHandle | None = None
    _full: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Go on waiting, or stop when the head of a request is complete."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._await_head()
        else:
            self._head = _cancel(self._head)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Stop waiting; the connection has another protocol from here on."""
        self._head = _cancel(self._head)
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._head, self._full = _cancel(self._head), _cancel(self._full)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait for the client to take what there is."""
        super().pause_writing()
        self._full = self.loop.call_later(self.send_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It has."""
        super().resume_writing()
        self._full = _cancel(self._full)

    def _await_head(self) -> None:
        if self._head is None and self.transport.get_protocol() is self:
            self._head = self.loop.call_later(self.head_s, self.transport.abort)


class TimedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that can be dropped, and ends soon after it was closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hold little of what the client does not take."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(_MOST_UNSENT_BYTES)

    def handle_connect(self, event: Request) -> None:
        """Put `DROP` into the scope, whose task has not begun yet."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[DROP] = self._drop

    def keepalive_timeout(self) -> None:
        """End a connection that is open at one end only."""
        super().keepalive_timeout()
        self._abort_soon()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """See to it that a stream's end is the connection's, whoever ended it."""
        super().on_task_complete(task)
        self._abort_soon()

    async def send(self, message: Any) -> None:
        """Send, and see to it that a close is the end."""
        await self.writable.wait()
        if self.close_sent:  # by us, while the application was about to tell more
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.close":
            self._abort_soon()

    def _drop(self, code: int, reason: str, linger_s: float = _LINGER_S) -> None:
        if not self.close_sent and not self.transport.is_closing():
            self.conn.fail(code, reason)
            self.close_sent = True
            self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()
        self._abort_soon(linger_s)

    def _abort_soon(self, linger_s: float = _LINGER_S) -> None:
        # Closing waits until the client has taken everything, which may be never.
        self.loop.call_later(linger_s, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """End a timer; return none, which is what there is then."""
    if timer is not None:
        timer.cancel()
    return None
