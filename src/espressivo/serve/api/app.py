"""ASGI application of the API: routes, and the state that they share."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request  # noqa: TC002 - FastAPI reads annotations
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.websockets import WebSocket  # noqa: TC002 - as above

from espressivo.machine import n_cores
from espressivo.serve.api import descriptions, guard
from espressivo.serve.api.guard import Guard
from espressivo.serve.api.limits import (
    CONNECTIONS_SHARE,
    STREAMS_SHARE,
    RateLimit,
)
from espressivo.serve.api.metrics import CONTENT_TYPE, Metrics
from espressivo.serve.api.openapi import (
    Responses,
    component,
    openapi,
    refusals,
    response,
)
from espressivo.serve.api.queries import decoding_of, hop_of
from espressivo.serve.api.recordings import Recordings
from espressivo.serve.api.refusals import Reason, Refused
from espressivo.serve.api.security import SUBPROTOCOL, subprotocols
from espressivo.serve.api.shares import Places, client_of
from espressivo.serve.api.stream_session import StreamSession
from espressivo.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from espressivo.analyzer import Analyzer
    from espressivo.serve.api.limits import Limits
    from espressivo.serve.api.security import Security

_HISTORY = 1000  # windows listed in a stream's report: about two hours of speech
_POLL_S = 0.05


class Api:
    """The ASGI application.

    Args:
        analyzer: Analyzer shared by all requests and streams.
        limits: Limits on size, duration, rate and concurrency.
        security: Rules for hosts, origins and the token.
    """

    def __init__(self, analyzer: Analyzer, limits: Limits, security: Security) -> None:
        self._analyzer, self._limits = analyzer, limits
        self._has_token = security.token is not None
        self.metrics = Metrics()
        self._recordings = Recordings(analyzer, limits, self.metrics)
        self._pool = ThreadPoolExecutor(n_cores(), "stream")
        self._sessions: set[StreamSession] = set()
        self._places = Places("streams", limits.max_streams, STREAMS_SHARE)
        rate = RateLimit(limits.max_per_minute)
        places = Places("requests", limits.max_connections, CONNECTIONS_SHARE)
        self.is_stopping = False
        # FastAPI's documentation pages are off, since they load scripts from a CDN.
        self._app = FastAPI(
            openapi_url=None,
            redirect_slashes=False,
            middleware=[
                Middleware(
                    Guard,
                    security,
                    rate,
                    places=places,
                    metrics=self.metrics,
                    is_stopping=self._has_stopped,
                )
            ],
            exception_handlers={HTTPException: _plain},
        )
        self._add_routes()

    def _add_routes(self) -> None:
        """Declare the routes, from which the OpenAPI document is generated."""
        add = self._app.add_api_route
        analyzed: Responses = {200: response("The report.", component("report"))}
        opened: Responses = {101: {"description": "Open; its texts are `message`."}}
        counted: Responses = {
            200: response("The counts.", {"type": "string"}, "text/plain")
        }
        document: Responses = {200: response("This document.", {"type": "object"})}
        health = component("health")
        stops = {"oneOf": [health, component("refusal")]}
        healthy: Responses = {
            200: response("It does.", health),
            503: response("It stops, or is busy.", stops),
        }
        add(
            guard.ANALYZE,
            self._analyze,
            methods=["POST"],
            summary="Analyse a recording.",
            operation_id="analyze",
            response_class=JSONResponse,
            responses=analyzed | refusals(401, 408, 413, 422, 429, 507),
            openapi_extra={
                "parameters": [*descriptions.RECORDING],
                "requestBody": descriptions.BODY,
            },
        )
        self._app.add_api_websocket_route(guard.STREAM, self._stream)
        add(
            guard.STREAM,
            _speaks_websocket_only,
            methods=["GET"],
            summary="A WebSocket: sound in, estimates out.",
            description=descriptions.STREAM,
            operation_id="stream",
            status_code=101,
            response_class=Response,
            responses=opened | refusals(401, 426, 429),
            openapi_extra={"parameters": [descriptions.RATE, descriptions.HOP]},
        )
        add(
            guard.OPENAPI,
            self._openapi,
            summary="This document.",
            operation_id="openapi",
            responses=document | refusals(),
            openapi_extra=descriptions.NO_TOKEN,
        )
        add(
            guard.HEALTH,
            self._health,
            summary="Whether the server takes work.",
            operation_id="health",
            responses=refusals() | healthy,
            openapi_extra=descriptions.NO_TOKEN,
        )
        add(
            guard.METRICS,
            self._metrics,
            summary="Counts, for Prometheus.",
            operation_id="metrics",
            response_class=PlainTextResponse,
            responses=counted | refusals(401),
        )
        # FastAPI, unlike Starlette, adds no HEAD to GET; load balancers ask with it.
        for path, endpoint in (
            (guard.OPENAPI, self._openapi),
            (guard.HEALTH, self._health),
            (guard.METRICS, self._metrics),
        ):
            add(path, endpoint, methods=["HEAD"], include_in_schema=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request, or serve a stream."""
        await self._app(scope, receive, send)

    async def drain(self, *, hurry: Callable[[], bool]) -> None:
        """Refuse new work and wait for running work, at most `grace_s` seconds.

        Work that is still running after that is cancelled.

        Args:
            hurry: Function that returns True to stop waiting (a second signal).
        """
        self.is_stopping = True
        for session in tuple(self._sessions):
            session.stop()
        loop = asyncio.get_running_loop()
        until = loop.time() + self._limits.grace_s
        while self._is_busy and loop.time() < until and not hurry():  # noqa: ASYNC110
            # Polling, since `hurry` changes in a signal handler, which sets no event.
            await asyncio.sleep(_POLL_S)
        self._recordings.cancel()
        for session in tuple(self._sessions):
            session.drop()

    def close(self) -> None:
        """Shut down the threads after their current work."""
        self._recordings.close()
        self._pool.shutdown(cancel_futures=True)

    @property
    def _is_busy(self) -> bool:
        return bool(self._sessions or self._recordings.n_running)

    async def _analyze(self, request: Request) -> Response:
        decoding = decoding_of(request.query_params)
        with self._recordings.admitted(request):
            upload = await self._recordings.receive(request)
            report = await self._recordings.analyze(upload, request, decoding)
        return Response() if report is None else JSONResponse(report.to_dict())

    async def _stream(self, socket: WebSocket) -> None:
        hop_s = hop_of(socket.query_params)
        with self._places.taken(client_of(socket.scope)):
            self.metrics.open_streams += 1
            try:
                offered = SUBPROTOCOL in subprotocols(socket.headers)
                await socket.accept(SUBPROTOCOL if offered else None)
                await self._serve(socket, hop_s)
            finally:
                self.metrics.open_streams -= 1

    async def _serve(self, socket: WebSocket, hop_s: float) -> None:
        session = StreamSession(
            socket,
            self._analyzer.stream(hop_s=hop_s, history=_HISTORY),
            self._analyzer.classifier.card,
            limits=self._limits,
            metrics=self.metrics,
            pool=self._pool,
        )
        self._sessions.add(session)
        if self.is_stopping:  # set while the handshake was under way
            session.stop()
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    def _has_stopped(self) -> bool:
        return self.is_stopping

    async def _health(self, _: Request) -> Response:
        card = self._analyzer.classifier.card
        model = {"name": card.name, "version": card.version, "sha256": card.sha256}
        details = {"espressivo": __version__, "model": model}
        if self.is_stopping:
            return JSONResponse({"status": "stopping", **details}, 503)
        return JSONResponse({"status": "ok", **details})

    async def _metrics(self, _: Request) -> Response:
        text = self.metrics.to_text()
        return Response(text, headers={"Content-Type": CONTENT_TYPE})

    async def _openapi(self, _: Request) -> Response:
        return Response(self._document, media_type="application/json")

    @cached_property
    def _document(self) -> str:
        """OpenAPI document; whoever asks for it often costs no more than others."""
        document = openapi(self._app, self._limits, has_token=self._has_token)
        return json.dumps(document, indent=2)


async def _speaks_websocket_only() -> Response:
    raise Refused(
        Reason.NO_WEBSOCKET, "this is a WebSocket; open it as one, or POST a recording"
    )


async def _plain(_: Request, error: Exception) -> Response:
    """Return a routing error (unknown path or method) as plain text."""
    assert isinstance(error, HTTPException)
    return PlainTextResponse(error.detail, error.status_code, error.headers)
