"""API server: uvicorn with address, token check, and graceful shutdown."""

from __future__ import annotations

import logging
import math
import signal
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from espressivo.errors import ServeError
from espressivo.serve.addresses import Address
from espressivo.serve.api.app import Api
from espressivo.serve.api.connections import Connection, WebSocketConnection
from espressivo.serve.api.limits import MAX_MESSAGE_BYTES, Limits
from espressivo.serve.api.security import Security, checked_origin, checked_token

if TYPE_CHECKING:
    from asyncio import Protocol
    from collections.abc import Iterator, Sequence

    from espressivo.analyzer import Analyzer

_BACKLOG = 512  # connections waiting to be accepted
_LINGER_S = 10.0  # our own time-out, which counts the client, must come first


class ApiServer:
    """Server of the API; it listens once created and responds in `run`.

    Args:
        analyzer: Analyzer for all recordings and streams.
        host: Host name or IP address of this machine; loopback needs no token.
        port: Port number; 0: any free port.
        limits: Limits of the server; None: `Limits()`.
        token: Bearer token that clients must send; None: no token is needed.
        origins: Additional origins whose pages are allowed.
        proxy: IP address of a proxy whose X-Forwarded-For is trusted.

    Raises:
        ServeError: The server cannot listen on the address, or other machines can reach
            it and there is no token.
    """

    def __init__(
        self,
        analyzer: Analyzer,
        host: str = "127.0.0.1",
        port: int = 8766,
        *,
        limits: Limits | None = None,
        token: str | None = None,
        origins: Sequence[str] = (),
        proxy: str | None = None,
    ) -> None:
        limits = limits or Limits()
        address = Address.of(host, port)
        if token is not None:
            token = checked_token(token, "token")
        elif proxy is not None or not address.is_loopback:
            raise ServeError(
                f"{host}: others reach this address{' by the proxy' * bool(proxy)}, so "
                "it takes a token; give --token-file FILE, or set ESPRESSIVO_TOKEN"
            )
        allowed = frozenset(map(checked_origin, origins))
        with address.explained(host):
            self.socket = socket.create_server(
                (address.ip, port), family=address.family, backlog=_BACKLOG
            )
        _cut_slow_clients(self.socket, limits.send_s + _LINGER_S)
        self.address = replace(address, port=int(self.socket.getsockname()[1]))
        # Behind a proxy, the Host header is that of the proxy's public name.
        is_ours = address.is_loopback and proxy is None
        names = self.address.names if is_ours else None
        self.api = Api(analyzer, limits, Security(names, token, allowed))
        self._server = _Server(self.api, _config(self.api, limits, proxy))

    @property
    def url(self) -> str:
        """URL of the server for clients on this machine."""
        return self.address.url

    def run(self) -> None:
        """Respond until SIGINT, SIGTERM, SIGHUP or `stop`; shut down gracefully."""
        try:
            self._server.run([self.socket])
        finally:
            self.close()

    def stop(self) -> None:
        """Make `run` shut down; can be called from other threads."""
        self._server.should_exit = True

    def close(self) -> None:
        """Release socket and threads; needed only if `run` is never called."""
        self.socket.close()
        self.api.close()


def _cut_slow_clients(listening: socket.socket, after_s: float) -> None:
    """Make the kernel close connections whose client acknowledges no data in time.

    uvicorn has no such limit, so a full send buffer would occupy memory for ever. The
    accepted sockets inherit the option. On other systems than Linux, a proxy is needed.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(after_s * 1000)
        )


def _config(api: Api, limits: Limits, proxy: str | None) -> uvicorn.Config:
    # Its warnings quote bytes of what clients send.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    connection = partial(Connection, limits, proxy is not None)
    return uvicorn.Config(
        api,
        http=cast("type[Protocol]", connection),
        ws=cast("type[Protocol]", WebSocketConnection),
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=limits.ping_s,
        ws_ping_timeout=limits.ping_s,
        ws_per_message_deflate=False,  # against decompression bombs
        loop="auto",  # uvloop if installed
        lifespan="off",
        log_config=None,
        log_level="error",  # only bugs; faults of clients are not logged
        access_log=False,
        headers=[("Server", "espressivo")],
        server_header=False,
        proxy_headers=proxy is not None,
        forwarded_allow_ips=proxy,
        limit_concurrency=limits.max_connections,
        backlog=_BACKLOG,
        # Clients that read no response are dropped before this.
        timeout_graceful_shutdown=math.ceil(limits.send_s) + 1,
    )


class _Server(uvicorn.Server):
    """uvicorn server that finishes running work and then exits with status 0."""

    def __init__(self, api: Api, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._api = api

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, drain the application, and close the connections."""
        for server in self.servers:
            server.close()
        await self._api.drain(hurry=lambda: self.force_exit)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals inside the `with` block.

        uvicorn's own version raises the signal again at the end, so that the process
        would not exit with status 0.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        # Windows has no SIGHUP, and `nohup` has it ignored.
        hangup = getattr(signal, "SIGHUP", None)
        if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
            numbers.append(hangup)
        before = {n: signal.signal(n, self.handle_exit) for n in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Shut down gracefully on the first signal, at once on the second."""
        del sig, frame
        self.force_exit, self.should_exit = self.should_exit, True
