"""Refusals: reasons, HTTP statuses and WebSocket close codes."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

from starlette.responses import JSONResponse


class Reason(StrEnum):
    """Why; the label of the metric, and what clients can tell apart."""

    BAD_HOST = "bad_host"
    BAD_ORIGIN = "bad_origin"
    BAD_REQUEST = "bad_request"
    BAD_TOKEN = "bad_token"  # noqa: S105 - no secret
    BUSY = "busy"
    GARBAGE = "garbage"
    IDLE = "idle"
    LAGGING = "lagging"
    NO_ROOM = "no_room"
    NO_WEBSOCKET = "no_websocket"
    RATE = "rate"
    SLOW_CLIENT = "slow_client"
    STOPPING = "stopping"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    UNREADABLE = "unreadable"


class _Codes(NamedTuple):
    status: int
    close: int


_CODES = {
    Reason.BAD_HOST: _Codes(421, 1008),
    Reason.BAD_ORIGIN: _Codes(403, 1008),
    Reason.BAD_REQUEST: _Codes(400, 1008),
    Reason.BAD_TOKEN: _Codes(401, 1008),
    Reason.BUSY: _Codes(503, 1013),
    Reason.GARBAGE: _Codes(400, 1007),
    Reason.IDLE: _Codes(408, 1008),
    Reason.LAGGING: _Codes(503, 1013),
    Reason.NO_ROOM: _Codes(507, 1013),
    Reason.NO_WEBSOCKET: _Codes(426, 1008),
    Reason.RATE: _Codes(429, 1008),
    Reason.SLOW_CLIENT: _Codes(408, 1008),
    Reason.STOPPING: _Codes(503, 1012),
    Reason.TOO_LARGE: _Codes(413, 1009),
    Reason.TOO_LONG: _Codes(422, 1008),
    Reason.UNREADABLE: _Codes(422, 1007),
}


class Refused(Exception):  # noqa: N818 - it is the client's error
    """Refusal of a request, or early end of a stream.

    Args:
        reason: Category of the refusal.
        message: Explanation in one line.
        retry_s: Time after which a retry can succeed, in seconds; None: unknown.
    """

    def __init__(
        self, reason: Reason, message: str, retry_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason, self.message, self.retry_s = reason, message, retry_s

    @property
    def close_code(self) -> int:
        """WebSocket close code (RFC 6455)."""
        return _CODES[self.reason].close

    @property
    def close_reason(self) -> str:
        """Reason in the close frame: at most 123 bytes (RFC 6455), valid UTF-8."""
        return self.message.encode()[:123].decode(errors="ignore")

    @property
    def details(self) -> dict[str, str]:
        """Reason and message, as in the JSON of responses."""
        return {"reason": self.reason, "message": self.message}

    def response(self) -> JSONResponse:
        """Return the HTTP response, after which the connection is closed."""
        headers = {"Connection": "close"}
        if self.retry_s is not None:
            headers["Retry-After"] = str(math.ceil(self.retry_s))
        if self.reason is Reason.BAD_TOKEN:
            headers["WWW-Authenticate"] = "Bearer"
        if self.reason is Reason.NO_WEBSOCKET:
            headers |= {"Connection": "Upgrade, close", "Upgrade": "websocket"}
        return JSONResponse(self.details, _CODES[self.reason].status, headers)
