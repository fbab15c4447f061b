"""Clients that send whole recordings, one after another."""

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
    """Send a recording a second after its last report came.

    Args:
        url: Of the server.
        recording: What is sent.
        expected: The report that has to come.
        until: When to send no more, by the monotonic clock.
        took: Told the seconds until each report.

    Raises:
        SystemExit: Another answer came.
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
