"""Clients that upload whole recordings, one after another."""

from __future__ import annotations

import asyncio
import json
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


async def upload(
    url: str, recording: Path, expected: dict[str, Any], until: float, took: list[float]
) -> None:
    """Upload a recording repeatedly, one second after each report.

    Args:
        url: Base URL of the server.
        recording: Recording to upload.
        expected: Report that the server is expected to return.
        until: Time on the monotonic clock after which no upload is started.
        took: Seconds from each request to its report; extended in place.

    Raises:
        SystemExit: The server returned anything else.
    """
    while time.monotonic() < until:
        begun = time.monotonic()
        report = await asyncio.to_thread(_post, url, recording)
        if report != expected:
            raise SystemExit(f"an upload was answered {report}, not {expected}")
        took.append(time.monotonic() - begun)
        await asyncio.sleep(1)


def _post(url: str, recording: Path) -> dict[str, Any]:
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=120)
    try:
        target = f"/v1/analyze?name={recording.name}"
        connection.request("POST", target, recording.read_bytes())
        report: dict[str, Any] = json.loads(connection.getresponse().read())
        return report
    finally:
        connection.close()
