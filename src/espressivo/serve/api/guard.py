"""ASGI middleware: admission of requests, refusals, CORS and response headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from espressivo.serve.api.refusals import Reason, Refused
from espressivo.serve.api.shares import client_of
from espressivo.serve.api.uploads import discard

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from espressivo.serve.api.limits import RateLimit
    from espressivo.serve.api.metrics import Metrics
    from espressivo.serve.api.security import Security
    from espressivo.serve.api.shares import Places

ANALYZE, STREAM = "/v1/analyze", "/v1/stream"
HEALTH, OPENAPI, METRICS = "/health", "/v1/openapi.json", "/metrics"

_PATHS = (ANALYZE, STREAM, HEALTH, OPENAPI, METRICS)
_NO_TOKEN = (HEALTH, OPENAPI)
_STARTS = ("http.response.start", "websocket.http.response.start")


class Guard:
    """Middleware that admits requests, turns refusals into responses and counts both.

    Args:
        app: The application; a `Refused` that it raises becomes the response.
        security: Rules for hosts, origins and the token.
        rate: Rate limit per client.
        places: Places of the requests that are answered at the same time.
        metrics: Counters of responses and rejections.
        is_stopping: Function that returns True once the server refuses new work.
    """

    def __init__(
        self,
        app: ASGIApp,
        security: Security,
        rate: RateLimit,
        *,
        places: Places,
        metrics: Metrics,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._app, self._security, self._rate = app, security, rate
        self._places = places
        self._metrics, self._is_stopping = metrics, is_stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the application, or refuse it."""
        headers = Headers(scope=scope)
        path = scope["path"] if scope["path"] in _PATHS else "other"
        cors: _Cors | None = None
        body, is_in, has_begun = _Body(scope, receive), False, False

        async def respond(message: Message) -> None:
            nonlocal has_begun
            if message["type"] in _STARTS:
                self._metrics.responded(path, message["status"])
                _add_headers(message)
                if cors is not None:
                    cors.allow(message)
                has_begun = True
            elif message["type"] == "websocket.accept":
                self._metrics.responded(path, 101)
                has_begun = True
            await send(message)

        try:
            _require_one_length(scope, headers)
            self._security.require_host(headers)
            origin = self._security.require_origin(headers)
            cors = None if origin is None else _Cors(self._app, origin)
            if scope["type"] == "http" and scope["method"] == "OPTIONS" and cors:
                await cors.preflight_response(headers)(scope, receive, respond)
                return
            self._admit(scope, path, headers)
            # Connections are counted elsewhere, but behind a proxy they are all its.
            with self._places.taken(client_of(scope)):
                is_in = True
                await self._app(scope, body.receive, respond)
        except Refused as refused:
            self._metrics.rejected(refused.reason)
            # An upload that was cut off since the server stops may never go on.
            if not (is_in and refused.reason is Reason.STOPPING):
                await body.discard()
            if not has_begun:
                await refused.response()(scope, receive, respond)
        except ClientDisconnect:
            pass  # no response can be delivered

    def _admit(self, scope: Scope, path: str, headers: Headers) -> None:
        is_work = path in (ANALYZE, STREAM)
        # The rate limit comes first, so that it also slows down guessing of tokens.
        if is_work:
            self._require_rate(scope)
        if path not in _NO_TOKEN:
            self._security.require_token(headers)
        if is_work and self._is_stopping():
            raise Refused(Reason.STOPPING, "the server stops; ask again later", 5)

    def _require_rate(self, scope: Scope) -> None:
        client = scope["client"][0] if scope["client"] else ""
        if wait_s := self._rate.take(client):
            raise Refused(
                Reason.RATE,
                f"too many requests of {client}; wait {wait_s:.1f} s",
                wait_s,
            )


class _Body:
    """Body of a request, if it has one, and whether all of it has been received."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope, self._receive = scope, receive
        headers = Headers(scope=scope)
        is_told = "content-length" in headers or "transfer-encoding" in headers
        self._has_more = scope["type"] == "http" and is_told

    async def receive(self) -> Message:
        """Receive the next part."""
        message = await self._receive()
        self._has_more = message.get("more_body", False)
        return message

    async def discard(self) -> None:
        """Discard the rest, or some clients never see the response."""
        if self._has_more:
            await discard(Request(self._scope, self._receive))


class _Cors(CORSMiddleware):
    """Starlette's CORS headers for one origin that the guard has already admitted.

    Starlette alone would process a simple request of a foreign page and only hide the
    response from it. The guard refuses such a request before any work is done.
    """

    def __init__(self, app: ASGIApp, origin: str) -> None:
        super().__init__(
            app,
            allow_origins=[origin],
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
        self._origin = origin

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return the response to a preflight request: 204 without a body."""
        del request_headers  # the response lists what is allowed, whatever is requested
        return Response(status_code=204, headers=self.preflight_headers)

    def allow(self, message: Message) -> None:
        """Add the CORS headers that allow the page to read a response."""
        headers = MutableHeaders(raw=message["headers"])
        self.allow_explicit_origin(headers, self._origin)


def _require_one_length(scope: Scope, headers: Headers) -> None:
    """Refuse a body that a proxy might end elsewhere than h11 (request smuggling).

    h11 itself refuses other encodings than `chunked`, and lengths that differ.

    Raises:
        Refused: There is a length beside the encoding, or an encoding in HTTP/1.0.

    Source: RFC 9112, section 6.1.
    """
    if "transfer-encoding" in headers and (
        "content-length" in headers or scope["http_version"] == "1.0"
    ):
        raise Refused(
            Reason.BAD_REQUEST,
            "Transfer-Encoding stands beside Content-Length, or in HTTP/1.0; send "
            "either of the two, in HTTP/1.1",
        )


def _add_headers(message: Message) -> None:
    headers = MutableHeaders(raw=message.setdefault("headers", []))
    headers["Cache-Control"] = "no-store"
    headers["X-Content-Type-Options"] = "nosniff"
