"""Parameters and bodies that the routes read by themselves, described for OpenAPI."""

from __future__ import annotations

from typing import Any

from espressivo.serve.api.limits import DEFAULT_HOP_S, LEAST_HOP_S
from espressivo.serve.api.queries import MOST_FORMAT
from espressivo.types import SAMPLE_RATE

RECORDING: list[dict[str, Any]] = [
    {
        "name": "name",
        "in": "query",
        "description": "What the report calls the recording; by default a form's file "
        "name, or `recording`. At most 200 letters count.",
        "schema": {"type": "string"},
    },
    {
        "name": "track",
        "in": "query",
        "description": "Number of the audio track, from 1; by default the track that "
        "players choose.",
        "schema": {"type": "integer", "minimum": 1},
    },
    {
        "name": "format",
        "in": "query",
        "description": "What a recording without a header is, as FFmpeg names it: "
        "`mulaw`, `alaw`, `g722`, `gsm`, or samples with their rate, `s16le:8000`; "
        "by default as its name ends.",
        "schema": {"type": "string", "maxLength": MOST_FORMAT},
    },
]
BODY = {
    "required": True,
    "description": "The recording's bytes, of any content type, or a form with one "
    "file.",
    "content": {
        "*/*": {},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "string",
                        "contentMediaType": "application/octet-stream",
                    }
                },
            }
        },
    },
}
RATE: dict[str, Any] = {
    "name": "rate",
    "in": "query",
    "description": "Samples a second.",
    "schema": {"const": SAMPLE_RATE, "default": SAMPLE_RATE},
}
HOP: dict[str, Any] = {
    "name": "hop",
    "in": "query",
    "description": "How often unfinished speech is estimated, in seconds; 0: never.",
    "schema": {
        "type": "number",
        "default": DEFAULT_HOP_S,
        "oneOf": [{"const": 0}, {"minimum": LEAST_HOP_S, "maximum": 3600}],
    },
}
NO_TOKEN: dict[str, Any] = {"security": [{}]}


STREAM = """\
Send binary messages of PCM (16 kHz, 16 bit, little-endian, one channel; at most 10 s
each), then the text {"type": "end"}. Each text that comes is a `message`: estimates,
then the report; then the socket is closed with 1000. Browsers show the token as
subprotocol: `new WebSocket(url, ["espressivo", "bearer.TOKEN"])`."""
