"""The server: an address, a token where others reach it, and an orderly end."""

from __future__ import annotations

import math
import signal
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import uvicorn

from espressivo.errors import ServeError
from espressivo.serve.addresses import Address
from espressivo.serve.api.app import Api
from espressivo.serve.api.limits import MAX_MESSAGE_BYTES, Limits
from espressivo.serve.api.security import Security, checked_origin, checked_token

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from espressivo.analyzer import Analyzer

_BACKLOG = 512  # connections that wait to be accepted
_SPARE = 64  # connections besides those that work
_LINGER_S = 10.0  # later than our own time-out, which also counts the client


class ApiServer:
    """The API at an address; listens from the start, answers in `run`.

    Args:
        analyzer: What analyses.
        host: A name or address of this machine; other than loopback takes a token.
        port: 0 takes any that is free.
        limits: How much it takes; by default `Limits()`.
        token: What clients must show.
        origins: Of pages of other hosts that may ask.
        proxy: Address of a proxy whose X-Forwarded-For is believed.

    Raises:
        ServeError: The address cannot be had, or others reach it and there is no token.
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
        is_ours = address.is_loopback and proxy is None  # which keeps any Host
        names = self.address.names if is_ours else None
        self.api = Api(analyzer, limits, Security(names, token, allowed))
        self._server = _Server(self.api, _config(self.api, limits, proxy))

    @property
    def url(self) -> str:
        """Where this machine finds it."""
        return self.address.url

    def run(self) -> None:
        """Answer until SIGINT, SIGTERM or `stop`, then finish what runs."""
        try:
            self._server.run([self.socket])
        finally:
            self.close()

    def stop(self) -> None:
        """End `run` soon; for other threads."""
        self._server.should_exit = True

    def close(self) -> None:
        """Give back what it has; after `run`, or instead of it."""
        self.socket.close()
        self.api.close()


def _cut_slow_clients(listening: socket.socket, after_s: float) -> None:
    """Let the kernel end connections whose client takes nothing for so long.

    uvicorn has no such limit, and a full send buffer would hold memory for ever. The
    accepted sockets inherit the option. Elsewhere than on Linux a proxy has to do it.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(after_s * 1000)
        )


def _config(api: Api, limits: Limits, proxy: str | None) -> uvicorn.Config:
    works = limits.max_analyses + limits.max_waiting + limits.max_streams
    return uvicorn.Config(
        api,
        http="h11",
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=limits.ping_s,
        ws_ping_timeout=limits.ping_s,
        ws_per_message_deflate=False,  # a small message could become a large one
        loop="auto",  # uvloop, where it is installed
        lifespan="off",
        log_config=None,
        log_level="error",  # bugs alone; clients are not told of
        access_log=False,
        headers=[("Server", "espressivo")],
        server_header=False,
        proxy_headers=proxy is not None,
        forwarded_allow_ips=proxy,
        limit_concurrency=works + _SPARE,
        backlog=_BACKLOG,
        # By then, who takes no answer was dropped.
        timeout_graceful_shutdown=math.ceil(limits.send_s) + 1,
    )


class _Server(uvicorn.Server):
    """uvicorn, which lets work finish and exits with 0."""

    def __init__(self, api: Api, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._api = api

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, finish, hang up."""
        for server in self.servers:
            server.close()
        await self._api.drain(hurry=lambda: self.force_exit)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal, at once on the second; uvicorn's would raise it again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {n: signal.signal(n, self.handle_exit) for n in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Be told to stop."""
        del sig, frame
        self.force_exit, self.should_exit = self.should_exit, True
