"""What the server answers: routes, and the state that they share."""

from __future__ import annotations

import asyncio
import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router, WebSocketRoute

from espressivo.machine import n_cores
from espressivo.serve.api import guard
from espressivo.serve.api.access import (
    SUBPROTOCOL,
    subprotocols,
)
from espressivo.serve.api.analyses import Analyses
from espressivo.serve.api.guard import Guard
from espressivo.serve.api.limits import (
    LEAST_HOP_S,
    RateLimit,
)
from espressivo.serve.api.metrics import (
    CONTENT_TYPE,
    Metrics,
)
from espressivo.serve.api.openapi import openapi
from espressivo.serve.api.refusals import (
    Reason,
    Refused,
)
from espressivo.serve.api.sessions import Session
from espressivo.types import SAMPLE_RATE
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send
    from starlette.websockets import WebSocket

    from espressivo.analyzer import Analyzer
    from espressivo.serve.api.access import Access
    from espressivo.serve.api.limits import Limits

_HISTORY = 1000  # windows that a stream's report names: two hours of speech
_DEFAULT_HOP_S = 2.0
_POLL_S = 0.05


class Api:
    """The ASGI application.

    Args:
        analyzer: Shared by all requests and streams.
        limits: How much it takes.
        access: From whom.
    """

    def __init__(self, analyzer: Analyzer, limits: Limits, access: Access) -> None:
        self._analyzer, self._limits = analyzer, limits
        self.metrics = Metrics()
        self._analyses = Analyses(analyzer, limits, self.metrics)
        self._pool = ThreadPoolExecutor(n_cores(), "stream")
        self._sessions: set[Session] = set()
        router = Router(
            [
                Route(guard.ANALYZE, self._analyze, methods=["POST"]),
                WebSocketRoute(guard.STREAM, self._stream),
                Route(guard.HEALTH, self._health),
                Route(guard.METRICS, self._metrics),
                Route(guard.OPENAPI, self._openapi),
            ],
            redirect_slashes=False,
        )
        rate = RateLimit(limits.max_per_minute)
        self._guard = Guard(router, access, rate, self.metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or serve a stream."""
        await self._guard(scope, receive, send)

    async def drain(self, *, hurry: Callable[[], bool]) -> None:
        """Refuse new work and finish what runs, for so long; then end the threads.

        Args:
            hurry: Whether not to wait any more.
        """
        self._guard.is_stopping = True
        for session in tuple(self._sessions):
            session.stop()
        loop = asyncio.get_running_loop()
        until = loop.time() + self._limits.grace_s
        while self._is_busy and loop.time() < until and not hurry():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)  # a signal handler hurries it
        self._analyses.cancel()
        for session in tuple(self._sessions):
            session.drop()

    def close(self) -> None:
        """End the threads; waits for what they do now."""
        self._analyses.close()
        self._pool.shutdown(cancel_futures=True)

    @property
    def _is_busy(self) -> bool:
        return bool(self._sessions or self._analyses.n_running)

    async def _analyze(self, request: Request) -> Response:
        with self._analyses.admitted():
            upload = await self._analyses.receive(request)
            report = await self._analyses.run(upload, request)
        return Response() if report is None else JSONResponse(report.to_dict())

    async def _stream(self, socket: WebSocket) -> None:
        hop_s = _hop_of(socket.query_params)
        if self.metrics.open_streams >= self._limits.max_streams:
            raise Refused(
                Reason.BUSY, "as many streams as may be are open; try again later", 5
            )
        self.metrics.open_streams += 1
        try:
            offered = SUBPROTOCOL in subprotocols(socket.headers)
            await socket.accept(SUBPROTOCOL if offered else None)
            await self._serve(socket, hop_s)
        finally:
            self.metrics.open_streams -= 1

    async def _serve(self, socket: WebSocket, hop_s: float) -> None:
        session = Session(
            socket,
            self._analyzer.stream(hop_s=hop_s, history=_HISTORY),
            self._analyzer.classifier.card.emotions,
            limits=self._limits,
            metrics=self.metrics,
            pool=self._pool,
        )
        self._sessions.add(session)
        if self._guard.is_stopping:  # since it was let in
            session.stop()
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    async def _health(self, _: Request) -> Response:
        card = self._analyzer.classifier.card
        model = {"name": card.name, "version": card.version, "sha256": card.sha256}
        details = {"espressivo": __version__, "model": model}
        if self._guard.is_stopping:
            return JSONResponse({"status": "stopping", **details}, 503)
        return JSONResponse({"status": "ok", **details})

    async def _metrics(self, _: Request) -> Response:
        text = self.metrics.to_text()
        return Response(text, headers={"Content-Type": CONTENT_TYPE})

    async def _openapi(self, _: Request) -> Response:
        text = json.dumps(openapi(self._limits), indent=2)
        return Response(text, media_type="application/json")


def _hop_of(query: QueryParams) -> float:
    """Return how often unfinished speech is estimated, in seconds.

    Raises:
        Refused: The query asks for what there is not.
    """
    rate = query.get("rate", str(SAMPLE_RATE))
    if rate != str(SAMPLE_RATE):
        raise Refused(
            Reason.BAD_REQUEST,
            f"rate is {rate[:20]!r}, not {SAMPLE_RATE}; resample before sending",
        )
    text = query.get("hop", str(_DEFAULT_HOP_S))
    try:
        hop_s = float(text)
    except ValueError:
        hop_s = math.nan
    if not (hop_s == 0 or LEAST_HOP_S <= hop_s <= 3600):
        raise Refused(
            Reason.BAD_REQUEST,
            f"hop is {text[:20]!r}, not 0 or {LEAST_HOP_S:g} to 3600 seconds",
        )
    return hop_s
