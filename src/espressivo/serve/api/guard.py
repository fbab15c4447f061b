"""What every request passes on its way in, and every answer on its way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from espressivo.serve.api.refusals import (
    Reason,
    Refused,
)
from espressivo.serve.api.uploads import discard

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from espressivo.serve.api.access import Access
    from espressivo.serve.api.limits import RateLimit
    from espressivo.serve.api.metrics import Metrics

ANALYZE, STREAM = "/v1/analyze", "/v1/stream"
HEALTH, OPENAPI, METRICS = "/health", "/v1/openapi.json", "/metrics"

_PATHS = (ANALYZE, STREAM, HEALTH, OPENAPI, METRICS)
_NO_TOKEN = (HEALTH, OPENAPI)
_STARTS = ("http.response.start", "websocket.http.response.start")


class Guard:
    """An ASGI application around another that lets in who may, and counts.

    Args:
        app: The application; a `Refused` that it raises becomes the answer.
        access: Who may.
        rate: How often.
        metrics: Told of answers and rejections.

    Attributes:
        is_stopping: Whether the server has been told to stop, and refuses work.
    """

    def __init__(
        self, app: ASGIApp, access: Access, rate: RateLimit, metrics: Metrics
    ) -> None:
        self._app, self._access, self._rate = app, access, rate
        self._metrics = metrics
        self.is_stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or open a stream."""
        headers = Headers(scope=scope)
        path = scope["path"] if scope["path"] in _PATHS else "other"
        origin: str | None = None
        has_begun = is_in = False

        async def tell(message: Message) -> None:
            nonlocal has_begun
            if message["type"] in _STARTS:
                self._metrics.requests[path, message["status"]] += 1
                _complete(message, origin)
                has_begun = True
            elif message["type"] == "websocket.accept":
                self._metrics.requests[path, 101] += 1
                has_begun = True
            await send(message)

        try:
            self._access.require_host(headers)
            origin = self._access.require_origin(headers)
            if scope["type"] == "http" and scope["method"] == "OPTIONS" and origin:
                await _preflight()(scope, receive, tell)
                return
            self._admit(scope, path, headers)
            is_in = True
            await self._app(scope, receive, tell)
        except Refused as refused:
            self._metrics.rejections[refused.reason] += 1
            if has_begun:
                return
            is_unread = not is_in or refused.reason is Reason.BUSY
            if is_unread and scope["type"] == "http" and _has_body(headers):
                await discard(Request(scope, receive))
            await refused.response()(scope, receive, tell)
        except ClientDisconnect:
            pass  # there is nobody to answer

    def _admit(self, scope: Scope, path: str, headers: Headers) -> None:
        is_work = path in (ANALYZE, STREAM)
        if is_work:
            self._require_rate(scope)
        if path not in _NO_TOKEN:
            self._access.require_token(headers)
        if is_work and self.is_stopping:
            raise Refused(Reason.STOPPING, "the server stops; ask again later", 5)

    def _require_rate(self, scope: Scope) -> None:
        client = scope["client"][0] if scope["client"] else ""
        if wait_s := self._rate.take(client):
            raise Refused(
                Reason.RATE,
                f"too many requests of {client}; wait {wait_s:.1f} s",
                wait_s,
            )


def _has_body(headers: Headers) -> bool:
    return "content-length" in headers or "transfer-encoding" in headers


def _complete(message: Message, origin: str | None) -> None:
    """Add the headers that every answer has."""
    headers = MutableHeaders(raw=message.setdefault("headers", []))
    headers["Cache-Control"] = "no-store"
    headers["X-Content-Type-Options"] = "nosniff"
    if origin is not None:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Vary"] = "Origin"


def _preflight() -> Response:
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": "600",
        },
    )
