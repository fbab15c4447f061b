"""OpenAPI 3.1 document of the API, generated from the routes and these models.

The docstrings of the Pydantic models become descriptions in the document.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field, TypeAdapter

from espressivo.serve.api.refusals import Reason  # noqa: TC001 - pydantic reads it
from espressivo.types import Dimension, Emotion  # noqa: TC001 - as above
from espressivo.version import __version__

if TYPE_CHECKING:
    from fastapi import FastAPI

    from espressivo.serve.api.limits import Limits

_REF = "#/components/schemas/{model}"
_HERE = Path(__file__)
_REPORT_SCHEMAS = (  # paths in a wheel and in a checkout
    _HERE.parents[2] / "assets" / "report.schema.json",
    _HERE.parents[4] / "docs" / "report.schema.json",
)


class Refusal(BaseModel):
    """Why a request is refused."""

    reason: Reason
    message: str = Field(description="One line: what, what was found, what to do.")


class Model(BaseModel):
    """The model that the server runs."""

    name: str
    version: str
    sha256: str


class Health(BaseModel):
    """Whether the server takes work, and with which model."""

    status: Literal["ok", "stopping"]
    espressivo: str
    model: Model


class EstimateMessage(BaseModel):
    """Probabilities of one window, as `espressivo listen --lines` prints them."""

    type: Literal["estimate"]
    at_s: float = Field(ge=0, description="How much sound had been analysed.")
    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)
    provisional: bool = Field(
        description="Whether a later estimate of the same speech follows; the report "
        "holds none of these."
    )
    emotion: Emotion
    uncertain: bool | None = Field(
        description="Whether the highest probability is below the model's threshold "
        "(`model.certainty.threshold` of a report); null when the model has none."
    )
    probabilities: dict[Emotion, Annotated[float, Field(ge=0, le=1)]]
    dimensions: dict[Dimension, Annotated[float, Field(ge=0, le=1)]] | None = Field(
        description="Arousal and the like, 0.5 being neutral; null when the model has "
        "none."
    )


class ReportMessage(BaseModel):
    """The report, after the end of the stream."""

    type: Literal["report"]
    report: dict[str, Any]


class ErrorMessage(BaseModel):
    """Why the socket is closed now; the close frame says so too."""

    type: Literal["error"]
    reason: Reason
    message: str


Message = Annotated[
    EstimateMessage | ReportMessage | ErrorMessage, Field(discriminator="type")
]
"""Messages that the server sends through a stream."""


_STATUSES = {
    400: "The form, a parameter, or the framing of the request is wrong.",
    401: "No token, or a wrong one.",
    403: "Pages of this origin may not ask.",
    408: "The recording came too slowly.",
    413: "The recording is too large.",
    421: "The Host header names another host.",
    422: "No recording that can be read (`unreadable`), or too long (`too_long`).",
    426: "This is a WebSocket, and the request opens none.",
    429: "Too many requests a minute; see Retry-After.",
    503: "Busy, or stopping; see Retry-After.",
    507: "No room on the disk.",
}


_EVERYWHERE = (400, 403, 421, 503)
_HEADERS = {
    401: ("WWW-Authenticate", "string"),
    426: ("Upgrade", "string"),
    429: ("Retry-After", "integer"),
    503: ("Retry-After", "integer"),
    507: ("Retry-After", "integer"),
}

Responses = dict[int | str, dict[str, Any]]
"""Descriptions of a route's responses, by status."""


def refusals(*statuses: int) -> Responses:
    """Return OpenAPI descriptions of refusals with these statuses.

    Those that any request can meet are always among them.
    """
    return {status: _refusal(status) for status in sorted({*_EVERYWHERE, *statuses})}


def _refusal(status: int) -> dict[str, Any]:
    described = response(_STATUSES[status], component("refusal"))
    if status in _HEADERS:
        name, type_ = _HEADERS[status]
        described["headers"] = {name: {"required": True, "schema": {"type": type_}}}
    return described


def response(
    description: str, schema: dict[str, Any], media_type: str = "application/json"
) -> dict[str, Any]:
    """Return the OpenAPI description of one response; see also `component`."""
    return {"description": description, "content": {media_type: {"schema": schema}}}


def component(name: str) -> dict[str, Any]:
    """Return a reference to a schema in the document's components."""
    return {"$ref": _ref(name)}


def openapi(app: FastAPI, limits: Limits, *, has_token: bool) -> dict[str, Any]:
    """Return the OpenAPI document of an application with its limits.

    Args:
        app: The application.
        limits: Limits of the server.
        has_token: Whether clients must send a token.
    """
    document = get_openapi(
        title="espressivo",
        version=__version__,
        summary="Emotion from speech.",
        description="What `espressivo api` answers. No recording is stored or logged. "
        "The licence is the program's; the model, which reports name, has terms of its "
        "own (`espressivo models show NAME --terms`).",
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    document["info"]["x-limits"] = {
        "max_upload_bytes": limits.max_upload_bytes,
        "max_duration_s": limits.max_duration_s,
        "max_per_minute": limits.max_per_minute,
        "max_streams": limits.max_streams,
        "idle_s": limits.idle_s,
    }
    document["security"] = [{"bearer": []}] if has_token else []
    document["components"] = {
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "Where the server has a token: everywhere but on "
                "loopback.",
            }
        },
        "schemas": _schemas(),
    }
    return document


def _schemas() -> dict[str, Any]:
    """Return the component schemas of all responses and messages."""
    roots: dict[str, Any] = {"refusal": Refusal, "health": Health, "message": Message}
    found, document = TypeAdapter.json_schemas(
        [(name, "serialization", TypeAdapter(root)) for name, root in roots.items()],
        ref_template=_REF,
    )
    parts: dict[str, Any] = document["$defs"]
    parts |= {"message": found["message", "serialization"]}
    # Components are named in lower case, as fields are.
    text = json.dumps({name.lower(): schema for name, schema in parts.items()})
    for name in parts:
        text = text.replace(f'"{_ref(name)}"', f'"{_ref(name.lower())}"')
    schemas: dict[str, Any] = json.loads(text)
    schemas["reportmessage"]["properties"]["report"] = component("report")
    return schemas | _report_schemas()


def _report_schemas() -> dict[str, Any]:
    """Return the schema of a report, and the schemas that it refers to."""
    path = next(path for path in _REPORT_SCHEMAS if path.exists())
    text = path.read_text("utf-8").replace("#/$defs/", _ref(""))
    report: dict[str, Any] = json.loads(text)
    del report["$schema"]
    parts: dict[str, Any] = report.pop("$defs")
    return {"report": report} | parts


def _ref(name: str) -> str:
    return _REF.format(model=name)
