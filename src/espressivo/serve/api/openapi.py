"""What the server answers, for machines: OpenAPI 3.1."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from espressivo.version import __version__

if TYPE_CHECKING:
    from espressivo.serve.api.limits import Limits


def openapi(limits: Limits) -> dict[str, Any]:
    """Return the description of a server with these limits.

    It is `openapi.json` beside this file, with version and limits filled in.
    """
    text = (files("espressivo.serve.api") / "openapi.json").read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    document["info"]["version"] = __version__
    document["info"]["x-limits"] = {
        "max_upload_bytes": limits.max_upload_bytes,
        "max_duration_s": limits.max_duration_s,
        "max_per_minute": limits.max_per_minute,
        "max_streams": limits.max_streams,
        "idle_s": limits.idle_s,
    }
    return document
